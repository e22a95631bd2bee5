'use strict';

// Owns: the same as equivalents.js for lib/sockets/.

const { CLOSED } = require('./reasons.js');

const REMEMBERED = 'only what is remembered, and so the cost of a send, is another';
const OLD_NODE = 'it is for Node before 20.13, with which mutants do not run; the case hosts does';

module.exports = {
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
  'lib/sockets/dgram-receive.js': [
    {
      line: 'if (isWhole) messages.push({ data, path, ...info });',
      becomes: ['true'],
      why: 'the kernel makes no message that is too large to be whole',
    },
    {
      line: 'if ((flags & ~flag.NAME) === 0 && !state.plan.pidfd) {',
      from: '(flags & ~flag.NAME) === 0 && !state.plan.pidfd',
      becomes: ['false'],
      why: 'a short cut: the other way handles usual messages as well',
    },
  ],
  'lib/sockets/dgram.js': [
    {
      line: 'if (isUint8Array(message)) check.messageBytes(message);',
      from: 'isUint8Array(message)',
      becomes: ['false'],
      why: 'a short cut: what takes other messages apart takes bytes as well',
    },
    {
      line: 'const hasFailed = outcomes[index] < 0;',
      becomes: ['outcomes[index] <= 0'],
      why: 'what is sent is no sign that a peer is gone',
    },
    {
      line: 'if (this[kId] === 0 || state.isEnding) return this;',
      from: 'this[kId] === 0',
      becomes: ['false'],
      why: `${CLOSED}, and close() of what is closed does nothing`,
    },
    {
      line: 'if (this[kId] === 0 || state.isEnding) return this;',
      from: 'this[kId] === 0 || state.isEnding',
      becomes: ['false'],
      why: 'the same once more, of which the second close() does nothing',
    },
    {
      line: 'const name = this[kId] > 0 ? binding.peerAddress(this[kId]) : -1;',
      becomes: ['this[kId] >= 0', 'true', '+1'],
      why: `${CLOSED}; and any number is no name`,
    },
  ],
  'lib/sockets/connecting.js': [
    {
      line: 'if (!plan.isUsual) plan.configure(id);',
      becomes: ['true'],
      why: 'a short cut: what is usual is what native code has already',
    },
    {
      line: 'if (!socket[kState].plan.onread) return false;',
      becomes: ['false'],
      why: 'where bytes are data, to read nothing is what comes next in any case',
    },
    {
      line: 'socket[kId] > 0 && binding.reportConnect(socket[kId], status < 0 ? 1 : 0) === 0;',
      from: 'socket[kId] > 0',
      becomes: ['true'],
      why: CLOSED,
    },
  ],
  'lib/sockets/backlog.js': [
    {
      line: 'if (time < this.firstDeadline) return;',
      becomes: ['false'],
      why: 'a short cut: nobody is given up before that',
    },
    {
      line: 'if (this.waiting.size > 0) return;',
      becomes: ['this.waiting.size >= 0', 'true'],
      why: 'the timer, which keeps nothing alive then, finds nobody, and ends',
    },
    {
      line: 'if (time < deadline) {',
      becomes: ['time <= deadline'],
      why: 'who is not given up at the very moment is with the next attempt',
    },
  ],
  'lib/sockets/connected.js': [
    {
      line: 'if (state.timer !== null && Math.abs(state.timerDelay) === delay) {',
      from: 'state.timer !== null',
      becomes: ['state.timer === null'],
      why: 'a short cut: another timer does as well',
    },
    {
      line: 'if (delay > 0) {',
      becomes: ['true'],
      why: 'a timer of 0 does nothing when its time has come: none is made, which is cheaper',
    },
    {
      line: '} else if (state.timerDelay > 0) {',
      becomes: ['state.timerDelay >= 0'],
      why: 'the negative of 0 is 0',
    },
    {
      line: 'if (state.final !== null) {',
      from: "{ nextTick(life.failFinal, this, state, life.destroyedError(error, 'end')); }",
      becomes: ['{}'],
      why: OLD_NODE,
    },
    {
      line: 'if (state.final !== null) {',
      becomes: ['false'],
      why: OLD_NODE,
    },
    {
      line: 'if (state.phase !== CONNECTING || state.status >= 0) life.finishNow(state);',
      becomes: ['state.status > 0'],
      why: 'who is connected and connects once more is refused',
    },
    {
      line: 'if (lastQueued > 0 && queued > 0 && queued !== lastQueued) state.timer.refresh();',
      becomes: ['lastQueued >= 0'],
      why: 'a write that waits has set it; of messages none is counted here',
    },
    {
      line: 'if (state.timer !== null && Math.abs(state.timerDelay) === delay) {',
      from: 'state.timer !== null',
      becomes: ['true'],
      why: 'without a timer the delay is 0, and this one is not',
    },
    {
      line: "socket.listenerCount('data') > 0",
      becomes: ['true', "socket.listenerCount('data') >= 0"],
      why: 'a stream that flows gives what it reads to those who listen, and if that is nobody, to nobody',
    },
    {
      line: 'if (socket.errored !== null && socket.readableFlowing) {',
      becomes: ['true'],
      why: 'what a stream that flows has put back is emitted before native code hands over more',
    },
    {
      line: 'const name = this[kId] > 0 ? binding.localAddress(this[kId]) : -1;',
      becomes: ['this[kId] >= 0', 'true', '+1'],
      why: `${CLOSED}; and any number is no name`,
    },
    {
      line: 'const name = this[kId] > 0 ? binding.peerAddress(this[kId]) : -1;',
      becomes: ['this[kId] >= 0', 'true', '+1'],
      why: `${CLOSED}; and any number is no name`,
    },
    {
      line: 'socket.readableFlowing &&',
      becomes: ['false'],
      why: 'push() emits the same at once, at the price of a tick',
    },
    {
      line: 'socket.readableLength === 0 &&',
      becomes: ['true'],
      why: 'a stream that flows has emitted what it had before native code has more',
    },
  ],
  'lib/sockets/dgram-send.js': [
    {
      line: 'if (isNow && (result === -EAGAIN || result === -ENOBUFS)) state.dropped++;',
      from: 'result === -ENOBUFS',
      becomes: ['false'],
      why: 'on Linux a receiver without room is EAGAIN',
    },
    {
      line: 'if (result >= 0) return;',
      becomes: ['result > 0'],
      why: 'a send that is done is neither EAGAIN nor one of the numbers of a peer that is gone',
    },
  ],
  'lib/sockets/life.js': [
    {
      line: 'if (!forgetsEnd) return callback;',
      becomes: ['true'],
      why: 'these tests run on a Node for which it is true',
    },
    {
      line: 'if (state.final === null) return;',
      becomes: ['state.final !== null'],
      why: 'only before Node 20.13 is there one, and these tests run on a later one',
    },
    {
      line: 'if (!socket.errored) return;',
      becomes: ['socket.errored'],
      why: "what is buffered then is emitted in the tick of resume(), which comes before that of 'error'",
    },
    {
      line: 'if (state.ended || socket[kId] === 0) return true;',
      from: 'state.ended || socket[kId] === 0',
      becomes: ['false'],
      why: 'a short cut: native code has nothing more of what has ended',
    },
    {
      line: "const known = typeof error === 'object' ? error : destroyedError(undefined, 'end');",
      from: "typeof error === 'object'",
      becomes: ['true', 'false'],
      why: OLD_NODE,
    },
    {
      line: 'finishing?.();',
      becomes: ['finishing()'],
      why: 'a guard: an end that was asked for is reported once',
    },
    {
      line: 'if (phase === OPEN && !reading && !ended) startReading(socket);',
      from: 'phase === OPEN && !reading && !ended',
      becomes: ['phase === OPEN && !reading || !ended'],
      why: 'who has a reader has been open, and to begin reading again changes nothing',
    },
    {
      line: 'return (error) => callFinal(state, error);',
      becomes: ['() => undefined'],
      why: OLD_NODE,
    },
    {
      line: 'if (state.final === null) return;',
      becomes: ['true', 'false'],
      why: OLD_NODE,
    },
    {
      line: 'function failFinal(socket, state, error) {',
      becomes: ['{}'],
      why: OLD_NODE,
    },
    {
      line: 'if (socket[kId] > 0) binding.setReading(socket[kId], 0);',
      becomes: ['socket[kId] >= 0'],
      why: CLOSED,
    },
    {
      line: "return socket.readableFlowing !== null || socket.listenerCount('readable') > 0;",
      from: "socket.listenerCount('readable') > 0",
      becomes: ['false'],
      why: "a listener for 'readable' makes readableFlowing false, which is not null",
    },
    {
      line: "if (status < 0 && socket[kId] > 0) error ??= socket[kMakeError](status, 'shutdown');",
      becomes: ['false', 'socket[kId] >= 0'],
      why: 'shutdown(2) fails under strace alone, in `faults`; and a closed socket reports nothing any more',
    },
    {
      line: "if (!isEmitted) socket.emit('data', data);",
      becomes: ['false'],
      why: 'it is for versions of Node in which read() does not emit; the case hosts runs the tests with them',
    },
  ],
  'lib/sockets/listen.js': [
    {
      line: 'if (!plan.isUsual) plan.configure(id);',
      from: '!plan.isUsual',
      becomes: ['true'],
      why: 'a short cut: what is usual is what native code has already',
    },
    {
      line: 'state.stopListening = stops.length === 0 ? null : () => stops.forEach((stop) => stop?.());',
      becomes: ['false'],
      why: 'it spares a function where there is no signal',
    },
    {
      line: 'state.stopListening = stops.length === 0 ? null : () => stops.forEach((stop) => stop?.());',
      becomes: ['stop()'],
      why: 'a guard: with a signal that is aborted already it does not come here',
    },
  ],
  'lib/sockets/members.js': [
    {
      line: 'return size < 0 ? undefined : size;',
      becomes: ['size <= 0'],
      why: 'no buffer of a socket has no bytes',
    },
    {
      line: 'get peerLabel() {',
      becomes: ['{}'],
      why: 'the kernels that run the tests have no labels',
    },
    {
      line: 'else if (state.referencedNext !== undefined) state.referencedNext = referenced;',
      from: 'state.referencedNext !== undefined',
      becomes: ['true'],
      why: 'what has one life is never asked for it',
    },
    {
      line: 'const UNKNOWN = new Set([-EBADF, -ENOTCONN, -ENOPROTOOPT]);',
      becomes: ['+ENOPROTOOPT'],
      why: 'the kernels that run the tests know each of the options',
    },
    {
      line: 'const size = id > 0 ? binding.bufferSize(id, isReceive, -1) : -1;',
      becomes: ['true', 'id >= 0'],
      why: CLOSED,
    },
    {
      line: 'return this[kId] > 0 ? peerCredentials(this[kId]) : undefined;',
      becomes: ['this[kId] >= 0'],
      why: CLOSED,
    },
  ],
  'lib/sockets/message-writer.js': [
    {
      line: 'if (send !== undefined) this.addOutcome(lost, send, ECANCELED);',
      becomes: ['true'],
      why: 'native code names none but those that wait',
    },
    {
      line: 'const send = this.queued?.get(ticket);',
      becomes: ['this.queued.get'],
      why: 'native code reports nothing of a socket that is closed',
    },
    {
      line: '} else if (request !== undefined) {',
      becomes: ['true'],
      why: 'an outcome that nobody is called with costs a tick, and is reported to nobody',
    },
    {
      line: 'else if (length !== view.length) result = send(id, view, destination, offset, length);',
      becomes: ['true'],
      why: 'the offset and the length cross as well, and say the same',
    },
    {
      line: 'if (this.isDrainDue) return;',
      becomes: ['false'],
      why: 'outcomes come in a call each, and ticks run between two of them',
    },
  ],
  'lib/sockets/options.js': [
    {
      line: 'this.receiveFds === receiveFds &&',
      becomes: ['false'],
      why: 'what native code has already is said again',
    },
  ],
  'lib/sockets/seqpacket.js': [
    {
      line: 'if (token === 0) data.fds = [];',
      becomes: ['false'],
      why: 'under no number native code has no descriptors: the same array, made later',
    },
    {
      line: 'if (offset !== undefined || length !== undefined) {',
      becomes: ['true'],
      why: 'the part of a message that nobody has named is all of it; not to look for it is cheaper',
    },
    {
      line: 'if (outcomes[index] < 0) endAfter(this, outcomes[index]);',
      becomes: ['outcomes[index] <= 0'],
      why: 'a message that was sent is no failure that ends a connection',
    },
    {
      line: 'if (this[kId] > 0) binding.setCorked(this[kId], 0);',
      becomes: ['this[kId] >= 0'],
      why: CLOSED,
    },
  ],
  'lib/sockets/server.js': [
    { line: 'if (id >= 0) admit(this, id);', becomes: ['id > 0'], why: 'numbers begin with 1' },
    {
      line: 'if (this[kId] > 0 && this[kAccepts]) setAccepting(this, true);',
      from: 'this[kId] > 0',
      becomes: ['this[kId] >= 0', 'true'],
      why: 'a server without a socket accepts nothing in any case',
    },
    {
      line: 'if (this[kId] === 0) emitCloseIfEmpty(this);',
      becomes: ['true'],
      why: 'emitCloseIfEmpty() asks the same',
    },
    {
      line: "if (accepting) demand(status, 'epoll_ctl');",
      becomes: ['true'],
      why: 'a poll can fail when it begins, and not when it ends',
    },
    {
      line: 'if (state.accepting === accepting || server[kId] === 0) return;',
      from: 'state.accepting === accepting',
      becomes: ['false'],
      why: 'native code begins once more what it does already',
    },
    {
      line: '} finally {',
      from: '{ plan.id = 0; plan.server = null; }',
      becomes: ['{}'],
      why: 'the next connection sets both again, and nothing looks at them before',
    },
  ],
};
