// Owns the types of afunix/posix, for CommonJS consumers: what users of posix-socket write, and the rest.

import posix = require('afunix/posix');
import { DgramSocket } from 'afunix';
import { exactly } from './expect.js';

const fd: number = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: '/tmp/a.sock' });
posix.connect(fd, { sin_family: posix.AF_INET, sin_port: 8080, sin_addr: '127.0.0.1' });
posix.connect(fd, {
  sin6_family: posix.AF_INET6,
  sin6_port: 8080,
  sin6_flowinfo: 0,
  sin6_addr: '::1',
  sin6_scope_id: 0,
});
posix.listen(fd, 1);
const address = {};
exactly<number>()(posix.accept(fd, address));
const buffer = new ArrayBuffer(100);
exactly<number>()(posix.recv(fd, buffer, buffer.byteLength, 0));
exactly<number>()(posix.send(fd, buffer, 100, posix.MSG_DONTWAIT));
posix.sendto(fd, buffer, 1, 0, { sun_family: 1, sun_path: Buffer.from('\0a') });
exactly<number>()(posix.recvfrom(fd, buffer, 1, 0, address));
posix.shutdown(fd, posix.SHUT_RDWR);
exactly<number>()(posix.getsockopt(fd, posix.SOL_SOCKET, posix.SO_TYPE));
exactly<void>()(posix.setsockopt(fd, posix.SOL_SOCKET, posix.SO_REUSEADDR, 1));
exactly<void>()(posix.close(fd));

const pair = posix.socketpair();
exactly<[number, number]>()(pair);
posix.send(pair[0], Buffer.from('a'));
posix.send(pair[0], new SharedArrayBuffer(1));
posix.send(pair[0], new DataView(buffer), 1);
exactly<Buffer>()(posix.getsockopt(fd, posix.SOL_SOCKET, posix.SO_PEERCRED, 12));
exactly<Buffer>()(posix.getsockopt(fd, posix.SOL_SOCKET, posix.SO_LINGER, Buffer.alloc(8)));
posix.setsockopt(fd, posix.SOL_SOCKET, posix.SO_RCVTIMEO, new Uint8Array(16));
const { fds, credentials, size, flags } = posix.recvmsg(pair[1], {
  iov: [buffer, Buffer.alloc(1)],
});
exactly<number[]>()(fds);
exactly<number>()(size | flags | (credentials?.pid ?? 0));
posix.sendmsg(fd, { iov: buffer, fds: [new DgramSocket(), 1], credentials });
exactly<string | Buffer | undefined>()(posix.getsockname(fd).sun_path);
exactly<number | undefined>()(posix.getpeername(fd, address).sin_port);
const entry: posix.PollEntry = { fd, events: posix.POLLIN };
exactly<number>()(posix.poll([entry], 100));

exactly<number>()(posix.socket('unix', 'seqpacket'));
exactly<[number, number]>()(posix.socketpair('unix', 'dgram'));
exactly<[number, number]>()(posix.socketpair('seqpacket'));
posix.bind(fd, '/tmp/a.sock');
posix.sendto(fd, buffer, 1, 0, Buffer.from('\0a'));
posix.connect(fd, { sa_family: posix.AF_NETLINK, sa_data: Buffer.alloc(10) });
exactly<Buffer | undefined>()(posix.getsockname(fd).sa_data);
exactly<number>()(posix.fcntl(fd, posix.F_SETFL, posix.O_NONBLOCK));
exactly<number>()(posix.fcntl(posix.dup(fd), posix.F_GETFD));
exactly<[number, number]>()(posix.pipe({ nonblocking: true }));
// @ts-expect-error there is no such type
posix.socket('unix', 'raw');

// @ts-expect-error strings have no bytes before they are encoded
posix.send(fd, 'text');
posix.connect(fd, posix.getsockname(fd));
// @ts-expect-error a port is a number
posix.bind(fd, { sin_family: posix.AF_INET, sin_port: '80', sin_addr: '127.0.0.1' });
// @ts-expect-error an address is needed
posix.connect(fd);
// @ts-expect-error there is no such constant
posix.SO_NOTHING;
