'use strict';

// Owns what comes after destroy(): no data that was waiting, the callback of close() not before 'close', and that of
// end(), once.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, USocket, closeFd } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const seqpacket = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent, tick } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const usocket = require('../helpers/usocket.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const { cleanUp, closing, quiet } = seqpacket;

const CONNECTED = { SeqpacketSocket, USocket };
const codedError = (code) => Object.assign(new Error(code), { code });

describe('resume() and destroy() in one turn', onLinux({}), () => {
  test('a SeqpacketSocket emits no message that had waited, and closes its descriptors', async (t) => {
    const before = countFds();
    const [one, two] = SeqpacketSocket.pair({ receiveFds: true });
    cleanUp(t, one);
    const seen = [];
    two.on('data', (message) => seen.push(message.fds.forEach(closeFd)));
    two.on('end', () => seen.push('end'));
    two.pause();
    const fd = fs.openSync('/dev/null');
    for (let count = 0; count < 3; count++) one.write({ data: 'x', fds: [fd] });
    fs.closeSync(fd);
    two.read(0);
    await until(() => two.readableLength === 3, 'messages that wait');
    two.resume();
    two.destroy();
    assert.equal(two.read(), null);
    one.destroy();
    await closing(two);
    await quiet();
    assert.deepEqual(seen, []);
    await assertNoLeak(before);
  });

  test('a DgramSocket that is closed emits nothing more', async (t) => {
    const [one, two] = DgramSocket.pair();
    t.after(() => one.close());
    const seen = [];
    two.on('data', (data) => {
      seen.push(`${data}`);
      two.close();
    });
    for (let count = 0; count < 5; count++) one.send(`${count}`, () => {});
    await until(() => seen.length > 0, 'a message');
    await quiet();
    assert.deepEqual(seen, ['0']);
  });
});

test(
  'destroy() again, with the error of a write, emits nothing that had waited',
  onLinux({}),
  async (t) => {
    const [one, two] = USocket.pair().map((end) => cleanUp(t, end));
    const seen = [];
    one.on('data', (data) => seen.push(`${data}`)).pause();
    two.write('paused');
    one.read(0);
    await until(() => one.readableLength > 0, 'bytes that wait');
    two.destroy();
    one.write('too late');
    const [error] = await nextEvent(one, 'error');
    assert.equal(error.code, 'EPIPE');
    one.resume();
    one.destroy(error);
    await closing(one);
    await quiet();
    assert.deepEqual(seen, []);
  },
);

describe('end(callback) behind destroy()', onLinux({}), () => {
  const MOMENTS = {
    'in the same turn': (socket, end) => {
      socket.destroy();
      end();
    },
    "in a write's callback": (socket, end) =>
      socket.write('x', () => {
        socket.destroy();
        end();
      }),
    "behind 'close'": (socket, end) => socket.on('close', end).destroy(),
    'with a write that waits': (socket, end) => {
      while (socket.write(Buffer.alloc(20_000)));
      socket.destroy();
      end();
    },
  };
  const ENDS = { alone: [], 'with data': ['data'] };
  for (const [name, Class] of Object.entries(CONNECTED)) {
    for (const [moment, begin] of Object.entries(MOMENTS)) {
      for (const [how, args] of Object.entries(ENDS)) {
        test(`${name}, ${moment}, ${how}: each callback once, with ERR_STREAM_DESTROYED`, async (t) => {
          const [one, two] = Class.pair();
          cleanUp(t, two);
          const codes = [];
          one.on('error', () => {});
          begin(one, () => {
            for (let count = 0; count < 2; count++) {
              one.end(...args, (error) => codes.push(error?.code));
            }
          });
          await closing(one);
          await quiet();
          assert.deepEqual(codes, ['ERR_STREAM_DESTROYED', 'ERR_STREAM_DESTROYED']);
        });
      }
    }
  }
});

describe(
  'the callback of end(), where that fails, comes behind those of the writes before it',
  onLinux({}),
  () => {
    const ORDERS = {
      'destroy() behind end()': ['end', 'destroy'],
      'end() behind destroy()': ['destroy', 'end'],
      'a write behind end()': ['end', 'write'],
    };
    for (const [name, { makeSocket, startServer }] of Object.entries({
      SeqpacketSocket: seqpacket,
      USocket: usocket,
    })) {
      const cases = Object.entries(ORDERS).flatMap((order) =>
        ['x', ''].map((data) => [...order, data]),
      );
      for (const [what, calls, data] of cases) {
        test(`${name}, before the connection: ${what}, writes of '${data}'`, async (t) => {
          const socket = makeSocket(t).connect(startServer(t).address());
          socket.on('error', () => {});
          const outcomes = new Outcomes();
          for (let count = 0; count < 3; count++) socket.write(data, outcomes.callback());
          const called = outcomes.callback();
          const act = {
            destroy: () => socket.destroy(),
            end: () => socket.end(called),
            write: () => socket.write('x'),
          };
          for (const call of calls) act[call]();
          await outcomes.settled();
          await quiet();
          assert.deepEqual(
            outcomes.codes.map(([number]) => number),
            [0, 1, 2, 3],
          );
          assert.equal(outcomes.errors.length, 4);
        });
      }
    }
  },
);

/** Before Node 20.13 a Writable forgets such a callback, unless _final() calls back. */
describe('destroy() behind end(callback)', onLinux({}), () => {
  /** How far the end has come: each makes a socket. */
  const STATES = {
    'is being sent': (t, { Class }) => Class.pair().map((end) => cleanUp(t, end))[0],
    'waits for what is queued': (t, { Class }) => {
      const [one, two] = Class.pair().map((end) => cleanUp(t, end));
      two.pause();
      while (one.writableLength < 100_000) one.write(Buffer.alloc(20_000));
      return one;
    },
    'waits for a connection': (t, { Class }) => new Class(),
    'waits for the connection': (t, { Class, startServer }) =>
      new Class().connect(startServer(t).address()),
    'waits for a server that is not there': (t, { Class }) => new Class().connect(abstractName()),
  };
  const KINDS = {
    SeqpacketSocket: { Class: SeqpacketSocket, startServer: seqpacket.startServer },
    USocket: { Class: USocket, startServer: usocket.startServer },
  };
  for (const [name, kind] of Object.entries(KINDS)) {
    for (const [state, make] of Object.entries(STATES)) {
      for (const error of [undefined, codedError('MINE')]) {
        for (const when of ['in the same turn', 'in the next tick']) {
          const title = `${name}, the end ${state}, ${error ? 'an error ' : ''}${when}`;
          test(`${title}: called once, with that error`, async (t) => {
            const socket = make(t, kind);
            const codes = [];
            socket.on('error', () => {});
            socket.end((failure) => codes.push(failure?.code));
            if (when !== 'in the same turn') await tick();
            socket.destroy(error);
            await closing(socket);
            assert.deepEqual(codes, [error?.code ?? 'ERR_STREAM_DESTROYED']);
          });
        }
      }
    }
  }
});

describe('close(callback)', onLinux({}), () => {
  for (const [name, Class] of Object.entries(CONNECTED)) {
    for (const error of [undefined, new Error('mine')]) {
      for (const ticks of [0, 1, 3]) {
        const what = `${name} ${error ? 'with an error ' : ''}${ticks} ticks ago`;
        test(`calls back with 'close' and not before: destroyed ${what}`, async (t) => {
          const [one, two] = Class.pair().map((end) => cleanUp(t, end));
          const events = [];
          one.on('error', () => events.push('error'));
          one.on('close', () => events.push('close'));
          one.destroy(error);
          for (let count = 0; count < ticks; count++) await tick();
          await within(
            new Promise((done) => one.close(done)).then(() => events.push('callback')),
            'the callback',
          );
          assert.deepEqual(events, [...(error ? ['error'] : []), 'close', 'callback']);
          // And once it is closed, all the same.
          await within(new Promise((done) => one.close(done)), 'the callback of a closed socket');
          two.destroy();
        });
      }
    }
  }
});
