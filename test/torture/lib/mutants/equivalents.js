'use strict';

// Owns: mutations that survive because no test can see them, by file: the line they are in, what becomes of a part of
// it (any of these; of `from`, where that is not enough), and why that is the same. Those of the list of planted faults,
// by name, are under `planted`.

const { CLOSED } = require('./reasons.js');
const native = require('./equivalents-native.js');
const sockets = require('./equivalents-sockets.js');
const streams = require('./equivalents-streams.js');

const DEBUG = 'debug() asks the same: it is spared what it would not print';
const UNHEARD = 'what nobody has subscribed to is published to nobody';

module.exports = {
  ...native,
  ...sockets,
  ...streams,
  planted: {
    'bytes-cost-nothing':
      'how much a flood brings in one wake-up depends on how fast the other process sends; the kernel holds less at ' +
      'once than the limit allows',
    'aborted-is-failure': 'Linux never says ECONNABORTED of a Unix socket',
    'dropped-with-unsent':
      'end() comes to the descriptors that are left when all bytes have gone, and destroy() closes everything: what ' +
      'keeps those of unsent bytes is for callers to come',
  },
  'lib/cluster/primary.js': [
    {
      line: "if (process.platform !== 'linux' || !isMainThread) return;",
      from: "process.platform !== 'linux'",
      becomes: ['false'],
      why: 'these tests run on Linux, where it is false',
    },
  ],
  'lib/util/host.js': [
    {
      line: String.raw`const forgetsEnd = /^20\.(\d|1[0-2])\./.test(process.versions.node);`,
      becomes: [String.raw`/20\.(\d|1[0-2])\./`],
      why: 'no version of Node has these digits anywhere else',
    },
  ],
  'lib/sockets/chunks.js': [
    {
      line: "const BYTES_EACH = { __proto__: null, utf8: 3, 'utf-8': 3, latin1: 1, binary: 1, ascii: 1 };",
      becomes: ['{}'],
      why: 'a short cut: a string of another encoding becomes a Buffer first',
    },
  ],
  'lib/compat/unix-dgram.js': [
    {
      line: "if (flags & flag.TRUNCATED) this.emit('error', packageError(-ENOBUFS, 'recv', path));",
      becomes: ['+ENOBUFS'],
      why: 'the kernel makes no message that is too large to be whole',
    },
    {
      line: 'if (watched < 0) report(socket, callback, watched, socket[kPeer]);',
      becomes: ['false'],
      why: 'who has a peer is watched already: nothing is left that can fail',
    },
    {
      line: 'id === 0 ? -EBADF : binding.bind(id, name, -1, -1, -1, 1) || binding.setReading(id, 1);',
      from: 'id === 0',
      becomes: ['false'],
      why: 'of no socket native code says the same',
    },
    {
      line: 'for (let index = 0; index < outcomes.length; index += 2) {',
      becomes: ['index <= outcomes.length'],
      why: 'behind the last outcome there is none, which is of no message',
    },
    {
      line: 'const isUnconnected = (status) => status === -ENOTCONN || status === -EDESTADDRREQ;',
      from: '-EDESTADDRREQ',
      becomes: ['+EDESTADDRREQ'],
      why: 'Linux says ENOTCONN',
    },
    {
      line: "status === -EAGAIN || (status === -ENOBUFS && process.platform !== 'linux');",
      from: 'status === -ENOBUFS',
      becomes: ['true'],
      why: 'these tests run on Linux, where the other half is false',
    },
    {
      line: "status === -EAGAIN || (status === -ENOBUFS && process.platform !== 'linux');",
      from: "status === -ENOBUFS && process.platform !== 'linux'",
      becomes: ['false'],
      why: 'these tests run on Linux, where it is false',
    },
    {
      line: "status === -EAGAIN || (status === -ENOBUFS && process.platform !== 'linux');",
      from: "process.platform !== 'linux'",
      becomes: ['true'],
      why: 'Linux says ENOBUFS only where it has no memory left',
    },
    {
      line: 'if (this[kId] > 0) binding.setRef(this[kId], 1);',
      from: 'this[kId] > 0',
      becomes: ['true', 'this[kId] >= 0'],
      why: CLOSED,
    },
    {
      line: 'if (this[kId] > 0) binding.setRef(this[kId], 0);',
      from: 'this[kId] > 0',
      becomes: ['true', 'this[kId] >= 0'],
      why: CLOSED,
    },
    {
      line: "const to = id === 0 ? -EBADF : socket[kDestinations].of(id, path, view, 'buffer');",
      becomes: ['+EBADF'],
      why: CLOSED,
    },
    { line: 'if (id > 0) {', becomes: ['id >= 0'], why: CLOSED },
    {
      line: 'if (message === undefined) continue;',
      becomes: ['false'],
      why: 'native code reports what waits, once, and nothing of a socket that is closed',
    },
    {
      line: 'sendTo(this, view.length === length ? view : part(view, offset, length), path, callback);',
      from: 'view.length === length',
      becomes: ['false'],
      why: 'a short cut: the part is all of it then',
    },
  ],
  'lib/descriptors/duplicate.js': [
    {
      line: "const handle = await open('/', process.platform === 'linux' ? O_PATH : 'r');",
      from: "process.platform === 'linux'",
      becomes: ['true'],
      why: 'these tests run on Linux',
    },
  ],
  'lib/descriptors/reuseport.js': [
    {
      line: 'return false; // Linux before 5.14, or no /proc.',
      becomes: ['true'],
      why: 'the kernels that run the tests have the file; and then only what an error says is another',
    },
  ],
  'lib/native/fds.js': [
    {
      line: 'if (fds.length === 1 && Number.isInteger(only) && only >= 0 && only <= MAX_INT) return [only];',
      becomes: ['only > 0'],
      why: 'a short cut: what does not take it comes to the same',
    },
  ],
  'lib/native/platform.js': [
    {
      line: String.raw`if (name !== undefined) return /(^|\/)ld-musl-[^/]*$/.test(name);`,
      from: 'name !== undefined',
      becomes: ['false'],
      why: 'the report says the same, many milliseconds later',
    },
    {
      line: String.raw`if (name !== undefined) return /(^|\/)ld-musl-[^/]*$/.test(name);`,
      becomes: [String.raw`/(^|\/)ld-musl-[^/]*/`],
      why: 'no loader is in a folder that has the name of one',
    },
  ],
  'lib/net/serve.js': [
    {
      line: 'const kept = KEPT.filter((name) => web[name] !== undefined).map((name) => [name, web[name]]);',
      becomes: ['KEPT'],
      why: 'an option that is undefined is none',
    },
  ],
  'lib/net/socket.js': [
    {
      line: 'const isBytes = ArrayBuffer.isView(chunk) && (takesViews ??= writableTakesViews());',
      becomes: ['takesViews &&= writableTakesViews()'],
      why: 'before Node 22 no view is taken; the mutants are tried with such a one',
    },
    {
      line: 'return new stream.Writable({ write() {} }).write(new DataView(new ArrayBuffer(1)));',
      becomes: ['{}'],
      why: 'before Node 22 the view is refused ahead of that; there the mutants are tried',
    },
    {
      line: 'try {',
      from: '{ return new stream.Writable({ write() {} }).write(new DataView(new ArrayBuffer(1))); }',
      becomes: ['{}'],
      why: 'before Node 22 the view is refused there; the mutants are tried with such a one',
    },
  ],
  'lib/posix/checks.js': [
    {
      line: 'function isInt(value) {',
      becomes: ['{}'],
      why: 'what is not known to be an int is looked at again, which costs time',
    },
    {
      line: "return typeof value === 'number' && (value | 0) === value;",
      becomes: ['false'],
      why: 'what is not known to be an int is looked at again, which costs time',
    },
  ],
  'lib/posix/sockaddr.js': [
    {
      line: 'const isClean =',
      becomes: ['false'],
      why: 'an address that is read member by member is the same; to ask first is cheaper',
    },
    {
      line: 'text.set(bytes.length > text.length ? bytes.subarray(0, text.length) : bytes);',
      becomes: ['bytes.length >= text.length'],
      why: 'all of the bytes are the bytes',
    },
  ],
  'lib/posix/index.js': [
    {
      line: 'isInt(sockfd) && isInt(len) && isInt(flags)',
      becomes: ['false'],
      why: 'what was not tried at once is looked at again, which costs time',
    },
    {
      line: 'if (received < 0) {',
      becomes: ['true'],
      why: 'what is looked at again and was done is said again',
    },
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
    {
      line: "return sent >= 0 ? sent : demand(slowly('send', sent, sockfd, buf, len, flags), 'send');",
      from: 'sent >= 0',
      becomes: ['false'],
      why: 'what is looked at again and was done is said again',
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
      line: 'return value?.byteLength;',
      becomes: ['value.byteLength'],
      why: 'what nothing throws then is caught as well',
    },
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
      line: 'if (!state.referenced) socket.unref();',
      from: '!state.referenced',
      becomes: ['false'],
      why: 'the process stays until the primary, which lives, has answered: no time at all',
    },
    {
      line: 'if (socket.peerCredentials?.pid !== process.ppid) socket.destroy();',
      becomes: ['socket.peerCredentials.pid'],
      why: 'a peer has credentials in the kernels that run the tests',
    },
  ],
  'lib/native/binding.js': [
    {
      line: "case 'linux-arm64-musl':",
      becomes: ["case 'linux-arm64-musl':"],
      why: 'the tests run on another machine',
    },
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
  'lib/native/sockets.js': [
    {
      line: 'else if (length === 0 || flags & NO_BYTES) data = new FastBuffer(0);',
      from: 'length === 0',
      becomes: ['false'],
      why: 'no bytes of the chunk are as empty, and keep it for longer',
    },
    {
      line: 'if (owner === null || owner[kId] !== id || !owner[kAccepts]) return;',
      from: 'owner[kId] !== id',
      becomes: ['false'],
      why: 'one that is closed accepts nothing, and one that listens again meanwhile finds nobody yet',
    },
    {
      line: 'if (owner === null || owner[kId] !== id || !owner[kAccepts]) return;',
      from: 'owner === null || owner[kId] !== id',
      becomes: ['false'],
      why: 'the same; and what has nobody is closed',
    },
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
