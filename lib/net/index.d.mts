// Owns: the types of afunix/net for ESM consumers: the same names, and a default export that has them all.

import type * as net from './index.js';

export * from './index.js';

declare const exported: typeof net;
export default exported;
