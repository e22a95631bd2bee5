'use strict';

// A datagram server that sends every message back, to a client that asks, to one that asks and never
// reads, and to one that has no name. None of them stops the server or costs it memory.
// Run: node examples/dgram-echo.js (after `npm start` or `npm run build` has built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setImmediate: nextTurn } = require('node:timers/promises');
const { DgramSocket } = require('afunix');
const posix = require('afunix/posix');

/** Answers at a path in a folder that only this user can enter. */
class EchoServer {
  answered = 0;
  refused = 0;
  #socket;
  #folder;

  constructor(address) {
    this.#folder = path.dirname(address);
    // An answer that has no room is dropped: a client that does not read must not make a queue grow.
    this.#socket = new DgramSocket({ whenFull: 'fail' }).bind(address, { mode: 0o600 });
    this.#socket.on('data', (data, name) => this.#answer(data, name));
  }

  /**
   * A sender chooses its own name, and a wrong one would send the answer to another program: answer
   * abstract names, and paths in a folder where no stranger can make files.
   */
  #mayAnswer = (name) => name.startsWith('\0') || path.dirname(name) === this.#folder;

  #answer(data, name) {
    if (!this.#mayAnswer(name)) {
      this.refused++; // '' is a socket without a name.
      return;
    }
    // With a callback a failed answer is this client's alone, and no 'error' of the server.
    this.#socket.sendTo(data, name, (error) => {
      if (!error) this.answered++;
    });
  }

  /** Answers that had no room. */
  get dropped() {
    return this.#socket.dropped;
  }

  close() {
    this.#socket.close();
  }
}

/** A client waits for its answer. It is bound: a socket without a name gets none. */
async function ask(client, question, address) {
  const answered = once(client, 'data'); // Rejects if there is an 'error' instead.
  client.sendTo(question, address);
  const [answer, from] = await answered;
  console.log(`${path.basename(from)} answered: ${answer}`);
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-echo-'));
  const address = path.join(folder, 'server.sock');
  const server = new EchoServer(address);
  const client = new DgramSocket().bind(path.join(folder, 'client.sock'));
  await ask(client, 'hello', address);

  // The synchronous calls receive only when they are asked to. This client never asks.
  const stalled = posix.socket('unix', 'dgram');
  posix.bind(stalled, path.join(folder, 'stalled.sock'));
  for (let count = 0; count < 1000; count++) {
    posix.sendto(stalled, Buffer.from('read me'), 7, 0, address);
    await nextTurn(); // In which the server receives it.
  }
  const nameless = new DgramSocket();
  nameless.sendTo('where are you?', address);
  await ask(client, 'is all well?', address);
  const { answered, dropped, refused } = server;
  console.log(`${answered} answered, ${dropped} dropped, ${refused} without a name to answer`);
  if (answered < 3 || dropped === 0 || refused !== 1) process.exitCode = 1;

  // close() removes the socket files.
  for (const socket of [nameless, client, server]) socket.close();
  posix.close(stalled);
  fs.rmSync(folder, { recursive: true });
}

main();
