'use strict';

// Owns: planted faults in lib/ that concern connections: their life, streams, servers, and what is served.

const { edit, fault } = require('./fault.js');

const BACKLOG = 'lib/sockets/backlog.js';
const CONNECTED = 'lib/sockets/connected.js';
const CONNECTING = 'lib/sockets/connecting.js';
const LIFE = 'lib/sockets/life.js';
const PRIMARY = 'lib/cluster/primary.js';
const SEQPACKET = 'lib/sockets/seqpacket.js';
const SERVE = 'lib/net/serve.js';
const SERVED = 'lib/net/served.js';
const SERVER = 'lib/sockets/server.js';
const STREAM_READER = 'lib/sockets/stream-reader.js';
const STREAM_WRITER = 'lib/sockets/stream-writer.js';
const USOCKET = 'lib/sockets/usocket.js';
const WORKER = 'lib/cluster/worker.js';

module.exports = [
  fault(
    'error-before-data',
    'an error destroys the socket before what came in front of it is read',
    ['test/sockets/errors.test.js', 'test/usocket/errors.test.js', 'test/usocket/death.test.js'],
    edit(
      LIFE,
      '  const state = socket[kState];\n  if (socket.readableLength === 0 || !isRead(socket)) {',
      '  const state = socket[kState];\n  if (socket.readableLength >= 0) {',
    ),
  ),
  fault(
    'rest-never-read',
    'USocket: who waits for more than is left of a connection that was reset waits for ever',
    ['test/usocket/reset-readers.test.js'],
    edit(LIFE, 'nextTick(emitLastReadable, socket, state);', ''),
  ),
  fault(
    'last-words-unread',
    'SeqpacketSocket: what a peer sent before it died is lost where a send failed first',
    ['test/seqpacket/death.test.js', 'test/seqpacket/queued-death.test.js'],
    edit(
      LIFE,
      'if (isRead(socket) && !takeWhatIsThere(socket)) {',
      'if (isRead(socket) && false) {',
    ),
  ),
  fault(
    'endless-last-words',
    'a socket whose peer is gone waits for ever for whoever does not read',
    ['test/seqpacket/last-words.test.js'],
    edit(
      LIFE,
      '  state.patience = setTimeout(destroyIn, LAST_WORDS, socket, state, error).unref();\n',
      '',
    ),
  ),
  fault(
    'strikes-the-next-life',
    'what is due for a connection happens to the one that the same socket has next',
    ['test/sockets/lives.test.js'],
    edit(LIFE, 'return socket.destroyed || socket[kState] !== state;', 'return socket.destroyed;'),
  ),
  fault(
    'ends-the-next-life',
    'an end() of before the connection ends the one that the same socket has next',
    ['test/sockets/lives.test.js'],
    edit(SEQPACKET, 'life.isOver(this, state) || finish()', 'finish()'),
  ),
  fault(
    'calls-back-inside-connect',
    'connect() calls back for an end() of the life before, ahead of its writes',
    ['test/sockets/lives.test.js'],
    edit(
      STREAM_WRITER,
      '      if (this.isAbandoned) nextTick(callback, ...outcome);\n      else',
      '     ',
    ),
  ),
  fault(
    'destroys-the-next-life',
    'destroySoon() destroys the connection that the same socket has next',
    ['test/sockets/lives.test.js'],
    edit(CONNECTED, '() => life.destroyIn(this, state)', 'this.destroy'),
  ),
  fault(
    'never-ends-the-next-life',
    "a 'finish' that comes late: the connection that the same socket has next never ends",
    ['test/sockets/lives.test.js'],
    edit(CONNECTING, '  socket._writableState.finished = false;\n', ''),
  ),
  fault(
    'fails-the-next-life',
    'a write that failed destroys the connection that the same socket has next',
    ['test/sockets/lives.test.js'],
    edit(LIFE, '  failedWrites.set(error, socket[kState]);\n', ''),
  ),
  fault(
    'ends-with-the-last-life',
    'what Readable does for the end of a peer is done to the connection that the socket has next',
    ['test/sockets/lives.test.js'],
    edit(CONNECTING, '    if (isEndDue) holdEnd(socket);\n', ''),
  ),
  fault(
    'reads-the-last-life',
    'what was received and not read comes ahead of what the next connection brings',
    ['test/sockets/lives.test.js'],
    edit(CONNECTING, '    discardUnread(socket);\n', ''),
  ),
  fault(
    'impatient-with-readers',
    'last words: a slow reader that goes on reading is cut off',
    ['test/seqpacket/last-words.test.js'],
    edit(CONNECTED, '      if (data !== null) patience?.refresh();\n', ''),
  ),
  fault(
    'finish-in-the-turn',
    "'finish' comes in the turn of end(), not later as in net",
    [
      'test/usocket/net-streams.test.js',
      'test/usocket/life.test.js',
      'test/differential/net.test.js',
    ],
    edit(
      LIFE,
      'if (status < 0) setImmediate(finishNow, state);',
      'if (status <= 0) nextTick(finishNow, state);',
    ),
  ),
  fault(
    'rest-not-received',
    'USocket: what the peer sent before it died is lost where a write failed first',
    ['test/usocket/death.test.js'],
    edit(
      LIFE,
      '  if (!takeWhatIsThere(socket)) return false;\n  emitBuffered(socket);\n',
      '  emitBuffered(socket);\n',
    ),
  ),
  fault(
    'waiting-descriptors-one-more',
    'USocket: maxWaitingFds lets one more wait before write() is false',
    ['test/sockets/waiting-fds.test.js'],
    edit(
      STREAM_WRITER,
      'if (this.fds < socket[kState].plan.maxWaitingFds) return true;',
      'if (this.fds <= socket[kState].plan.maxWaitingFds) return true;',
    ),
  ),
  fault(
    'descriptors-with-earlier-chunk',
    'USocket: descriptors of a later write go with the first chunk that waits',
    [
      'test/usocket/fds.test.js',
      'test/usocket/fds-waiting.test.js',
      'test/usocket/callbacks.test.js',
    ],
    edit(
      STREAM_WRITER,
      'this.marks.length > 0 && this.marks[0].chunk === chunk)',
      'this.marks.length > 0)',
    ),
  ),
  fault(
    'unsent-unreported',
    'USocket: descriptors without a callback that are never sent are no error of end()',
    ['test/usocket/fds.test.js', 'test/usocket/errors.test.js', 'test/usocket/callbacks.test.js'],
    edit(STREAM_WRITER, '      else unreported = error;\n', ''),
  ),
  fault(
    'deferred-before-close',
    "USocket: a write that waited for the connection fails before 'close'",
    [
      'test/usocket/callbacks.test.js',
      'test/usocket/errors.test.js',
      'test/differential/net.test.js',
    ],
    edit(STREAM_WRITER, '    if (this.deferred !== null) return;\n', ''),
  ),
  fault(
    'latin1-as-utf8',
    'USocket: short strings in latin1 are sent as UTF-8',
    ['test/usocket/traffic.test.js'],
    edit(STREAM_WRITER, 'bytesEach === 1 ? 1 : 0', 'bytesEach === 1 ? 0 : 0'),
  ),
  fault(
    'one-buffer-twice',
    'USocket: descriptors of the second of two writes of one Buffer go with the first',
    ['test/usocket/neighbours.test.js'],
    edit(
      STREAM_WRITER,
      'const chunk = new FastBuffer(data.buffer, data.byteOffset, data.byteLength);',
      'const chunk = data;',
    ),
  ),
  fault(
    'descriptors-one-byte-late',
    'read(size, null): descriptors come only with the byte behind theirs',
    ['test/usocket/fds-receiving.test.js', 'test/usocket/fds.test.js'],
    edit(STREAM_READER, 'if (last >= position) break;', 'if (last >= position - 1) break;'),
  ),
  fault(
    'descriptors-one-byte-early',
    'read(size, null): descriptors come with the byte before theirs',
    ['test/usocket/fds-receiving.test.js'],
    edit(STREAM_READER, 'if (last >= position) break;', 'if (last > position) break;'),
  ),
  fault(
    'fds-after-destroy',
    "'fds' comes on a socket that was destroyed in the same tick",
    ['test/usocket/fds-event.test.js'],
    edit(
      STREAM_READER,
      'if (fds > 0 && socket[kId] > 0 && this.isHeard())',
      'if (fds > 0 && this.isHeard())',
    ),
  ),
  fault(
    'put-back-group-last',
    'unshift(): the descriptors that were put back count with the bytes of the last ones',
    ['test/usocket/put-back-fds.test.js'],
    edit(
      STREAM_READER,
      'this.groups.unshift(new Group(count, -Infinity));',
      'this.groups.push(new Group(count, -Infinity));',
    ),
  ),
  fault(
    'onread-asks-once',
    'onread: the function that gives buffers is asked only once',
    ['test/usocket/onread.test.js'],
    edit(
      STREAM_READER,
      "if (socket[kId] > 0 && typeof onread.buffer === 'function') {",
      "if (socket[kId] < 0 && typeof onread.buffer === 'function') {",
    ),
  ),
  fault(
    'chunks-skip-nothing',
    'fdsWithData: a chunk whose descriptors are taken first gets those of an earlier one',
    ['test/usocket/fds-with-data.test.js'],
    edit(STREAM_READER, 'this.groups.slice(0, at).reduce', 'this.groups.slice(0, 0).reduce'),
  ),
  fault(
    'backlog-overtaken',
    'a connection that waits for a backlog is overtaken by one that came later',
    ['test/sockets/backlog.test.js'],
    edit(
      BACKLOG,
      'of this.waiting) {\n      const { socket, done } = waiter;',
      'of [...this.waiting].reverse()) {\n      const { socket, done } = waiter;',
    ),
  ),
  fault(
    'backlog-without-end',
    'waiting for a backlog never times out',
    ['test/seqpacket/connect.test.js'],
    edit(BACKLOG, 'if (time < deadline) {', 'if (time < Infinity) {'),
  ),
  fault(
    'backlog-never-unreferenced',
    'unref() of a connection that waits for a backlog: the timer keeps the process',
    ['test/seqpacket/connect.test.js', 'test/seqpacket/ref.test.js'],
    edit(BACKLOG, '    this.timer.unref();\n', ''),
  ),
  fault(
    'allow-anything-true',
    'allow: an answer that is not true lets the client in, a Promise of false for one',
    [
      'test/sockets/who-is-the-peer.test.js',
      'test/sockets/servers.test.js',
      'test/seqpacket/server.test.js',
      'test/usocket/server.test.js',
    ],
    edit(
      SERVER,
      "return answer === true ? undefined : 'allow';",
      "return answer ? undefined : 'allow';",
    ),
  ),
  fault(
    'allow-closes-server',
    "a server that was closed by its own `allow` still emits 'connection'",
    ['test/sockets/servers.test.js'],
    edit(SERVER, '  if (server[kId] === 0) return null;\n  return answer', '  return answer'),
  ),
  fault(
    'max-connections-one-more',
    'maxConnections lets one more in',
    [
      'test/sockets/servers.test.js',
      'test/seqpacket/server.test.js',
      'test/usocket/server.test.js',
    ],
    edit(
      SERVER,
      'if (connections >= (server.maxConnections',
      'if (connections > (server.maxConnections',
    ),
  ),
  fault(
    'detach-drops-accepted',
    'detach() of a server drops connections that were accepted and not handed over yet',
    ['test/sockets/detach.test.js'],
    edit(SERVER, '    for (let id; (id = binding.accept(this[kId])) >= 0;) admit(this, id);\n', ''),
  ),
  fault(
    'drain-counts-wrong',
    'close({ drain: true }) stops after two turns although connections still come',
    ['test/sockets/drain-backlog.test.js'],
    edit(
      SERVER,
      'turns = state.accepted === accepted ? turns + 1 : 0;',
      'turns = state.accepted === accepted ? turns + 1 : turns + 1;',
    ),
  ),
  fault(
    'close-before-cancelled',
    "'close' comes before the callbacks of what was not sent",
    ['test/sockets/sends.test.js'],
    edit(
      LIFE,
      '  setImmediate(cancelWrites, socket, state, error);\n  setImmediate(emitClose, socket, state, Boolean(error));\n',
      '  setImmediate(emitClose, socket, state, Boolean(error));\n  setImmediate(cancelWrites, socket, state, error);\n',
    ),
  ),
  fault(
    'cluster-strangers',
    'the primary of a cluster gives its listening sockets to processes that are no workers',
    ['test/net/cluster.test.js'],
    edit(PRIMARY, 'worker.process.pid === pid', 'worker.process.pid === pid || true'),
  ),
  fault(
    'cluster-last-leaves',
    'a listening socket of a cluster is closed when the first of its workers leaves',
    ['test/net/cluster.test.js'],
    edit(PRIMARY, '  if (entry.users > 0) return;\n', ''),
  ),
  fault(
    'cluster-never-leaves',
    'a listening socket of a cluster stays when its last worker has left',
    ['test/net/cluster.test.js'],
    edit(PRIMARY, '  entry.users--;\n', ''),
  ),
  fault(
    'cluster-false-primary',
    'a worker takes its listening socket from whoever has the name of its primary',
    ['test/net/cluster.test.js'],
    edit(
      WORKER,
      'if (socket.peerCredentials?.pid !== process.ppid) socket.destroy();',
      'if (socket.peerCredentials?.pid === 0) socket.destroy();',
    ),
  ),
  fault(
    'cluster-disconnect',
    'a server goes on listening when its worker leaves the cluster',
    ['test/net/cluster.test.js'],
    edit(WORKER, "  if (!hearsLeave) worker.once('disconnect', closeAll);\n", ''),
  ),
  fault(
    'cluster-left-early',
    'a server whose worker leaves the cluster before its primary answers listens all the same',
    ['test/net/cluster.test.js'],
    edit(WORKER, '      onLeave(this.worker, close),\n', ''),
  ),
  fault(
    'cluster-mode',
    "a cluster's socket file has not the mode that was asked for",
    ['test/net/cluster.test.js'],
    edit(WORKER, '      mode: given(mode),\n', ''),
  ),
  fault(
    'cluster-closed-early',
    'a server that is closed before its primary answers listens all the same',
    ['test/net/cluster.test.js'],
    edit(WORKER, '    if (state.request !== this) return;\n', ''),
  ),
  fault(
    'serve-close-early',
    "serve(): the web server emits 'close' while connections are open",
    ['test/net/serve.test.js'],
    edit(SERVE, "    if (name === 'close' && this.open.size > 0) return true;\n", ''),
  ),
  fault(
    'serve-members-stay',
    'serve(): a web server that has closed cannot listen elsewhere',
    ['test/net/serve.test.js'],
    edit(SERVE, '    if (this.open.size === 0) this.remove();\n', ''),
  ),
  fault(
    'serve-counts-nothing',
    'serve(): getConnections() does not count what is served',
    ['test/net/serve.test.js'],
    edit(SERVE, '(sum, one) => sum + one, count ?? 0', '(sum, one) => sum + one * 0, count ?? 0'),
  ),
  fault(
    'serve-without-limit',
    'serve(): maxConnections of the web server has no effect',
    ['test/net/serve.test.js'],
    edit(SERVE, '{ get: () => this.roomFor(listener) }', '{ get: () => undefined }'),
  ),
  fault(
    'serve-limit-for-each',
    'serve(): maxConnections does not count connections of before the server was closed',
    ['test/net/serve-members.test.js'],
    edit(SERVE, '(room, one) => room - one.sockets.size', '(room) => room'),
  ),
  fault(
    'serve-keeps-listener',
    'serve(): the listener on the option `signal` stays when the server has closed',
    ['test/net/serve.test.js'],
    edit(SERVE, "    if (stop !== null) listener.once('close', stop);\n", ''),
  ),
  fault(
    'serve-unref',
    'serve(): unref() of the web server lets what listens keep the process',
    ['test/net/serve.test.js'],
    edit(SERVE, '    this.listener?.[method]();\n', ''),
  ),
  fault(
    'serve-half-open',
    'serve(): connections are not half-open where the web server asks for it',
    ['test/net/serve.test.js'],
    edit(SERVED, '      allowHalfOpen,\n', ''),
  ),
  fault(
    'serve-never-closes',
    "serve(): a connection's end is not counted",
    ['test/net/serve.test.js'],
    edit(SERVED, '    server[kConnectionClosed]();\n', ''),
  ),
  fault(
    'past-write-uncounted',
    'bytes that pipe() writes past write() are not counted',
    ['test/usocket/past-write.test.js'],
    edit(
      STREAM_WRITER,
      '    this.socket[kState].bytesWritten += bytesIn(chunk, encoding);\n',
      '    this.socket[kState].bytesWritten += 0 * bytesIn(chunk, encoding);\n',
    ),
  ),
  fault(
    'past-write-without-fds',
    'descriptors that wait for bytes do not travel with those that pipe() writes past write()',
    ['test/usocket/past-write.test.js'],
    edit(
      STREAM_WRITER,
      'if (this.groups.length === 0 || chunk.length === 0) return [chunk, callback];',
      'if (chunk.length >= 0) return [chunk, callback];',
    ),
  ),
  fault(
    'past-write-counted-twice',
    'bytes that write() has counted are counted once more when it is their turn',
    ['test/usocket/past-write.test.js', 'test/usocket/as-net-mixed.test.js'],
    edit(STREAM_WRITER, '    this.given++;\n', ''),
  ),
  fault(
    'past-write-error-unheard',
    'a message of pipe() that fails is no event of the SeqpacketSocket',
    ['test/usocket/past-write.test.js'],
    edit(SEQPACKET, '      if (error) this[kSendError](error);\n', ''),
  ),
  fault(
    'pause-before-connection',
    'pause() with onread does not hold before there is a connection',
    ['test/usocket/onread.test.js'],
    edit(USOCKET, 'if (state.plan.onread !== null) {', 'if (this[kReader]?.onread) {'),
  ),
];
