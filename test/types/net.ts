// Owns the types of afunix/net and serve().

import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import { serve } from 'afunix';
import * as unix from 'afunix/net';
import { exactly } from './expect.js';

const server = unix.createServer(
  { allow: ({ uid }) => uid === 0, allowHalfOpen: true },
  (socket) => {
    exactly<unix.Server | null>()(socket.server);
    socket.end(`${socket.peerCredentials?.pid}`);
  },
);
server.listen({ path: '\0name', mode: 0o600 }, () => {});
server.on('connection', (socket: net.Socket) => void socket);
const asServer: net.Server = server;

const socket = unix.connect({ path: Buffer.from('\0name'), timeout: 5 }, () => {});
exactly<unix.Socket>()(socket);
const asSocket: net.Socket = socket;
socket.write('text', 'latin1', (error) => void error);
// @ts-expect-error descriptors are for USocket
socket.write([1]);
exactly<unix.Socket>()(new unix.Stream(3));
exactly<[unix.Socket, unix.Socket]>()(unix.Socket.pair());
exactly<number>()(unix.isIP('::1'));
void [asServer, asSocket];

exactly<http.Server>()(serve((request, response) => void response.end(request.url), '/path'));
exactly<http2.Http2Server>()(serve(http2.createServer(), { path: '/path', mode: 0o600 }, () => {}));
exactly<typeof unix.serve>()(serve);
serve((request, response) => {
  const { peerCredentials } = request.socket as unix.ServedSocket;
  response.end(`${peerCredentials?.uid}`);
}, '/path');
