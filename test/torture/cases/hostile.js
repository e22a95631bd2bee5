'use strict';

// Owns: peers that mean harm, in processes of their own, against a process with sockets of every
// class: floods of descriptors, thousands of connections, messages as large as can be, no descriptors
// left, a peer that never reads, and files exchanged under a socket's path. Imports afunix/posix and lib/hostile-*.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Client } = require('../lib/hostile-client.js');
const posix = require('../../../lib/posix');
const { Watch, countFds, pause, start, until } = require('../lib/hostile-process.js');
const things = require('../lib/hostile-things.js');

const LIB = path.join(__dirname, '..', 'lib');
const FILES = Object.fromEntries(
  ['victim', 'peer', 'swapper', 'binder'].map((name) => [
    name,
    path.join(LIB, `hostile-${name}.js`),
  ]),
);
const MIB = 2 ** 20;
const AT_ONCE = 3;
const CONNECTED = ['stream', 'seqpacket'];
const KINDS = [...CONNECTED, 'dgram'];
const MOST_FDS = 253;
const MAX_PENDING_FDS = 1024;
/** What a Node process of ours can do with: its own, and a few to spare. */
const FEW_FILES = 64;
/** Of a processor, for a server that waits for descriptors and answers one client. */
const MAX_SHARE = 0.15;

const milliseconds = (number) => `${Math.ceil(number)} ms`;
const mebibytes = (bytes) => `${Math.max(0, bytes / MIB).toFixed(0)} MiB`;
const sum = (list) => Object.values(list).reduce((all, one) => all + one, 0);

/** One scene: its processes, which end with it, and what went wrong. */
class Scene {
  problems = [];
  #processes = [];
  #clients = [];
  worst = 0;

  constructor(folder, name) {
    this.name = name;
    this.folder = fs.mkdtempSync(path.join(folder, 's'));
    this.path = path.join(this.folder, 'a.sock');
    this.neighbour = path.join(this.folder, 'b.sock');
  }

  expect(holds, text) {
    if (!holds) this.problems.push(text);
  }

  start(role, options) {
    const process = start(FILES[role], options);
    this.#processes.push(process);
    return process;
  }

  /** A victim with its socket open, a decent client that is served, and what it has at rest. */
  async attack(kind, open, options) {
    const [victim, peer] = [this.start('victim', options), this.start('peer')];
    await victim.ask('open', { kind, path: this.path, ...open });
    let asked = [kind, this.path];
    if (kind === 'dgram') {
      asked = ['stream', this.neighbour];
      await victim.ask('open', { kind: 'stream', path: this.neighbour });
    }
    const client = this.client(...asked);
    this.expect(await client.served(), 'a client was not served before the attack');
    const watch = new Watch(victim.pid);
    return { victim, peer, client, watch, asked };
  }

  client(kind, name) {
    const client = new Client(kind, name);
    this.#clients.push(client);
    return client;
  }

  /** What the victim has seen, once it has what it had at rest and all hostile connections ended. */
  async settled(victim, watch, isDone) {
    let seen;
    const isOver = async () => {
      seen = await victim.ask('seen');
      return isDone(seen);
    };
    this.expect(await until(isOver), `the end never came: ${JSON.stringify(seen)}`);
    await until(() => countFds(victim.pid) <= watch.fds);
    watch.stop();
    const left = countFds(victim.pid) - watch.fds;
    this.expect(left <= 0, `${left} descriptors are left open`);
    this.problems.push(...seen.wrong);
    return seen;
  }

  /** Ends all of it. */
  async end() {
    for (const client of this.#clients) {
      this.problems.push(...(await client.stop()));
      this.worst = Math.max(this.worst, client.worst);
    }
    for (const { kill } of this.#processes) kill();
    await Promise.all(this.#processes.map(({ died }) => died));
  }
}

/** Descriptors in every message, at full rate, to somebody who takes none of them. */
async function flood(scene, { kind, variant, quick }) {
  const options = {
    kept: { receiveFds: true },
    off: { receiveFds: false },
    unheard: { receiveFds: true },
    refused: { receiveFds: true, maxPendingFds: 100 },
  }[variant];
  const open = { options, unheard: variant === 'unheard' };
  const { victim, peer, watch } = await scene.attack(kind, open);
  const duration = quick ? 200 : 5000;
  const ask = { kind, path: scene.path, milliseconds: duration };
  const { connections, refused, sent } = await peer.ask('flood', ask);
  const codes = (seen) => seen.errors.ERR_AFUNIX_TOO_MANY_FDS ?? 0;
  const isDone = (seen) => {
    if (kind !== 'dgram') return seen.closed === connections;
    return variant === 'unheard' || seen.received === sent;
  };
  const seen = await scene.settled(victim, watch, isDone);
  if (variant === 'kept') {
    // The last one may have been refused without the peer's noticing.
    const isRight = codes(seen) >= refused && codes(seen) <= connections;
    scene.expect(
      isRight && codes(seen) > 0,
      `${codes(seen)} errors, ${refused} connections refused`,
    );
  } else if (variant === 'refused') {
    scene.expect(codes(seen) === sent, `${codes(seen)} errors of ${sent} messages`);
  } else {
    scene.expect(refused === 0, `${refused} connections were refused`);
  }
  scene.expect(codes(seen) === sum(seen.errors), `errors ${JSON.stringify(seen.errors)}`);
  if (kind === 'seqpacket' && variant === 'off') {
    scene.expect(seen.received === sent, `${seen.received} messages of ${sent}`);
  }
  // Those of a batch of messages are there before the first is handed over.
  const most = MAX_PENDING_FDS + 32 * MOST_FDS + 10;
  scene.expect(watch.worstFds <= most, `${watch.worstFds} descriptors at once`);
  scene.expect(watch.worstMemory < 64 * MIB, `${mebibytes(watch.worstMemory)} of memory more`);
  return {
    tried: `${sent} messages`,
    note: `${sent * MOST_FDS} descriptors, ${connections} connections, ${codes(seen)} errors; at most ${watch.worstFds} open`,
  };
}

/** Connections that say nothing, end at once, or die in the middle of a message. */
async function halfOpen(scene, { kind, quick }) {
  const { victim, peer, watch } = await scene.attack(kind, {});
  const [dying, limits] = [scene.start('peer'), fs.readFileSync('/proc/self/limits', 'latin1')];
  // Node raises its own limit to the hard one.
  const limit = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  const count = Math.floor(Math.min(quick ? 170 : 1000, (limit - 200) / 3));
  const ask = { kind, path: scene.path, count };
  await Promise.all([peer.ask('hold', ask), dying.ask('hold', { ...ask, text: 'H half a mess' })]);
  await peer.ask('flicker', ask);
  const before = 1;
  const all = before + 3 * count;
  const isThere = async () => (await victim.ask('seen')).connections === all;
  scene.expect(await until(isThere), 'not all were accepted');
  scene.expect(watch.worstFds >= count, `${watch.worstFds} descriptors: they were not held`);
  dying.kill();
  await dying.died;
  await peer.ask('release');
  const seen = await scene.settled(victim, watch, ({ closed }) => closed === all - before);
  scene.expect(seen.received === count, `${seen.received} half messages of ${count}`);
  scene.expect(sum(seen.errors) === 0, `errors ${JSON.stringify(seen.errors)}`);
  const allowed = 32 * MIB + all * 16 * 1024;
  scene.expect(watch.worstMemory < allowed, `${mebibytes(watch.worstMemory)} of memory more`);
  return {
    tried: `${3 * count} connections`,
    note: `${mebibytes(watch.worstMemory)} more memory at most`,
  };
}

/** The largest messages at full rate to somebody slow. */
async function large(scene, { kind, quick }) {
  const size = kind === 'stream' ? MIB : 220_000;
  const count = (kind === 'stream' ? 200 : 1000) * (quick ? 1 : 10);
  const every = kind === 'stream' ? 64 : 16;
  const { victim, peer, watch } = await scene.attack(kind, { numbered: size, every });
  const length = await peer.ask('pour', { kind, path: scene.path, count, size });
  const total = count * length;
  const isDone = (seen) => seen.bytes >= total && (kind === 'dgram' || seen.closed === 1);
  const seen = await scene.settled(victim, watch, isDone);
  scene.expect(seen.bytes === total, `${seen.bytes} bytes of ${total}`);
  scene.expect(sum(seen.errors) === 0, `errors ${JSON.stringify(seen.errors)}`);
  // 64 messages may wait for the reader; the others are garbage that is not collected yet.
  const isBounded = watch.worstMemory < Math.min(160 * MIB, total / 2);
  scene.expect(isBounded, `${mebibytes(watch.worstMemory)} of memory more`);
  return {
    tried: `${count} messages`,
    note: `of ${length} bytes, ${mebibytes(total)}; ${mebibytes(watch.worstMemory)} more memory at most`,
  };
}

/** More clients than the process can have descriptors. */
async function noneLeft(scene, { kind, quick }) {
  const few = { files: FEW_FILES };
  const { victim, peer, client, watch, asked } = await scene.attack(kind, {}, few);
  const count = 3 * FEW_FILES;
  for (let round = 0; round < (quick ? 1 : 10); round++) {
    await peer.ask('hold', { kind, path: scene.path, count });
    const isShort = async () => (await victim.ask('seen')).warnings.EMFILE > round;
    scene.expect(await until(isShort), 'no warning');
    const before = await victim.ask('cpu');
    await pause(quick ? 400 : 2000);
    const after = await victim.ask('cpu');
    const share = (after.used - before.used) / (after.at - before.at);
    scene.expect(share < MAX_SHARE, `it spins: ${Math.round(share * 100)} % of a processor`);
    scene.cpu = Math.max(scene.cpu ?? 0, share);
    scene.expect(await client.served(), 'a client is not served any more');
    await peer.ask('release');
    const again = scene.client(...asked);
    scene.expect(await again.served(), 'a new client is not served');
    scene.problems.push(...(await again.stop()));
  }
  const { connections } = await victim.ask('seen');
  const seen = await scene.settled(victim, watch, ({ closed }) => closed === connections - 1);
  const { EMFILE } = seen.warnings;
  scene.expect(sum(seen.warnings) === EMFILE, `warnings ${JSON.stringify(seen.warnings)}`);
  scene.expect(connections >= count, `${connections} connections of ${count}`);
  return {
    tried: `${connections} connections`,
    note: `${FEW_FILES} descriptors; ${EMFILE} warnings, ${Math.round(scene.cpu * 100)} % of a processor meanwhile`,
  };
}

/** Descriptors for a process that has no room for them. */
async function noRoomForFds(scene, { kind }) {
  const options = { receiveFds: true };
  const { victim, peer, watch } = await scene.attack(kind, { options }, { files: FEW_FILES });
  // One is the connection's.
  const free = 10;
  const filled = await victim.ask('fill', { free });
  scene.expect(filled > 0, 'it was full already');
  await peer.ask('sendFds', { kind, path: scene.path });
  const isTold = async () => sum((await victim.ask('seen')).errors) > 0;
  scene.expect(await until(isTold), 'no error');
  await victim.ask('empty');
  const isDone = ({ closed }) => kind === 'dgram' || closed === 1;
  const seen = await scene.settled(victim, watch, isDone);
  const errors = JSON.stringify(seen.errors);
  scene.expect(errors === '{"ERR_AFUNIX_FDS_LOST":1}', `errors ${errors}`);
  scene.expect(seen.received === 1, `${seen.received} messages instead of 1`);
  return { tried: `${MOST_FDS} descriptors`, note: `${free} free; ${errors}` };
}

/** A peer that never reads. */
async function neverReads(scene, { kind, by }) {
  const { victim, peer, client, watch } = await scene.attack(kind, {});
  if (kind === 'dgram') {
    const deaf = path.join(scene.folder, 'deaf.sock');
    await peer.ask('bindDeaf', { path: deaf });
    await victim.ask('sendToDeaf', { path: deaf });
  } else {
    await peer.ask('hold', { kind, path: scene.path, count: 1, text: 'D' });
  }
  let deaf;
  const isWaiting = async () => (deaf = await victim.ask('deaf')) !== null;
  scene.expect(await until(isWaiting), 'nothing was written');
  scene.expect(deaf.refused, 'write() never returned false');
  scene.expect(await client.served(), 'a client is not served meanwhile');
  await victim.ask('leaveDeaf', { by });
  const isClosed = async () => {
    deaf = await victim.ask('deaf');
    return deaf.closes > 0 && deaf.called >= deaf.written;
  };
  scene.expect(await until(isClosed), `not closed: ${JSON.stringify(deaf)}`);
  await peer.ask('release');
  const seen = await scene.settled(victim, watch, () => true);
  deaf = await victim.ask('deaf');
  scene.expect(deaf.closes === 1, `${deaf.closes} 'close'`);
  const { written, called, twice } = deaf;
  scene.expect(called === written && twice === 0, `${called} callbacks of ${written}`);
  const failed = JSON.stringify(deaf.failed);
  const code = kind === 'dgram' ? 'ECANCELED' : 'ERR_STREAM_DESTROYED';
  const isClear = deaf.failed[code] >= 50 && sum(deaf.failed) === deaf.failed[code];
  scene.expect(isClear, `failed with ${failed}`);
  scene.expect(sum(seen.errors) === 0, `errors ${JSON.stringify(seen.errors)}`);
  return { tried: `${written} writes`, note: `failed: ${failed}` };
}

/** What is at a path is exchanged all the time, while others bind there and close. */
async function exchanged(scene, { quick }) {
  const [binder, swapper] = [scene.start('binder'), scene.start('swapper')];
  const precious = path.join(scene.folder, 'precious');
  const [staging, shared] = ['staging', 'shared'].map((name) => path.join(scene.folder, name));
  for (const folder of [staging, shared]) fs.mkdirSync(folder);
  fs.writeFileSync(precious, 'precious', { mode: 0o600 });
  const before = fs.lstatSync(precious);
  const place = path.join(shared, 'a.sock');
  const duration = quick ? 1500 : 60_000;
  const outcomes = { bound: 0, EADDRINUSE: 0 };
  let [problems, counts] = [[], {}];
  const isEnough = () => outcomes.bound > 10 && outcomes.EADDRINUSE > 10 && sum(counts) > 30;
  // On a busy machine the two may hardly meet in that time.
  for (let round = 0; round < 20 && !isEnough(); round++) {
    const [found, swapped] = await Promise.all([
      binder.ask('loop', { path: place, milliseconds: duration }),
      swapper.ask('swap', { place, staging, precious, milliseconds: duration }),
    ]);
    for (const [code, times] of Object.entries(found)) {
      outcomes[code] = (outcomes[code] ?? 0) + times;
    }
    // Of all rounds.
    ({ problems, counts } = swapped);
  }
  scene.problems.push(...problems);
  const codes = Object.keys(outcomes).filter((code) => !['bound', 'EADDRINUSE'].includes(code));
  scene.expect(codes.length === 0, `outcomes ${codes}`);
  scene.expect(outcomes.bound > 10, `bound ${outcomes.bound} times only`);
  scene.expect(outcomes.EADDRINUSE > 10, `refused ${outcomes.EADDRINUSE} times only`);
  scene.expect(sum(counts) > 30, `${sum(counts)} exchanges only`);
  const after = fs.lstatSync(precious);
  const isSame = ['ino', 'mode', 'size', 'nlink'].every((key) => before[key] === after[key]);
  scene.expect(isSame, 'what the links lead to has changed');
  const left = fs.readdirSync(shared).filter((name) => name !== 'a.sock');
  scene.expect(left.length === 0, `left: ${left}`);
  return {
    tried: `${sum(counts)} exchanges`,
    note: `${JSON.stringify(counts)} and ${JSON.stringify(outcomes)}`,
  };
}

/** What takes the place of the file of a bound socket is there after close(), and as it was. */
async function replaced(scene) {
  const binder = scene.start('binder');
  const precious = path.join(scene.folder, 'precious');
  fs.writeFileSync(precious, 'precious');
  let tried = 0;
  for (const kind of KINDS) {
    for (const [thing, make] of Object.entries(things.KINDS)) {
      const [place, staged] = ['place', 'staged'].map((name) => path.join(scene.folder, name));
      const label = `${kind} replaced by ${thing}`;
      tried++;
      const code = await binder.ask('bind', { kind, path: place });
      scene.expect(code === 'bound', `${label}: ${code}`);
      const letGo = make(staged, precious);
      const before = things.identify(staged);
      if (thing === 'folder') fs.unlinkSync(place);
      fs.renameSync(staged, place);
      await binder.ask('close');
      const isThere = fs.existsSync(place) && things.identify(place) === before;
      scene.expect(isThere, `${label}: it was removed or changed`);
      letGo?.();
      fs.rmSync(place, { recursive: true, force: true });
    }
  }
  scene.expect(fs.readFileSync(precious, 'latin1') === 'precious', 'the link was followed');
  const left = fs.readdirSync(scene.folder).filter((name) => name !== 'precious');
  scene.expect(left.length === 0, `left: ${left}`);
  return { tried: `${tried} exchanges`, note: '' };
}

/** Files of another user in the way. */
async function anothers(scene) {
  const [uid, other] = [12_345, 23_456];
  const binder = scene.start('binder');
  const [sticky, closed] = ['sticky', 'closed'].map((name) => path.join(scene.folder, name));
  // The folders above are ours alone.
  for (let at = scene.folder; at !== os.tmpdir(); at = path.dirname(at)) fs.chmodSync(at, 0o755);
  fs.mkdirSync(sticky);
  fs.chmodSync(sticky, 0o1777);
  fs.mkdirSync(closed, { mode: 0o755 });
  const files = [];
  const leave = (name, owner, mode, isAlive = false) => {
    const fd = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM);
    posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: name });
    fs.chmodSync(name, mode);
    fs.chownSync(name, owner, owner);
    if (!isAlive) posix.close(fd);
    files.push({ name, fd: isAlive ? fd : -1, ino: fs.lstatSync(name).ino });
    return name;
  };
  await binder.ask('become', { uid });
  const free = await binder.ask('once', { kind: 'dgram', path: path.join(sticky, 'free') });
  if (free.code === 'EACCES') {
    return { tried: 0, note: `skipped: ${os.tmpdir()} is closed to other users` };
  }
  scene.expect(free.code === 'bound', `at a free name: ${free.code}`);
  const tries = [
    [leave(path.join(sticky, 'theirs'), other, 0o777), 'EADDRINUSE'],
    [leave(path.join(sticky, 'theirs-alone'), other, 0o700), 'EADDRINUSE'],
    [leave(path.join(sticky, 'theirs-alive'), other, 0o777, true), 'EADDRINUSE'],
    [leave(path.join(closed, 'ours-to-write'), uid, 0o777), 'EADDRINUSE'],
    [path.join(closed, 'none'), 'EACCES'],
  ];
  for (const [name, code] of tries) {
    for (const kind of KINDS) {
      const outcome = await binder.ask('once', { kind, path: name });
      scene.expect(outcome.code === code, `${kind} at ${name}: ${outcome.code}`);
    }
  }
  const kept = files.filter(({ name, ino }) => fs.lstatSync(name).ino === ino);
  scene.expect(kept.length === files.length, `${kept.length} files of ${files.length} are left`);
  // What is dead and one's own is replaced there all the same.
  for (const kind of KINDS) {
    const name = leave(path.join(sticky, `own-${kind}`), uid, 0o700);
    const { code, mode, isLeft } = await binder.ask('once', { kind, path: name });
    const isRight = code === 'bound' && mode === 0o666 && !isLeft;
    scene.expect(isRight, `${kind} at a dead file of its own: ${code}, ${mode}, ${isLeft}`);
  }
  for (const { fd } of files) if (fd >= 0) posix.close(fd);
  return { tried: `${(tries.length + 1) * KINDS.length} names`, note: '' };
}

function scenes(quick) {
  const list = [];
  const add = (what, body, argument) => list.push({ what, body, argument: { ...argument, quick } });
  add('links, files, folders, sockets exchanged at the path', exchanged);
  add("the same in place of a bound socket's file", replaced);
  for (const kind of CONNECTED) {
    add(`${kind}: more clients than descriptors`, noneLeft, { kind });
    add(`${kind}: half-open connections`, halfOpen, { kind });
    const variants = { kept: 'that nobody takes', off: 'that are not received' };
    for (const [variant, how] of Object.entries(variants)) {
      add(`${kind}: descriptors ${how}`, flood, { kind, variant });
    }
  }
  const variants = {
    unheard: 'that nobody takes',
    off: 'that are not received',
    refused: 'beyond the limit',
  };
  for (const [variant, how] of Object.entries(variants)) {
    add(`dgram: descriptors ${how}`, flood, { kind: 'dgram', variant });
  }
  for (const kind of KINDS) {
    add(`${kind}: the largest messages to a slow reader`, large, { kind });
    add(`${kind}: descriptors where none is free`, noRoomForFds, { kind });
    add(`${kind}: a peer that never reads, closed`, neverReads, { kind, by: 'close' });
    if (kind !== 'dgram') {
      add(`${kind}: a peer that never reads, ended`, neverReads, { kind, by: 'end' });
    }
  }
  const isRoot = process.getuid() === 0;
  add("another user's files in the way", isRoot ? anothers : 'skipped: only root can be another');
  return list;
}

async function play(folder, { what, body, argument }, say) {
  if (typeof body === 'string') return { what, tried: 0, lost: 0, note: body };
  const scene = new Scene(folder, what);
  let outcome = { tried: 0 };
  try {
    outcome = await body(scene, argument);
  } catch (error) {
    scene.problems.push(error.stack);
  }
  await scene.end();
  for (const problem of scene.problems.slice(0, 10)) say(`${what}: ${problem}`);
  const answered =
    scene.worst > 0 ? `; others were answered within ${milliseconds(scene.worst)}` : '';
  return {
    what,
    tried: outcome.tried,
    lost: scene.problems.length,
    note: `${outcome.note ?? 'broken off'}${answered}`,
  };
}

async function run({ quick, say }) {
  if (process.platform !== 'linux') return { skipped: 'it looks at its victims through /proc' };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-hostile-'));
  try {
    const list = scenes(quick);
    const rows = Array(list.length);
    let next = 0;
    const lane = async () => {
      while (next < list.length) {
        const index = next++;
        rows[index] = await play(folder, list[index], say);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return rows;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about:
    'Hostile peers, in processes of their own: nothing leaks, nothing grows, nobody else waits, and what is not ours stays as it is.',
  limit: 400,
  quickLimit: 600,
  run,
};
