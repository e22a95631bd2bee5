// Owns the types of DgramSocket, for CommonJS consumers.

import afunix = require('afunix');
import { createSocket } from 'node:dgram';
import { EventEmitter, errorMonitor, once } from 'node:events';
import { createReadStream, promises } from 'node:fs';
import { Server, Socket } from 'node:net';
import { promisify } from 'node:util';
import { exactly } from './expect.js';

const { DgramSocket, closeFd } = afunix;

// --- Making one

const socket = new DgramSocket();
exactly<afunix.DgramSocket>()(socket);
exactly<afunix.DgramSocket<'utf8'>>()(socket);
const emitter: EventEmitter = socket;

new DgramSocket({});
new DgramSocket(undefined);
new DgramSocket({
  fd: 3,
  receiveFds: true,
  credentials: true,
  maxPendingFds: 10,
  receiveBufferSize: 1,
  sendBufferSize: 1,
  writableHighWaterMark: 0,
  pathEncoding: 'utf8',
  signal: AbortSignal.timeout(1),
  recvBufferSize: 1,
  maxWaitingFds: 1,
  whenFull: 'fail',
});
// @ts-expect-error no such way
new DgramSocket({ whenFull: 'drop' });
// What is undefined is not given.
new DgramSocket({ fd: undefined, receiveFds: undefined, signal: undefined });
// @ts-expect-error options are an object
new DgramSocket(3);
// @ts-expect-error an option that does not exist
new DgramSocket({ recieveFds: true });
// @ts-expect-error a boolean
new DgramSocket({ receiveFds: 1 });
// @ts-expect-error a number
new DgramSocket({ sendBufferSize: '1' });
// @ts-expect-error no such encoding
new DgramSocket({ pathEncoding: 'latin1' });
// @ts-expect-error no signal
new DgramSocket({ signal: new EventTarget() });
// @ts-expect-error new is needed
DgramSocket();

exactly<[afunix.DgramSocket, afunix.DgramSocket]>()(DgramSocket.pair());
DgramSocket.pair({ receiveFds: true, signal: AbortSignal.abort() });
// @ts-expect-error a pair is made, not adopted
DgramSocket.pair({ fd: 3 });

// --- Names

const path = '/run/a.sock';
exactly<typeof socket>()(socket.bind());
socket.bind(path);
socket.bind(null);
socket.bind(undefined, { mode: 0o600 });
socket.bind(Buffer.from(path));
socket.bind(new Uint8Array(3));
socket.bind(new URL('file:///run/a.sock'), { mode: 0o600 });
socket.bind({ path, mode: 0o600 });
socket.bind({ mode: 0o600 });
socket.bind(() => {}).bind(path, () => {});
socket.bind(path, { uid: 0, gid: 0, unlinkOnClose: false }, () => {});
socket.bind({ path, mode: 0o600 }, () => {});
// @ts-expect-error a callback is a function
socket.bind(path, {}, 'callback');
// @ts-expect-error no name
socket.bind(1);
// @ts-expect-error permissions are a number
socket.bind(path, { mode: '600' });
// @ts-expect-error no such option
socket.bind({ path, permissions: 0o600 });
exactly<string>()(socket.address());
exactly<string | undefined>()(socket.remoteAddress);
exactly<afunix.Credentials | undefined>()(socket.peerCredentials);

socket.connect(path).disconnect();
socket.connect(Buffer.from(path), (error) => exactly<NodeJS.ErrnoException | undefined>()(error));
// @ts-expect-error a peer needs a name
socket.connect();
// @ts-expect-error the callback gets an Error
socket.connect(path, (error: number) => error);

// --- Sending

const data = Buffer.from('data');
exactly<boolean>()(socket.sendTo(data, path));
socket.sendTo('text', path, () => {});
socket.sendTo(data, path, { fds: [0] });
socket.sendTo(data, path, undefined, () => {});
socket.sendTo(new DataView(new ArrayBuffer(1)), path, { fds: [] }, (error) =>
  exactly<NodeJS.ErrnoException | undefined>()(error),
);
socket.sendTo(new Float64Array(1), 0, 8, path);
socket.sendTo(data, 0, 4, new URL('file:///run/a.sock'), () => {});
// @ts-expect-error no destination
socket.sendTo(data);
// @ts-expect-error offset without length
socket.sendTo(data, 0, path);
// @ts-expect-error no bytes: an ArrayBuffer is no view
socket.sendTo(new ArrayBuffer(1), path);
// @ts-expect-error no bytes
socket.sendTo(1, path);
// @ts-expect-error no such option
socket.sendTo(data, path, { descriptors: [0] });
// @ts-expect-error no callback
socket.sendTo(data, path, 'callback');

exactly<boolean>()(socket.send(data));
socket.send('text', (error) => exactly<NodeJS.ErrnoException | undefined>()(error));
socket.send({ data: 'text', fds: [0] });
socket.send({ fds: [0] }, () => {});
socket.send(data, path).valueOf();
socket.send({ data, fds: [0] }, new URL('file:///run/a.sock'), (error) => error?.code);
socket.send('text', undefined, () => {});
socket.sendTo({ data, fds: [0] }, path, (error) => error?.errno);
// @ts-expect-error a part is for sendTo()
socket.send(data, 0, 4);
socket.send({ data, fds: null });
// @ts-expect-error no message
socket.send();
// @ts-expect-error no bytes
socket.send({ data: 1 });
// @ts-expect-error descriptors come in an array
socket.send({ data, fds: 0 });

exactly<Promise<void>>()(
  promisify((text: string, done: afunix.SendCallback) => {
    socket.send(text, done);
  })('text'),
);

// --- The callbacks of node-unix-socket

type TheirCallback = (err: undefined | Error) => void;
const theirs: TheirCallback = () => {};
const ours: afunix.SendCallback = theirs;
const backAgain: TheirCallback = ours;
const sameName: afunix.SendCb = backAgain;
socket.sendTo(data, 0, data.length, path, sameName);
// @ts-expect-error not whatever
const notOurs: afunix.SendCallback = (error: string) => error;

// --- Descriptors

async function descriptors() {
  const fds: afunix.Descriptor[] = [
    0,
    socket,
    new Socket(),
    new Server(),
    createSocket('udp4'),
    createReadStream(path),
    await promises.open(path),
    process.stdin,
  ];
  socket.send({ fds });
  const frozen: readonly number[] = Object.freeze([1, 2]);
  socket.send({ fds: frozen });
  new DgramSocket({ fd: socket });
  exactly<void>()(closeFd(0));
}
// @ts-expect-error no descriptor
const noDescriptor: afunix.Descriptor = '0';
// @ts-expect-error an object without one
const noHolder: afunix.Descriptor = new EventEmitter();
// @ts-expect-error a number
closeFd(socket);

// --- Events

socket.on('data', (message, from, info) => {
  exactly<Buffer>()(message);
  exactly<string>()(from);
  exactly<afunix.ReceivedFds>()(info.fds);
  exactly<afunix.Credentials | undefined>()(info.credentials);
});
// As node-unix-socket's users write it.
socket.on('data', (message: Buffer, from: string) => [message, from]);
socket.on('data', () => {});
socket
  .once('listening', () => {})
  .off('connect', () => {})
  .addListener('drain', () => {})
  .removeListener('close', () => {})
  .prependListener('error', (error) => exactly<NodeJS.ErrnoException>()(error))
  .prependOnceListener('error', (error: Error) => error.message)
  .on(errorMonitor, (error) => error.code)
  .on('newListener', (event) => event);
// @ts-expect-error the path is a string
socket.on('data', (message: Buffer, from: Buffer) => [message, from]);
// @ts-expect-error the message is a Buffer
socket.once('data', (message: string) => message);
// @ts-expect-error the error is an Error
socket.on('error', (error: string) => error);
// As dgram's users write it.
socket.on('message', (message, remote) => {
  exactly<Buffer>()(message);
  exactly<string>()(remote.address);
  exactly<string>()(remote.path);
  exactly<number>()(remote.size);
  exactly<afunix.ReceivedFds>()(remote.fds);
  exactly<afunix.Credentials | undefined>()(remote.credentials);
});
// @ts-expect-error there is no such event
socket.on('congestion', () => {});
// @ts-expect-error 'listening' has no arguments
socket.on('listening', (address: string) => address);
exactly<boolean>()(socket.emit('close'));
socket.emit('data', data, path, { fds: [], credentials: undefined });
// @ts-expect-error what is missing
socket.emit('data', data);
// @ts-expect-error what is missing
socket.emit('message', data);
// @ts-expect-error there is no such event
socket.emit('writable');
void once(socket, 'listening');

// --- Names as Buffers

const raw = new DgramSocket({ pathEncoding: 'buffer' });
exactly<afunix.DgramSocket<'buffer'>>()(raw);
raw.on('data', (message, from) => exactly<Buffer>()(from));
// @ts-expect-error the path is a Buffer
raw.on('data', (message: Buffer, from: string) => from);
exactly<Buffer>()(raw.address());
exactly<Buffer | undefined>()(raw.remoteAddress);
exactly<[afunix.DgramSocket<'buffer'>, afunix.DgramSocket<'buffer'>]>()(
  DgramSocket.pair({ pathEncoding: 'buffer' }),
);
// @ts-expect-error one is not the other
const wrong: afunix.DgramSocket = raw;

// --- The rest

async function loop() {
  for await (const message of socket) {
    exactly<Buffer>()(message.data);
    exactly<string>()(message.path);
    exactly<afunix.ReceivedFds>()(message.fds);
    exactly<afunix.Credentials | undefined>()(message.credentials);
  }
  for await (const { path: from } of raw) exactly<Buffer>()(from);
  exactly<Promise<void>>()(socket[Symbol.asyncDispose]());
  await using scoped = new DgramSocket();
  scoped.unref();
}
exactly<number>()(socket.writableLength);
exactly<number>()(socket.writableHighWaterMark);
exactly<boolean>()(socket.writableNeedDrain);
exactly<number>()(socket.fd);
exactly<number>()(socket.dropped);
exactly<number | undefined>()(socket.peerPidfd);
exactly<readonly number[] | undefined>()(socket.peerGroups);
exactly<string | undefined>()(socket.peerLabel);
new DgramSocket({ pidfd: true }).on('message', (_message, { pidfd }) => {
  exactly<number | undefined>()(pidfd);
});
exactly<number | undefined>()(socket.sendBufferSize);
exactly<number | undefined>()(socket.receiveBufferSize);
exactly<number | undefined>()(socket.maxMessageSize);
exactly<typeof socket>()(socket.end().end(() => {}));
exactly<afunix.Detached<afunix.DgramMessage[] | null>>()(socket.detach());
exactly<number[]>()(socket.detach().fds);
exactly<number>()(socket.getRecvBufferSize());
exactly<void>()(socket.setRecvBufferSize(1));
exactly<number>()(socket.getSendBufferSize());
exactly<void>()(socket.setSendBufferSize(1));
exactly<typeof socket>()(socket.ref().unref());
exactly<boolean>()(socket.hasRef());
exactly<typeof socket>()(socket.close().close(() => {}));
// @ts-expect-error cannot be set
socket.fd = 3;
// @ts-expect-error cannot be set
socket.writableHighWaterMark = 1;

class Named extends DgramSocket {
  constructor(readonly name: string) {
    super({ receiveFds: true });
    this.on('data', (message) => exactly<Buffer>()(message));
  }
}
exactly<Named>()(new Named('x').bind());

export { Named, descriptors, emitter, loop, noDescriptor, noHolder, notOurs, wrong };
