'use strict';

// Owns what each step of a program does. An operation gets the run, the step, and the socket or the descriptor
// that the step names.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { Readable, Writable, finished, pipeline } = require('node:stream');
const { codeOf, detailsOf, stateOf } = require('./trace.js');
const { bytesFor, chunkFor } = require('./payload.js');
const raw = require('./raw.js');

/** What a callback was given. */
const outcome = (error) => ({ code: codeOf(error), details: error ? detailsOf(error) : undefined });

/**
 * Whether what a callback does is run: not where net calls back when this package does not, for a connect() that was
 * given up, or the other way round, or in another order, for an end() that failed. The call itself is compared.
 */
function isRun(run, step, error) {
  if (step.do === 'connect') return run.connects.get(step.who) === step.number;
  return step.do !== 'end' || !error;
}

/** A callback that is recorded, and then runs the steps in `then`. */
function callbackFor(run, step, socket, name = 'callback', lane = undefined) {
  const of = `${step.do}#${step.number}`;
  let isCalled = false;
  return (error) => {
    if (isCalled) {
      run.trace.add(step.who, 'called again', { of }, socket);
      return;
    }
    isCalled = true;
    const doesMore = isRun(run, step, error);
    const more = { of, size: step.size, ...outcome(error), ...(lane && { lane }) };
    const isLate = step.do === 'connect' && !doesMore;
    run.trace.add(step.who, isLate ? 'late callback' : name, more, socket);
    if (doesMore) run.all(step.then);
  };
}

/** Bytes after which a sink is stuck, or fails. */
const SINK_ROOM = 100;

function sinkFor(run, step) {
  // Not after so many chunks: where they begin and end is nobody's business.
  let length = 0;
  const who = `sink ${step.number} of ${step.who}`;
  const sink = new Writable({
    highWaterMark: step.sinkMark ?? 16384,
    write(chunk, encoding, callback) {
      run.trace.addBytes(who, chunk);
      length += chunk.length;
      const isFull = length > SINK_ROOM;
      if (step.sink === 'stuck' && isFull) return;
      if (step.sink === 'fails' && isFull) callback(new Error('sink'));
      else if (step.sink === 'slow') setImmediate(callback);
      else callback();
    },
    final(callback) {
      run.trace.add(who, 'sink finish');
      callback();
    },
  });
  sink.on('error', () => {});
  run.sinks.push(sink);
  return sink;
}

function sourceFor(step) {
  const parts = Array.from({ length: step.parts ?? 1 }, () => bytesFor(step.number, step.size));
  return Readable.from(parts, { objectMode: false });
}

async function iterate(run, step, socket) {
  let length = 0;
  try {
    for await (const chunk of socket) {
      length += chunk.length;
      if (length > (step.stopAfter - 1) * SINK_ROOM) break;
    }
    run.trace.add(step.who, 'iteration end', { code: null }, socket);
  } catch (error) {
    run.trace.add(step.who, 'iteration end', { code: codeOf(error) }, socket);
  }
}

/** Steps on a socket. */
const SOCKET = {
  connect(run, step, socket) {
    const path = run.pathOf(step.to);
    const callback = step.callback ? callbackFor(run, step, socket, 'connect callback') : undefined;
    const life = run.trace.lifeOf(step.who, socket);
    run.connects.set(step.who, step.number);
    if (step.how === 'options') socket.connect({ path }, callback);
    else socket.connect(path, callback);
    // What the call itself leaves behind.
    run.trace.add(step.who, 'connect called', life, socket);
  },
  write(run, step, socket) {
    const [chunk, encoding] = chunkFor(step);
    const callback = step.callback ? callbackFor(run, step, socket) : undefined;
    const value = encoding
      ? socket.write(chunk, encoding, callback)
      : socket.write(chunk, callback);
    run.trace.add(step.who, 'returned', { of: 'write', value, size: step.size }, socket);
  },
  end(run, step, socket) {
    const callback = step.callback ? callbackFor(run, step, socket) : undefined;
    run.trace.add(step.who, 'end called', { of: `end#${step.number}` });
    if (step.size === undefined) socket.end(callback);
    else socket.end(chunkFor(step)[0], callback);
  },
  destroy(run, step, socket) {
    socket.destroy(step.error ? Object.assign(new Error('mine'), { code: 'EMINE' }) : undefined);
  },
  destroySoon: (run, step, socket) => socket.destroySoon(),
  cork: (run, step, socket) => socket.cork(),
  uncork: (run, step, socket) => socket.uncork(),
  pause: (run, step, socket) => void socket.pause(),
  resume: (run, step, socket) => void socket.resume(),
  ref: (run, step, socket) => void socket.ref(),
  unref: (run, step, socket) => void socket.unref(),
  setEncoding: (run, step, socket) => void socket.setEncoding(step.encoding),
  unshift: (run, step, socket) => void socket.unshift(bytesFor(step.number, step.size)),
  /** Reads by 'data', which the trace records. */
  flow: (run, step, socket) => void socket.on('data', () => {}),
  readable(run, step, socket) {
    socket.on('readable', () => {
      for (;;) {
        const chunk = step.size === undefined ? socket.read() : socket.read(step.size);
        // What there is has been recorded: read() emits 'data'.
        if (chunk === null) break;
      }
    });
  },
  read(run, step, socket) {
    const chunk = step.size === undefined ? socket.read() : socket.read(step.size);
    if (chunk === null) run.trace.add(step.who, 'read', { value: null });
  },
  iterate: (run, step, socket) => void iterate(run, step, socket),
  pipe: (run, step, socket) => void socket.pipe(sinkFor(run, step), { end: !step.open }),
  echo: (run, step, socket) => void socket.pipe(socket),
  join(run, step, socket) {
    const other = run.sockets.get(step.other);
    if (other !== undefined) socket.pipe(other);
  },
  pipeOut(run, step, socket) {
    pipeline(socket, sinkFor(run, step), callbackFor(run, step, socket, 'pipeline', 'r'));
  },
  pipeIn(run, step, socket) {
    pipeline(sourceFor(step), socket, callbackFor(run, step, socket, 'pipeline', 'w'));
  },
  pipeEcho(run, step, socket) {
    pipeline(socket, socket, callbackFor(run, step, socket, 'pipeline'));
  },
  feed: (run, step, socket) => void sourceFor(step).pipe(socket),
  unpipe: (run, step, socket) => void socket.unpipe(),
  finished(run, step, socket) {
    const { readable, writable } = step;
    const lane = { [readable]: 'w', [writable]: 'r' }[false];
    finished(socket, { readable, writable }, callbackFor(run, step, socket, 'finished', lane));
  },
  timeout(run, step, socket) {
    const callback = step.callback ? callbackFor(run, step, socket, 'timeout callback') : undefined;
    socket.setTimeout(step.time, callback);
  },
  /** Does `run` when the socket emits an event for the time of that number. */
  on(run, step, socket) {
    let count = 0;
    socket.on(step.event, () => {
      if (++count === (step.nth ?? 1)) run.all(step.run);
    });
  },
  /** Connects once more when it has closed. */
  again(run, step, socket) {
    socket.once('close', () => {
      run.one({ ...step, do: 'connect' });
    });
  },
  reset: (run, step, socket) => void socket.resetAndDestroy(),
  probe(run, step, socket) {
    const { timeout, bytesRead, bytesWritten, remoteAddress, remoteFamily, localAddress } = socket;
    const value = {
      ...{ timeout, remoteAddress, remoteFamily, localAddress },
      ...{ bytesRead, bytesWritten, address: socket.address() },
      paused: socket.isPaused(),
      flowing: socket.readableFlowing,
      waiting: socket.writableLength > 0,
      corked: socket.writableCorked,
      mark: socket.writableHighWaterMark,
      readMark: socket.readableHighWaterMark,
      encoding: socket.readableEncoding,
      bufferSize: socket.bufferSize === undefined ? undefined : socket.bufferSize > 0,
      autoSelect: undefined,
    };
    run.trace.add(step.who, 'probe', { value }, socket);
  },
};

/** Steps on a server. */
const SERVER = {
  listen(run, step, server) {
    const callback = step.callback
      ? callbackFor(run, step, undefined, 'listen callback')
      : undefined;
    const path = run.pathOf(step.to ?? 'server');
    if (step.how === 'options') server.listen({ path }, callback);
    else server.listen(path, callback);
    run.trace.add(step.who, 'listen called', { listening: server.listening });
  },
  serverClose(run, step, server) {
    const callback = step.callback
      ? callbackFor(run, step, undefined, 'close callback')
      : undefined;
    server.close(callback);
    run.trace.add(step.who, 'close called', { listening: server.listening });
  },
  connections(run, step, server) {
    server.getConnections((error, value) => {
      run.trace.add(step.who, 'connections', { code: codeOf(error), value });
      run.all(step.then);
    });
  },
  limit(run, step, server) {
    server.maxConnections = step.value;
  },
  serverRef: (run, step, server) => void server.ref(),
  serverUnref: (run, step, server) => void server.unref(),
  serverOn(run, step, server) {
    let count = 0;
    server.on(step.event, () => {
      if (++count === (step.nth ?? 1)) run.all(step.run);
    });
  },
  serverProbe(run, step, server) {
    const value = { listening: server.listening, address: server.address() === null };
    run.trace.add(step.who, 'probe', { value });
  },
};

/** Steps on a descriptor. */
const RAW = {
  rawConnect(run, step) {
    if (run.raws.has(step.who)) return;
    try {
      run.raws.set(step.who, raw.connect(run.pathOf('server')));
    } catch (error) {
      run.trace.add(step.who, 'thrown', { of: 'connect', code: error.code });
    }
  },
  rawAccept(run, step) {
    if (run.rawListener === null || run.raws.has(step.who)) return;
    const fd = raw.accept(run.rawListener);
    run.trace.add(step.who, 'raw accept', { value: fd !== null });
    if (fd !== null) run.raws.set(step.who, fd);
  },
  rawSend(run, step, fd) {
    const value = raw.send(fd, bytesFor(step.number, step.size));
    run.trace.add(step.who, 'raw send', { value });
  },
  rawReceive(run, step, fd) {
    const { bytes, end } = raw.receive(fd, step.size ?? Infinity);
    run.trace.addBytes(step.who, bytes);
    if (end !== '') run.trace.add(step.who, 'raw end', { code: end });
  },
  rawShutdown: (run, step, fd) => void raw.shutdown(fd, step.how),
  rawClose(run, step, fd) {
    run.raws.delete(step.who);
    raw.close(fd);
  },
};

/** Steps on a peer that is a process; the program goes on when it has answered. */
const MORTAL = {
  async mortalStart(run, step) {
    if (run.mortals.has(step.who)) return;
    const child = spawn(
      process.execPath,
      [path.join(__dirname, 'mortal.js'), run.pathOf('server')],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    );
    run.mortals.set(step.who, child);
    child.stdin.on('error', () => {});
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  },
  async mortalDo(run, step) {
    const child = run.mortals.get(step.who);
    if (child === undefined || child.exitCode !== null) return;
    child.stdin.write(`${step.what} ${step.value}\n`);
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  },
  async mortalKill(run, step) {
    const child = run.mortals.get(step.who);
    if (child === undefined) return;
    run.mortals.delete(step.who);
    if (child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  },
};

module.exports = { MORTAL, RAW, SERVER, SOCKET, outcome, stateOf };
