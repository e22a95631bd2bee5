'use strict';

// Owns code of strangers in the same process: builtins that are patched after the package is loaded, setters on
// Array.prototype, members of Object.prototype, and methods that are called on what is not theirs. Nothing they do
// is a memory fault, and what only looks on sees no memory of native code's.

/* global gc -- node --expose-gc */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { LIB, startScript } = require('../helpers/node.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { sinceNode } = require('../helpers/versions.js');

assertNoLeaks();

/** Ways in which a stranger patches a builtin. */
const MODES = ['looks on', 'steals', 'throws', 'answers nothing'];

/**
 * Patches builtins, moves messages of all kinds, and says what it saw. In a process of its own: what it does to
 * itself is its own affair, but for a signal that ends it.
 */
function traffic(afunix, lib, mode, names) {
  const { once } = require('node:events');
  const fs = require('node:fs');
  const results = { stolen: 0, moved: [] };
  const { apply } = Reflect;
  const { structuredClone } = globalThis;
  // What is patched is not needed here.
  const [small, large] = [Buffer.from('small'), Buffer.alloc(20_000)];
  const places = {
    WeakMap: WeakMap.prototype,
    Map: Map.prototype,
    Array: Array.prototype,
    Promise: Promise.prototype,
    Buffer,
    'Buffer.prototype': Buffer.prototype,
    Uint32Array: Object.getPrototypeOf(Uint32Array.prototype),
    Function: Function.prototype,
    Reflect,
  };
  const steal = (value) => {
    // What native code writes its batches into is a Uint32Array; nobody else here has one.
    if (!(value instanceof Uint32Array)) return;
    results.stolen++;
    if (mode === 'steals') structuredClone(value, { transfer: [value.buffer] });
  };
  const undo = [];
  const patch = () => {
    for (const name of names) {
      const [place, member] = [name.slice(0, name.lastIndexOf('.')), name.split('.').at(-1)];
      const owner = places[place];
      const original = owner[member];
      undo[undo.length] = () => (owner[member] = original);
      owner[member] = function (...args) {
        if (mode === 'throws') throw new Error('patched');
        if (mode === 'answers nothing') return undefined;
        steal(this);
        for (let index = 0; index < args.length; index++) steal(args[index]);
        return apply(original, this, args);
      };
    }
  };
  process.on('uncaughtException', () => {});
  process.on('unhandledRejection', () => {});
  const receiver = new afunix.DgramSocket({ receiveFds: true, credentials: true }).bind();
  const sender = new afunix.DgramSocket();
  const pairs = [afunix.SeqpacketSocket, afunix.USocket].map((Socket) =>
    Socket.pair({ receiveFds: true, credentials: true }),
  );
  let count = 0;
  const note = () => count++;
  receiver.on('data', note);
  for (const socket of [receiver, sender, ...pairs.flat()]) socket.on('error', () => {});
  for (const [, two] of pairs) two.on('data', note).on('fds', note);
  const server = new afunix.UServer((socket) => socket.on('data', note).on('error', () => {}));
  server.on('error', () => {});
  server.listen();
  const move = () => {
    for (let index = 0; index < 30; index++) {
      const big = index % 10 === 9 ? large : small;
      const options = index % 5 === 0 ? { fds: [0] } : {};
      const calls = [
        () => sender.sendTo(big, receiver.address(), options, () => {}),
        () => pairs[0][0].write({ data: big, ...options }, () => {}),
        () => pairs[1][0].write({ data: big, ...options }, () => {}),
      ];
      for (const call of calls) {
        try {
          call();
        } catch {
          // What is patched may be needed.
        }
      }
    }
    try {
      new afunix.USocket(server.address()).on('error', () => {}).end('hello');
    } catch {
      // As above.
    }
  };
  // After the time come some turns: on a busy machine it may pass before any socket has had its own.
  const take = (turns, body) => (turns > 0 ? setImmediate(take, turns - 1, body) : body());
  const later = (body) => setTimeout(take, 30, 20, body);
  once(server, 'listening').then(() => {
    move();
    later(() => {
      patch();
      move();
      later(() => {
        move();
        later(() => {
          for (const restore of undo) restore();
          // All is as it was: those sockets that live still work.
          const before = count;
          move();
          later(() => {
            results.moved = [before, count];
            fs.writeSync(1, JSON.stringify(results));
            process.exit(0);
          });
        });
      });
    });
  });
}

const GROUPS = {
  collections: ['WeakMap.get', 'WeakMap.set', 'WeakMap.has', 'Map.get', 'Map.set', 'Map.delete'],
  arrays: ['Array.push', 'Array.shift', 'Array.splice', 'Array.slice', 'Array.map', 'Array.concat'],
  'more of arrays': ['Array.forEach', 'Array.indexOf', 'Array.includes', 'Array.filter'],
  buffers: ['Buffer.from', 'Buffer.alloc', 'Buffer.concat', 'Buffer.isBuffer'],
  views: ['Uint32Array.subarray', 'Uint32Array.set', 'Uint32Array.slice', 'Uint32Array.includes'],
  'buffers themselves': ['Buffer.prototype.toString', 'Buffer.prototype.copy'],
  'parts of buffers': ['Buffer.prototype.slice', 'Buffer.prototype.subarray'],
  'texts of buffers': ['Buffer.prototype.utf8Write', 'Buffer.prototype.utf8Slice'],
  functions: ['Function.call', 'Function.apply', 'Function.bind', 'Reflect.apply'],
  promises: ['Promise.then', 'Promise.catch', 'Promise.finally'],
};

/**
 * Runs the script to its end, which no signal may be, nor that it stands still. Undefined where it did not come to its
 * own end: Node itself needs some of what is patched.
 */
async function survive(t, script, args) {
  const { signal, stdout, stderr } = await startScript(t, script, args).ended();
  assert.equal(signal, null, stderr);
  assert.doesNotMatch(stderr, /FATAL ERROR|panicked/);
  return stdout === '' ? undefined : JSON.parse(stdout);
}

describe('builtins that are patched', onLinux({}), () => {
  for (const [group, names] of Object.entries(GROUPS)) {
    for (const mode of MODES) {
      test(`${group}: a stranger who ${mode}`, async (t) => {
        const breaks = mode === 'throws' || mode === 'answers nothing';
        const results = await survive(t, traffic, [LIB, mode, names]);
        if (breaks) return;
        assert.equal(results.stolen, 0);
        const [before, after] = results.moved;
        assert.ok(before > 0 && after > before, String(results.moved));
      });
    }
  }
});

/** Setters for indices, as a stranger leaves them on Array.prototype: each closes, collects or keeps what comes. */
function setters(afunix, lib, what) {
  const kept = [];
  const receiver = new afunix.DgramSocket({ receiveFds: true }).bind();
  const sender = new afunix.DgramSocket();
  const [one, two] = afunix.USocket.pair();
  let count = 0;
  receiver.on('data', () => count++);
  two.on('data', () => count++).on('fds', () => count++);
  for (const socket of [receiver, sender, one, two]) socket.on('error', () => {});
  const act = {
    closes: () => receiver.close(),
    throws: () => {
      throw new Error('mine');
    },
    'keeps what comes': (value) => kept.push(value),
  }[what];
  const send = () => {
    for (let index = 0; index < 40; index++) {
      sender.sendTo(Buffer.alloc(9000), receiver.address(), { fds: [0] }, () => {});
      one.write({ data: Buffer.alloc(9000), fds: [0, 1] }, () => {});
    }
  };
  process.on('uncaughtException', () => {});
  send();
  let ran = 0;
  for (let index = 0; index < 4; index++) {
    Object.defineProperty(Array.prototype, index, {
      configurable: true,
      get: () => undefined,
      set(value) {
        Object.defineProperty(this, index, { value, writable: true, configurable: true });
        ran++;
        // Only what native code makes: a library's own arrays are its own affair.
        if (value instanceof ArrayBuffer) act(value);
      },
    });
  }
  const finish = () => {
    for (let index = 0; index < 4; index++) delete Array.prototype[index];
    require('node:fs').writeSync(1, JSON.stringify({ count, kept: kept.length, ran }));
    process.exit(0);
  };
  // After the time come some turns: on a busy machine it may pass before any socket has had its own.
  const take = (turns) => (turns > 0 ? setImmediate(take, turns - 1) : finish());
  setTimeout(take, 150, 50);
}

describe('setters on Array.prototype', onLinux({}), () => {
  for (const what of ['closes', 'throws', 'keeps what comes']) {
    test(`are not asked for what native code makes: one that ${what}`, async (t) => {
      const results = await survive(t, setters, [LIB, what]);
      assert.ok(results.count > 40, JSON.stringify(results));
      assert.equal(results.kept, 0);
    });
  }
});

/** Calls each method and accessor of each class on what is not an object of it. Prints how often that was refused. */
function receivers(afunix, lib) {
  const fs = require('node:fs');
  const net = require(`${lib}/net`);
  const { EventEmitter } = require('node:events');
  const { Duplex } = require('node:stream');
  const classes = [
    ...[afunix.DgramSocket, afunix.SeqpacketServer, afunix.SeqpacketSocket],
    ...[afunix.UServer, afunix.USocket, net.Socket, net.Server],
  ];
  process.on('uncaughtException', () => {});
  process.on('unhandledRejection', () => {});
  let [refused, harmless] = [0, 0];
  const strangers = (Class) => [
    ...[undefined, null, 0, '', {}, [], Object.create(null), process, globalThis.Buffer],
    ...[Object.create(Class.prototype), new EventEmitter(), new Duplex(), Class, Class.prototype],
    ...classes.filter((other) => other !== Class).map((Other) => new Other()),
    new Proxy(new Class(), {}),
    new Class().on('error', () => {}).close(),
  ];
  const call = (fn, self, args) => {
    try {
      Reflect.apply(fn, self, args);
      harmless++;
    } catch {
      refused++;
    }
  };
  for (const Class of classes) {
    const seen = new Set(['constructor']);
    for (
      let place = Class.prototype;
      place !== EventEmitter.prototype && place !== null;
      place = Object.getPrototypeOf(place)
    ) {
      if (place === Duplex.prototype) break;
      for (const key of Reflect.ownKeys(place)) {
        if (seen.has(key)) continue;
        seen.add(key);
        const { value, get, set } = Object.getOwnPropertyDescriptor(place, key);
        for (const self of strangers(Class)) {
          for (const args of [[], ['/nowhere/x'], [Buffer.from('x'), 0, 1, '/nowhere/x'], [1, 1]]) {
            if (typeof value === 'function') call(value, self, args);
            if (get) call(get, self, []);
            if (set) call(set, self, args);
          }
        }
      }
    }
  }
  setTimeout(() => {
    gc();
    fs.writeSync(1, JSON.stringify({ refused, harmless }));
    process.exit(0);
  }, 50);
}

// A `_write(1)` is among them, which no Writable calls: before, napi_get_buffer_info() ends the process.
const since = onLinux(sinceNode('20.13'));
test('methods and accessors that are called on what is not theirs', since, async (t) => {
  const script = startScript(t, receivers, [LIB], { flags: ['--expose-gc'] });
  const { code, signal, stdout, stderr } = await script.ended();
  assert.deepEqual([code, signal], [0, null], stderr);
  const { refused, harmless } = JSON.parse(stdout);
  assert.ok(refused > 500 && harmless > 0, stdout);
});
