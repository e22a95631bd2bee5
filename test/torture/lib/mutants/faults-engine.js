'use strict';

// Owns: planted faults in native/ that concern what every socket has: its handle, its table, polls, listeners, turns.

const { edit, fault } = require('./fault.js');

const ENDPOINT = 'native/engine/endpoint.rs';
const ENV = 'native/engine/env.rs';
const INBOX = 'native/engine/receive/inbox.rs';
const HANDLE = 'native/engine/handle.rs';
const LISTENER = 'native/engine/listener.rs';
const RECEIVER = 'native/engine/receive/receiver.rs';
const POLLS = 'native/node/polls.rs';

module.exports = [
  fault(
    'adopt-closes',
    'what cannot be adopted is closed',
    ['test/descriptors/adopt-refused.test.js'],
    edit(
      HANDLE,
      'check(borrowed)?;\n        self.install(socket::take_over(borrowed)?);',
      'let owned = socket::take_over(borrowed)?;\n        check(owned.as_fd())?;\n        self.install(owned);',
    ),
  ),
  fault(
    'detach-removes-file',
    'detach() removes the socket file',
    ['test/sockets/detach.test.js'],
    edit(HANDLE, '        open.keep_file();\n', ''),
  ),
  fault(
    'waiting-not-referenced',
    'what waits to be sent does not keep the process if the socket is unreferenced',
    ['test/sockets/sends.test.js'],
    edit(HANDLE, 'self.keeps_alive.get() || self.is_busy.get()', 'self.keeps_alive.get()'),
  ),
  fault(
    'no-back-off',
    'an error that repeats is tried again each millisecond',
    ['test/sockets/faults-ever.test.js', 'test/sockets/idle-cpu.test.js'],
    edit(HANDLE, '(*pause * 2).min(MAX_ERROR_PAUSE)', '(*pause).min(MAX_ERROR_PAUSE)'),
  ),
  fault(
    'poll-after-descriptor',
    'the descriptor is closed before its poll stops',
    ['test/sockets/idle-cpu.test.js'],
    edit(
      HANDLE,
      'struct Open {\n    poll: Option<Poll>,\n    file: Option<Box<SocketFile>>,\n    _claim: Claim,\n    fd: OwnedFd,\n}',
      'struct Open {\n    fd: OwnedFd,\n    file: Option<Box<SocketFile>>,\n    _claim: Claim,\n    poll: Option<Poll>,\n}',
    ),
  ),
  fault(
    'ref-of-new-poll',
    'unref() before there is a poll is forgotten',
    ['test/sockets/lifecycle.test.js', 'test/seqpacket/ref.test.js'],
    edit(HANDLE, '        poll.set_ref(self.keeps_loop_alive());\n', ''),
  ),
  fault(
    'finished-one-by-one',
    "'finish' that follows from another waits for the next turn of the loop, where net's comes in the same",
    ['test/usocket/as-net-turns.test.js'],
    edit(ENV, 'for _ in 0..if has_polled { ROUNDS } else { 1 } {', 'for _ in 0..1 {'),
  ),
  fault(
    'finished-never',
    "'finish' does not come where libuv is to say when",
    ['test/usocket/as-net.test.js', 'test/usocket/life.test.js'],
    edit(
      ENV,
      '        self.due.borrow_mut().push((id, event));\n',
      '        let _ = (id, event);\n',
    ),
  ),
  fault(
    'connected-before-the-poll',
    "'connect' comes before the loop polls, and not after as net's",
    ['test/usocket/as-net-turns.test.js'],
    edit(
      ENV,
      '        self.due_polled.borrow_mut().push((id, event));\n',
      '        self.due.borrow_mut().push((id, event));\n',
    ),
  ),
  fault(
    'events-of-first-loading',
    'sockets of the second loading of the package report to the first',
    ['test/sockets/loadings.test.js'],
    edit(
      ENV,
      'self.loadings.borrow().get(loading).cloned()',
      'self.loadings.borrow().get(loading * 0).cloned()',
    ),
  ),
  fault(
    'changed-only-once',
    'a socket whose polls were settled once is never settled again',
    ['test/sockets/turns.test.js'],
    edit(ENV, '                socket.source().handle().is_changed.set(false);\n', ''),
  ),
  fault(
    'accepted-unmarked',
    'SeqpacketServer: an empty message looks like the end',
    ['test/seqpacket/empty.test.js'],
    edit(LISTENER, 'set(self.handle.with_fd(mark::mark_by_label)?)', 'set(true)'),
  ),
  fault(
    'controlled-unmarked',
    'where descriptors are received, an empty message looks like the end',
    ['test/seqpacket/empty.test.js'],
    edit(ENDPOINT, '            self.handle.with_fd(mark::mark_by_time)?;\n', ''),
  ),
  fault(
    'peer-name-forgotten',
    'DgramSocket: a connected socket does not find the successor of its peer',
    ['test/dgram/reconnect.test.js', 'test/dgram/connect.test.js'],
    edit(ENDPOINT, 'Ok(_) => self.kind == Kind::Datagram,', 'Ok(_) => false,'),
  ),
  fault(
    'poll-error-dropped',
    'the error that the kernel reports with POLLERR is dropped',
    ['test/usocket/death.test.js', 'test/seqpacket/death.test.js', 'test/dgram/life.test.js'],
    edit(ENDPOINT, '            self.receiver.fail(errno);\n', '            let _ = errno;\n'),
  ),
  fault(
    'first-read-missing',
    'new connections are not read before their poll is armed',
    ['test/sockets/polls.test.js', 'test/sockets/accepted.test.js'],
    edit(
      ENDPOINT,
      '            self.receiver.pump(&self.handle, Look::First);\n',
      '            let _ = Look::First;\n',
    ),
  ),
  fault(
    'shortage-repeats',
    "a server without descriptors emits 'warning' at each look",
    ['test/sockets/servers.test.js', 'test/sockets/faults-ever.test.js'],
    edit(
      LISTENER,
      'if self.trouble.replace(trouble) != trouble {',
      'self.trouble.set(trouble);\n        {',
    ),
  ),
  fault(
    'accepted-before-pause',
    'connections that were accepted before pause() are not handed over after resume()',
    ['test/sockets/servers.test.js', 'test/seqpacket/server.test.js'],
    edit(LISTENER, 'if !self.accepted.borrow().is_empty() {', 'if false {'),
  ),
  fault(
    'paused-server-unheld',
    'a server that does not accept does not keep the process',
    ['test/sockets/lifecycle.test.js', 'test/sockets/servers.test.js'],
    edit(LISTENER, '(Trouble::None, false) if self.is_listening.get() => DISCONNECT,\n', ''),
  ),
  fault(
    'paused-listener-spins',
    'a paused server that others shut down is reported by the poll for ever',
    ['test/sockets/dead-peers.test.js'],
    edit(
      LISTENER,
      'if !self.is_accepting.get() {\n            // Shut down',
      'if false {\n            // Shut down',
    ),
  ),
  fault(
    'aborted-is-failure',
    'accept() of a connection that was given up is an error of the server',
    ['test/sockets/faults.test.js', 'test/sockets/faults-ever.test.js'],
    edit(
      LISTENER,
      'Err(Errno::CONNABORTED) => continue,',
      'Err(Errno::CONNABORTED) => return (count, Some(Errno::INVAL)),',
    ),
  ),
  fault(
    'watch-not-checked',
    'waiting for the end of a process takes any descriptor for a pidfd',
    ['test/sockets/who-is-the-peer.test.js'],
    edit(
      'native/engine/watch.rs',
      '        peer::is_alive(pidfd.as_fd())?;\n',
      '        let _ = pidfd.as_fd();\n',
    ),
  ),
  fault(
    'kept-poll-runs',
    'a kept poll handle goes on watching its number',
    ['test/sockets/polls.test.js', 'test/sockets/duplicates.test.js'],
    edit(POLLS, '            handle.stop();\n', ''),
  ),
  fault(
    'polls-not-kept',
    'poll handles are closed, not kept by descriptor number',
    ['test/sockets/polls.test.js'],
    edit(
      POLLS,
      'self.idle_count.get() >= MAX_IDLE || index',
      'self.idle_count.get() < MAX_IDLE || index',
    ),
  ),
  fault(
    'foreign-poll-ignored',
    'a descriptor that a handle of Node watches is adopted all the same',
    ['test/descriptors/adopt-refused.test.js'],
    edit(
      POLLS,
      'if self.event_loop.is_taken(fd, ours) {',
      'if self.event_loop.is_taken(fd, ours) && fd < 0 {',
    ),
  ),
  fault(
    'exception-ends-batch',
    "an exception in 'data' costs the other messages of its batch",
    ['test/dgram/events.test.js', 'test/sockets/throwing.test.js'],
    edit(
      'native/engine/batch.rs',
      'if reached <= from || reached >= count {',
      'if reached > from || reached >= count {',
    ),
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
      'native/api/posix_transfer.rs',
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
  fault(
    'end-as-message-at-poll',
    'an end that the poll has announced is an empty message',
    ['test/seqpacket/empty.test.js'],
    edit(ENDPOINT, 'events & DISCONNECT == 0 && event.is_ok()', 'event.is_ok()'),
  ),
  fault(
    'end-as-message-behind-another',
    'the end is an empty message where it comes while the last message is read',
    ['test/seqpacket/empty.test.js'],
    edit(RECEIVER, '            is_message = false;\n', ''),
  ),
  fault(
    'end-as-message-of-old-poll',
    'the end is an empty message where the message was taken after the poll',
    ['test/seqpacket/empty.test.js'],
    edit(RECEIVER, '!self.took_unasked.take() && why', 'why'),
  ),
];
