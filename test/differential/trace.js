'use strict';

// Owns what a run leaves behind: for each socket, server and the process a list of entries in order, each
// with the state that the object showed at that moment; and the bytes that were read.

const { createHash } = require('node:crypto');

/** Which projections an entry belongs to: what was read, what was written, or both (its life). */
const LANES = {
  data: 'r',
  readable: 'r',
  read: 'r',
  'iteration end': 'r',
  end: 'r',
  probe: 'r',
  finish: 'w',
  'sink finish': 'r',
  callback: 'w',
  'called again': 'w',
  drain: 'w',
  // net emits it after, this package before the callbacks of what was written before 'connect'.
  ready: 'r',
  returned: 'w',
};

/** Stream machinery whose number depends on the sizes of chunks. */
const IGNORED = new Set([
  ...['newListener', 'removeListener', 'prefinish', 'pause', 'resume', 'pipe', 'unpipe'],
  ...['connected', 'fds', 'connectionAttempt', 'connectionAttemptFailed'],
]);

/** With which a socket's life begins or ends. */
const LIVES = new Set(['created', 'accepted', 'connect called', 'close']);

const codeOf = (error) => (error ? (error.code ?? error.name ?? String(error)) : null);

/** The members of an error that users look at, other than its code. */
function detailsOf(error) {
  const { errno, syscall, address, port, path, message } = error;
  return { errno, syscall, address, port, path, message };
}

const READ_MEMBERS = ['readable', 'readableEnded'];
const WRITE_MEMBERS = ['writable', 'writableEnded', 'writableFinished'];
const LIFE_MEMBERS = ['connecting', 'pending', 'destroyed', 'closed', 'readyState'];

/** What a socket says of itself. */
function stateOf(socket) {
  const state = { errored: codeOf(socket.errored) };
  for (const name of [...LIFE_MEMBERS, ...READ_MEMBERS, ...WRITE_MEMBERS]) {
    state[name] = socket[name];
  }
  return state;
}

/** Records what happens, until it is closed. */
class Trace {
  /** @param {string} folder - its name is different in each run, and is not recorded */
  constructor(folder) {
    this.folder = folder;
    /** Name → entries. */
    this.lists = new Map();
    /** Entries so far: whoever waits for silence looks at it. */
    this.count = 0;
    this.isClosed = false;
    /** Entries that came after the end. */
    this.late = 0;
  }

  /** Adds an entry for `who`: `{ event, ...more }`. */
  add(who, event, more, socket) {
    this.count++;
    if (this.isClosed) {
      this.late++;
      return;
    }
    let list = this.lists.get(who);
    if (list === undefined) this.lists.set(who, (list = []));
    const entry = { event, lane: LANES[event] ?? 'l', ...this.nameless(more) };
    if (socket !== undefined && event !== 'data') entry.state = stateOf(socket);
    list.push(entry);
  }

  /** Of a socket that is about to be connected: how many lives it has, and whether the last one has had its 'close'. */
  lifeOf(who, socket) {
    const events = (this.lists.get(who) ?? []).map(({ event }) => event);
    const hasClosed = events.findLast((event) => LIVES.has(event)) === 'close';
    const isEarly = socket.destroyed && !hasClosed;
    return { isEarly, life: events.includes('close') || isEarly ? 2 : 1 };
  }

  /** Puts a word in place of the folder's name. */
  nameless(more) {
    if (more?.details === undefined && typeof more?.value !== 'object') return more;
    return JSON.parse(JSON.stringify(more).replaceAll(this.folder, 'FOLDER'));
  }

  /** Adds bytes that `who` has read; a chunk that follows another one joins it. */
  addBytes(who, chunk, encoding) {
    this.count++;
    if (this.isClosed) {
      this.late++;
      return;
    }
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk);
    let list = this.lists.get(who);
    if (list === undefined) this.lists.set(who, (list = []));
    list.push({ event: 'data', lane: 'r', bytes, text: typeof chunk === 'string', encoding });
  }

  /** A mark in all lists: what comes before and after it is not to be exchanged. */
  mark(number) {
    for (const list of this.lists.values()) list.push({ event: 'settled', lane: 'l', number });
  }

  /** Records all that an emitter emits, without listening to it. */
  watch(who, emitter, isSocket) {
    const { emit } = emitter;
    const trace = this;
    emitter.emit = function (name, ...values) {
      if (!IGNORED.has(name)) {
        if (name === 'data') trace.addBytes(who, values[0]);
        else if (name === 'error') {
          const error = values[0];
          const more = { code: codeOf(error), details: detailsOf(error) };
          trace.add(who, 'error', more, isSocket ? emitter : undefined);
        } else if (isSocket) {
          const more = name === 'close' ? { value: values[0] } : undefined;
          trace.add(who, name, more, emitter);
        } else {
          trace.add(who, name, undefined, undefined);
        }
      }
      return emit.apply(this, [name, ...values]);
    };
  }

  /** As JSON can carry it: bytes that follow each other become one digest. */
  toJSON() {
    const lists = {};
    for (const [who, list] of this.lists) {
      const short = [];
      let chunks = [];
      const flush = () => {
        if (chunks.length === 0) return;
        const all = Buffer.concat(chunks.map(({ bytes }) => bytes));
        const hash = createHash('sha1').update(all).digest('hex').slice(0, 12);
        short.push({ ...chunks[0], bytes: { length: all.length, hash } });
        chunks = [];
      };
      for (const entry of list) {
        if (entry.event === 'data') {
          chunks.push(entry);
        } else if (entry.lane !== 'w') {
          flush();
          short.push(entry);
        } else {
          short.push(entry);
        }
      }
      flush();
      lists[who] = short;
    }
    return { lists, late: this.late };
  }
}

module.exports = { LIFE_MEMBERS, READ_MEMBERS, Trace, WRITE_MEMBERS, codeOf, detailsOf, stateOf };
