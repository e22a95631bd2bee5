'use strict';

// Owns processes that may open few descriptors (RLIMIT_NOFILE): what strangers send unasked, what waits to be sent and
// destinations that are idle must not take the last ones.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { closeQuietly, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const OPEN_FILES = 400;

/** A server that takes no descriptor, and answers `?` with how many are open and whether one more may be. */
function server({ UServer }, name, options) {
  const fs = require('node:fs');
  const look = () => {
    try {
      fs.closeSync(fs.openSync('/dev/null'));
      return `${fs.readdirSync('/proc/self/fd').length} `;
    } catch (error) {
      return `${error.code} `;
    }
  };
  new UServer(options, (socket) => {
    socket.on('data', (data) => String(data).includes('?') && socket.write(look()));
    socket.on('error', ({ code }) => console.log(JSON.stringify(code)));
  }).listen(name, () => console.log('"listening"'));
}

describe('strangers send descriptors that nobody takes', onLinux(), () => {
  /** Starts it; `ask()` is its answer. */
  async function start(t, options) {
    const name = abstractName();
    const program = startScript(t, server, [name, options], { openFiles: OPEN_FILES });
    assert.equal(await program.lines.next(), '"listening"');
    const connect = async () => {
      const client = cleanUp(t, new USocket(name));
      client.on('error', () => {});
      await nextEvent(client, 'connect');
      return client;
    };
    const asker = await connect();
    const ask = async () => {
      asker.write('?');
      return String((await nextEvent(asker, 'data'))[0]).trim();
    };
    return { ask, connect, program };
  }

  /** Writes some with each of the bytes, as far as the connection bears it. */
  async function send(client, fds, times) {
    for (let time = 0; time < times && !client.destroyed; time++) {
      await new Promise((done) => client.write({ data: 'x', fds }, done));
    }
  }

  test('a UServer keeps half of what its process may open, and goes on', async (t) => {
    const { ask, connect, program } = await start(t, {});
    const before = Number(await ask());
    const fds = nulls(50);
    t.after(() => fds.forEach(closeQuietly));
    const strangers = [];
    for (let count = 0; count < 12; count++) strangers.push(await connect());
    // 1200 in all, of which one connection alone might hold all: its own limit is 1024.
    await Promise.all(strangers.map((client) => send(client, fds, 2)));
    // Two of them hold 200, and nobody else may then.
    for (let late = 2; late < strangers.length; late++) {
      assert.equal(await program.lines.next(), '"ERR_AFUNIX_TOO_MANY_FDS"');
    }
    const during = Number(await ask());
    assert.ok(during <= before + OPEN_FILES / 2 + strangers.length, `${before}, then ${during}`);
    // A few are always received, whatever the strangers hold.
    const friend = await connect();
    await send(friend, fds.slice(0, 3), 1);
    for (const client of strangers) client.destroy();
    let after;
    do after = Number(await ask());
    while (after > before + 1 + 3);
    // Then others may send many again.
    await send(friend, fds, 3);
    do after = Number(await ask());
    while (after < before + 1 + 153);
    assert.equal(friend.destroyed, false);
  });

  test('with receiveFds: false it holds none', async (t) => {
    const { ask, connect } = await start(t, { receiveFds: false });
    const before = Number(await ask());
    const fds = nulls(50);
    t.after(() => fds.forEach(closeQuietly));
    const strangers = [];
    for (let count = 0; count < 12; count++) strangers.push(await connect());
    await Promise.all(strangers.map((client) => send(client, fds, 3)));
    let after;
    // Some may not be accepted yet.
    do after = Number(await ask());
    while (after < before + strangers.length);
    assert.equal(after, before + strangers.length);
  });
});

/**
 * Sends to many receivers, more than there are descriptors for helper sockets, some of it with descriptors. Prints the
 * outcomes, and how many descriptors are open in the end.
 */
async function sendToMany({ DgramSocket }, names, messages) {
  const fs = require('node:fs');
  const count = () => fs.readdirSync('/proc/self/fd').length;
  const socket = new DgramSocket({ sendBufferSize: 1_000_000 });
  socket.bind();
  const before = count();
  const codes = {};
  let left = 0;
  for (let number = 0; number < messages; number++) {
    for (const name of names) {
      left++;
      const fds = number % 8 === 7 ? [0, 1] : [];
      socket.sendTo(`${number}`, name, { fds }, (error) => {
        const code = error?.code ?? 'sent';
        codes[code] = (codes[code] ?? 0) + 1;
        left--;
      });
    }
  }
  console.log(left);
  await new Promise((done) => process.stdin.resume().on('end', done));
  while (left > 0) await new Promise((done) => setTimeout(done, 5));
  console.log(JSON.stringify({ codes, open: count() - before }));
  socket.close();
}

describe('a DgramSocket without descriptors for helper sockets', onLinux(), () => {
  test('sends all the same, and keeps few for idle destinations', async (t) => {
    const [MESSAGES, NAMES] = [40, 60];
    const names = Array.from({ length: NAMES }, () => abstractName());
    const receivers = startScript(
      t,
      ({ DgramSocket }, names) => {
        let count = 0;
        for (const name of names) {
          const socket = new DgramSocket().bind(name);
          let next = 0;
          socket.on('data', (data) => {
            const number = Number(data);
            if (number < next) console.log(`"${number} after ${next}"`);
            next = number + 1;
            count++;
          });
        }
        process.on('SIGUSR2', () => console.log(count));
        console.log('"bound"');
      },
      [names],
    );
    await receivers.lines.next();
    receivers.kill('SIGSTOP');
    const sender = startScript(t, sendToMany, [names, MESSAGES], { openFiles: 64 });
    assert.ok(Number(await sender.lines.next('the sends')) > 0);
    receivers.kill('SIGCONT');
    sender.end();
    const { codes, open } = JSON.parse(await sender.lines.next('the outcomes'));
    // What has descriptors and has to wait needs duplicates of them, for which there may be no room.
    const { sent, EMFILE = 0, ...others } = codes;
    assert.deepEqual(others, {});
    assert.equal(sent + EMFILE, NAMES * MESSAGES);
    assert.ok(EMFILE <= (NAMES * MESSAGES) / 8, `${EMFILE} refused`);
    assert.ok(open <= 4, `${open} descriptors kept`);
    let arrived = 0;
    while (arrived < sent) {
      receivers.kill('SIGUSR2');
      arrived = JSON.parse(await receivers.lines.next('a count'));
      assert.equal(typeof arrived, 'number', String(arrived));
    }
    assert.equal(arrived, sent);
  });
});

test(
  'a USocket whose descriptors cannot be duplicated for the next bytes fails',
  onLinux(),
  async (t) => {
    const result = await runScript(
      t,
      ({ USocket: Socket }) => {
        const fs = require('node:fs');
        const [one, two] = Socket.pair();
        const events = [];
        one.on('error', ({ code }) => events.push(code));
        one.on('close', () => {
          console.log(JSON.stringify([returned, ...events]));
          two.destroy();
        });
        const taken = [];
        try {
          for (;;) taken.push(fs.openSync('/dev/null'));
        } catch {
          // There is no room for another.
        }
        const returned = one.write([0], ({ code }) => events.push(`callback ${code}`));
        taken.forEach(fs.closeSync);
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result, [false, 'callback EMFILE', 'EMFILE']);
  },
);

test(
  'a USocket that got no descriptor says so, also where it connects twice',
  onLinux(),
  async (t) => {
    const result = await runScript(
      t,
      ({ USocket: Socket }) => {
        const fs = require('node:fs');
        const taken = [];
        try {
          for (;;) taken.push(fs.openSync('/dev/null'));
        } catch {
          // There is no room for another.
        }
        const socket = new Socket();
        socket.on('error', ({ code, syscall }) => {
          taken.forEach(fs.closeSync);
          console.log(JSON.stringify([code, syscall]));
        });
        socket.connect('/nowhere').connect('/nowhere');
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result, ['EMFILE', 'socket']);
  },
);
