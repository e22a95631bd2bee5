'use strict';

// Owns the list of planted faults: `breaks` says what each breaks, `edits` are search (once in its file) and replace,
// `tests` the files of its room that have to fail with it.

const edit = (file, search, replace) => ({ file, search, replace });
const fault = (name, breaks, tests, ...edits) => ({ name, breaks, tests, edits });

const CONNECTED = 'lib/sockets/connected.js';
const LIFE = 'lib/sockets/life.js';
const STREAM_WRITER = 'lib/sockets/stream-writer.js';
const MESSAGE_WRITER = 'lib/sockets/message-writer.js';
const NATIVE_SOCKETS = 'lib/native/sockets.js';
const INBOX = 'native/engine/receive/inbox.rs';

module.exports = [
  fault(
    'timeout-timer-reused',
    'setTimeout(): a running timer is refreshed although the new delay differs',
    ['test/sockets/timeout.test.js'],
    edit(
      CONNECTED,
      'if (state.timer !== null && state.timerDelay === delay) {',
      'if (state.timer !== null) {',
    ),
  ),
  fault(
    'timeout-never-refreshed',
    'connected kinds: traffic is no activity for the time-out',
    ['test/sockets/timeout.test.js'],
    edit(LIFE, 'if (state.timer !== null && state.timeout > 0) state.timer.refresh();', ''),
  ),
  fault(
    'timeout-progress',
    'a waiting write that makes progress is no activity for the time-out',
    ['test/sockets/timeout.test.js'],
    edit(CONNECTED, 'if (lastQueued > 0 && queued !== lastQueued) state.timer.refresh();', ''),
  ),
  fault(
    'first-error-wins',
    'of two errors behind unread data the last is reported, not the first',
    ['test/sockets/errors.test.js'],
    edit(LIFE, 'else socket[kState].failure ??= error;', 'else socket[kState].failure = error;'),
  ),
  fault(
    'fds-more-than-bytes',
    'USocket: more descriptors are given to a write than its bytes can carry',
    ['test/usocket/fds-few-bytes.test.js'],
    edit(
      STREAM_WRITER,
      'let room = data.length * MAX_FDS;',
      'let room = data.length * MAX_FDS * 2;',
    ),
  ),
  fault(
    'finish-before-last',
    "SeqpacketSocket: 'finish', and the end for the peer, come while one message still waits",
    ['test/seqpacket/finish.test.js'],
    edit(
      MESSAGE_WRITER,
      'this.queued.size === 0 && this.whenEmpty !== null',
      'this.queued.size <= 1 && this.whenEmpty !== null',
    ),
  ),
  fault(
    'finish-not-waiting',
    'SeqpacketSocket: end() does not wait for what waits',
    ['test/seqpacket/finish.test.js'],
    edit(
      MESSAGE_WRITER,
      'if (this.queued === null || this.queued.size === 0) callback();',
      'if (this.queued === null || this.queued.size > 0) callback();',
    ),
  ),
  fault(
    'need-drain-after-close',
    'writableNeedDrain stays true after close() or destroy()',
    ['test/sockets/need-drain.test.js'],
    edit(MESSAGE_WRITER, '    this.needDrain = false;\n    this.whenEmpty = null;\n  }', '  }'),
  ),
  fault(
    'drain-at-the-mark',
    "'drain' comes while all but one byte still waits",
    ['test/dgram/send.test.js'],
    edit(
      MESSAGE_WRITER,
      'this.length > this.highWaterMark >>> 1',
      'this.length >= this.highWaterMark',
    ),
  ),
  fault(
    'waiting-descriptors-uncounted',
    'descriptors that wait do not count against maxWaitingFds',
    ['test/sockets/waiting-fds.test.js'],
    edit(MESSAGE_WRITER, '      this.fds += count;\n', ''),
  ),
  fault(
    'failure-overtakes',
    'a send that fails at once is reported before those that wait for the same destination',
    ['test/sockets/sends.test.js'],
    edit(
      MESSAGE_WRITER,
      '    if (last === undefined) {\n',
      '    if (last === undefined || true) {\n',
    ),
  ),
  fault(
    'relative-name-remembered',
    'a relative destination means what it meant at its first use',
    ['test/sockets/names.test.js'],
    edit(
      'lib/sockets/destinations.js',
      "if (number >= 0 && typeof path === 'string' && isLasting(path)) {",
      "if (number >= 0 && typeof path === 'string') {",
    ),
  ),
  fault(
    'destination-by-identity',
    'a destination given as a Buffer is remembered by the object, not by its bytes',
    ['test/dgram/destinations.test.js'],
    edit(
      'lib/sockets/destinations.js',
      "if (number >= 0 && typeof path === 'string' && isLasting(path)) {",
      "if (number >= 0 && (typeof path !== 'string' || isLasting(path))) {",
    ),
  ),
  fault(
    'dgram-abort-listener',
    'DgramSocket: close() leaves the listener on the option `signal`',
    ['test/sockets/signal.test.js'],
    edit('lib/sockets/dgram.js', '  state.stopListening?.();\n', ''),
  ),
  fault(
    'messages-after-close',
    "close() in the first 'data' of a burst: the rest of the burst is emitted all the same",
    ['test/sockets/close-in-data.test.js'],
    edit(
      NATIVE_SOCKETS,
      '    if (owner === null || owner[kId] !== id) return;\n    const at',
      '    if (owner === null) return;\n    const at',
    ),
  ),
  fault(
    'slab-transferable',
    'a received Buffer that is transferred takes other messages along',
    ['test/dgram/events.test.js'],
    edit(
      NATIVE_SOCKETS,
      'if (slabs & 1) markAsUntransferable',
      'if (slabs > 1 << 30) markAsUntransferable',
    ),
  ),
  fault(
    'drain-without-grace',
    'drainServer(): where the queue is empty at once, handshakes that have begun get no time',
    ['test/descriptors/drain-grace.test.js'],
    edit(
      'lib/descriptors/reuseport.js',
      'if (takesNewOnes ? isEmpty || isOver : isEmpty && isOver) return;',
      'if (isEmpty || isOver) return;',
    ),
  ),
  fault(
    'accept-throwing-setter',
    'posix.accept(): the new descriptor leaks if filling the address object throws',
    ['test/posix/accept-fds.test.js'],
    edit('lib/posix/index.js', '    binding.closeFd(accepted);\n', ''),
  ),
  fault(
    'compat-waiting-size',
    "createSocket('unix_dgram'): what was sent still counts against the megabyte that may wait",
    ['test/compat/waiting.test.js'],
    edit('lib/compat/unix-dgram.js', '      this[kWaitingSize] -= message.size;\n', ''),
  ),
  fault(
    'signal-keeps-descriptor',
    'a signal that throws in a constructor costs the caller its descriptor',
    ['test/sockets/throwing.test.js'],
    edit('lib/sockets/connecting.js', '    detachId(id);\n    throw error;', '    throw error;'),
  ),
  fault(
    'no-nosignal',
    'sends of sockets raise SIGPIPE where the peer is gone',
    ['test/sockets/sigpipe.test.js'],
    edit(
      'native/sys/message.rs',
      'libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;',
      'libc::MSG_DONTWAIT;',
    ),
  ),
  fault(
    'no-nosignal-posix',
    'afunix/posix: sends raise SIGPIPE where the peer is gone',
    ['test/sockets/sigpipe.test.js'],
    edit(
      'native/api/posix.rs',
      'const NOSIGNAL: libc::c_int = libc::MSG_NOSIGNAL;',
      'const NOSIGNAL: libc::c_int = 0;',
    ),
  ),
  fault(
    'received-inherited',
    'received descriptors are not close-on-exec',
    ['test/dgram/fds.test.js'],
    edit(
      'native/sys/message.rs',
      'pub const RECEIVE_FLAGS: libc::c_int = FLAGS | libc::MSG_CMSG_CLOEXEC;',
      'pub const RECEIVE_FLAGS: libc::c_int = FLAGS;',
    ),
  ),
  fault(
    'unref-helper-polls',
    'unref(): the helper sockets that watch full destinations keep the process',
    ['test/dgram/unref-waiting.test.js'],
    edit(
      'native/engine/send/helper_socket.rs',
      '        self.poll.set_ref(keeps_alive);',
      '        let _ = keeps_alive;',
    ),
  ),
  fault(
    'unref-retry-timer',
    'unref(): the timer that tries again keeps the process',
    ['test/dgram/unref-waiting.test.js'],
    edit(
      'native/engine/handle.rs',
      '            retry.timer.set_ref(keeps_alive);',
      '            let _ = &retry.timer;',
    ),
  ),
  fault(
    'put-back-order',
    'unshift(): descriptors come in the opposite order',
    ['test/usocket/put-back-fds.test.js'],
    edit(INBOX, 'for fd in fds.into_iter().rev() {', 'for fd in fds {'),
  ),
  fault(
    'max-pending-put-back',
    'maxPendingFds: unshift() puts back one more',
    ['test/sockets/max-pending-fds.test.js'],
    edit(
      INBOX,
      'if self.queue.len() + fds.len() > max {',
      'if self.queue.len() + fds.len() > max + 1 {',
    ),
  ),
  fault(
    'taken-still-counted',
    'maxPendingFds: descriptors that were taken still count',
    ['test/sockets/max-pending-fds.test.js'],
    edit(INBOX, '        self.count -= fds.len();\n', ''),
  ),
  fault(
    'message-budget',
    'a flood of messages keeps the event loop: no budget',
    ['test/sockets/fairness.test.js'],
    edit(
      'native/engine/receive/receiver.rs',
      'const MESSAGE_BUDGET: usize = 128;',
      'const MESSAGE_BUDGET: usize = 1 << 40;',
    ),
  ),
  fault(
    'chunk-budget',
    "a flood of a stream's bytes keeps the event loop: no budget",
    ['test/sockets/fairness.test.js'],
    edit(
      'native/engine/receive/receiver.rs',
      'const CHUNK_BUDGET: usize = 32;',
      'const CHUNK_BUDGET: usize = 1 << 40;',
    ),
  ),
  fault(
    'accept-budget',
    'a flood of connections keeps the event loop: no budget',
    ['test/sockets/fairness.test.js'],
    edit(
      'native/engine/listener.rs',
      'const BUDGET: usize = 64;',
      'const BUDGET: usize = 1 << 40;',
    ),
  ),
];
