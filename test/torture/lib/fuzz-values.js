'use strict';

// Owns: the odd arguments of the case fuzz-api: what makes them, from one source of random numbers.
// May import: nothing of the torture cases.
//
// `world` knows descriptors and objects, see fuzz-child.js:
//   lend()    a descriptor that stays open          give()    one that whoever gets it may close
//   object()  one of the objects made so far        act()     does something with one of them

const NUMBERS = [
  0, -0, 1, 2, 7, 64, 107, 108, 253, 254, 1024, 65535, 65536, 0x7ffff000, 2 ** 31 - 1, 2 ** 31,
  2 ** 32 - 1, 2 ** 32, 2 ** 33 + 5, 2 ** 53 - 1, 2 ** 53, 1e300, Infinity, -Infinity, NaN, -1, -2,
  -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53), 0.5, -0.5, 1.5, 5e-324,
]; // prettier-ignore
const NAMES = [
  '', '\0', 'a.sock', 'b.sock', './c.sock', 'no/such/folder', 'a\0b', '\0fuzz', '\0a\0b', '\ud800',
  '\udc00x', 'ä€𝄞', 'x'.repeat(107), 'x'.repeat(108), `\0${'y'.repeat(107)}`, `\0${'y'.repeat(108)}`,
  'ü'.repeat(54), 'z'.repeat(100_000), '/', '.', '..', '/dev/null', '127.0.0.1', '::1', 'utf8', 'hex',
  'base64', 'unix_dgram', 'udp4', 'buffer', '__proto__', 'toString',
]; // prettier-ignore
const OPTIONS = [
  'path', 'fd', 'backlog', 'mode', 'signal', 'receiveFds', 'credentials', 'maxPendingFds', 'name',
  'receiveBufferSize', 'sendBufferSize', 'writableHighWaterMark', 'readableHighWaterMark', 'seal',
  'highWaterMark', 'allowHalfOpen', 'connectTimeout', 'pathEncoding', 'onread', 'timeout', 'allow',
  'pauseOnConnect', 'data', 'fds', 'callback', 'type', 'ipv6Only', 'grace', 'unset', 'iov', 'address',
  'family', 'sun_family', 'sun_path', 'sin_family', 'sin_port', 'sin_addr', 'sin6_family', 'sin6_addr',
  'sin6_port', 'sin6_scope_id', 'events', 'pid', 'uid', 'gid', 'buffer', 'length', 'constructor',
]; // prettier-ignore

/** What values of ours throw: not to be taken for an error of the package. */
class Planted extends Error {
  constructor() {
    super('planted');
    this.code = 'PLANTED';
  }
}

function detach(store) {
  structuredClone(store, { transfer: [store] });
}

/** The makers of values, for one source of random numbers. */
function valuesFrom(random, world) {
  const below = (end) => Math.floor(random() * end);
  const pick = (list) => list[below(list.length)];
  const often = (chance) => random() < chance;
  let depth = 0;

  /** Runs `make` where nesting is not too deep yet. */
  function nested(make, otherwise) {
    if (depth >= 3) return otherwise;
    depth++;
    try {
      return make();
    } finally {
      depth--;
    }
  }

  /** What a getter, a trap or a callback of ours does. */
  function interfere() {
    if (often(0.15)) throw new Planted();
    if (often(0.4)) world.act();
  }

  function buffer() {
    const size = pick([0, 1, 2, 8, 100, 1025, 5000, 70_000, 300_000]);
    const store = often(0.15) ? new SharedArrayBuffer(size) : new ArrayBuffer(size);
    const start = often(0.3) ? Math.min(8, size) : 0;
    const make = pick([
      () => Buffer.from(store, start),
      () => new Uint8Array(store),
      () => new DataView(store, start),
      () => new Uint16Array(store, 0, size >> 1),
      () => new BigInt64Array(store, 0, size >> 3),
      () => store,
      () => Buffer.from('some bytes'),
    ]);
    const made = make();
    if (often(0.12) && store instanceof ArrayBuffer) detach(store);
    else if (often(0.1) && store instanceof ArrayBuffer) {
      // Later, while it waits to be sent, or while a getter runs.
      world.later(() => store.byteLength > 0 && detach(store));
    }
    return made;
  }

  function resizable() {
    const store = new ArrayBuffer(64, { maxByteLength: 4096 });
    const view = new Uint8Array(store);
    if (often(0.5)) store.resize?.(often(0.5) ? 0 : 4096);
    return view;
  }

  function path() {
    const name = pick(NAMES);
    return pick([
      () => name,
      () => name,
      () => Buffer.from(name),
      () => new URL(`file://${world.folder}/u.sock`),
      () => new URL('http://127.0.0.1/'),
      () => Buffer.from([0x2e, 0x2f, 0xff, 0xfe]),
    ])();
  }

  function descriptor(lent) {
    return pick([
      () => (lent ? world.lend() : world.give()),
      () => (lent ? world.lend() : world.give()),
      () => 1_000_000 + below(1000),
      () => -1 - below(3),
      () => ({ fd: lent ? world.lend() : world.give() }),
      () => ({ fd: pick([-1, '5', undefined, null, NaN]) }),
    ])();
  }

  function descriptors() {
    const list = Array.from({ length: pick([0, 1, 2, 3, 253, 254]) }, () => descriptor(true));
    if (often(0.15)) list.length += 3;
    if (often(0.1) && list.length > 0) {
      Object.defineProperty(list, below(list.length), {
        get() {
          interfere();
          return world.lend();
        },
      });
    }
    return list;
  }

  function callback() {
    return (...args) => {
      world.see(args[0]);
      interfere();
      return pick([undefined, true, false, null, 5, Buffer.alloc(9)]);
    };
  }

  function signal() {
    const controller = new AbortController();
    if (often(0.3)) controller.abort();
    else world.later(() => controller.abort());
    return controller.signal;
  }

  /** An object with options: some of them right, some odd, some getters. */
  function options(lent) {
    const made = often(0.1) ? Object.create(null) : {};
    for (let count = below(5); count >= 0; count--) {
      const name = pick(OPTIONS);
      const value = optionValue(name, lent);
      if (often(0.12)) {
        Object.defineProperty(made, name, {
          enumerable: true,
          configurable: true,
          get() {
            interfere();
            return value;
          },
        });
      } else if (name !== 'constructor' || often(0.3)) {
        Object.defineProperty(made, name, {
          enumerable: true,
          configurable: true,
          writable: true,
          value,
        });
      }
    }
    return made;
  }

  function optionValue(name, lent) {
    if (name === 'fd') return descriptor(lent);
    if (often(0.2)) return nested(() => any(lent), undefined);
    if (/family$/.test(name)) return pick([0, 1, 2, 10, 99]);
    if (/^sin.*addr$/.test(name)) return pick(['127.0.0.1', '::1', 'x', '']);
    if (/path$/.test(name)) return path();
    if (name === 'fds') return descriptors();
    if (name === 'signal') return signal();
    if (name === 'data' || name === 'buffer') return pick([buffer, path])();
    if (name === 'iov') return pick([buffer, () => [buffer(), buffer()]])();
    if (name === 'onread') {
      return { buffer: pick([buffer, () => callback()])(), callback: callback() };
    }
    if (/callback|allow$/.test(name)) return callback();
    if (/Size$|Mark$|^max|Timeout$|timeout|mode|grace|port$|backlog/.test(name)) {
      return pick(NUMBERS);
    }
    return pick([true, false, 1, 'x']);
  }

  function proxy(lent) {
    const target = pick([options, descriptors, buffer, () => callback()])(lent);
    if (often(0.15)) {
      const made = Proxy.revocable(target, {});
      made.revoke();
      return made.proxy;
    }
    return new Proxy(target, {
      get(object, name) {
        interfere();
        return Reflect.get(object, name);
      },
    });
  }

  /** An array that is no plain one: a subclass that makes others of itself, with getters. */
  function strangeArray() {
    class Strange extends Array {
      static get [Symbol.species]() {
        return function species() {
          const made = [];
          Object.defineProperty(made, 1, {
            configurable: true,
            get() {
              interfere();
              return 1_000_000;
            },
          });
          return made;
        };
      }
    }
    return Strange.from(descriptors());
  }

  function liar() {
    const like = pick([
      Uint8Array,
      Buffer,
      URL,
      DataView,
      Array,
      Map,
      Date,
      AbortSignal,
      ArrayBuffer,
    ]);
    return Object.create(like.prototype);
  }

  const makers = [
    () => undefined,
    () => null,
    () => pick(NUMBERS),
    () => pick(NUMBERS),
    () => pick([true, false]),
    () => BigInt(below(100)),
    () => Symbol('fuzz'),
    () => pick(NAMES),
    path,
    buffer,
    buffer,
    resizable,
    options,
    options,
    proxy,
    () => callback(),
    descriptors,
    strangeArray,
    liar,
    signal,
    () => new Date(NaN),
    () => /x/g,
    () => new Map(),
    () => class {},
    () => ({ constructor: { name: Symbol('name') } }),
    () => Object.defineProperty(() => {}, 'name', { value: Symbol('name') }),
    () => new Array(2 ** 32 - 1),
    () => [buffer(), , pick(NAMES)], // eslint-disable-line no-sparse-arrays
    () => world.object(),
  ];

  /** Anything. `lent`: descriptors in it stay open. */
  function any(lent) {
    return nested(() => pick(makers)(lent), pick(NUMBERS));
  }

  return { any, below, buffer, callback, descriptor, descriptors, often, options, path, pick };
}

module.exports = { NUMBERS, Planted, valuesFrom };
