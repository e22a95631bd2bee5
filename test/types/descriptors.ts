// Owns the types of functions about descriptors.

import type { Socket as UdpSocket } from 'node:dgram';
import type { EventEmitter } from 'node:events';
import type { ReadStream, WriteStream } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { FileHandle } from 'node:fs/promises';
import {
  createReuseportFd,
  drainServer,
  dup,
  fdType,
  fileHandle,
  fromFd,
  isAlive,
  listenFds,
  memfd,
  sdNotify,
  socketpair,
  waitForExit,
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  USocket,
} from 'afunix';
import type { FdType, FromFd, ListenFd, UServer } from 'afunix';
import descriptors = require('afunix/descriptors');
import pair = require('afunix/socketpair');
import { exactly } from './expect.js';

exactly<typeof pair>()(socketpair);
exactly<[number, number]>()(socketpair());
exactly<[number, number]>()(pair(pair.SOCK_SEQPACKET));
exactly<number>()(pair.SOCK_DGRAM + socketpair.SOCK_STREAM);
exactly<[number, number]>()(socketpair('seqpacket'));
// @ts-expect-error there is no such type
pair('SOCK_STREAM');
// @ts-expect-error constants stay what they are
pair.SOCK_STREAM = 3;

exactly<number>()(memfd());
memfd('text', { name: 'a name' });
memfd(new Uint16Array(3), { seal: true });
// @ts-expect-error an ArrayBuffer is no view
memfd(new ArrayBuffer(3));
// @ts-expect-error there is no such option
memfd('', { sealed: true });

exactly<ListenFd[]>()(listenFds());
listenFds('web', { unset: true });
listenFds(['web', 'metrics'] as const);
exactly<ListenFd[]>()(listenFds({ unset: false }));
// @ts-expect-error names are strings
listenFds([1]);
for (const found of listenFds()) {
  exactly<{ fd: number; name: string }>()({ ...found });
  createServer().listen(found);
  new SeqpacketServer().listen(found);
  new DgramSocket({ fd: found.fd });
}

exactly<FdType>()(fdType(0));
fdType(new DgramSocket());
fdType(createServer());
// @ts-expect-error 'stream' is none of them
const type: FdType = 'stream';
void type;
// @ts-expect-error a descriptor is a number
fdType('0');

exactly<number>()(createReuseportFd());
createReuseportFd(process.env['PORT']);
createReuseportFd(80, '::', { ipv6Only: true });
createServer().listen({ fd: createReuseportFd(8080, '127.0.0.1', { type: 'tcp' }) });
// @ts-expect-error TCP or UDP
createReuseportFd(80, '::', { type: 'unix' });

const made = fromFd(3);
exactly<FromFd>()(made);
if ('sendTo' in made) exactly<DgramSocket>()(made);
else if ('writeWithFds' in made) exactly<USocket>()(made);
else if ('getInternalReadBufferSize' in made) exactly<SeqpacketSocket>()(made);
else if ('listening' in made) exactly<UServer | SeqpacketServer | Server>()(made);
else exactly<Socket | UdpSocket | ReadStream | WriteStream>()(made);
exactly<Socket>()(fromFd<Socket>(3));
// @ts-expect-error it makes none of these
fromFd<EventEmitter>(3);

exactly<Promise<void>>()(drainServer(createServer()));
void drainServer(createServer(), { grace: 100 });
// @ts-expect-error a number alone cannot be drained
void drainServer(3);

exactly<number>()(dup(createServer()));
exactly<Promise<FileHandle>>()(fileHandle(dup(0)));
fileHandle(0).then((handle) => fromFd(handle));
fromFd(listenFds()[0]!);
// @ts-expect-error a number alone
fileHandle({ fd: 3 });
// @ts-expect-error a server keeps its descriptor
fromFd(createServer());

exactly<boolean>()(sdNotify('READY=1'));
sdNotify('FDSTORE=1', { fds: [createServer(), 3], timeout: 100 });
// @ts-expect-error a state is a string
sdNotify({ READY: 1 });

exactly<typeof socketpair>()(descriptors.socketpair);
exactly<number>()(descriptors.memfd('x'));

exactly<boolean>()(isAlive(3));
exactly<Promise<void>>()(waitForExit(3, { signal: AbortSignal.timeout(1) }));
// @ts-expect-error not a name
isAlive('3');
new USocket({ fdsWithData: true }).on('data', (chunk) => {
  exactly<readonly number[] | undefined>()(chunk.fds);
});
new SeqpacketSocket({ pidfd: true }).on('data', (message) => {
  exactly<number | undefined>()(message.pidfd);
});
