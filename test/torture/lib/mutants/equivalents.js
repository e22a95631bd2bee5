'use strict';

// Owns: mutations that survive because no test can see them, by file: the line they are in, what becomes of a part of
// it (any of these), and why that is the same. Those of the list of planted faults, by name, are under `planted`.

const DISJOINT = 'the bits of what is combined are disjoint';
const CLOSED = 'native code knows no socket of the number 0 either';
const DEBUG = 'debug() asks the same: it is spared what it would not print';
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
  'native/lib.rs': [
    {
      line: 'register',
      becomes: ['replace register -> napi::Result<()> with Ok(())'],
      why: 'the Rust tests have no Node; without it the package has no function at all',
    },
  ],
  'native/engine/sockets.rs': [
    {
      line: 'Table<T>::insert',
      becomes: ['replace | with ^ in Table<T>::insert'],
      why: DISJOINT,
    },
  ],
  'native/node/view.rs': [
    {
      line: "JsBytes<'a>::to_vec",
      becomes: ["replace > with >= in JsBytes<'a>::to_vec"],
      why: 'no bytes are copied then',
    },
  ],
  'native/sys/ancillary.rs': [],
  'native/sys/message.rs': [
    { line: '', becomes: ['replace | with ^'], why: DISJOINT },
    {
      line: 'Receiver::receive_one',
      becomes: ['replace | with ^ in Receiver::receive_one'],
      why: DISJOINT,
    },
    {
      line: 'Receiver::receive_one',
      becomes: [
        'replace > with == in Receiver::receive_one',
        'replace > with >= in Receiver::receive_one',
      ],
      why: 'the kernel makes no message that large',
    },
    {
      line: 'Receiver::receive',
      becomes: ['replace && with || in Receiver::receive'],
      why: 'memory is made once more, or for nobody',
    },
    {
      line: 'Receiver::trim',
      becomes: ['replace > with >= in Receiver::trim'],
      why: 'nothing behind what is kept was touched then',
    },
  ],
  'native/sys/receive_memory.rs': [
    {
      line: '',
      becomes: ['replace + with -'],
      why: 'another distance of the same kind: slots are apart, and start in cache sets of their own',
    },
    { line: 'Region::map', becomes: ['replace | with ^ in Region::map'], why: DISJOINT },
    {
      line: 'Region::map',
      becomes: ['delete - in Region::map'],
      why: 'Linux ignores the descriptor of anonymous memory',
    },
    {
      line: 'Region::trim',
      becomes: ['replace - with + in Region::trim', 'replace - with / in Region::trim'],
      why: 'a page more or less, of those that nobody needs',
    },
  ],
  'native/sys/reuseport.rs': [
    {
      line: 'ignore_new_connections',
      becomes: ['replace | with ^ in ignore_new_connections'],
      why: DISJOINT,
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
