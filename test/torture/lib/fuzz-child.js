'use strict';

// Owns: one batch of the case fuzz-api: many calls with odd arguments, in a process of its own.
// May import: fuzz-rule, fuzz-values, random.
//
// By hand, with the seed and batch that a failure names:
//   node --expose-gc test/torture/lib/fuzz-child.js SEED BATCH CALLS FOLDER
// Prints { calls, thrown, emitted, faults } as JSON. A fault is an error that breaks the rule, see
// fuzz-rule.js.
//
// Descriptors: this process opens many files first, and closes none. So all that is opened later has
// a number from BASE on, and Node's own are below. No value made here is a number between 0 and BASE,
// nor one that somebody else owns: libuv aborts where a watched descriptor is closed behind its back.

const fs = require('node:fs');
const path = require('node:path');
const { EventEmitter } = require('node:events');
const { LANGUAGE, isWithinRule } = require('./fuzz-rule.js');
const { Planted, valuesFrom } = require('./fuzz-values.js');
const { randomFrom } = require('./random.js');

const ROOT = path.join(__dirname, '..', '..', '..');
const BASE = 128;
/** Numbers from here on are never open. */
const NEVER_OPEN = 1_000_000;
const MAX_OBJECTS = 60;

const [seed, batch, calls] = process.argv.slice(2, 5).map(Number);
const folder = process.argv[5];
process.chdir(folder);
let opened = 0;
while (opened < BASE) opened = fs.openSync('/dev/null', 'r');

const afunix = require(ROOT);
const posix = require(path.join(ROOT, 'lib/posix'));
const binding = require(path.join(ROOT, 'lib/native/binding.js'));
const handles = require(path.join(ROOT, 'lib/native/sockets.js'));
const nativePosix = binding.posix();

/** Every fourth batch calls native code without lib/: no rule for errors there, but no crash. */
const isNative = batch % 4 === 3;
const random = randomFrom(seed ^ Math.imul(batch + 1, 0x9e3779b1));

const CLASSES = ['DgramSocket', 'SeqpacketSocket', 'SeqpacketServer', 'USocket', 'UServer'];
const TARGETS = [
  ...CLASSES.map((name) => afunix[name]),
  require(path.join(ROOT, 'lib/compat/unix-dgram.js')).createSocket('unix_dgram').constructor,
  binding.Endpoint,
  binding.Listener,
];

const result = { calls: 0, thrown: 0, emitted: 0, faults: [] };
let current = 'start';
// ---- errors ---------------------------------------------------------------------------------------

function check(error, how) {
  if (isWithinRule(error)) return;
  if (isNative) return;
  if (result.faults.length < 20) {
    const stack = String(error?.stack ?? error);
    result.faults.push({ how, call: current, stack: stack.slice(0, 1500) });
  }
}

function onUncaught(error) {
  result.emitted++;
  check(error, 'uncaught');
}
process.on('uncaughtException', onUncaught);
process.on('unhandledRejection', onUncaught);

// ---- the world ------------------------------------------------------------------------------------

const objects = [];
const chores = [];
let acting = 0;

function keep(made) {
  if (made === null || typeof made !== 'object') return;
  if (Array.isArray(made)) made.slice(0, 2).forEach(keep);
  else if (made instanceof EventEmitter && !isTarget(made)) end(made.on('error', () => {}));
  else if (isTarget(made) && !objects.includes(made)) {
    if (objects.length >= MAX_OBJECTS) end(objects.splice(values.below(MAX_OBJECTS), 1)[0]);
    objects.push(made);
    if (made instanceof EventEmitter) listen(made.setMaxListeners(0));
  }
}

/** Objects of Node's own, which fromFd() makes, are none. */
const isTarget = (made) => TARGETS.some((Class) => made instanceof Class);

function listen(emitter) {
  if (random() < 0.7) emitter.on('error', (error) => (result.emitted++, check(error, 'error')));
  for (const event of [
    'data',
    'fds',
    'message',
    'connection',
    'close',
    'drain',
    'connect',
    'end',
  ]) {
    if (random() < 0.4) {
      emitter.on(event, (...args) => (keep(args[0]), random() < 0.2 && world.act()));
    }
  }
}

function end(object) {
  try {
    if (typeof object.destroy === 'function') object.destroy();
    else object.close();
  } catch (error) {
    check(error, 'close');
  }
}

const world = {
  folder,
  lend: () => values.pick(lent),
  give: () => values.pick(MAKERS)(),
  object: () => (objects.length > 0 ? values.pick(objects) : undefined),
  later: (chore) => chores.push(chore),
  see: (error) => error instanceof Error && check(error, 'callback'),
  act() {
    if (acting >= 2) return;
    acting++;
    const call = current;
    try {
      if (random() < 0.3 && objects.length > 0) end(values.pick(objects));
      else if (random() < 0.3) runChores(1);
      else step();
    } finally {
      current = call;
      acting--;
    }
  },
};
const values = valuesFrom(random, world);

const MAKERS = [
  () => pairEnd(1),
  () => pairEnd(2),
  () => pairEnd(5),
  () => afunix.memfd('in memory'),
  () => fs.openSync('/dev/null', 'r+'),
  () => afunix.createReuseportFd(0, '127.0.0.1'),
  () => afunix.createReuseportFd(0, '127.0.0.1', { type: 'udp' }),
  () => posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM | posix.SOCK_NONBLOCK),
  () => posix.socket(posix.AF_UNIX, posix.SOCK_STREAM | posix.SOCK_NONBLOCK),
];

/** The other end stays open with something in it, or is closed. */
function pairEnd(type) {
  const [mine, others] = afunix.socketpair(type);
  if (random() < 0.5) posix.sendmsg(others, { iov: Buffer.from('hello'), fds: [others] });
  if (random() < 0.3) posix.close(others);
  return mine;
}

/** Open as long as this process, whatever happens to what gets them. Nonblocking. */
const lent = [
  ...afunix.socketpair(1),
  ...afunix.socketpair(2),
  ...afunix.socketpair(5),
  afunix.memfd('lent'),
  fs.openSync('/dev/null', 'r+'),
  afunix.createReuseportFd(0, '127.0.0.1', { type: 'udp' }),
];
const isLent = new Set(lent);

function runChores(count) {
  for (const chore of chores.splice(0, count)) {
    try {
      chore();
    } catch (error) {
      check(error, 'chore');
    }
  }
}

// ---- calls ----------------------------------------------------------------------------------------

/** Numbers that may be an open descriptor of somebody else become one that is never open. */
function harmless(value, canBe = isLent) {
  if (Array.isArray(value) && value.length < 1000) {
    return value.map((each) => harmless(each, canBe));
  }
  if (typeof value !== 'number') return value;
  // Native code takes the number that C makes of it.
  const int = isNative ? value | 0 : value;
  return int >= 0 && int < NEVER_OPEN && Number.isInteger(int) && !canBe.has(value)
    ? NEVER_OPEN
    : value;
}

/** Arguments that fit, by the name of the method; in between, anything. */
const FITTING = {
  bind: [values.path, values.options],
  connect: [values.path, values.callback],
  send: [values.buffer, values.callback],
  sendto: [values.buffer, () => 0, () => 1, values.path, values.callback],
  sendTo: [values.buffer, values.path, values.options, values.callback],
  write: [values.buffer, values.callback],
  end: [values.buffer, values.callback],
  unshift: [values.buffer, () => [world.give()]],
  read: [() => values.pick([undefined, 0, 1, 5]), () => values.pick([undefined, 0, 1, null])],
  listen: [values.path, values.options, values.callback],
  close: [values.callback],
  setTimeout: [() => values.below(20), values.callback],
  fromFd: [() => world.give(), values.options],
  fdType: [() => world.lend()],
  memfd: [values.buffer, values.options],
};

const POSIX_FITTING = {
  send: [lend, values.buffer, size, flags],
  recv: [lend, values.buffer, size, flags],
  sendto: [lend, values.buffer, size, flags, address],
  recvfrom: [lend, values.buffer, size, flags, values.options],
  sendmsg: [lend, () => ({ iov: [values.buffer()], fds: values.descriptors() }), flags],
  recvmsg: [lend, () => ({ iov: [values.buffer()] }), flags],
  bind: [lend, address],
  connect: [lend, address],
  accept: [lend, values.options],
  poll: [() => [{ fd: world.lend(), events: 5 }], () => 0],
  getsockopt: [lend, () => 1, () => values.below(80), values.buffer],
  setsockopt: [lend, () => 1, () => values.below(80), values.buffer],
};

const NATIVE_FITTING = {
  send: [number, values.buffer, () => values.below(3), size, size, values.descriptors],
  trySend: [number, values.buffer, () => values.below(3), size, size, values.descriptors],
  write: [number, values.buffer, () => [world.lend()]],
  writeString: [number, values.path, () => values.below(2)],
  writeMany: [
    number,
    () => [values.buffer(), values.buffer()],
    () => [values.below(3), 1, values.below(300)],
  ],
  bind: [() => Buffer.from(values.pick(['a.sock', '\0n', ''])), () => -1],
  connect: [() => Buffer.from(values.pick(['a.sock', '\0n', ''])), () => -1],
  lane: [() => Buffer.from(values.pick(['a.sock', '\0n', '']))],
  listen: [() => Buffer.from(values.pick(['a.sock', '\0n', ''])), () => 5, () => -1],
  adopt: [() => world.give()],
  createPair: [world.object],
  acceptFrom: [world.object],
  setReading: [() => 1],
  keepFds: [() => [world.lend()]],
  putBackFds: [() => [world.give()]],
  setTarget: [values.buffer],
  takeFds: [() => values.below(5)],
  takeNextFds: [size],
};

function lend() {
  return world.lend();
}
function size() {
  return values.pick([0, 1, 5, 100, 70_000, 2 ** 31 - 1, 2 ** 40, undefined]);
}
function flags() {
  return values.pick([0, posix.MSG_DONTWAIT, posix.MSG_PEEK, posix.MSG_TRUNC, -1]);
}
function address() {
  return values.pick([
    () => ({ sun_family: posix.AF_UNIX, sun_path: values.path() }),
    () => ({ sin_family: posix.AF_INET, sin_port: 9, sin_addr: '127.0.0.1' }),
    () => values.options(true),
  ])();
}
function number() {
  const handle = world.object();
  return handle instanceof binding.Endpoint ? handle.number() : values.below(40);
}

function argumentsFor(fitting = []) {
  const count = values.pick([0, 1, 2, 3, 4, 5, 6, 7, fitting.length, fitting.length]);
  return Array.from({ length: count }, (_, index) =>
    fitting[index] && values.often(0.75) ? fitting[index]() : values.any(true),
  );
}

function attempt(name, call) {
  current = name;
  if (process.env.AFUNIX_FUZZ_TRACE) fs.writeSync(2, `${name}\n`);
  result.calls++;
  // Node's own code leaves it at 0 where building an error's message fails.
  Error.stackTraceLimit = 10;
  try {
    const made = call();
    if (made instanceof Promise) made.catch((error) => check(error, name));
    else if (typeof made?.next === 'function') iterate(made);
    else keep(made);
  } catch (error) {
    result.thrown++;
    check(error, 'thrown');
  }
}

/** An async iterator: some turns of it, and its end. */
async function iterate(iterator) {
  try {
    for (let turn = 0; turn < 2; turn++) {
      setTimeout(() => Promise.resolve(iterator.return?.()).catch(() => {}), 20).unref();
      if ((await iterator.next()).done) return;
    }
  } catch (error) {
    check(error, 'iterated');
  }
}

/** Names of methods and getters of ours: from the object up to Node's own classes. */
function membersOf(object) {
  const names = new Set(['destroy', 'pause', 'resume', 'cork', 'uncork', 'setEncoding', 'read']);
  let level = object;
  while (level !== null && level !== EventEmitter.prototype && level !== Object.prototype) {
    if (Object.hasOwn(level, '_writev') && level.constructor.name === 'Writable') break;
    if (level.constructor.name === 'Duplex') break;
    for (const name of Reflect.ownKeys(level)) {
      const isOurs = typeof name === 'string' ? !name.startsWith('_') : isPublicSymbol(name);
      if (isOurs && name !== 'constructor') names.add(name);
    }
    level = Object.getPrototypeOf(level);
  }
  return [...names];
}
const isPublicSymbol = (name) => name === Symbol.asyncDispose || name === Symbol.asyncIterator;

function callMember() {
  const object = world.object();
  if (object === undefined) return;
  const name = values.pick(membersOf(object));
  const label = `${object.constructor.name}#${String(name)}`;
  const args = argumentsFor((isNative ? NATIVE_FITTING : FITTING)[name]);
  args[0] = args.length > 0 ? harmless(args[0], given) : undefined;
  // What is given to it is what is emitted, as with every stream.
  if (name === 'destroy') args[0] = values.pick([undefined, new Planted()]);
  // Node's own words for an odd listener fail for some, in code that leaves no trace in the stack.
  if (name === 'on' || name === 'addListener') args[1] = values.callback();
  attempt(label, () => {
    const member = object[name];
    if (typeof member === 'function') return member.apply(object, args);
    return undefined;
  });
}

/** Descriptors just made, to be given away: they may pass. */
const given = {
  has(value) {
    if (value < BASE) return false;
    return !isLent.has(value) && madeNow.has(value);
  },
};
const madeNow = new Set();
const { give } = world;
world.give = () => {
  const fd = give();
  madeNow.add(fd);
  process.nextTick(() => madeNow.delete(fd));
  return fd;
};

const FUNCTIONS = Object.keys(afunix).filter((name) => !CLASSES.includes(name));
const POSIX = Object.keys(posix).filter((name) => typeof posix[name] === 'function');

function makeObject() {
  const name = values.pick(CLASSES);
  const Class = afunix[name];
  const args = argumentsFor([() => values.options(false), values.callback]);
  if (args.length > 0) args[0] = harmless(args[0], given);
  if (values.often(0.4)) attempt(`${name}.pair`, () => Class.pair?.(...args));
  else if (values.often(0.3)) attempt(`new ${name}()`, () => new Class());
  else attempt(`new ${name}`, () => new Class(...args));
}

function callFunction() {
  const name = values.pick(FUNCTIONS);
  if (name === 'listenFds') setListenVariables();
  const args = argumentsFor(FITTING[name]);
  if (name === 'createSocket' && values.often(0.7)) args[0] = 'unix_dgram';
  if (args.length > 0) args[0] = harmless(args[0], given);
  attempt(name, () => afunix[name](...args));
}

function setListenVariables() {
  const odd = () =>
    values.pick(['', '0', '2', '-1', '1e9', '99999999999999999999', 'x', ':::', '3 ']);
  process.env.LISTEN_PID = values.often(0.8) ? String(process.pid) : odd();
  process.env.LISTEN_FDS = odd();
  if (values.often(0.5)) process.env.LISTEN_FDNAMES = odd();
  else delete process.env.LISTEN_FDNAMES;
}

function callPosix(functions, prefix) {
  const name = values.pick(POSIX);
  const args = argumentsFor(POSIX_FITTING[name]);
  const closes = name === 'close' ? given : isLent;
  if (name !== 'socket' && name !== 'socketpair' && args.length > 0) {
    args[0] = harmless(args[0], closes);
  }
  // They would wait: for ever, or for what is asked of it.
  const place = functions === nativePosix ? 2 : 1;
  if (name === 'poll') {
    args[place] = values.pick([0, 1, NaN, '0', 2 ** 40, -5].slice(0, isNative ? 2 : 6));
  }
  attempt(`${prefix}.${name}`, () => {
    const made = functions[name](...args);
    // It may block, and have the number of a descriptor that was lent and is gone.
    if (MAKES.has(name)) for (const fd of [made].flat()) if (fd >= BASE) posix.close(fd);
    return made;
  });
}

const MAKES = new Set(['socket', 'socketpair', 'accept']);

/** What native code calls: does nothing. */
const owner = Object.fromEntries(
  Object.entries(handles)
    .filter(([name]) => /^k[A-Z]/.test(name))
    .map(([, symbol]) => [symbol, () => random() < 0.1 && world.act()]),
);

function makeHandle() {
  attempt('new Endpoint', () => {
    const Class = values.often(0.7) ? binding.Endpoint : binding.Listener;
    const handle = new Class(values.often(0.8) ? values.pick([1, 2, 5]) : values.any(true));
    handle.owner = Object.assign({}, owner, { [handles.kHandle]: handle });
    if (handle.create && values.often(0.6)) handle.create();
    return handle;
  });
}

function callNative() {
  // setHooks would end all events; posix has its own turn.
  const names = Object.keys(binding).filter(
    (name) => !/^(setHooks|posix|SOCK_|Endpoint|Listener)/.test(name),
  );
  const name = values.pick(names);
  const args = argumentsFor(NATIVE_FITTING[name]);
  const byNumber = /^(send|trySend|write)/.test(name);
  if (!byNumber && args.length > 0) {
    args[0] = harmless(args[0], name === 'closeFd' ? given : isLent);
  }
  attempt(`native ${name}`, () => binding[name](...args));
}

/** Methods on what is not their object. */
function callElsewhere() {
  const Class = values.pick(
    isNative ? [binding.Endpoint, binding.Listener] : CLASSES.map((name) => afunix[name]),
  );
  if (isNative && values.often(0.2)) {
    attempt('no new', () => Class.call(values.any(true), values.pick([1, 2, 5, 'x'])));
    return;
  }
  if (!isNative) return makeObject();
  const name = values.pick(Reflect.ownKeys(Class.prototype).filter((key) => key !== 'constructor'));
  const args = argumentsFor(NATIVE_FITTING[name]);
  if (args.length > 0) args[0] = harmless(args[0], given);
  attempt(`elsewhere ${String(name)}`, () => Class.prototype[name].apply(values.any(true), args));
}

function step() {
  const kinds = isNative
    ? [makeHandle, callMember, callMember, callMember, callNative, callNative, callElsewhere,
       () => callPosix(nativePosix, 'native')] // prettier-ignore
    : [makeObject, callMember, callMember, callMember, callMember, callFunction,
       () => callPosix(posix, 'posix')]; // prettier-ignore
  try {
    values.pick(kinds)();
  } catch (error) {
    // While arguments were made: a value of ours met another one.
    if (error.code === undefined && !LANGUAGE.test(error.message)) check(error, 'made');
  }
}

// ---- the batch ------------------------------------------------------------------------------------

function turn() {
  for (let count = 0; count < 8; count++) step();
  runChores(1);
  if (random() < 0.02) globalThis.gc?.();
  if (result.calls < calls) setImmediate(turn);
  else setTimeout(finish, 20);
}

function finish() {
  for (const object of objects.splice(0)) end(object);
  setTimeout(() => {
    globalThis.gc?.();
    fs.writeSync(1, `${JSON.stringify(result)}\n`);
    // process.exit() would hide what the end of the environment does wrong.
    process.exit(0);
  }, 30);
}

turn();
