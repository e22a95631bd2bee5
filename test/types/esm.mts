// Owns the types for ESM consumers: named imports, and a default that has them all.

import afunix, { DgramSocket, closeFd } from 'afunix';
import type { DgramMessage, DgramSocketOptions, SeqpacketSocket, SendCb } from 'afunix';
import socketpair, { SOCK_DGRAM, socketpair as named } from 'afunix/socketpair';
import { exactly } from './expect.js';

exactly<typeof DgramSocket>()(afunix.DgramSocket);
exactly<typeof closeFd>()(afunix.closeFd);
exactly<typeof socketpair>()(named);
exactly<typeof afunix.socketpair>()(socketpair);
exactly<[number, number]>()(socketpair(SOCK_DGRAM));
const options: DgramSocketOptions = { receiveFds: true };
const socket: DgramSocket = new afunix.DgramSocket(options);
const peer: SeqpacketSocket = new afunix.SeqpacketSocket();
const done: SendCb = (error) => exactly<NodeJS.ErrnoException | undefined>()(error);
socket.send('text', done);
for await (const message of socket) {
  exactly<DgramMessage>()(message);
  peer.write(message.data);
}
// @ts-expect-error there is no such export
afunix.nothing;
// @ts-expect-error what classes share is not exported: lib/ does not either
afunix.ConnectedSocket;
// @ts-expect-error likewise
afunix.EventfulEmitter;
