'use strict';

// Owns: the same as equivalents.js for native/, of which cargo-mutants says a function in place of a line.

const DISJOINT = 'the bits of what is combined are disjoint';
const LABELS = 'it is so in the kernels that run the tests';

module.exports = {
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
  'native/sys/ancillary.rs': [
    { line: '', becomes: ['replace * with +'], why: 'what is rounded up is the same then' },
  ],
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
  'native/sys/mark.rs': [
    {
      line: 'labels_mark',
      becomes: ['replace labels_mark -> bool with true'],
      why: LABELS,
    },
    {
      line: 'try_label',
      becomes: ['replace try_label -> Result<bool> with Ok(true)', 'replace & with | in try_label'],
      why: LABELS,
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
  'native/sys/socket_diag.rs': [
    { line: 'open_netlink', becomes: ['replace | with ^ in open_netlink'], why: DISJOINT },
  ],
  'native/sys/socket_file.rs': [
    {
      line: 'Spot::open_folder',
      becomes: ['replace | with ^ in Spot::open_folder'],
      why: DISJOINT,
    },
    {
      line: 'replace',
      becomes: [
        'replace && with || in replace',
        'replace < with <= in replace',
        'replace += with -= in replace',
        'replace += with *= in replace',
      ],
      why: 'how often it is tried while others replace the same file again and again',
    },
    { line: 'pin', becomes: ['replace | with ^ in pin'], why: DISJOINT },
    {
      line: 'Place::put_back',
      becomes: ['replace && with || in Place::put_back'],
      why: 'it takes a file system without RENAME_NOREPLACE',
    },
  ],
  'native/sys/sockaddr.rs': [
    { line: '', becomes: ['replace + with *'], why: 'a slot only has more room' },
  ],
  'native/sys/unix_addr.rs': [
    {
      line: 'UnixAddr::name_len',
      becomes: ['replace match guard cfg!(target_os = "linux") with true in UnixAddr::name_len'],
      why: 'it is true on Linux',
    },
  ],
  'lib/util/options.js': [
    {
      line: 'if (value === undefined || base[name] === undefined) return value;',
      becomes: ['false'],
      from: 'base[name] === undefined',
      why: 'it only spares the search for whose member it is',
    },
    {
      line: 'if (value === undefined || base[name] === undefined) return value;',
      becomes: ['false'],
      from: 'value === undefined || base[name] === undefined',
      why: 'the same, and of a member that is undefined the search finds nothing else',
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
