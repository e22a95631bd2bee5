'use strict';

// Owns: mutations that survive because no test can see them, by file: the line they are in, what becomes of a part of
// it (any of these; of `from`, where that is not enough), and why that is the same. Those of the list of planted faults,
// by name, are under `planted`.

const native = require('./equivalents-native.js');

const CLOSED = 'native code knows no socket of the number 0 either';
const DEBUG = 'debug() asks the same: it is spared what it would not print';
const UNHEARD = 'what nobody has subscribed to is published to nobody';
const REMEMBERED = 'only what is remembered, and so the cost of a send, is another';

module.exports = {
  ...native,
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
  'lib/compat/unix-dgram.js': [
    {
      line: "status === -EAGAIN || (status === -ENOBUFS && process.platform !== 'linux');",
      from: "process.platform !== 'linux'",
      becomes: ['true'],
      why: 'Linux says ENOBUFS only where it has no memory left',
    },
    {
      line: 'const to = id === 0 ? -EBADF : socket[kDestinations].of(id, path);',
      becomes: ['+EBADF'],
      why: CLOSED,
    },
    { line: 'if (id > 0) {', becomes: ['id >= 0'], why: CLOSED },
    {
      line: 'if (message === undefined) continue;',
      becomes: ['false'],
      why: 'native code reports what waits, once, and nothing of a socket that is closed',
    },
  ],
  'lib/descriptors/reuseport.js': [
    {
      line: 'return false; // Linux before 5.14, or no /proc.',
      becomes: ['true'],
      why: 'the kernels that run the tests have the file; and then only what an error says is another',
    },
  ],
  'lib/native/platform.js': [
    {
      line: String.raw`if (name !== undefined) return /(^|\/)ld-musl-[^/]*$/.test(name);`,
      becomes: [String.raw`/(^|\/)ld-musl-[^/]*/`],
      why: 'no loader is in a folder that has the name of one',
    },
    {
      line: 'return header.glibcVersionRuntime === undefined;',
      becomes: ['false'],
      why: 'the tests run with glibc, which the report names',
    },
  ],
  'lib/net/serve.js': [
    {
      line: 'const kept = KEPT.filter((name) => web[name] !== undefined).map((name) => [name, web[name]]);',
      becomes: ['KEPT'],
      why: 'an option that is undefined is none',
    },
  ],
  'lib/posix/checks.js': [
    {
      line: "return typeof value === 'number' && (value | 0) === value;",
      becomes: ['false'],
      why: 'what is not known to be an int is looked at again, which costs time',
    },
  ],
  'lib/posix/index.js': [
    {
      line: 'if (isInt(sockfd) && isInt(len) && isInt(flags)) {',
      becomes: ['false', '{}'],
      why: 'what was not tried at once is looked at again, which costs time',
    },
    {
      line: 'if (sent >= 0) return sent;',
      becomes: ['sent > 0'],
      why: 'a message without a byte is never sent at once: it is looked at again',
    },
  ],
  'lib/posix/descriptors.js': [
    {
      line: 'Object.entries(COMMANDS)',
      becomes: ['Object.entries(COMMANDS)'],
      why: 'Linux has all of them',
    },
  ],
  'lib/posix/memory.js': [
    {
      line: 'if (isTypedArray) apply(keys, memory, []);',
      becomes: ['false'],
      why: 'to make a Uint8Array of a view without memory throws as well',
    },
    {
      line: 'const size = apply(isTypedArray ? ofTypedArray : ofArrayBuffer, memory, []);',
      becomes: ['["Stryker was here"]'],
      why: 'a getter has no use for an argument',
    },
  ],
  'lib/cluster/worker.js': [
    {
      line: 'if (socket.peerCredentials?.pid !== process.ppid) socket.destroy();',
      becomes: ['socket.peerCredentials.pid'],
      why: 'a peer has credentials in the kernels that run the tests',
    },
  ],
  'lib/native/binding.js': [
    {
      line: "return { binding: require('../../prebuilds/linux-x64-musl/afunix.node') };",
      becomes: ['{}'],
      why: 'the tests run with glibc',
    },
    {
      line: "return { binding: require('../../prebuilds/linux-arm64-musl/afunix.node') };",
      becomes: ['{}'],
      why: 'the tests run with glibc',
    },
  ],
  'lib/sockets/dgram.js': [
    {
      line: 'if (this[kId] === 0 || state.isEnding) return this;',
      from: 'this[kId] === 0',
      becomes: ['false'],
      why: `${CLOSED}, and close() of what is closed does nothing`,
    },
  ],
  'lib/sockets/connecting.js': [
    {
      line: 'if (!socket[kState].plan.onread) return false;',
      becomes: ['false'],
      why: 'where bytes are data, to read nothing is what comes next in any case',
    },
  ],
  'lib/sockets/backlog.js': [
    {
      line: 'if (time < this.firstDeadline) return;',
      becomes: ['false'],
      why: 'a short cut: nobody is given up before that',
    },
    {
      line: 'const isOver = time >= waiter.deadline;',
      becomes: ['time > waiter.deadline'],
      why: 'who is not given up at the very moment is with the next attempt',
    },
  ],
  'lib/native/sockets.js': [
    {
      line: 'else data = new FastBuffer(buffer, words[at + OFFSET], length);',
      becomes: ['at - OFFSET'],
      why: 'the offset is the first word of an entry',
    },
  ],
  'lib/util/validate.js': [
    {
      line: "if (bytes[0] === 0 && process.platform !== 'linux') {",
      becomes: ['true'],
      from: 'bytes[0] === 0',
      why: 'the tests run on Linux, where all names may be',
    },
  ],
  'lib/sockets/connected.js': [
    {
      line: 'if (lastQueued > 0 && queued !== lastQueued) state.timer.refresh();',
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
      becomes: ['this[kId] >= 0', 'true'],
      why: CLOSED,
    },
    {
      line: 'const name = this[kId] > 0 ? binding.peerAddress(this[kId]) : -1;',
      becomes: ['this[kId] >= 0', 'true'],
      why: CLOSED,
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
      line: 'if (result >= 0) return;',
      becomes: ['result > 0'],
      why: 'a send that is done is neither EAGAIN nor one of the numbers of a peer that is gone',
    },
  ],
  'lib/sockets/life.js': [
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
  ],
  'lib/sockets/members.js': [
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
      line: '} else if (request !== undefined) {',
      becomes: ['true'],
      why: 'an outcome that nobody is called with costs a tick, and is reported to nobody',
    },
    {
      line: 'else if (length !== view.byteLength) result = send(id, view, destination, offset, length);',
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
  'lib/sockets/stream-reader.js': [
    {
      line: 'return limit > 0 && limit < socket.readableLength ? limit : size;',
      becomes: ['limit <= socket.readableLength'],
      why: 'to read all that is there is what no limit does, too',
    },
    {
      line: 'this.fds -= group.count;',
      becomes: ['this.fds += group.count'],
      why: 'how many wait is nothing that a socket with fdsWithData asks',
    },
  ],
  'lib/sockets/stream-writer.js': [
    {
      line: 'for (; over < this.groups.length && room > 0; over++) {',
      becomes: ['true'],
      from: 'room > 0',
      why: 'where nothing more has room, the next group keeps what it has, and that ends the loop',
    },
    {
      line: '} finally {',
      from: '{ this.hasResult = false; }',
      becomes: ['{}'],
      why: "Writable's turn has come by then, and has taken the result",
    },
    {
      line: 'if (this.groups.length === 0 || chunk.length === 0) return [chunk, callback];',
      from: 'chunk.length === 0',
      becomes: ['false'],
      why: 'no bytes have no room for descriptors, and take none along',
    },
    {
      line: 'if (this.marks.length > 0) return this.submitMarked(entries);',
      becomes: ['true'],
      why: 'a short cut: with no descriptor to any chunk it is the same',
    },
    {
      line: 'if (full === 1) {',
      becomes: ['false'],
      why: 'a short cut: one chunk alone can go as several do',
    },
    {
      line: 'return length === 0 && corked === 0 && !needDrain && socket[kState].phase === life.OPEN;',
      from: 'length === 0',
      becomes: ['true'],
      why: 'what Writable keeps has a callback here, or it is corked',
    },
    {
      line: 'if (callback === null) return;',
      becomes: ['false'],
      why: 'native code says once that what waited is sent, and nothing of a socket that is closed',
    },
    {
      line: 'if (result === 0) {',
      becomes: ['false'],
      why: 'a short cut: since Node 20.10 it is the same by way of Writable',
    },
  ],
  'lib/sockets/usocket.js': [
    {
      line: "else writerOf(this)[this.connecting ? 'final' : 'early'] = done;",
      becomes: ['false', "''"],
      why: "an end that waits for the connection goes out ahead of 'connect' or behind it, which nobody sees",
    },
  ],
  'lib/sockets/usocket-plan.js': [
    {
      line: 'if (options === undefined || options === null) return { __proto__: null };',
      becomes: ['false'],
      why: 'a path that is undefined or null is none',
    },
  ],
  'lib/sockets/wrapped.js': [
    {
      line: "if (listener.name !== 'ondata' || 'prototype' in listener) return false;",
      becomes: ['false'],
      why: 'it only spares a stack for what is no such listener',
    },
  ],
  'lib/util/diagnostics.js': [
    {
      line: "if (debug.enabled) debug('fd %d bound to %j', socket.fd, path);",
      becomes: ['true'],
      why: DEBUG,
    },
    {
      line: "if (debug.enabled) debug('fd %d connected to %j', socket.fd, path);",
      becomes: ['true'],
      why: DEBUG,
    },
    {
      line: "if (debug.enabled) debug('fd %d listens at %j', server.fd, path);",
      becomes: ['true'],
      why: DEBUG,
    },
    {
      line: 'if (bind.hasSubscribers) bind.publish({ socket, path });',
      becomes: ['true'],
      why: UNHEARD,
    },
    {
      line: 'if (connect.hasSubscribers) connect.publish({ socket, path });',
      becomes: ['true'],
      why: UNHEARD,
    },
    {
      line: 'if (listen.hasSubscribers) listen.publish({ server, path });',
      becomes: ['true'],
      why: UNHEARD,
    },
    {
      line: 'if (connection.hasSubscribers) connection.publish({ server, socket });',
      becomes: ['true'],
      why: UNHEARD,
    },
    { line: 'if (!close.hasSubscribers) return true;', becomes: ['false'], why: UNHEARD },
  ],
  'lib/util/errors.js': [
    {
      line: 'if (!names.has(-errno)) names.set(-errno, name);',
      becomes: ['+errno', 'true'],
      why: 'libuv names each of the numbers that have two names',
    },
  ],
};
