'use strict';

// Owns: sockets closed, and processes killed, at every moment that JavaScript sees and at the system
// calls between. Imports lib/ of the project and lib/death-*.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../../lib');
const posix = require('../../../lib/posix');
const { descriptors, leftSince } = require('../lib/death-descriptors.js');
const { CLASSES, Side } = require('../lib/death-scene.js');

const CHILD = path.join(__dirname, '..', 'lib', 'death-child.js');
const CALLS = path.join(__dirname, '..', 'lib', 'death-calls.c');
const KINDS = ['stream', 'seqpacket', 'dgram', 'unix_dgram'];
/** Milliseconds: far more than anything here takes. */
const LIMIT = 100_000;

const BOTH = ['data', 'callback', 'end', 'drain', 'finish', 'timeout', 'error', 'close'];
/** The moments of a side of a connection, and of a datagram socket. */
const MOMENTS = {
  caller: ['call', 'connect', 'connect-callback', 'ready', ...BOTH],
  answerer: ['server-listening', 'listen-callback', 'connection', 'server-close', ...BOTH],
  datagram: ['listening', 'data', 'callback'],
};
const FREQUENT = ['data', 'callback', 'fds'];
const CONNECTED = ['stream', 'seqpacket'];
/** Which kinds of socket call them, and which side; how often: so many times, or for each record. */
const SYSTEM_CALLS = {
  bind: { kinds: KINDS, side: 'answerer' },
  listen: { kinds: CONNECTED, side: 'answerer' },
  fchmod: { kinds: CONNECTED, side: 'answerer' },
  accept4: { kinds: CONNECTED, side: 'answerer' },
  unlinkat: { kinds: KINDS, side: 'answerer' },
  connect: { kinds: CONNECTED, side: 'caller' },
  shutdown: { kinds: CONNECTED },
  close: { kinds: CONNECTED },
  send: { kinds: ['stream'], each: 0.3 },
  sendto: { kinds: ['seqpacket', 'dgram', 'unix_dgram'], each: 0.1 },
  sendmsg: { kinds: ['stream', 'seqpacket', 'dgram'], each: 0.3 },
  recvmsg: { kinds: ['stream'], each: 0.1 },
  recvmmsg: { kinds: ['seqpacket', 'dgram'], each: 0.5 },
  recvfrom: { kinds: ['unix_dgram'], times: 2 },
};

const momentsOf = (kind, side) =>
  CLASSES[kind] ? [...MOMENTS[side], ...(kind === 'stream' ? ['fds'] : [])] : MOMENTS.datagram;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(check, limit = LIMIT) {
  const end = performance.now() + limit;
  while (!check()) {
    if (performance.now() > end) return false;
    await pause(2);
  }
  return true;
}

/** What is done at a moment to the side it belongs to, and to the other. */
const ACTIONS = {
  destroy: (side) => (side.socket?.destroy ? side.socket.destroy() : side.close()),
  fail: (side) => side.socket?.destroy?.(new Error('on purpose')) ?? side.close(),
  close: (side) => side.close(),
  end: (side) => side.socket?.end?.() ?? side.close(),
  pause: (side) => {
    side.socket?.pause?.();
    setTimeout(() => side.socket?.resume?.(), 5);
  },
  server: (side, other) => (side.server ?? other.server)?.close(),
  peer: (side, other) => other.close(),
  both: (side, other) => {
    other.close();
    side.close();
  },
  twice: (side) => {
    side.close();
    side.close();
    side.socket?.destroy?.();
  },
  collect: () => global.gc?.(),
  throw: () => {
    throw new Error('on purpose');
  },
};

/** One scene in this process. Returns its problems, and whether the moment came. */
async function inside(scene, sideName, moment, nth, action) {
  const sides = {};
  let left = nth;
  const hook = (now) => {
    if (now !== `${sideName}:${moment}` || --left !== 0) return;
    const other = sides[sideName === 'caller' ? 'answerer' : 'caller'];
    action(sides[sideName], other);
  };
  const { answerer, caller } = Object.assign(sides, {
    answerer: new Side('answerer', scene, hook),
    caller: new Side('caller', scene, hook),
  });
  // call() and listen() are moments too: an exception there is the caller's.
  const attempt = (step) => {
    try {
      step();
    } catch (error) {
      if (error.message !== 'on purpose') throw error;
    }
  };
  attempt(() => answerer.listen());
  attempt(() => caller.call());
  const natural = () => answerer.received + caller.received >= 2 * scene.count;
  const idle = { seen: -1, since: 0 };
  await until(() => {
    const seen = answerer.received + caller.received + answerer.called + caller.called;
    if (seen !== idle.seen) Object.assign(idle, { seen, since: performance.now() });
    const isOver = caller.socket?.destroyed === true && caller.isClosed;
    // A time-out is a moment too.
    return natural() || isOver || performance.now() - idle.since > 40;
  });
  if (moment === 'timeout') await pause(25);
  if (CLASSES[scene.kind]) await until(() => caller.isClosed, 100);
  caller.close();
  answerer.close();
  await until(() => caller.isClosed && answerer.isClosed);
  await pause(0);
  await new Promise(setImmediate);
  return { problems: [...caller.settle(), ...answerer.settle()], came: left <= 0 };
}

async function insideAll({ quick, random, say, folder }) {
  const before = descriptors();
  let tried = 0;
  let thrown = 0;
  const problems = [];
  const missed = new Map();
  const onException = (error) => {
    thrown++;
    if (error.message !== 'on purpose') problems.push(error.stack);
  };
  process.on('uncaughtException', onException);
  const all = KINDS.flatMap((kind) =>
    ['caller', 'answerer'].flatMap((side) =>
      momentsOf(kind, side).flatMap((moment) =>
        Object.keys(ACTIONS).map((action) => ({ kind, side, moment, action })),
      ),
    ),
  );
  const rounds = quick ? 1 : 10;
  for (let round = 0; round < rounds; round++) {
    // The short form tries a part, another one with each seed.
    const chosen = quick ? all.filter(() => random() < 0.3) : all;
    const queue = [...chosen];
    const lane = async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const { kind, side, moment, action } = next;
        const isLarge = moment === 'drain' || random() < 0.3;
        const count = moment === 'drain' ? 60 : 1 + Math.floor(random() * 60);
        const size = isLarge ? 20_000 : 64;
        const name = path.join(folder, `${tried++}.sock`);
        const other = side === 'caller' ? 'answerer' : 'caller';
        const rude = moment === 'error' || random() < 0.1 ? other : '';
        const slow = moment === 'drain' || moment === 'timeout';
        const nth = FREQUENT.includes(moment) ? 1 + Math.floor(random() * count * 0.4) : 1;
        const scene = { kind, path: name, count, size, rude, slow };
        const outcome = await inside(scene, side, moment, nth, ACTIONS[action]);
        const label = `${action} in ${kind} ${side}:${moment} (${nth} of ${count} × ${size})`;
        for (const problem of outcome.problems) problems.push(`${label}: ${problem}`);
        const key = `${kind} ${side}:${moment}`;
        missed.set(key, (missed.get(key) ?? true) && !outcome.came);
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
  }
  process.off('uncaughtException', onException);
  const left = await leftSince(before);
  for (const problem of problems.slice(0, 10)) say(problem);
  const never = [...missed].filter(([, isMissed]) => isMissed).map(([key]) => key);
  return [
    {
      what: 'closed, ended, thrown inside a handler or callback',
      tried,
      lost: problems.length,
      note: `${missed.size} moments, ${thrown} exceptions; did not come: ${never.join(', ') || 'none'}`,
    },
    { what: 'descriptors left by these', tried: before.length, lost: left.length, note: `${left}` },
  ];
}

/** A child that plays one side and dies; this process plays the other. Returns its problems. */
async function outside({ scene, side, death, preload }) {
  const survivor = new Side(side === 'caller' ? 'answerer' : 'caller', scene, () => {});
  if (side === 'caller') survivor.listen();
  const env = { ...process.env };
  if (death.call) {
    const { call, nth, when } = death;
    Object.assign(env, { LD_PRELOAD: preload, DEATH_CALL: call, DEATH_NTH: nth, DEATH_WHEN: when });
  }
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ side, scene, ...death })], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env,
  });
  let lines = '';
  child.stdio[3].setEncoding('utf8').on('data', (text) => (lines += text));
  const closed = new Promise((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? code)),
  );
  let how;
  closed.then((end) => (how = end));
  if (side === 'answerer') {
    await until(() => lines.includes('started') || how !== undefined);
    survivor.call();
  }
  // Where its moment never comes it is asked to go: that is a death too.
  const idle = { seen: -1, since: 0 };
  await until(() => {
    const seen = survivor.received + survivor.called + lines.length;
    if (seen !== idle.seen) Object.assign(idle, { seen, since: performance.now() });
    return how !== undefined || (lines !== '' && performance.now() - idle.since > 400);
  });
  const isForced = how === undefined;
  if (isForced) child.kill('SIGKILL');
  await closed;
  const last = lines.trimEnd().split('\n').at(-1);
  const said = last.startsWith('{') ? JSON.parse(last) : {};
  const { problems } = survivor;
  if (CLASSES[scene.kind] && survivor.socket !== null) {
    const isClosed = await until(() => survivor.closes.get('socket') > 0);
    if (!isClosed) survivor.problem('still open after the death of its peer');
  } else {
    const { confirmed = 0 } = said;
    await until(() => survivor.received >= confirmed);
  }
  if (scene.rude === '' && said.confirmed > survivor.received) {
    survivor.problem(`received ${survivor.received} of ${said.confirmed} confirmed`);
  }
  if (said.received > survivor.number) survivor.problem('the dead one received what nobody sent');
  survivor.close();
  await until(() => survivor.isClosed);
  survivor.settle();
  if (side === 'answerer') {
    // What the dead one left in the way is no hindrance.
    const { kind } = scene;
    const successor = new Side('answerer', scene, () => {});
    try {
      successor.listen();
      await pause(1);
      const text = `${successor.problems}`;
      if (CLASSES[kind] && !successor.server.listening) survivor.problem(`no successor: ${text}`);
      if (!CLASSES[kind] && !fs.existsSync(scene.path)) survivor.problem('no successor');
    } catch (error) {
      survivor.problem(`no successor: ${error.message}`);
    }
    successor.close();
    if (fs.existsSync(scene.path)) survivor.problem('the successor left its file');
  }
  return { problems, how, isForced };
}

async function outsideAll({ quick, random, say, folder }, preload) {
  const before = descriptors();
  const rows = [];
  const pick = (list) => list[Math.floor(random() * list.length)];
  const groups = [
    {
      what: 'processes that die in a handler or callback',
      total: quick ? 24 : 500,
      draw: (count) => {
        const [kind, side] = [pick(KINDS), pick(['caller', 'answerer'])];
        const moment = pick(momentsOf(kind, side));
        const nth = FREQUENT.includes(moment) ? 1 + Math.floor(random() * count * 0.8) : 1;
        return { kind, side, moment, nth, way: pick(['kill', 'kill', 'exit', 'throw']) };
      },
    },
  ];
  if (preload !== null) {
    groups.push({
      what: 'processes killed at a system call',
      total: quick ? 24 : 500,
      draw: (count) => {
        const call = pick(Object.keys(SYSTEM_CALLS));
        const { kinds, side, times = 1, each } = SYSTEM_CALLS[call];
        const most = each === undefined ? times : Math.max(Math.floor(each * count), 1);
        const nth = 1 + Math.floor(random() * most);
        return { kind: pick(kinds), side, call, nth, when: pick(['before', 'after']) };
      },
    });
  }
  let number = 0;
  for (const { what, total, draw } of groups) {
    let started = 0;
    let forced = 0;
    const ends = {};
    const problems = [];
    const lane = async () => {
      while (started++ < total) {
        // Every third has descriptors.
        const count = 3 + Math.floor(random() * 200);
        const { kind, side = pick(['caller', 'answerer']), ...death } = draw(count);
        const size = pick([64, 64, 2000, 20_000]);
        const name = path.join(folder, `p${number++}.sock`);
        // The one that dies closes a file only if it ends by itself before.
        const other = side === 'caller' ? 'answerer' : 'caller';
        const rude = death.moment === 'error' ? other : death.call === 'unlinkat' ? side : '';
        const slow = death.moment === 'drain' || death.moment === 'timeout';
        const scene = { kind, path: name, count, size, rude, slow };
        const { problems: found, how, isForced } = await outside({ scene, side, death, preload });
        if (isForced) forced++;
        else ends[how] = (ends[how] ?? 0) + 1;
        const label = JSON.stringify({ ...scene, side, ...death });
        for (const problem of found) problems.push(`${label}: ${problem}`);
      }
    };
    await Promise.all(Array.from({ length: 4 }, lane));
    for (const problem of problems.slice(0, 10)) say(problem);
    const note = `ended by ${JSON.stringify(ends)}, ${forced} at another moment, by SIGKILL`;
    rows.push({ what, tried: total, lost: problems.length, note });
  }
  const left = await leftSince(before);
  const note = `${left}`;
  const what = 'descriptors left by the survivors';
  rows.push({ what, tried: before.length, lost: left.length, note });
  return rows;
}

/** A server that dies while clients wait for room in its backlog. */
async function whileConnecting({ quick, random, say, folder }) {
  const before = descriptors();
  const total = quick ? 2 : 20;
  const problems = [];
  const codes = {};
  let tried = 0;
  for (let round = 0; round < total; round++) {
    const [Server, Socket] = round % 2 ? [UServer, USocket] : [SeqpacketServer, SeqpacketSocket];
    const name = path.join(folder, `c${round}.sock`);
    const source = `const { ${Server.name} } = require(process.argv[1]);
      new ${Server.name}().pause().listen(process.argv[2], 2);
      setTimeout(() => {}, 60_000);
      process.stdout.write('listening')`;
    const lib = path.join(__dirname, '..', '..', '..', 'lib');
    const child = spawn(process.execPath, ['--eval', source, lib, name], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let isListening = false;
    child.stdout.once('data', () => (isListening = true));
    await until(() => isListening || child.exitCode !== null);
    const clients = Array.from({ length: 30 }, () => {
      const client = { closes: 0, errors: [], written: 0, called: 0 };
      client.socket = new Socket();
      client.socket.on('error', ({ code }) => client.errors.push(code));
      client.socket.on('close', () => client.closes++).resume();
      client.socket.connect(name);
      for (let write = 0; write < 3; write++) {
        client.written++;
        client.socket.write('x', () => client.called++);
      }
      return client;
    });
    await pause(random() * 30);
    for (const { socket } of clients) if (random() < 0.3) socket.destroy();
    const isEnded = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await isEnded;
    await until(() => clients.every(({ closes }) => closes > 0));
    await pause(5);
    for (const { closes, errors, written, called } of clients) {
      tried++;
      for (const code of errors) codes[code] = (codes[code] ?? 0) + 1;
      if (closes !== 1 || errors.length > 1 || called !== written) {
        problems.push(`${closes} 'close', errors ${errors}, ${called} of ${written} callbacks`);
      }
    }
  }
  for (const problem of problems.slice(0, 5)) say(problem);
  const left = await leftSince(before);
  return [
    {
      what: 'clients of a server that dies while they connect',
      tried,
      lost: problems.length + left.length,
      note: `errors ${JSON.stringify(codes)}`,
    },
  ];
}

/** Between bind and listen a socket is alive, though nobody can connect; without its owner it is not. */
async function beforeListen({ folder }) {
  let tried = 0;
  const problems = [];
  for (const type of [posix.SOCK_STREAM, posix.SOCK_SEQPACKET]) {
    for (const Server of [UServer, SeqpacketServer]) {
      const name = path.join(folder, `b${tried++}.sock`);
      const fd = posix.socket(posix.AF_UNIX, type, 0);
      posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: name });
      const listen = () =>
        new Promise((resolve) => {
          const server = new Server().once('error', ({ code }) => resolve(code));
          try {
            server.listen(name, () => server.close(() => resolve('listened')));
          } catch ({ code }) {
            resolve(code);
          }
        });
      const outcome = [await listen()];
      if (!fs.existsSync(name)) problems.push('the living one is gone');
      posix.close(fd);
      outcome.push(await listen());
      if (`${outcome}` !== 'EADDRINUSE,listened') problems.push(`${outcome}`);
    }
  }
  const note = problems.join('; ');
  return [
    { what: 'owners dead or alive between bind and listen', tried, lost: problems.length, note },
  ];
}

/** The library for LD_PRELOAD; null without a C compiler. */
function compile(folder) {
  const library = path.join(folder, 'calls.so');
  const flags = ['-shared', '-fPIC', '-O1', '-o', library, CALLS, '-ldl'];
  return spawnSync('cc', flags).status === 0 ? library : null;
}

exports.about =
  'Sockets of every class closed, ended or failing inside every event and callback; processes that ' +
  'die there, by SIGKILL, process.exit() or an exception, and at system calls, with traffic both ways.';
exports.limit = 900;
exports.quickLimit = 600;

exports.run = async (context) => {
  if (process.platform !== 'linux') return { skipped: 'it counts descriptors in /proc' };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-torture-'));
  try {
    const preload = compile(folder);
    if (preload === null) context.say('no C compiler: no death at system calls');
    const whole = { ...context, folder };
    // What Node opens with its first child it keeps.
    await once(spawn('true', { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] }), 'close');
    return [
      ...(await insideAll(whole)),
      ...(await outsideAll(whole, preload)),
      ...(await whileConnecting(whole)),
      ...(await beforeListen(whole)),
    ];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
};
