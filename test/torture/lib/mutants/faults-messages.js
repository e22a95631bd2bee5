'use strict';

// Owns: planted faults in lib/ that concern messages, destinations, names and what is not a socket.

const { edit, fault } = require('./fault.js');

const CONNECTED = 'lib/sockets/connected.js';
const LIFE = 'lib/sockets/life.js';
const STREAM_WRITER = 'lib/sockets/stream-writer.js';
const MESSAGE_WRITER = 'lib/sockets/message-writer.js';
const NATIVE_SOCKETS = 'lib/native/sockets.js';

module.exports = [
  fault(
    'timeout-timer-reused',
    'setTimeout(): a running timer is refreshed although the new delay differs',
    ['test/sockets/timeout.test.js'],
    edit(
      CONNECTED,
      'if (state.timer !== null && Math.abs(state.timerDelay) === delay) {',
      'if (state.timer !== null) {',
    ),
  ),
  fault(
    'timeout-never-refreshed',
    'connected kinds: traffic is no activity for the time-out',
    ['test/sockets/timeout.test.js'],
    edit(LIFE, '  if (state.timerDelay > 0) state.timer.refresh();\n', ''),
  ),
  fault(
    'timeout-progress',
    'a waiting write that makes progress is no activity for the time-out',
    ['test/sockets/timeout.test.js'],
    edit(
      CONNECTED,
      'if (lastQueued > 0 && queued > 0 && queued !== lastQueued) state.timer.refresh();',
      'if (state === null) state.timer.refresh();',
    ),
  ),
  fault(
    'first-error-wins',
    'of two errors behind unread data the last is reported, not the first',
    ['test/sockets/errors.test.js'],
    edit(LIFE, '} else if (state.failure === null) {', '} else {'),
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
      'if (this.isWaiting()) this.whenEmpty = callback;\n    else callback();',
      'callback();',
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
    'end-ahead-of-messages',
    'the callback of an end() that fails comes before those of the messages before it',
    ['test/sockets/lives.test.js'],
    edit(
      MESSAGE_WRITER,
      'if (outcome[0]) this.finish(new Callback(callback), outcome[0]);\n      else ',
      '',
    ),
  ),
  fault(
    'held-not-counted',
    'outcomes that wait behind others are no reason for send() to return false',
    ['test/sockets/sends-order.test.js'],
    edit(MESSAGE_WRITER, '    this.held++;\n', ''),
  ),
  fault(
    'peer-of-others',
    'a message that waits for another destination, and fails, is taken for one to the peer',
    ['test/dgram/reconnect.test.js'],
    edit(
      'lib/sockets/dgram.js',
      'hasFailed && writer.destinationOf(outcomes[index - 1]) === PEER',
      'hasFailed',
    ),
  ),
  fault(
    'listen-closes-refused',
    'a descriptor that listen() cannot use after all is closed',
    ['test/sockets/faults.test.js'],
    edit('lib/native/sockets.js', '  if (isAdopted) detachId(id);\n  else ', '  '),
  ),
  fault(
    'peer-overtaken',
    'what waits for a peer is overtaken by what is sent after a connect() to it once more',
    ['test/dgram/reconnect-order.test.js'],
    edit('native/engine/send/sender.rs', '            messages.recall_peer(new);\n', ''),
  ),
  fault(
    'rest-of-burst',
    'what came with a message whose listener gives the socket up is lost',
    ['test/sockets/detach-unread.test.js'],
    edit('lib/native/sockets.js', 'if (words[ID] === id) handOver(', 'if (false) handOver('),
  ),
  fault(
    'chunk-in-hand',
    'the bytes of descriptors whose listener gives the socket up are lost',
    ['test/sockets/detach-unread.test.js'],
    edit('lib/sockets/connected.js', '  if (inHand !== null) socket.push(inHand);\n', ''),
  ),
];
