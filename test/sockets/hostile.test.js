'use strict';

// Owns values that are made to do harm to a DgramSocket: getters that close it, buffers without memory, receivers
// of methods, and calls at random, of native functions too. None is a crash or a hang.

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { describe, test } = require('node:test');
const { DgramSocket } = require('../../lib');
const { Chance } = require('../differential/chance.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript } = require('../helpers/node.js');
const { closed, inbox, openPair, openSocket } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { sinceNode } = require('../helpers/versions.js');

assertNoLeaks();

const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };

describe('hostile values', () => {
  test('whose getters close the socket are refused or harmless', async (t) => {
    const closing = (socket, value) => ({
      get data() {
        socket.close();
        return value;
      },
    });
    const [one] = openPair(t);
    assert.throws(() => one.send(closing(one, 'x')), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
    const [two] = openPair(t);
    const fds = [0];
    Object.defineProperty(fds, 0, { get: () => two.close() && 0 });
    assert.throws(() => two.send({ data: 'x', fds }), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
    const three = openSocket(t);
    const options = {
      get fds() {
        return three.close() && [0];
      },
    };
    assert.throws(() => three.sendTo('x', temporaryPath(t), options), {
      code: 'ERR_SOCKET_DGRAM_NOT_RUNNING',
    });
    await Promise.all([closed(one), closed(two), closed(three)]);
  });

  test('that throw are passed on', (t) => {
    const error = new Error('mine');
    const thrower = (name) =>
      Object.defineProperty({}, name, {
        enumerable: true,
        get: () => {
          throw error;
        },
      });
    const [one] = openPair(t);
    assert.throws(() => new DgramSocket(thrower('fd')), error);
    assert.throws(() => new DgramSocket(thrower('signal')), error);
    assert.throws(() => one.send(thrower('fds')), error);
    assert.throws(() => one.sendTo('x', '/x', thrower('fds')), error);
    assert.throws(() => one.bind(thrower('mode')), error);
    assert.throws(() => one.send({ data: 'x', fds: [thrower('fd')] }), error);
  });

  test('without memory are refused, not sent as empty messages', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    const gone = new Uint8Array(8);
    structuredClone(gone, { transfer: [gone.buffer] });
    assert.throws(() => one.send(gone), VALUE);
    assert.throws(() => one.send({ data: gone }), VALUE);
    assert.throws(() => one.sendTo(gone, 0, 0, '/x'), VALUE);
    // JavaScript itself says of this one that it has no bytes.
    const shrunk = new Uint8Array(new ArrayBuffer(8, { maxByteLength: 8 }), 4);
    shrunk.buffer.resize(2);
    one.send(shrunk);
    one.send('the last');
    assert.deepEqual(
      (await messages.take(2)).map(({ data }) => String(data)),
      ['', 'the last'],
    );
  });

  test('as receivers of methods are refused', () => {
    const { prototype } = DgramSocket;
    for (const receiver of [undefined, null, 1, {}, new EventEmitter()]) {
      for (const name of ['bind', 'connect', 'send', 'close', 'ref', 'address']) {
        const isRefusal = ({ name: kind, code }) =>
          kind === 'TypeError' || code === 'ERR_SOCKET_DGRAM_NOT_RUNNING';
        assert.throws(() => prototype[name].call(receiver, '/x'), isRefusal);
      }
    }
  });

  // Before, napi_get_buffer_info() ends the process for what is no buffer: only this test calls it so.
  const since = sinceNode('20.13');
  test('at random never end the process, nor does any call hang', since, async (t) => {
    const seed = Chance.seed();
    t.diagnostic(`SEED=${seed}`);
    const result = await runScript(t, fuzz, [seed, temporaryPath(t, 'x'), 20_000, LIB]);
    assert.deepEqual(result.strange, []);
    assert.ok(result.accepted > 1000, `only ${result.accepted} calls were accepted`);
    assert.ok(result.refused > 1000, `only ${result.refused} calls were refused`);
    assert.ok(result.refusedNatively > 1000, `only ${result.refusedNatively} native ones were`);
  });
});

/** Calls public methods, and the native ones below them, with whatever comes. */
async function fuzz({ DgramSocket: Socket }, seed, path, rounds, lib) {
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.trunc((state / 0x80000000) * below);
  };
  const pick = (list) => list[random(list.length)];
  const values = () => [
    ...[undefined, null, 0, 1, -1, 2, 3, 100, 0.5, NaN, 2 ** 31, 2 ** 32, 2 ** 53, true, 1n],
    ...['', 'x', path, `${path}2`, '\0x', 'a\0b', 'x'.repeat(200), Symbol('x'), () => {}],
    ...[{}, [], [0], [-1], [1e9], ['x'], { data: 'x' }, { fds: [1] }, { data: 'x', fds: [0, 2] }],
    ...[Buffer.alloc(0), Buffer.alloc(5), Buffer.alloc(300_000), new ArrayBuffer(3), new Date()],
    ...[
      new DataView(new ArrayBuffer(9), 3),
      new Float64Array(3),
      { path },
      { mode: 0o600 },
      socket,
    ],
  ];
  const methods = [
    ...['bind', 'connect', 'disconnect', 'sendTo', 'send', 'address', 'ref', 'unref', 'close'],
    ...['setRecvBufferSize', 'setSendBufferSize', 'getRecvBufferSize', 'getSendBufferSize'],
  ];
  // Native functions are out of a user's reach; they have to be safe all the same. Not those that make
  // descriptors, or take them: they would be those of this process; nor what only sockets with an end
  // of what they send ask for, which a DgramSocket could not be called back with.
  const binding = require(`${lib}/native/binding.js`);
  const others = [
    ...['adopt', 'adoptListener', 'attach', 'closeFd', 'create', 'createListener', 'createPair'],
    ...['detach', 'dup', 'finish', 'memfd', 'notifyWritable', 'putBackFds', 'replaceFd'],
    ...['reuseport', 'setCloexec', 'socketpair'],
  ];
  const natives = Object.keys(binding).filter((name) => {
    return typeof binding[name] === 'function' && !others.includes(name);
  });
  const idOf = (holder) => {
    const symbols = Object.getOwnPropertySymbols(holder);
    return holder[symbols.find(({ description }) => description === 'kId')];
  };
  const result = { accepted: 0, refused: 0, refusedNatively: 0, strange: [] };
  let socket;
  const renew = () => {
    socket?.close();
    socket = random(2) ? new Socket({ receiveFds: true }) : Socket.pair()[0];
    socket.on('error', () => {});
    if (random(2)) socket.on('data', (data, from, { fds }) => fds.length);
  };
  renew();
  for (let round = 0; round < rounds; round++) {
    if (random(20) === 0) renew();
    if (random(50) === 0) await new Promise((resolve) => setImmediate(resolve));
    const list = values();
    const args = Array.from({ length: random(6) }, () => pick(list));
    const isNative = random(3) === 0;
    const name = pick(isNative ? natives : methods);
    if (isNative && random(4) > 0) args[0] = idOf(socket);
    try {
      const returned = (isNative ? binding : socket)[name](...args);
      // What native code refuses it says in a number.
      if (isNative && returned < 0) result.refusedNatively++;
      else result.accepted++;
    } catch (error) {
      result.refused++;
      const isExpected = isNative ? error instanceof Error : typeof error.code === 'string';
      if (!isExpected) result.strange.push(`${name}: ${error.stack}`);
    }
  }
  socket.close();
  console.log(JSON.stringify(result));
  process.exit();
}

test('getters of an array run before the address of a buffer is taken', () => {
  const binding = require('../../lib/native/binding.js');
  const { attach, close, createPair, fd, send } = binding;
  const nothing = () => {};
  const loading = attach(nothing, nothing, nothing, nothing);
  const [one, other] = createPair(loading, binding.SOCK_DGRAM);
  const { buffer } = new Uint8Array(5000);
  const bytes = new Uint8Array(buffer);
  const fds = [0];
  Object.defineProperty(fds, 0, {
    get() {
      structuredClone(buffer, { transfer: [buffer] });
      return fd(one);
    },
  });
  // EINVAL: there are no 5000 bytes any more. Not 0: they were sent, from where they had been.
  const { EBADF, EINVAL } = require('node:os').constants.errno;
  assert.equal(send(one, bytes, 0, 0, 5000, fds), -EINVAL);
  assert.deepEqual([close(one), close(other)], [0, 0]);
  // A number that was closed is none, for whatever it is asked.
  assert.deepEqual([close(one), fd(one), send(other, bytes)], [-EBADF, -EBADF, -EBADF]);
});
