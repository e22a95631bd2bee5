// Owns the types of afunix/posix for ESM consumers: named imports, and a default that has them all.

import posix, { AF_UNIX, send, socketpair } from 'afunix/posix';
import type { Address, ReceivedMessage } from 'afunix/posix';
import { exactly } from './expect.js';

exactly<typeof send>()(posix.send);
const addr: Address = { sun_family: AF_UNIX, sun_path: '' };
posix.bind(socketpair()[0], addr);
const message: ReceivedMessage = posix.recvmsg(3, {});
exactly<number[]>()(message.fds);
