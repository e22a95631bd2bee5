'use strict';

// Owns bad input to DgramSocket: each mistake is an Error with a code, thrown at once, that changes
// nothing; none is a crash or a hang.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { DgramSocket, closeFd } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closed, inbox, openPair, openSocket, sendTo } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const BOUNDS = { name: 'RangeError', code: 'ERR_BUFFER_OUT_OF_BOUNDS' };
const SCHEME = { name: 'TypeError', code: 'ERR_INVALID_URL_SCHEME' };

/** How a value is named in a test's failure. */
const show = (value) => inspect(value, { depth: 1 });

/** Checks that each value is refused: with this error, naming the argument in its message. */
function assertRefused(values, expected, argument, call) {
  for (const value of values) {
    const check = (error) => {
      assert.equal(error.name, expected.name, show(value));
      assert.equal(error.code, expected.code, show(value));
      if (argument !== null) assert.ok(error.message.includes(argument), error.message);
      return true;
    };
    assert.throws(() => call(value), check, show(value));
  }
}

const NO_NUMBERS = [null, true, '1', '', 1n, Symbol('1'), [], {}, () => {}];
const NO_INTEGERS = [NaN, Infinity, -Infinity, 0.5, -1.5];
const NO_FUNCTIONS = [null, 0, 'x', {}, [], Symbol('x')];
const NO_OPTIONS = [null, 0, 'x', true, [], new Date(), new Map(), Buffer.from('x'), () => {}];
const NO_PATHS = [
  ...[0, 1.5, true, Symbol('x'), 1n, () => {}, [], ['x'], new Date(), new ArrayBuffer(4)],
  ...[new Uint16Array(4), new DataView(new ArrayBuffer(4)), new String('x')],
];
const NO_MESSAGES = [
  ...[undefined, null, 0, true, Symbol('x'), 1n, () => {}, {}, [], ['x'], new Date()],
  ...[new ArrayBuffer(4), new SharedArrayBuffer(4), new String('x'), { length: 4 }, new Map()],
];
const BAD_PATHS = ['', Buffer.alloc(0), '/a\0b', 'a\0', Buffer.from('/tmp/x\0')];
const NO_FILE_URLS = [new URL('http://localhost/x'), new URL('data:x')];

describe('options', () => {
  const CHECKS = {
    receiveFds: [[[null, 0, 1, 'true', {}], TYPE]],
    credentials: [[[null, 0, 1, 'true', {}], TYPE]],
    signal: [[[null, 0, 'x', true, {}, () => {}, new EventTarget()], TYPE]],
    pathEncoding: [[[null, 'latin1', 'utf16le', 0, {}], VALUE]],
    maxPendingFds: [
      [['1', {}, true, 1n], TYPE],
      [[...NO_INTEGERS, -1, 2 ** 31], RANGE],
    ],
    writableHighWaterMark: [
      [['1', {}, true, 1n], TYPE],
      [[...NO_INTEGERS, -1], RANGE],
    ],
    receiveBufferSize: [
      [NO_NUMBERS, TYPE],
      [[...NO_INTEGERS, 0, -1, 2 ** 31], RANGE],
    ],
    sendBufferSize: [
      [NO_NUMBERS, TYPE],
      [[...NO_INTEGERS, 0, -1, 2 ** 31], RANGE],
    ],
    fd: [
      [[null, 'x', true, {}, [], { fd: -1 }, { fd: '1' }, new net.Socket(), () => {}], TYPE],
      [[...NO_INTEGERS, -1, 2 ** 31], RANGE],
    ],
  };

  for (const [name, checks] of Object.entries(CHECKS)) {
    test(`${name} is checked`, () => {
      for (const [values, error] of checks) {
        assertRefused(values, error, name, (value) => new DgramSocket({ [name]: value }));
        if (name === 'fd') continue;
        assertRefused(values, error, name, (value) => DgramSocket.pair({ [name]: value }));
      }
      // What is not given has its default.
      new DgramSocket({ [name]: undefined }).close();
    });
  }

  test('are an object or nothing', () => {
    assertRefused(NO_OPTIONS, TYPE, '"options"', (value) => DgramSocket.pair(value));
    new DgramSocket(undefined).close();
    new DgramSocket(Object.create(null)).close();
    new DgramSocket({ unknown: 1 }).close();
    // node-unix-socket ignores what it does not know: a path to bind to, for one.
    for (const value of NO_OPTIONS) {
      const socket = new DgramSocket(value);
      assert.equal(socket.address(), '');
      socket.close();
    }
  });

  test('are own properties: what is on a prototype is none', (t) => {
    const [one] = openPair(t);
    const inherited = { fd: one.fd, receiveFds: 'x', maxPendingFds: -1, signal: 1, mode: 'x' };
    const path = temporaryPath(t);
    const socket = openSocket(t, Object.create(inherited));
    assert.notEqual(socket.fd, one.fd);
    socket.bind(path, Object.create(inherited));
    DgramSocket.pair(Object.create(inherited)).forEach((end) => end.close());
    Object.assign(Object.prototype, inherited);
    try {
      openSocket(t, {}).bind(`${path}2`, {});
    } finally {
      for (const name of Object.keys(inherited)) delete Object.prototype[name];
    }
  });

  test('are read though their names are on a prototype too', () => {
    Object.prototype.maxPendingFds = 7;
    try {
      assert.throws(() => new DgramSocket({ maxPendingFds: 'own' }), {
        code: 'ERR_INVALID_ARG_TYPE',
      });
    } finally {
      delete Object.prototype.maxPendingFds;
    }
  });

  test('must not be those of something closed', async (t) => {
    const socket = new DgramSocket();
    const handle = await fs.promises.open(__filename);
    const server = net.createServer().listen(temporaryPath(t));
    await Promise.all([closed(socket), handle.close(), new Promise((done) => server.close(done))]);
    const [one] = openPair(t);
    for (const fd of [socket, handle, server]) {
      assert.throws(() => new DgramSocket({ fd }), TYPE);
      assert.throws(() => one.send({ data: 'x', fds: [fd] }), TYPE);
    }
  });

  test('leave nothing behind when they are refused', onLinux({}), () => {
    const count = () => fs.readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 20; round++) {
      assert.throws(() => new DgramSocket({ receiveBufferSize: -1 }), RANGE);
      assert.throws(() => DgramSocket.pair({ sendBufferSize: -1 }), RANGE);
      assert.throws(() => DgramSocket.pair({ maxPendingFds: -1 }), RANGE);
    }
    assert.equal(count(), before);
  });

  test('need new', () => {
    assert.throws(() => DgramSocket(), TypeError);
  });
});

describe('arguments', () => {
  test('of bind are checked', async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t);
    // A function is the callback.
    const noFunction = (value) => typeof value !== 'function';
    assertRefused(NO_PATHS.filter(noFunction), TYPE, 'path', (value) => socket.bind(value));
    assertRefused(NO_PATHS, TYPE, 'path', (value) => socket.bind({ path: value }));
    assertRefused(BAD_PATHS, VALUE, 'path', (value) => socket.bind(value));
    assertRefused(NO_FILE_URLS, SCHEME, null, (value) => socket.bind(value));
    const noOptions = NO_OPTIONS.filter(noFunction);
    assertRefused(noOptions, TYPE, 'options', (value) => socket.bind(path, value));
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) => socket.bind(path, {}, value));
    for (const name of ['uid', 'gid']) {
      assertRefused(NO_NUMBERS, TYPE, name, (value) => socket.bind(path, { [name]: value }));
      const noIds = [...NO_INTEGERS, -1, 2 ** 31];
      assertRefused(noIds, RANGE, name, (value) => socket.bind({ path, [name]: value }));
    }
    const noBooleans = [null, 0, 1, 'true', {}];
    assertRefused(noBooleans, TYPE, 'unlinkOnClose', (value) =>
      socket.bind(path, { unlinkOnClose: value }),
    );
    assertRefused(NO_NUMBERS, TYPE, 'mode', (value) => socket.bind(path, { mode: value }));
    const noModes = [...NO_INTEGERS, -1, 0o10000];
    assertRefused(noModes, RANGE, 'mode', (value) => socket.bind({ path, mode: value }));
    assert.equal(socket.address(), '');
    assert.equal(fs.existsSync(path), false);
    assert.equal(socket.bind(path).address(), path);
  });

  test('of connect are checked', async (t) => {
    const peer = openSocket(t).bind(temporaryPath(t));
    const socket = openSocket(t);
    const noPaths = [...NO_PATHS, undefined, null, {}];
    assertRefused(noPaths, TYPE, 'path', (value) => socket.connect(value));
    assertRefused(BAD_PATHS, VALUE, 'path', (value) => socket.connect(value));
    assertRefused(NO_FILE_URLS, SCHEME, null, (value) => socket.connect(value));
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) => socket.connect(peer.address(), value));
    assert.equal(socket.remoteAddress, undefined);
    assert.throws(() => socket.disconnect(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
  });

  test('of sendTo are checked, and nothing is sent', async (t) => {
    const path = temporaryPath(t);
    const messages = inbox(openSocket(t).bind(path));
    const socket = openSocket(t);
    const data = Buffer.from('data');
    assertRefused(NO_MESSAGES, TYPE, 'message', (value) => socket.sendTo(value, path));
    assertRefused(NO_MESSAGES, TYPE, 'buffer', (value) => socket.sendTo(value, 0, 1, path));
    const noPaths = [...NO_PATHS, undefined, null, {}];
    // A number in the second place is the offset of the longer form.
    const noShortPaths = noPaths.filter((value) => typeof value !== 'number');
    assertRefused(noShortPaths, TYPE, 'destPath', (value) => socket.sendTo(data, value));
    assertRefused(noPaths, TYPE, 'destPath', (value) => socket.sendTo(data, 0, 4, value));
    assertRefused(BAD_PATHS, VALUE, 'destPath', (value) => socket.sendTo(data, value));
    assertRefused(BAD_PATHS, VALUE, 'destPath', (value) => socket.sendTo(data, 0, 4, value));
    assertRefused(NO_FILE_URLS, SCHEME, null, (value) => socket.sendTo(data, value));
    assertRefused([...NO_INTEGERS, -1], RANGE, 'offset', (value) =>
      socket.sendTo(data, value, 1, path),
    );
    assertRefused([...NO_INTEGERS, -1], RANGE, 'length', (value) =>
      socket.sendTo(data, 1, value, path),
    );
    assertRefused([undefined, ...NO_NUMBERS], TYPE, 'length', (value) =>
      socket.sendTo(data, 1, value, path),
    );
    for (const [offset, length, name] of [
      [5, 0, 'offset'],
      [2 ** 53 - 1, 1, 'offset'],
      [0, 5, 'length'],
      [4, 1, 'length'],
      [1, 2 ** 53 - 1, 'length'],
      [3, 2 ** 32, 'length'],
    ]) {
      assertRefused([offset], BOUNDS, name, () => socket.sendTo(data, offset, length, path));
    }
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) =>
      socket.sendTo(data, 0, 4, path, value),
    );
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) => socket.sendTo(data, path, {}, value));
    assertRefused([null, 0, 'x', [], true], TYPE, 'options', (value) =>
      socket.sendTo(data, path, value),
    );
    await sendTo(socket, 'the first', path);
    assert.equal(String((await messages.next()).data), 'the first');
    assert.equal(messages.length, 0);
  });

  test('of send are checked, and nothing is sent', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    assertRefused(NO_MESSAGES, TYPE, 'message', (value) => one.send(value));
    const noData = NO_MESSAGES.filter((value) => value !== undefined);
    assertRefused(noData, TYPE, 'message', (value) => one.send({ data: value }));
    const noPaths = [...NO_PATHS, null, {}].filter((value) => typeof value !== 'function');
    const noNumbers = noPaths.filter((value) => typeof value !== 'number');
    assertRefused(noNumbers, TYPE, 'destPath', (value) => one.send('x', value));
    // dgram's send(message, offset, length) is another: what it would send is not known.
    assertRefused([0, 1.5], TYPE, 'sendTo() takes offset and length', (value) =>
      one.send('x', value, 1),
    );
    assertRefused(BAD_PATHS, VALUE, 'destPath', (value) => one.send('x', value));
    const path = temporaryPath(t);
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) => one.send('x', path, value));
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) => one.send('x', undefined, value));
    one.send('the first');
    assert.equal(String((await messages.next()).data), 'the first');
    assert.equal(messages.length, 0);
  });

  test('that are descriptors are checked', async (t) => {
    const [one, two] = openPair(t, { receiveFds: true });
    const messages = inbox(two);
    const path = temporaryPath(t);
    const holders = [undefined, null, '0', true, {}, [], { fd: null }, new net.Socket(), () => {}];
    for (const send of [
      (fds) => one.send({ data: 'x', fds }),
      (fds) => one.sendTo('x', path, { fds }),
    ]) {
      assertRefused([0, 'x', true, {}, new Set([0])], TYPE, 'fds', send);
      assertRefused(holders, TYPE, 'fds[1]', (value) => send([0, value]));
      assertRefused([...NO_INTEGERS, -1, 2 ** 31], RANGE, 'fds[1]', (value) => send([0, value]));
      assertRefused([254, 1000], RANGE, 'fds.length', (length) => send(Array(length).fill(0)));
      assertRefused([254], RANGE, 'fds.length', (length) => send(Array(length)));
    }
    one.send('the first');
    assert.equal(String((await messages.next()).data), 'the first');
  });

  test('of everything else are checked', (t) => {
    const socket = openSocket(t);
    for (const method of ['setRecvBufferSize', 'setSendBufferSize']) {
      assertRefused([undefined, ...NO_NUMBERS], TYPE, 'size', (value) => socket[method](value));
      const noSizes = [...NO_INTEGERS, 0, -1, 2 ** 31];
      assertRefused(noSizes, RANGE, 'size', (value) => socket[method](value));
    }
    assertRefused(NO_FUNCTIONS, TYPE, 'callback', (value) => socket.close(value));
    assertRefused([undefined, ...NO_NUMBERS], TYPE, 'fd', (value) => closeFd(value));
    assertRefused([...NO_INTEGERS, -1, 2 ** 31], RANGE, 'fd', (value) => closeFd(value));
    assert.throws(() => closeFd(1_000_000), { code: 'EBADF', syscall: 'close' });
    assert.ok(socket.fd >= 0);
  });
});

describe('a closed socket', () => {
  test('refuses everything but questions, with one code', async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path).connect(path);
    await closed(socket);
    for (const [method, ...args] of [
      ['bind', path],
      ['bind'],
      ['connect', path],
      ['connect', path, () => assert.fail()],
      ['disconnect'],
      ['send', 'x'],
      ['send', 'x', () => assert.fail()],
      ['send', { data: 'x', fds: [0] }],
      ['sendTo', 'x', path],
      ['sendTo', 'x', path, { fds: [0] }],
      ['sendTo', 'x', 0, 1, path],
      ['sendTo', 'x', 0, 1, `${path}2`],
      ['address'],
      ['getRecvBufferSize'],
      ['getSendBufferSize'],
      ['setRecvBufferSize', 1000],
      ['setSendBufferSize', 1000],
    ]) {
      const refusal = { name: 'Error', code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' };
      assert.throws(() => socket[method](...args), refusal, method);
    }
    assert.equal(socket.fd, -1);
    assert.equal(socket.hasRef(), false);
    assert.equal(socket.remoteAddress, undefined);
    assert.equal(socket.peerCredentials, undefined);
    assert.equal(socket.writableLength, 0);
    assert.equal(socket.writableNeedDrain, false);
    assert.equal(socket.ref(), socket);
    assert.equal(socket.unref(), socket);
    assert.equal(socket.close(), socket);
  });
});

describe("messages name what was given, as Node's own do", () => {
  class Own {}
  for (const [value, received] of [
    [true, 'type boolean (true)'],
    [10n, 'type bigint (10n)'],
    [Symbol('s'), 'type symbol (Symbol(s))'],
    [function named() {}, 'function named'],
    [() => {}, 'function '],
    [{}, 'an instance of Object'],
    [Object.create(null), 'an instance of Object'],
    [new Own(), 'an instance of Own'],
    [[], 'an instance of Array'],
    [null, 'null'],
    [undefined, 'undefined'],
  ]) {
    test(received, (t) => {
      assert.throws(
        () => openSocket(t).sendTo(Buffer.from('x'), value),
        ({ message }) => {
          assert.ok(message.endsWith(`Received ${received}`), message);
          return true;
        },
      );
    });
  }
});
