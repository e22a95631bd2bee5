// Owns the types of SeqpacketSocket and SeqpacketServer, for CommonJS consumers.

import afunix = require('afunix');
import { Duplex, pipeline } from 'node:stream';
import { errorMonitor } from 'node:events';
import { exactly } from './expect.js';

const { SeqpacketServer, SeqpacketSocket } = afunix;
const path = '/run/a.sock';
const data = Buffer.from('data');

// --- Sockets

const socket = new SeqpacketSocket();
const duplex: Duplex = socket;
new SeqpacketSocket(3);
new SeqpacketSocket({ fd: socket, allowHalfOpen: true, connectTimeout: 1, receiveFds: true });
new SeqpacketSocket({
  readableHighWaterMark: 1,
  signal: AbortSignal.timeout(1),
  credentials: true,
  localPath: Buffer.from(path),
  maxWaitingFds: 3,
  recvBufferSize: 1,
});
// @ts-expect-error a name is for connect()
new SeqpacketSocket(path);
// @ts-expect-error no such option
new SeqpacketSocket({ pathEncoding: 'buffer' });
exactly<[afunix.SeqpacketSocket, afunix.SeqpacketSocket]>()(
  SeqpacketSocket.pair({ credentials: true, pauseOnConnect: true }),
);

exactly<typeof socket>()(socket.connect(path, () => {}));
socket.connect(Buffer.from(path)).connect({ path });
// @ts-expect-error a server needs a name
socket.connect();

exactly<boolean>()(socket.write(data));
socket.write('text', 'latin1', (error) => exactly<NodeJS.ErrnoException | undefined>()(error));
socket.write(data, (error) => exactly<NodeJS.ErrnoException | undefined>()(error));
socket.write(data, 1, 2, () => {});
socket.write(data, undefined, 2);
socket.write({ data: 'text', fds: [0, socket] }, () => {});
// As node-unix-socket's users write it.
const theirs: afunix.NotifyCb = () => {};
socket.write(data, 0, 4, theirs);
// @ts-expect-error no bytes
socket.write(1);
// @ts-expect-error no descriptor
socket.write({ data, fds: ['0'] });
exactly<typeof socket>()(socket.end());
socket.end(data, () => {});
socket.end('text', 'utf8', () => {});
socket.end({ data, fds: [0] });
// @ts-expect-error no bytes
socket.end(1);
const message = socket.read();
exactly<afunix.SeqpacketMessage | null>()(message);

socket
  .on('data', (chunk) => {
    exactly<afunix.SeqpacketMessage>()(chunk);
    const buffer: Buffer = chunk;
    exactly<afunix.ReceivedFds | undefined>()(chunk.fds);
    exactly<afunix.Credentials | undefined>()(chunk.credentials);
    return buffer;
  })
  .on('data', (chunk: Buffer) => chunk)
  .once('close', (hadError) => exactly<boolean>()(hadError))
  .on('error', (error) => exactly<NodeJS.ErrnoException>()(error))
  .on(errorMonitor, (error) => error.code)
  .on('timeout', () => {});
// @ts-expect-error the message is a Buffer
socket.on('data', (chunk: string) => chunk);
// @ts-expect-error there is no such event
socket.on('connected', () => {});
// @ts-expect-error 'end' has no arguments
socket.emit('end', 1);
pipeline(socket, socket, () => {});

// --- With receiveFds every message has its descriptors

const passing = new SeqpacketSocket({ receiveFds: true });
exactly<afunix.SeqpacketSocket<true>>()(passing);
passing.on('data', ({ fds }) => exactly<afunix.ReceivedFds>()(fds));
exactly<afunix.ReceivedFds | undefined>()(passing.read()?.fds);
exactly<afunix.SeqpacketMessage<true>[]>()(passing.detach().data);
const [end] = SeqpacketSocket.pair({ receiveFds: true });
end.once('data', ({ fds }) => exactly<afunix.ReceivedFds>()(fds));
new SeqpacketServer({ receiveFds: true }, (connection) => {
  connection.on('data', ({ fds }) => exactly<afunix.ReceivedFds>()(fds));
}).on('connection', (connection) => exactly<afunix.SeqpacketSocket<true>>()(connection));
const any: afunix.SeqpacketSocket = passing;
new SeqpacketSocket({ receiveFds: false }).on('data', ({ fds }) => exactly<undefined>()(fds));
class Named extends SeqpacketSocket<true> {
  constructor(readonly name: string) {
    super({ receiveFds: true });
    this.on('data', (chunk) => exactly<afunix.ReceivedFds>()(chunk.fds));
  }
}

async function loop() {
  for await (const chunk of socket) exactly<afunix.SeqpacketMessage>()(chunk);
  await socket[Symbol.asyncDispose]();
}
exactly<typeof socket>()(
  socket
    .setTimeout(1, () => {})
    .ref()
    .unref()
    .close(() => {}),
);
exactly<'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed'>()(socket.readyState);
exactly<boolean>()(socket.connecting);
exactly<string>()(socket.address());
exactly<string | undefined>()(socket.remoteAddress);
exactly<number | undefined>()(socket.maxMessageSize);
exactly<number | undefined>()(socket.sendBufferSize);
exactly<number | undefined>()(socket.receiveBufferSize);
exactly<void>()(socket.setSendBufferSize(1));
exactly<void>()(socket.setRecvBufferSize(1));
exactly<number>()(socket.getInternalReadBufferSize());
socket.setInternalReadBufferSize(1);

// --- Servers

const server = new SeqpacketServer();
new SeqpacketServer((connection, name) => {
  exactly<afunix.SeqpacketSocket>()(connection);
  exactly<string>()(name);
});
new SeqpacketServer(
  { receiveFds: true, signal: AbortSignal.timeout(1) },
  (connection) => connection,
);
// @ts-expect-error a server adopts in listen()
new SeqpacketServer({ fd: 3 });
exactly<typeof server>()(server.listen(path));
server.listen(path, 10, () => {}).listen(path, () => {});
server.listen({ path, mode: 0o600, backlog: 1 }, () => {});
server.listen({ fd: 3 });
server.listen();
// @ts-expect-error no name
server.listen(80);
exactly<string | null>()(server.address());
exactly<boolean>()(server.listening);
server.maxConnections = 3;
server.maxConnections = undefined;
server.close({ drain: true }).close({ drain: false }, (error) => error?.code);
exactly<afunix.Detached<null>>()(server.detach());
server.listen({ path, uid: 0, gid: 0, unlinkOnClose: false, signal: AbortSignal.timeout(1) });
server.listen({ path, readableAll: true, writableAll: true });
server.getConnections((error, count) => exactly<number>()(count));
server
  .on('connection', (connection, name) => {
    exactly<afunix.SeqpacketSocket>()(connection);
    exactly<string>()(name);
  })
  .on('warning', (error) => error.code)
  .once('drop', ({ peer, reason }) => {
    exactly<afunix.Credentials | undefined>()(peer);
    exactly<'maxConnections' | 'allow'>()(reason);
  })
  .close((error) => exactly<NodeJS.ErrnoException | undefined>()(error));
// @ts-expect-error a connection is a socket
server.on('connection', (connection: number) => connection);
// @ts-expect-error there is no such event
server.on('request', () => {});

async function accept() {
  for await (const connection of server) exactly<afunix.SeqpacketSocket>()(connection);
  await using scoped = server;
  scoped.pause().resume().ref().unref();
}

export { Named, accept, any, duplex, loop, message };
