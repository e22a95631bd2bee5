'use strict';

// Owns: mutations that survive because no test can see them, by file: the line they are in, what becomes of a part of
// it (any of these), and why that is the same. Those of the list of planted faults, by name, are under `planted`.

const REMEMBERED = 'only what is remembered, and so the cost of a send, is another';

module.exports = {
  planted: {
    'bytes-cost-nothing':
      'how much a flood brings in one wake-up depends on how fast the other process sends; the kernel holds less at ' +
      'once than the limit allows',
    'aborted-is-failure': 'Linux never says ECONNABORTED of a Unix socket',
    'dropped-with-unsent':
      'end() comes to the descriptors that are left when all bytes have gone, and destroy() closes everything: what ' +
      'keeps those of unsent bytes is for callers to come',
  },
  'lib/sockets/destinations.js': [
    { line: 'constructor() {', becomes: ['{}'], why: REMEMBERED },
    { line: 'if (known !== undefined) return known;', becomes: ['false'], why: REMEMBERED },
    {
      line: 'if (++this.made > MAX_KNOWN) {',
      becomes: ['true', 'false', '++this.made >= MAX_KNOWN', '--this.made', '{}'],
      why: REMEMBERED,
    },
    {
      line: "if (number >= 0 && typeof path === 'string' && isLasting(path)) {",
      becomes: [
        ...['true', 'false', '{}', 'number > 0', 'number < 0', "typeof path !== 'string'"],
        "number >= 0 || typeof path === 'string'",
      ],
      why: `${REMEMBERED}: only a string has a first character that is a NUL or a slash`,
    },
    {
      line: 'this.known ??= new Map();',
      becomes: ['this.known &&= new Map()'],
      why: REMEMBERED,
    },
    { line: 'function isLasting(path) {', becomes: ['{}'], why: REMEMBERED },
    {
      line: "return path[0] === '\\0' || (path[0] === '/' && !path.startsWith('/proc/'));",
      becomes: ['false', "path[0] === '\\0' && path[0] === '/' && !path.startsWith('/proc/')"],
      why: REMEMBERED,
    },
  ],
  'native/sys/unix_addr.rs': [
    {
      line: 'UnixAddr::name_len',
      becomes: ['replace match guard cfg!(target_os = "linux") with true in UnixAddr::name_len'],
      why: 'it is true on Linux',
    },
  ],
  'lib/util/callback.js': [
    {
      line: "super('AFUNIXSENDREQ', { requireManualDestroy: true });",
      becomes: ['{}', 'false'],
      why: 'spares the collector the resource, which is destroyed by hand in any case',
    },
  ],
};
