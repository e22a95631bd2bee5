'use strict';

// A service that tells its manager how it is, with the protocol of sd_notify(3): READY=1, STATUS=…,
// WATCHDOG=1, STOPPING=1. Under systemd (Type=notify, WatchdogSec=…) it tells systemd. Otherwise it
// starts itself once more under a small manager of its own, which checks whose messages they are.
// Run: node examples/sd-notify.js (after `npm start` or `npm run build` has built the addon)

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const { promisify } = require('node:util');
const { DgramSocket } = require('afunix');

/** Tells the manager; without one it does nothing. */
class Notifier {
  #socket = null;
  #address;
  #watchdog = null;

  constructor({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = process.env) {
    if (!NOTIFY_SOCKET) return;
    // An abstract name is written with an @ for its NUL.
    this.#address = NOTIFY_SOCKET.replace(/^@/, '\0');
    this.#socket = new DgramSocket();
    const isForUs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    /** Milliseconds between signs of life: half of what the manager allows. */
    this.interval = WATCHDOG_USEC && isForUs ? Number(WATCHDOG_USEC) / 2000 : 0;
  }

  /** Resolves when the manager's socket has it. A full one is waited for. */
  async notify(fields) {
    if (this.#socket === null) return;
    const lines = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
    await promisify(this.#socket.sendTo).call(this.#socket, lines.join('\n'), this.#address);
  }

  /** The service works: from now on it gives signs of life, as long as the event loop turns. */
  async ready(status) {
    await this.notify({ READY: 1, STATUS: status, MAINPID: process.pid });
    if (!this.interval) return;
    this.#watchdog = setInterval(() => {
      this.notify({ WATCHDOG: 1 }).catch(() => {}); // The manager is gone: it will miss nothing.
    }, this.interval);
  }

  status = (status) => this.notify({ STATUS: status });

  async stop() {
    clearInterval(this.#watchdog);
    await this.notify({ STOPPING: 1 });
    await this.#socket?.[Symbol.asyncDispose]();
  }
}

async function serve() {
  const notifier = new Notifier();
  await notifier.status('Reading the configuration');
  await notifier.ready('Serving');
  await pause(250);
  await notifier.status('250 milliseconds were enough');
  await notifier.stop();
}

/** Starts this file as a service and hears what it tells. */
async function manage() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-sd-notify-'));
  const address = path.join(folder, 'notify.sock');
  const manager = new DgramSocket({ credentials: true }).bind(address, { mode: 0o600 });
  const service = fork(__filename, {
    env: { ...process.env, NOTIFY_SOCKET: address, WATCHDOG_USEC: String(100_000) },
  });
  const ended = once(service, 'exit');
  let signsOfLife = 0;
  const told = [];
  manager.on('data', (data, _from, { credentials }) => {
    // Anybody may send here who can open the file. The kernel says who it was.
    if (credentials.pid !== service.pid) {
      console.log(`process ${credentials.pid} is not our service: not believed`);
      return;
    }
    for (const line of data.toString().split('\n')) {
      if (line === 'WATCHDOG=1') signsOfLife++;
      else console.log(`  ${line}`);
      told.push(line.split('=')[0]);
    }
  });

  console.log(`the service is process ${service.pid}:`);
  // Somebody else pretends to be it.
  const stranger = new DgramSocket();
  await promisify(stranger.sendTo).call(stranger, 'STOPPING=1', address);
  stranger.close();
  const [code] = await ended;
  while (!told.includes('STOPPING')) await pause(5);
  console.log(`${signsOfLife} signs of life; it ended with code ${code}`);
  manager.close();
  fs.rmdirSync(folder);
  if (code !== 0 || signsOfLife === 0 || !told.includes('READY')) process.exitCode = 1;
}

async function main() {
  if (process.env.NOTIFY_SOCKET) await serve();
  else if (process.platform === 'linux') await manage();
  else console.log('Skipped: only Linux sends credentials with each message.');
}

main();
