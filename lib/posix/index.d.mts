// Owns: the types of afunix/posix for ESM consumers: the same names, and a default export that has them
// all.

import type * as posix from './index.js';

export * from './index.js';

declare const exported: typeof posix;
export default exported;
