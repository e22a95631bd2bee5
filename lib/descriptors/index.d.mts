// Owns: the types of `afunix/descriptors` for ESM consumers.

import type * as descriptors from './index.js';

export * from './index.js';

declare const exported: typeof descriptors;
export default exported;
