'use strict';

// A web server is replaced by a new version of itself, again and again, under load, and no request is refused or fails:
// its listening sockets, a TCP port and a Unix path, and its idle keep-alive connections go from process to process
// over a Unix socket. See restart/version.js.
// Run: node examples/restart.js [restarts] (after `npm start` or `npm run build` has built the addon)

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');

const PROGRAM = path.join(__dirname, 'restart', 'version.js');

/** Clients of each kind. */
const CLIENTS = 4;
/** Answers that each version gives before the next one comes. */
const ANSWERS = 30;

/** Starts a version. Resolves once it serves. */
async function start(name, servePath, meetingPoint) {
  const child = fork(PROGRAM, [name, servePath, meetingPoint]);
  const ended = once(child, 'exit');
  const failed = ended.then(([code]) => Promise.reject(new Error(`${name}: code ${code}`)));
  const [{ port }] = await Promise.race([once(child, 'message'), failed]);
  failed.catch(() => {});
  return { child, ended, port };
}

/** One request: the answer's text, and the connection it came over. */
function get(options) {
  return new Promise((resolve, reject) => {
    const request = http.get(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data) => (text += data));
      response.on('end', () => resolve({ text: text.trim(), socket: request.socket }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

/** Asks by TCP and by the Unix path, each over new connections and over one that is kept. */
class Load {
  answers = new Map();
  failures = [];
  /** How often clients that keep their connection have had to connect. */
  kept = 0;
  #isOn = true;
  #clients = [];

  constructor(places) {
    for (const place of places) {
      for (let client = 0; client < CLIENTS; client++) {
        const agent = new http.Agent({ keepAlive: client % 2 === 0, maxSockets: 1 });
        this.#clients.push(this.#ask({ ...place, agent, path: '/' }));
      }
    }
  }

  async #ask(options) {
    let last = null;
    while (this.#isOn) {
      try {
        const { text, socket } = await get(options);
        this.answers.set(text, (this.answers.get(text) ?? 0) + 1);
        if (options.agent.keepAlive && socket !== last) this.kept++;
        last = socket;
      } catch (error) {
        this.failures.push(error.code ?? error.message);
      }
      // Connections that are kept are idle now and then.
      await pause(Math.random() * 5);
    }
    options.agent.destroy();
  }

  /** Waits until a version has given so many answers. */
  async untilAnswers(name, count) {
    while ((this.answers.get(name) ?? 0) < count && this.failures.length === 0) await pause(2);
  }

  async stop() {
    this.#isOn = false;
    await Promise.all(this.#clients);
  }
}

/** Restarts so often; what the clients saw: `{ answers, failures }`. */
async function run(restarts, say = () => {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-restart-'));
  const paths = ['web.sock', 'versions.sock'].map((name) => path.join(folder, name));
  let current = await start('version 1', ...paths);
  const load = new Load([{ host: '127.0.0.1', port: current.port }, { socketPath: paths[0] }]);
  for (let restart = 1; restart <= restarts && load.failures.length === 0; restart++) {
    await load.untilAnswers(`version ${restart}`, ANSWERS);
    const next = await start(`version ${restart + 1}`, ...paths);
    await current.ended;
    say(`version ${restart + 1} has taken over; the process before it has ended`);
    current = next;
  }
  await load.untilAnswers(`version ${restarts + 1}`, ANSWERS);
  await load.stop();
  current.child.send('stop');
  await current.ended;
  fs.rmSync(folder, { recursive: true });
  return load;
}

async function main() {
  const restarts = Number(process.argv[2] ?? 2);
  const { answers, failures, kept } = await run(restarts, console.log);
  for (const [name, count] of answers) console.log(`${name} answered ${count} times`);
  console.log(`${CLIENTS} clients that keep their connection have connected ${kept} times`);
  console.log(`${failures.length} requests were refused or failed ${failures.slice(0, 3)}`);
  if (failures.length > 0 || kept > CLIENTS || answers.size !== restarts + 1) process.exitCode = 1;
}

module.exports = { CLIENTS, run };

if (require.main === module) main();
