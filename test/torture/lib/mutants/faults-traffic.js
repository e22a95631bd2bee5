'use strict';

// Owns: planted faults in native/engine that concern receiving and sending.

const { edit, fault } = require('./fault.js');

const INBOX = 'native/engine/receive/inbox.rs';
const RECEIVER = 'native/engine/receive/receiver.rs';
const TROUBLE = 'native/engine/receive/trouble.rs';
const MESSAGE_QUEUE = 'native/engine/send/message_queue.rs';
const SENDER = 'native/engine/send/sender.rs';
const STREAM_QUEUE = 'native/engine/send/stream_queue.rs';

module.exports = [
  fault(
    'armed-after-end',
    'a socket that has ended is still watched',
    ['test/sockets/idle-cpu.test.js'],
    edit(
      RECEIVER,
      '        self.is_over.set(true);\n        handle.report(Event::End, 0);',
      '        handle.report(Event::End, 0);',
    ),
  ),
  fault(
    'reset-although-all-was-read',
    "ECONNRESET is an 'error' although all that the peer sent came behind it",
    ['test/usocket/death.test.js', 'test/seqpacket/death.test.js'],
    edit(
      RECEIVER,
      'Failure { delivered: true, ..failure }',
      'Failure { delivered: false, ..failure }',
    ),
  ),
  fault(
    'many-descriptors-at-once',
    'several messages with descriptors are received before the first can be taken',
    ['test/dgram/fds.test.js', 'test/sockets/max-pending-fds.test.js'],
    edit(RECEIVER, 'let limit = if self.wants_fds.get() { 1 } else { limit };', ''),
  ),
  fault(
    'lost-descriptors-unsaid',
    'descriptors that the process has no room for are lost without an error',
    ['test/dgram/fds.test.js', 'test/usocket/fds-receiving.test.js'],
    edit(RECEIVER, 'if self.wants_fds.get() && was_cut {', 'if was_cut && !self.wants_fds.get() {'),
  ),
  fault(
    'memory-uncleared',
    "behind a large chunk's bytes there is what the memory had before",
    ['test/usocket/traffic.test.js'],
    edit(
      RECEIVER,
      '                    memory.bytes.clear(chunk.len);\n',
      '                    let _ = &memory;\n',
    ),
  ),
  fault(
    'bytes-cost-nothing',
    'a flood of large messages keeps the event loop: only their number counts',
    ['test/sockets/fairness.test.js'],
    edit(
      RECEIVER,
      'let cost = count + bytes / BYTES_A_MESSAGE;',
      'let cost = count + bytes / usize::MAX;',
    ),
  ),
  fault(
    'vain-wake-ups',
    'a descriptor that is readable for ever and has nothing keeps the loop busy',
    ['test/sockets/idle-cpu.test.js', 'test/sockets/faults-ever.test.js'],
    edit('native/engine/in_vain.rs', 'self.count.get() == MANY', 'self.count.get() > MANY'),
  ),
  fault(
    'error-repeats',
    'an error that repeats is reported each time',
    ['test/sockets/faults-ever.test.js'],
    edit(TROUBLE, 'let is_new = self.state.get() == State::None;', 'let is_new = true;'),
  ),
  fault(
    'shutdown-from-outside',
    'DgramSocket: shutdown(2) by another process is not the end',
    ['test/sockets/from-outside.test.js', 'test/sockets/idle-cpu.test.js'],
    edit(RECEIVER, 'if !self.is_over.get() && handle', 'if self.is_over.get() && handle'),
  ),
  fault(
    'max-pending-admits-less',
    'maxPendingFds: one less than that is refused',
    ['test/sockets/max-pending-fds.test.js', 'test/dgram/fds.test.js'],
    edit(INBOX, 'waiting <= max && (waiting', 'waiting < max && (waiting'),
  ),
  fault(
    'pidfds-uncounted',
    'maxPendingFds: pidfds of senders do not count',
    ['test/sockets/max-pending-fds.test.js', 'test/sockets/who-is-the-peer.test.js'],
    edit(
      INBOX,
      'self.count + self.queue.len() + self.pidfds.len()',
      'self.count + self.queue.len()',
    ),
  ),
  fault(
    'sender-of-before',
    'of two senders that take turns the third message has the wrong name',
    ['test/dgram/dgram.test.js', 'test/dgram/events.test.js'],
    edit(INBOX, 'Some(last) => *last = *from,', 'Some(_) => {}'),
  ),
  fault(
    'descriptors-of-another-chunk',
    'fdsWithData: the chunk whose descriptors are taken first gets those of an earlier one',
    ['test/usocket/fds-with-data.test.js'],
    edit(
      INBOX,
      'let start = skipped.min(self.queue.len());',
      'let start = (skipped * 0).min(self.queue.len());',
    ),
  ),
  fault(
    'onread-without-bytes',
    'onread: a Buffer that was transferred away is the end of the stream',
    ['test/usocket/onread.test.js'],
    edit(
      'native/engine/receive/chunk_memory.rs',
      'bytes.filter(|bytes| bytes.len() > 0)',
      'bytes.filter(|bytes| bytes.len() < usize::MAX)',
    ),
  ),
  fault(
    'lost-still-waits',
    'messages whose destination is gone with connect() still count as waiting',
    [
      'test/dgram/reconnect.test.js',
      'test/dgram/connect.test.js',
      'test/dgram/lost-messages.test.js',
    ],
    edit(MESSAGE_QUEUE, '            self.waiting -= waiting.len();\n', ''),
  ),
  fault(
    'endless-patience',
    'a destination whose name another socket has taken is never tried again',
    ['test/dgram/replaced.test.js'],
    edit(
      MESSAGE_QUEUE,
      'const PATIENCE: Duration = Duration::from_millis(100);',
      'const PATIENCE: Duration = Duration::from_secs(3600);',
    ),
  ),
  fault(
    'helper-trusted-for-ever',
    'a helper socket is not connected anew where its destination has a successor',
    ['test/dgram/replaced.test.js', 'test/dgram/stall.test.js'],
    edit(
      'native/engine/send/helper_socket.rs',
      'if is_wrong || self.confirmed',
      'if is_wrong && self.confirmed',
    ),
  ),
  fault(
    'dead-peer-fails-one',
    'connected DgramSocket: of what waits for a dead peer one message fails, others go to its successor',
    [
      'test/dgram/connect.test.js',
      'test/dgram/reconnect.test.js',
      'test/dgram/lost-messages.test.js',
    ],
    edit(
      MESSAGE_QUEUE,
      'let failed = if is_dead_peer { self.waiting.len() } else { 1 };',
      'let failed = if is_dead_peer { 1 } else { 1 };',
    ),
  ),
  fault(
    'idle-helpers-kept',
    'every destination that was ever full keeps a helper socket',
    ['test/dgram/stall.test.js', 'test/dgram/destinations.test.js'],
    edit(
      MESSAGE_QUEUE,
      'const MAX_IDLE_HELPERS: usize = 4;',
      'const MAX_IDLE_HELPERS: usize = 1 << 20;',
    ),
  ),
  fault(
    'swept-names-kept',
    'a destination that was forgotten keeps its old number',
    ['test/dgram/destinations.test.js'],
    edit(
      MESSAGE_QUEUE,
      '                self.by_name.remove(&to);\n',
      '                let _ = to;\n',
    ),
  ),
  fault(
    'overtaking',
    'a message overtakes those that wait for the same destination',
    ['test/sockets/sends-order.test.js'],
    edit(
      MESSAGE_QUEUE,
      'if self.is_empty() { offer.send(fd, self.addr()) } else { Err(Errno::AGAIN) }',
      'offer.send(fd, self.addr())',
    ),
  ),
  fault(
    'first-destination-first',
    'with a full send buffer the same destination is tried first each time',
    ['test/dgram/when-full.test.js'],
    edit(MESSAGE_QUEUE, '        ids.rotate_left(first);\n', '        let _ = first;\n'),
  ),
  fault(
    'corked-for-ever',
    'what was sent before the connection is made never goes',
    ['test/seqpacket/connect.test.js'],
    edit(
      SENDER,
      'if self.is_corked.replace(is_corked) && !is_corked {',
      'if self.is_corked.replace(is_corked) && is_corked {',
    ),
  ),
  fault(
    'writable-repeats',
    'the report that there is room comes again and again',
    [
      'test/sockets/idle-cpu.test.js',
      'test/dgram/when-full.test.js',
      'test/usocket/states.test.js',
    ],
    edit(SENDER, 'if self.notifies.replace(false) {', 'if self.notifies.get() {'),
  ),
  fault(
    'unconnected-waits',
    'connected DgramSocket with a full send buffer: a message without a peer waits',
    ['test/dgram/connect.test.js', 'test/dgram/reconnect.test.js', 'test/dgram/when-full.test.js'],
    edit(SENDER, '            handle.with_fd(socket::peer_address)?;\n', ''),
  ),
  fault(
    'no-event-waited-for',
    'USocket: too many descriptors in flight, and the loop is busy until there are fewer',
    ['test/usocket/fds-waiting.test.js', 'test/sockets/idle-cpu.test.js'],
    edit(
      SENDER,
      'if errno.has_no_event() {\n            handle.retry_later',
      'if errno.has_no_event() && false {\n            handle.retry_later',
    ),
  ),
  fault(
    'descriptors-twice',
    'USocket: descriptors that went with the first bytes go again with the rest',
    ['test/usocket/fds-waiting.test.js', 'test/usocket/fds.test.js'],
    edit(
      STREAM_QUEUE,
      'let left = if sent == 0 { duplicate(fds)? } else { Vec::new() };',
      'let left = duplicate(fds)?;',
    ),
  ),
  fault(
    'no-barrier',
    'USocket: bytes without descriptors go in one call with those that have some',
    ['test/usocket/fds-waiting.test.js', 'test/usocket/fds.test.js'],
    edit(
      STREAM_QUEUE,
      'let is_barrier = index > 0 && (going > 0 || chunk.fds > 0);',
      'let is_barrier = index > 0 && going > 0 && chunk.fds > 0;',
    ),
  ),
  fault(
    'waiting-descriptors-reversed',
    'USocket: descriptors that have to wait go in the opposite order',
    ['test/usocket/fds-waiting.test.js', 'test/usocket/fds.test.js'],
    edit(STREAM_QUEUE, 'left.into_iter().rev().for_each', 'left.into_iter().for_each'),
  ),
  fault(
    'dropped-with-unsent',
    'USocket: end() closes descriptors whose bytes still wait',
    [
      'test/usocket/fds-waiting.test.js',
      'test/usocket/fds.test.js',
      'test/usocket/callbacks.test.js',
    ],
    edit(STREAM_QUEUE, 'self.fds.truncate(self.fds_of_chunks());', 'self.fds.clear();'),
  ),
];
