// Owns: the types for ESM consumers: the same names, and a default export that has them all.

import type * as afunix from './index.js';

export * from './index.js';

declare const exported: typeof afunix;
export default exported;
