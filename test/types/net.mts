// Owns the types of afunix/net for ESM consumers: named imports, and a default that has them all.

import net, { Socket, connect, serve } from 'afunix/net';
import { exactly } from './expect.js';

exactly<typeof connect>()(net.connect);
exactly<typeof serve>()(net.serve);
exactly<Socket>()(net.connect('/path'));
