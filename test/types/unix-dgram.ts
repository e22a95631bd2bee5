// Owns the types of createSocket(), for CommonJS consumers.

import afunix = require('afunix');
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import { exactly } from './expect.js';

const { createSocket } = afunix;

const socket = createSocket('unix_dgram');
exactly<afunix.UnixDgramSocket>()(socket);
const emitter: EventEmitter = socket;
exactly<UdpSocket>()(createSocket('udp4'));
createSocket('udp6', (_message, info) => exactly<RemoteInfo>()(info));
createSocket('unix_dgram', (message, info) => {
  exactly<Buffer>()(message);
  exactly<afunix.UnixDgramInfo>()(info);
  exactly<string | null>()(info.path);
  exactly<number>()(info.size);
});
// @ts-expect-error another type of socket
createSocket('unix_stream');
// @ts-expect-error a type is needed
createSocket();

// --- Methods

exactly<'unix_dgram'>()(socket.type);
exactly<number>()(socket.fd);
exactly<boolean>()(socket.connected);
exactly<void>()(socket.bind('/run/a.sock'));
socket.bind();
socket.bind(Buffer.from('\0name'));
exactly<void>()(socket.connect(new URL('file:///run/a.sock')));
// @ts-expect-error a path is needed
socket.connect();

const message = Buffer.from('message');
exactly<void>()(socket.send(message));
socket.send('text', (error) => {
  exactly<afunix.UnixDgramError | undefined>()(error);
  exactly<number | undefined>()(error?.code);
});
socket.send(message, null);
exactly<void>()(socket.send(message, 0, 3, '/run/a.sock'));
socket.send(message, 0, 3, '/run/a.sock', (error) => exactly<number | undefined>()(error?.errno));
socket.sendto(new DataView(message.buffer), 0, 3, '/run/a.sock', null);
const callback: afunix.UnixDgramCallback = () => {};
socket.send(message, callback);
// @ts-expect-error a path is needed
socket.send(message, 0, 3);
// @ts-expect-error no path without a part
socket.send(message, '/run/a.sock');
// @ts-expect-error descriptors are for DgramSocket
socket.send({ data: message, fds: [1] });

exactly<void>()(socket.close());
exactly<Promise<void>>()(socket[Symbol.asyncDispose]());
exactly<string>()(socket.address());
exactly<afunix.UnixDgramSocket>()(socket.ref().unref());

// --- Events

socket.on('message', (data, { path }) => {
  exactly<Buffer>()(data);
  exactly<string | null>()(path);
});
socket.on('congestion', (data) => exactly<afunix.MessageData>()(data));
socket.once('error', (error) => exactly<number>()(error.code));
socket
  .on('listening', () => {})
  .on('connect', () => {})
  .off('writable', () => {});
// @ts-expect-error no arguments
socket.on('writable', (data) => data);
// @ts-expect-error an event that does not exist
socket.on('data', () => {});
void once(emitter, 'message');
