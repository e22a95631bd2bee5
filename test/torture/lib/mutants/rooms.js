'use strict';

// Owns: which tests judge the mutants of a file of lib/: those of its room that are about it, the quickest first. Each
// mutant costs one run of them, up to the first that fails.

/** Files of one folder of tests. */
const of = (room, ...names) => names.map((name) => `test/${room}/${name}.test.js`);

const CONNECTED = [
  ...of('usocket', 'life', 'states', 'errors', 'reset-readers', 'net', 'net-reading', 'death'),
  ...of('seqpacket', 'end', 'death', 'queued-death', 'finish', 'ref'),
  ...of('sockets', 'errors', 'timeout', 'detach', 'detach-unread', 'dead-peers', 'throwing'),
];
const MESSAGES = [
  ...of('dgram', 'dgram', 'events', 'send', 'when-full', 'lost-messages', 'connect'),
  ...of('sockets', 'sends', 'need-drain', 'waiting-fds'),
  ...of('seqpacket', 'finish', 'queued-death', 'sizes', 'seqpacket'),
];
const DGRAM = [
  ...of('dgram', 'dgram', 'connect', 'life', 'events', 'bind', 'send', 'habits', 'reconnect'),
  ...of('dgram', 'bind-failures', 'fds', 'when-full', 'iterator-fds', 'destinations'),
  ...of('sockets', 'signal', 'arguments', 'options', 'detach', 'throwing', 'diagnostics'),
  ...of('sockets', 'control-messages', 'detach-unread'),
];
const SERVERS = [
  ...of('sockets', 'servers', 'signal', 'detach', 'drain-backlog', 'options', 'throwing'),
  ...of('usocket', 'server', 'net'),
  ...of('seqpacket', 'server', 'listen', 'ref'),
  ...of('sockets', 'collector', 'faults', 'diagnostics', 'arguments-others', 'who-is-the-peer'),
];
const STREAMS = [
  ...of('usocket', 'fds', 'fds-waiting', 'fds-few-bytes', 'fds-receiving', 'callbacks', 'usocket'),
  ...of('usocket', 'states', 'errors', 'traffic', 'life', 'net-streams', 'put-back-fds', 'onread'),
  ...of('usocket', 'fds-event', 'fds-with-data', 'neighbours', 'net-reading', 'as-net'),
  ...of('sockets', 'waiting-fds', 'timeout', 'detach', 'arguments-others', 'throwing'),
  ...of('sockets', 'few-descriptors', 'detach-unread'),
];
const POSIX = of(
  'posix',
  ...['posix', 'arguments', 'messages', 'families', 'descriptors', 'accept-fds', 'foreign-code'],
);

module.exports = {
  'lib/index.js': of('house', 'module'),
  'lib/cluster/index.js': of('net', 'cluster'),
  'lib/cluster/primary.js': of('net', 'cluster'),
  'lib/cluster/protocol.js': of('net', 'cluster'),
  'lib/cluster/worker.js': of('net', 'cluster', 'cluster-dropped'),
  'lib/compat/unix-dgram.js': of('compat', 'unix-dgram', 'waiting', 'unix-dgram-room'),
  'lib/descriptors/activation.js': of('descriptors', 'activation', 'fdstore'),
  'lib/descriptors/describe.js': of('descriptors', 'fd-type', 'from-fd'),
  'lib/descriptors/duplicate.js': of('descriptors', 'file-handle'),
  'lib/descriptors/from-fd.js': of('descriptors', 'from-fd', 'adopt-refused'),
  'lib/descriptors/index.js': of('descriptors', 'module'),
  'lib/descriptors/memfd.js': of('descriptors', 'memfd', 'foreign-code'),
  'lib/descriptors/notify.js': of('descriptors', 'notify', 'fdstore'),
  'lib/descriptors/process.js': of('sockets', 'who-is-the-peer'),
  'lib/descriptors/reuseport.js': of('descriptors', 'reuseport', 'drain-grace', 'reuseport-drain'),
  'lib/descriptors/socketpair.js': of('descriptors', 'socketpair', 'foreign-code'),
  'lib/native/addon.js': of('house', 'module', 'package'),
  'lib/native/binding.js': of('house', 'module', 'package'),
  'lib/native/fds.js': [
    ...of('dgram', 'fds'),
    ...of('descriptors', 'close'),
    ...of('sockets', 'arguments', 'arguments-others'),
  ],
  'lib/native/platform.js': of('house', 'package'),
  'lib/native/results.js': of('posix', 'posix'),
  'lib/native/sockets.js': [
    ...of('dgram', 'events', 'dgram', 'fds'),
    ...of('sockets', 'close-in-data', 'lifecycle', 'detach', 'foreign-code', 'collector'),
    ...of('sockets', 'detach-unread'),
    ...of('seqpacket', 'server'),
  ],
  'lib/net/index.js': of('net', 'net'),
  'lib/net/serve.js': of('net', 'serve', 'serve-members', 'web', 'http2'),
  'lib/net/served.js': of('net', 'newcomers', 'serve', 'web'),
  'lib/net/server.js': of('net', 'net'),
  'lib/net/socket.js': [...of('net', 'net'), ...of('sockets', 'inherited-options')],
  'lib/posix/checks.js': POSIX,
  'lib/posix/descriptors.js': POSIX,
  'lib/posix/index.js': POSIX,
  'lib/posix/memory.js': POSIX,
  'lib/posix/names.js': POSIX,
  'lib/posix/sockaddr.js': POSIX,
  'lib/sockets/backlog.js': [
    ...of('seqpacket', 'connect', 'ref'),
    ...of('usocket', 'server', 'life'),
    ...of('sockets', 'servers', 'names', 'backlog'),
  ],
  'lib/sockets/chunks.js': [...STREAMS, ...of('sockets', 'arguments')],
  'lib/sockets/connected.js': CONNECTED,
  'lib/sockets/connecting.js': [
    ...of('seqpacket', 'connect'),
    ...of('usocket', 'connect-again', 'as-net-turns'),
    ...of('sockets', 'backlog', 'lives', 'diagnostics-again', 'few-descriptors'),
    ...of('usocket', 'onread'),
    ...CONNECTED,
  ],
  'lib/sockets/connections.js': of('sockets', 'servers', 'collector', 'detach'),
  'lib/sockets/destinations.js': [...of('dgram', 'destinations'), ...of('sockets', 'names')],
  'lib/sockets/dgram-iterator.js': of('dgram', 'life', 'iterator-fds'),
  'lib/sockets/dgram-receive.js': DGRAM,
  'lib/sockets/dgram-send.js': DGRAM,
  'lib/sockets/dgram-state.js': DGRAM,
  'lib/sockets/dgram.js': DGRAM,
  'lib/sockets/handle-view.js': of('usocket', 'as-net', 'life'),
  'lib/sockets/life.js': [
    ...of('sockets', 'lives', 'after-destroy'),
    ...of('usocket', 'fds'),
    ...CONNECTED,
  ],
  'lib/sockets/listen.js': [...of('seqpacket', 'listen'), ...SERVERS, ...of('net', 'cluster')],
  'lib/sockets/members.js': [
    ...of('dgram', 'life'),
    ...of('sockets', 'arguments-others'),
    ...CONNECTED,
  ],
  'lib/sockets/message-writer.js': MESSAGES,
  'lib/sockets/options.js': [
    ...of('sockets', 'options', 'arguments', 'arguments-others', 'throwing', 'max-pending-fds'),
    ...of('sockets', 'inherited-options'),
    ...of('dgram', 'fds'),
    ...of('usocket', 'life'),
    ...of('seqpacket', 'server', 'sizes'),
    ...of('sockets', 'who-is-the-peer'),
  ],
  'lib/sockets/pair.js': [
    ...of('sockets', 'lifecycle', 'options', 'few-descriptors'),
    ...of('dgram', 'dgram'),
    ...of('seqpacket', 'seqpacket'),
    ...of('usocket', 'usocket'),
  ],
  'lib/sockets/received-fds.js': [
    ...of('dgram', 'fds', 'iterator-fds'),
    ...of('usocket', 'fds'),
    ...of('sockets', 'detach-unread'),
  ],
  'lib/sockets/seqpacket.js': [
    ...of('seqpacket', 'seqpacket', 'connect', 'end', 'finish', 'sizes', 'ref'),
    ...CONNECTED,
  ],
  'lib/sockets/server.js': [...SERVERS, ...of('net', 'cluster')],
  'lib/sockets/sharing.js': [...of('sockets', 'servers'), ...of('net', 'cluster')],
  'lib/sockets/stream-reader.js': STREAMS,
  'lib/sockets/stream-writer.js': STREAMS,
  'lib/sockets/userver.js': SERVERS,
  'lib/sockets/wrapped.js': of('usocket', 'tls', 'http-endings'),
  'lib/sockets/usocket-plan.js': STREAMS,
  'lib/sockets/usocket.js': [...STREAMS, ...of('usocket', 'tls', 'death'), ...of('net', 'net')],
  'lib/util/callback.js': [
    ...of('dgram', 'events'),
    ...of('usocket', 'callbacks'),
    ...of('sockets', 'sends'),
  ],
  'lib/util/diagnostics.js': of('sockets', 'diagnostics', 'diagnostics-again'),
  'lib/util/errors.js': [
    ...of('sockets', 'arguments', 'arguments-others', 'errors'),
    ...of('usocket', 'errors'),
    ...of('posix', 'arguments'),
  ],
  'lib/util/host.js': [...of('sockets', 'timeout', 'loadings'), ...of('house', 'jest')],
  'lib/util/options.js': of('sockets', 'options', 'throwing', 'foreign-code'),
  'lib/util/validate.js': [
    ...of('sockets', 'arguments', 'arguments-others', 'options', 'signal', 'names', 'timeout'),
    ...of('posix', 'arguments'),
  ],
};
