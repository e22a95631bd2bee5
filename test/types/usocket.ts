// Owns the types of USocket and UServer, for CommonJS consumers.

import afunix = require('afunix');
import http = require('node:http');
import net = require('node:net');
import { Duplex, pipeline } from 'node:stream';
import tls = require('node:tls');
import { errorMonitor } from 'node:events';
import { exactly } from './expect.js';

const { SeqpacketServer, UServer, USocket } = afunix;
const path = '/run/a.sock';
const data = Buffer.from('data');

// --- Sockets

const socket = new USocket();
const duplex: Duplex = socket;
new USocket(3);
new USocket(path, () => {});
new USocket({ path, allowHalfOpen: true, connectTimeout: 1, maxPendingFds: 3, timeout: 1 });
new USocket({ fd: socket, signal: AbortSignal.timeout(1), credentials: true, highWaterMark: 1 });
new USocket({
  onread: {
    buffer: () => new Uint8Array(10),
    callback: (length, buffer) => {
      exactly<number>()(length);
      return buffer.length > 1;
    },
  },
});
// @ts-expect-error onread needs both
new USocket({ onread: { buffer: data } });
// @ts-expect-error no such option
new USocket({ pathEncoding: 'buffer' });
exactly<[afunix.USocket, afunix.USocket]>()(USocket.pair({ pauseOnConnect: true }));
// @ts-expect-error a pair has no name
USocket.pair({ path });

exactly<typeof socket>()(socket.connect(path, () => {}));
socket.connect(new URL('file:///a')).connect({ path }).connect({ fd: 3 });
// @ts-expect-error a server needs a name
socket.connect();
// It throws, and the types say so.
const never = () => socket.connect(80, 'localhost');
exactly<() => never>()(never);

exactly<boolean>()(socket.write(data));
socket.write('text', 'latin1', (error) =>
  exactly<NodeJS.ErrnoException | null | undefined>()(error),
);
socket.write([0, socket], (error) => error);
socket.write({ data: 'text', fds: [0], callback: (error) => error });
socket.write({ fds: null });
exactly<boolean>()(socket.writeWithFds(data, [0]));
// @ts-expect-error no bytes
socket.write(1);
// @ts-expect-error no descriptor
socket.write(['0']);
exactly<typeof socket>()(socket.end());
socket.end(data, () => {});
socket.end([0]);
socket.end({ data, fds: [0], callback: () => {} });

exactly<afunix.StreamChunk | null>()(socket.read());
exactly<afunix.StreamChunk | null>()(socket.read(1));
const part = socket.read(null, 1);
exactly<afunix.StreamPart | null>()(part);
exactly<afunix.ReceivedFds | undefined>()(part?.fds);
exactly<afunix.StreamPart | null>()(socket.read(1, null));
// @ts-expect-error no number
socket.read(1, '1');
exactly<boolean>()(socket.unshift(data, [0]));
socket.unshift(null, [0]);
socket.unshift('text', 'utf8');

socket
  .on('data', (chunk) => {
    exactly<afunix.StreamChunk>()(chunk);
    exactly<afunix.Credentials | undefined>()(chunk.credentials);
  })
  .on('data', (chunk: Buffer) => chunk)
  .on('fds', (fds) => exactly<afunix.ReceivedFds>()(fds))
  .on('connected', () => {})
  .once('close', (hadError) => exactly<boolean>()(hadError))
  .on('error', (error) => exactly<NodeJS.ErrnoException>()(error))
  .on(errorMonitor, (error) => error.code);
// @ts-expect-error descriptors are numbers
socket.on('fds', (fds: string[]) => fds);
// @ts-expect-error there is no such event
socket.on('message', () => {});
pipeline(socket, socket, () => {});

async function loop() {
  for await (const chunk of socket) exactly<afunix.StreamChunk>()(chunk);
  await socket[Symbol.asyncDispose]();
}
exactly<typeof socket>()(
  socket
    .setTimeout(1.5, () => {})
    .setNoDelay(true)
    .setKeepAlive(true, 1)
    .setTypeOfService(8)
    .ref()
    .unref()
    .resetAndDestroy()
    .close(() => {}),
);
exactly<'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed'>()(socket.readyState);
exactly<string | undefined>()(socket.remoteAddress);
exactly<number>()(socket.bufferSize);
socket.supportsUnixFd = false;

exactly<number | undefined>()(socket.sendBufferSize);
exactly<number | undefined>()(socket.receiveBufferSize);
exactly<afunix.Detached<Buffer | string | null>>()(socket.detach());
new USocket({ localPath: path, maxWaitingFds: 1, recvBufferSize: 1, pauseOnConnect: true });

// --- In place of net's

const asNet: net.Socket = socket;
const addListeners = (stream: net.Socket) =>
  stream
    .on('data', (chunk) => chunk)
    .on('close', (hadError) => exactly<boolean>()(hadError))
    .on('lookup', () => {})
    .once('connect', () => {});
addListeners(socket);
http.request({ createConnection: () => socket });
new http.Server().emit('connection', socket);
tls.connect({ socket });
exactly<string | undefined>()(socket.remoteFamily);
exactly<number | undefined>()(socket.remotePort);

// --- Servers

const server = new UServer();
new UServer((connection, name) => {
  exactly<afunix.USocket>()(connection);
  exactly<string>()(name);
});
new UServer({ allow: ({ uid }) => uid === 0, pauseOnConnect: true }, (connection) => connection);
new SeqpacketServer({ allow: ({ pid }) => pid > 1, pauseOnConnect: true });
// @ts-expect-error a server adopts in listen()
new UServer({ fd: 3 });
// @ts-expect-error an answer is true or false
new UServer({ allow: () => 'yes' });
exactly<typeof server>()(server.listen(path));
server.listen(path, 10, () => {}).listen(path, () => {});
server.listen({ path, mode: 0o600, backlog: 1 }, () => {});
server.listen({ fd: 3 });
const neverListens = () => server.listen(80);
exactly<() => never>()(neverListens);
server
  .on('connection', (connection) => exactly<afunix.USocket>()(connection))
  .on('drop', ({ peer, reason }) => [peer?.uid, reason])
  .close((error) => exactly<NodeJS.ErrnoException | undefined>()(error));
// @ts-expect-error there is no such event
server.on('request', () => {});

const netServer: net.Server = server;
const close = (each: net.Server) => each.close((error) => error?.message);
close(server);
exactly<number>()(server.maxConnections);

async function accept() {
  for await (const connection of server) exactly<afunix.USocket>()(connection);
}

export { accept, asNet, duplex, loop, netServer };
