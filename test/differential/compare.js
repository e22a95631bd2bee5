'use strict';

// Owns what counts as a difference between two traces. What may vary does not: where chunks begin and end, how
// reads and writes of one socket, and the two ends, interleave between two moments of silence, how much a peer got
// of what was thrown away.
//
// A difference has a `key`, the same for all of its class: whose socket, what the reference did, what came.

const { intentionOf } = require('./known.js');
const { isNodeBefore } = require('../helpers/versions.js');

/** Bytes of a write that no connection takes whole. */
const LARGE = 500_000;
const NOT_COMPARED = new Set(['readable', 'end called']);

/** What is compared of a state, and with which lane. */
const FIELDS = {
  l: ['connecting', 'pending', 'destroyed', 'closed', 'errored'],
  r: ['connecting', 'destroyed', 'readable', 'readableEnded', 'errored'],
  w: ['connecting', 'destroyed', 'writable', 'writableEnded', 'writableFinished', 'errored'],
};
/** Of both lanes: only at these events, where both are at rest. */
const WHOLE = new Set(['created', 'connect called', 'left', 'over', 'close', 'accepted', 'probe']);
const ALL_FIELDS = [...new Set([...FIELDS.l, ...FIELDS.r, ...FIELDS.w, 'readyState'])];

/** The moment of silence before a list begins. */
function firstEpoch(list) {
  return (list?.find(({ event }) => event === 'settled')?.number ?? Infinity) - 1;
}

/** The entries of one lane, chunks that follow each other joined, with the moment of silence before each. */
function project(list, lane, skip, cut) {
  const tokens = [];
  let epoch = firstEpoch(list);
  for (const entry of list ?? []) {
    if (entry.event === 'settled') {
      // Not before the socket's first event.
      epoch = entry.number;
      tokens.push({ event: 'settled', name: `settled ${epoch}`, epoch });
      continue;
    }
    if (entry.lane !== 'l' && entry.lane !== lane) continue;
    if (NOT_COMPARED.has(entry.event) || skip.has(entry.event)) continue;
    if (entry.event === 'callback' && cut.has(entry.of)) continue;
    const last = tokens.at(-1);
    if (entry.event === 'data' && last?.event === 'data') {
      last.parts.push(entry.bytes);
      continue;
    }
    // How many follow each other depends on where chunks end, too.
    if (entry.event === 'drain' && last?.event === 'drain') continue;
    if (entry.event === 'connect') {
      // The callback of connect() runs before 'connect' here, and is one of its listeners in net.
      const called = tokens.findLastIndex(({ event }) => event === 'connect called');
      const callback = tokens.findIndex(
        ({ event }, at) => at > called && event === 'connect callback',
      );
      if (callback >= 0 && tokens[callback].epoch === epoch) {
        tokens.splice(callback, 0, { ...entry, name: nameOf(entry), epoch, parts: [] });
        continue;
      }
    }
    tokens.push({ ...entry, name: nameOf(entry), epoch, parts: entry.bytes ? [entry.bytes] : [] });
  }
  return tokens;
}

/** An entry in words that are the same for all of its class. */
function nameOf({ event, of, code, value, text }) {
  const parts = [];
  if (of !== undefined) parts.push(of.replace(/#.*$/, ''));
  if (code !== undefined) parts.push(code);
  if (value !== undefined && typeof value !== 'object') parts.push(value);
  if (text) parts.push('text');
  return parts.length > 0 ? `${event}(${parts.join(', ')})` : event;
}

const exact = ({ name, of }) => `${name} ${of}`;

const lengthOf = (parts) => parts.reduce((sum, part) => sum + part.length, 0);

/** Whether two lots of bytes are the same; or why not. */
function compareBytes(expected, found, isLoose) {
  const lengths = [lengthOf(expected), lengthOf(found)];
  const areBuffers = [...expected, ...found].every((part) => part instanceof Buffer);
  if (areBuffers) {
    const [one, two] = [Buffer.concat(expected), Buffer.concat(found)];
    const shared = Math.min(one.length, two.length);
    if (!one.subarray(0, shared).equals(two.subarray(0, shared))) return 'other bytes';
  } else if (lengths[0] === lengths[1]) {
    return undefined;
  }
  if (lengths[0] === lengths[1]) return undefined;
  if (isLoose && lengths[0] > 0 && lengths[1] > 0) return undefined;
  return lengths[0] > lengths[1] ? 'fewer bytes' : 'more bytes';
}

/**
 * Whether how much arrived may vary: the reader left or stopped in the middle, or a writer threw away what it had
 * not sent.
 */
function mayVary(lists, who) {
  const left = lists[who]?.find(({ event }) => event === 'left');
  if (left?.state === undefined) return true;
  if (left.state.destroyed && !left.state.readableEnded) return true;
  if (!left.state.destroyed && left.flowing !== true) return true;
  return Object.entries(lists).some(([, list]) => {
    const state = list.find(({ event }) => event === 'left')?.state;
    return state?.destroyed && !state.writableFinished;
  });
}

/** Where the same as `one` comes behind `at`, before the next moment of silence; -1 if it does not. */
function indexOfLater(tokens, at, one) {
  return tokens.findIndex((each, index) => {
    return index > at && one?.epoch === each.epoch && exact(one) === exact(each);
  });
}

/** How many connections a server had when it was asked last. */
const lastCount = (tokens) => tokens.findLast(({ event }) => event === 'connections')?.value;

/** All bytes that come from `at` on. */
function restOf(tokens, at) {
  return tokens.slice(at).flatMap(({ event, parts }) => (event === 'data' ? parts : []));
}

const isFailedEnd = (one) => one?.event === 'callback' && /^end#/.test(one.of) && one.code !== null;

/** The connection that is reported at `at` has a callback, which runs behind other listeners. */
function hasCallbackLater(tokens, at) {
  const next = tokens.slice(at + 1).find(({ event }) => /^(connect callback|ready)$/.test(event));
  return next?.event === 'connect callback';
}

/** The first difference of one lane of one socket, and differences of states before it. */
function compareLane(lane, expected, found, { isLoose, isFree, moving }, say) {
  const seen = new Set();
  // All bytes of this life so far.
  let [all, allOfTwo] = [[], []];
  for (let at = 0; at < Math.max(expected.length, found.length); at++) {
    const [one, two] = [expected[at], found[at]];
    if (one?.event === 'connect called') [all, allOfTwo] = [[], []];
    const epoch = Math.min(one?.epoch ?? Infinity, two?.epoch ?? Infinity);
    const nameOne = one?.name ?? 'nothing more';
    const nameTwo = two?.name ?? 'nothing more';
    if (one === undefined || two === undefined || exact(one) !== exact(two)) {
      if (isFree && one?.event === 'returned' && two?.event === 'returned' && two.value) continue;
      const later = indexOfLater(found, at, one);
      if (isFree && isFailedEnd(one) && later >= 0) {
        // What was written before it and is with the kernel is called back first.
        found.splice(at, 0, ...found.splice(later, 1));
        continue;
      }
      const short = (name) => name.replace(/^(settled.*|left|over)$/, 'nothing more');
      const text = `${short(nameOne)} / ${short(nameTwo)}`;
      const agreesLater = lastCount(expected) === lastCount(found);
      const failsLater = found
        .slice(at)
        .some((each) => each.event === 'error' && each.epoch === epoch);
      say(
        'event',
        epoch,
        at,
        text,
        { net: one, got: two },
        { comesLater: later >= 0, agreesLater, failsLater },
      );
      return;
    }
    if (one.event === 'data') {
      if (isLoose) [all, allOfTwo] = [all.concat(one.parts), allOfTwo.concat(two.parts)];
      // Where more may have come before, all of it is compared, and not what came between two moments of silence.
      const why = isLoose
        ? compareBytes(all, allOfTwo, true)
        : compareBytes(one.parts, two.parts, false);
      if (why !== undefined) {
        const detail = { net: lengthOf(one.parts), got: lengthOf(two.parts) };
        const failsNext = expected[at + 1]?.event === 'error' && expected[at + 1].epoch === epoch;
        const arrivesLater = compareBytes(restOf(expected, at), restOf(found, at)) === undefined;
        say('event', epoch, at, `data / ${why}`, detail, { failsNext, arrivesLater });
        return;
      }
    }
    // What the callback of connect() did shows at 'connect' where that comes after it, and what listeners did there
    // shows in the callback.
    const isByOrder =
      one.event === 'connect callback' ||
      (one.event === 'connect' && hasCallbackLater(expected, at));
    if (isFree && isByOrder) continue;
    compareStates(lane, one, two, seen, (text) => {
      // How much it was depends on where chunks end, while they come.
      if (moving.has(epoch) && text.endsWith('bytesRead differs')) return;
      say('state', epoch, at, text);
    });
  }
}

/** Differences of states and errors; the same again at the next entries is not said again. */
function compareStates(lane, one, two, seen, say) {
  const { event } = one;
  // A write in 'connect' has found that the peer closed meanwhile: it depends on when either of them connects.
  if (event === 'ready' && one.state?.destroyed && !two.state?.destroyed) return;
  if (one.state !== undefined && two.state !== undefined) {
    for (const field of WHOLE.has(event) ? ALL_FIELDS : FIELDS[lane]) {
      const text = `${field} ${one.state[field]} / ${two.state[field]}`;
      if (one.state[field] === two.state[field] || seen.has(text)) continue;
      seen.add(text);
      say(`${event}: ${text}`);
    }
  }
  for (const members of ['details', 'value']) {
    const [first, second] = [one[members], two[members]];
    if (typeof first !== 'object' || typeof second !== 'object' || !first || !second) continue;
    for (const field of new Set([...Object.keys(first), ...Object.keys(second)])) {
      const [left, right] = [first[field], second[field]].map((value) =>
        JSON.stringify(value)?.replaceAll(/FOLDER[\w/-]*/g, 'PATH'),
      );
      if (left === right) continue;
      const isNumber = typeof first[field] === 'number' && typeof second[field] === 'number';
      const values = isNumber && field !== 'errno' ? 'differs' : `${left} / ${right}`;
      const isOfFailed = [one, two].every(({ state }) => state?.errored || state?.destroyed);
      if (field === 'bytesWritten' && isOfFailed) {
        say(`${event}: ${field} differs after an error`);
        continue;
      }
      if (members === 'details') say(`error ${one.code}: ${field} ${values}`);
      else say(`${event}: ${field} ${values}`);
    }
  }
  if (event === 'left' && one.waiting !== two.waiting) {
    say(`left: bytes wait ${one.waiting} / ${two.waiting}`);
  }
}

/** Who it is, for the key. */
function roleOf(who, program) {
  if (who === 'process') return 'process';
  if (who.startsWith('server')) return 'server';
  if (who.startsWith('sink')) return 'sink';
  if (who.startsWith('web')) return 'web';
  if (who.startsWith('q')) return 'request';
  if (who.startsWith('r')) return 'raw';
  const isClient = who.startsWith('c');
  const mode = { client: isClient, server: !isClient, both: true }[program.mode];
  return mode ? 'socket' : 'peer';
}

/** Writes that net reports as done although the socket was destroyed before they were: which ones. */
function cutOff(list) {
  const cut = (list ?? []).filter(({ event, of, code, state }) => {
    return event === 'callback' && of.startsWith('write') && code === null && state.destroyed;
  });
  return new Set(cut.map(({ of }) => of));
}

const isOfEnd = ({ event, of }) => event === 'callback' && of.startsWith('end#');
/** Where the last life of a socket begins that had another one; -1 if none has. */
const lastLife = (list) => list.findLastIndex(({ life }) => life > 1);

/** How many lives of a socket had begun, but for its first, before an entry. */
const livesBefore = (list, at) => list.slice(0, at).filter(({ life }) => life > 1).length;

/**
 * Callbacks of end() behind destroy(), which are called here: which ones. A Writable forgets them, or has them wait for
 * the next life's error.
 */
function forgotten(expected = [], found = []) {
  const extra = found.filter((entry) => {
    if (!isOfEnd(entry) || entry.code !== 'ERR_STREAM_DESTROYED') return false;
    const other = expected.findIndex((each) => isOfEnd(each) && each.of === entry.of);
    const called = found.findIndex(({ event, of }) => event === 'end called' && of === entry.of);
    return other < 0 || livesBefore(found, called) < livesBefore(expected, other);
  });
  return extra.map(({ of }) => of);
}

/** The moment of silence before the first entry that fits; Infinity if none does. */
function epochOf(list, fits) {
  const at = (list ?? []).findIndex(fits);
  if (at < 0) return Infinity;
  return list.slice(0, at).findLast(({ event }) => event === 'settled')?.number ?? firstEpoch(list);
}

/** The moments of silence after which data came. */
function epochsOfData(list) {
  const tokens = project(list, 'r', new Set(), new Set());
  return tokens.filter(({ event }) => event === 'data').map(({ epoch }) => epoch);
}

const isEarly = (entry) => entry.isEarly === true;

/** Whether a stream was ended in a life before its last one. */
function endedBefore(list) {
  const before = list.slice(0, Math.max(lastLife(list), 0));
  return before.some(({ event, state }) => event === 'end called' || state?.writableEnded);
}

/** Whether an attempt to connect followed another one, with no 'close' in between. */
function isConnectedTwice(list) {
  const events = list
    .map(({ event }) => event)
    .filter((event) => /^c(onnect called|lose)$/.test(event));
  return events.some((event, at) => event === 'connect called' && event === events[at + 1]);
}

/** Whether a client is asked to keep the process, or not to, before it connects. */
function refsBefore({ steps }) {
  const at = (who, names) => steps.findIndex((step) => step.who === who && names.includes(step.do));
  return steps.some(({ who }) => {
    const first = at(who, ['ref', 'unref']);
    return first >= 0 && first < at(who, ['connect', 'again']);
  });
}

/** Whether a stream was ended before it was connected. */
function endsEarly(list = []) {
  const [ended, connected] = ['end called', 'connect'].map((name) =>
    list.findIndex(({ event }) => event === name),
  );
  return ended >= 0 && (connected < 0 || ended < connected);
}

/** The steps with a socket, or with any, that do one of these, anywhere in a program. */
function stepsOf(part, who, names) {
  if (typeof part !== 'object' || part === null) return [];
  const inside = Object.values(part).flatMap((each) => stepsOf(each, who, names));
  const isOne = (who === null || part.who === who) && names.includes(part.do);
  return isOne ? [part, ...inside] : inside;
}

const asksFor = (program, who, names) => stepsOf(program, who, names).length > 0;

const PIPES = ['pipe', 'pipeOut'];
const READERS = [...PIPES, 'flow', 'readable', 'iterate', 'echo', 'pipeEcho'];

/** What known.js asks for. */
function conditions(program, found, who, epoch) {
  const lists = Object.values(found);
  return {
    reconnected:
      epochOf(found[who], isEarly) <= epoch ||
      (!/^[cs]\d/.test(who) && lists.some((list) => list.some(isEarly))),
    secondLife: lists.some((list) => list.some(({ life }) => life > 1)),
    endedBefore: lists.some(
      (list) =>
        endedBefore(list) || (lastLife(list) > 0 && asksFor(program, null, ['destroySoon'])),
    ),
    connectedTwice: lists.some(isConnectedTwice),
    refsBefore: refsBefore(program),
    endsEarly: endsEarly(found[who]),
    isNode22: !isNodeBefore('22'),
    isUnreferenced: program.solo === true && asksFor(program, who, ['unref']),
    isDestroyed: asksFor(program, who, ['destroy']),
    isEcho: asksFor(program, who, ['echo', 'pipeEcho']),
    isEchoed: asksFor(program, null, ['echo', 'pipeEcho']),
    // Where the step came before there was a socket nobody reads, or later; and a pipe() that is stuck stops all others.
    isHeld:
      !asksFor(program, who, ['readable']) ||
      !found[who]?.some((each) => each.event === 'data' && each.epoch <= epoch) ||
      stepsOf(program, who, PIPES).some(({ sink }) => sink === 'stuck'),
    isShared: stepsOf(program, /^sink \d+ of (\w+)/.exec(who)?.[1], READERS).length > 1,
    unconnected: !found[who]?.some(({ event }) => event === 'connect' || event === 'accepted'),
  };
}

/** After write() said false, 'drain' has to come, if the rest goes out and nobody ends the stream. */
function missingDrain(list) {
  const lastFalse = list.findLastIndex(
    ({ event, value }) => event === 'returned' && value === false,
  );
  const left = list.find(({ event }) => event === 'left');
  if (lastFalse < 0 || left === undefined || left.waiting) return false;
  if (lastFalse < lastLife(list)) return false;
  if (left.state.destroyed || left.state.writableEnded || left.state.errored) return false;
  return !list.slice(lastFalse).some(({ event }) => event === 'drain');
}

/** Whether 'drain' comes in the last of several lives, for a write of the life before: no other has returned false. */
function drainsForBefore(list) {
  const life = list.slice(lastLife(list) + 1);
  const hasFalse = life.some(({ event, value }) => event === 'returned' && value === false);
  return life.length < list.length && !hasFalse && life.some(({ event }) => event === 'drain');
}

/** Whether 'drain' comes in net and not here, and writers wait for it. */
function lacksDrain(expected = [], found) {
  if (missingDrain(found) && !missingDrain(expected)) return true;
  const isOver = found.some(({ event, state }) => event === 'left' && state.destroyed);
  return !isOver && drainsForBefore(expected) && !drainsForBefore(found);
}

/**
 * Differences of a trace from net's: `{ key, who, kind, detail }`, the one that came first first.
 * @param {string} [subject] - what made it: 'afunix', 'afunix/net', or 'net', where nothing differs on purpose
 */
function compare(program, expected, found, subject = 'afunix') {
  const events = [];
  const states = [];
  const isProxy = JSON.stringify(program.connections ?? []).includes('"join"');
  for (const who of new Set([...Object.keys(expected), ...Object.keys(found)])) {
    const role = roleOf(who, program);
    const isSubject = role === 'socket';
    // What write() returns for bytes that the kernel took whole is different on purpose, and so is 'drain'.
    const isFree = isSubject && subject === 'afunix';
    const skip = new Set(isFree || (isProxy && subject !== 'net') ? ['drain'] : []);
    // A Writable may call a callback twice, and net a connect() that was given up.
    const skipOfNet = new Set([...skip, 'called again', ...(isFree ? ['late callback'] : [])]);
    const isNet = !isSubject || subject === 'net';
    const isLoose = mayVary(expected, who) && mayVary(found, who);
    const moving = new Set([...epochsOfData(expected[who]), ...epochsOfData(found[who])]);
    const cut = isNet ? new Set() : cutOff(expected[who]);
    const ends = isNet ? [] : forgotten(expected[who], found[who]);
    const dropped = new Set([...cut, ...ends]);
    for (const of of cut) {
      const callback = found[who]?.find((entry) => entry.event === 'callback' && entry.of === of);
      // A small one is with the kernel, and has arrived.
      if (callback && (callback.code !== null || callback.size < LARGE)) continue;
      const key = `${role} write that was cut off / ${callback ? 'no error' : 'no callback'}`;
      states.push({ kind: 'state', who, epoch: -1, at: 0, key });
    }
    for (const lane of ['r', 'w']) {
      compareLane(
        lane,
        project(expected[who], lane, skipOfNet, dropped),
        project(found[who], lane, isNet ? skipOfNet : skip, dropped),
        { isLoose, isFree, moving },
        (kind, epoch, at, text, detail, more) => {
          const list = kind === 'event' ? events : states;
          const holds = { ...conditions(program, found, who, epoch), ...more };
          list.push({ kind, who, epoch, at, key: `${role} ${text}`, detail, holds });
        },
      );
    }
    if (isFree && found[who] && lacksDrain(expected[who], found[who])) {
      states.push({ kind: 'state', who, epoch: -1, at: 0, key: `${role} drain missing` });
    }
  }
  const rank = ({ key }) => (key.startsWith('socket') ? 0 : 1);
  events.sort((one, two) => one.epoch - two.epoch || rank(one) - rank(two) || one.at - two.at);
  const intentions = events.map((event) => intentionOf(event, subject));
  let at = intentions.indexOf(undefined);
  const cascade = intentions.findIndex((intention) => intention?.cascades);
  // What comes behind or together with what was meant follows from it.
  const isFollowed = cascade >= 0 && (at < 0 || events[cascade].epoch <= events[at].epoch);
  if (isFollowed) at = -1;
  const first = events[at];
  const limit = isFollowed ? events[cascade].epoch : (first?.epoch ?? Infinity);
  const kept = new Map();
  for (const state of states) {
    if (intentionOf(state, subject)) continue;
    // Which of the two sockets that a proxy joins was first in one poll.
    const isOfEither = isProxy && subject !== 'net';
    if (isOfEither && /connect|ready|probe|close: errored/.test(state.key)) continue;
    if (state.epoch < limit || limit === Infinity) {
      kept.set(state.key, kept.get(state.key) ?? state);
    }
  }
  return [...(first ? [first] : []), ...kept.values()];
}

module.exports = { compare };
