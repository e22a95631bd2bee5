'use strict';

// Writes to the system log, as syslog(3) does: datagrams to /dev/log in the format of RFC 3164.
// With a path, it logs there: to a real daemon. Without one, it is its own daemon, on a temporary
// path, and shows what happens when that stops reading, and when it is restarted.
// Run: node examples/syslog.js [path] (after `npm start` or `npm run build` has built the addon)

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const { DgramSocket } = require('afunix');

const SEVERITIES = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'];
const FACILITIES = { user: 1, daemon: 3, local0: 16, local7: 23 };
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** Milliseconds between attempts while there is no daemon, or no room. */
const RETRY_DELAY = 50;
/** No daemon, or one that does not keep up, which macOS calls ENOBUFS. */
const LATER = new Set(['ECONNREFUSED', 'ENOENT', 'EAGAIN', 'ENOBUFS']);

/** `Nov  2 09:05:00`: local time, as the format wants it. */
function timestamp(date) {
  const day = String(date.getDate()).padStart(2);
  return `${MONTHS[date.getMonth()]} ${day} ${date.toTimeString().slice(0, 8)}`;
}

/** A line of the log as a datagram: `<priority>time tag[pid]: text`. */
function format(facility, severity, tag, text, date = new Date()) {
  const priority = FACILITIES[facility] * 8 + SEVERITIES.indexOf(severity);
  return `<${priority}>${timestamp(date)} ${tag}[${process.pid}]: ${text}`;
}

/**
 * Logs in order. While the daemon is gone or does not read, the newest lines are kept; beyond `keep` the oldest go, and
 * are counted. Nothing throws, and nothing but the kept lines needs memory.
 */
class Syslog {
  dropped = 0;
  // Never queues: the lines that wait are kept here, where they can be counted.
  #socket = new DgramSocket({ whenFull: 'fail' });
  #lines = [];
  #timer = null;
  #isSending = false;
  #isClosed = false;

  constructor({ path = '/dev/log', facility = 'user', tag = 'node', keep = 1000 } = {}) {
    Object.assign(this, { path, facility, tag, keep });
    for (const severity of SEVERITIES) {
      this[severity] = (text) => this.log(severity, text);
    }
  }

  log(severity, text) {
    // A daemon takes a line break for the end of the line, or escapes it.
    for (const line of text.split('\n')) {
      this.#lines.push(format(this.facility, severity, this.tag, line));
    }
    while (this.#lines.length > this.keep) {
      this.#lines.shift();
      this.dropped++;
    }
    this.#send();
  }

  /** Lines that wait. */
  get waiting() {
    return this.#lines.length;
  }

  #send() {
    if (this.#isSending || this.#timer !== null || this.#lines.length === 0) return;
    if (this.#isClosed) {
      this.dropped += this.#lines.splice(0).length;
      return;
    }
    const line = this.#lines.shift();
    this.#isSending = true;
    this.#socket.sendTo(line, this.path, (error) => {
      this.#isSending = false;
      if (LATER.has(error?.code)) {
        // It is full, or being restarted. The line is the oldest: it goes first if too many wait now.
        if (this.#lines.length < this.keep) this.#lines.unshift(line);
        else this.dropped++;
        this.#timer = setTimeout(() => {
          this.#timer = null;
          this.#send();
        }, RETRY_DELAY).unref();
        return;
      }
      // EMSGSIZE, EACCES: trying again would not help.
      if (error) this.dropped++;
      this.#send();
    });
  }

  /** Resolves when nothing is left to send, or after so many milliseconds. */
  async close(limit = 2000) {
    const end = performance.now() + limit;
    const isBusy = () => this.#isSending || this.#lines.length > 0;
    while (isBusy() && performance.now() < end) await pause(10);
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await new Promise((resolve) => this.#socket.close(resolve));
    this.dropped += this.#lines.splice(0).length;
  }
}

/** A small daemon: parses what comes, and knows from the kernel who sent it. */
class Daemon {
  lines = [];

  constructor(address) {
    this.socket = new DgramSocket({ credentials: process.platform === 'linux' }).bind(address);
    this.socket.on('data', (data, _from, { credentials }) => {
      const [, priority, rest] = /^<(\d+)>\w{3} [ \d]\d [\d:]{8} (.*)$/s.exec(data) ?? [];
      if (rest === undefined) return;
      const severity = SEVERITIES[priority % 8];
      this.lines.push(`${severity.padEnd(7)} ${rest} (pid ${credentials?.pid ?? 'unknown'})`);
    });
  }
}

async function demonstrate() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-syslog-'));
  const address = path.join(folder, 'log');
  const log = new Syslog({ path: address, facility: 'daemon', tag: 'example' });

  // No daemon runs yet: the lines are kept.
  log.notice('starting');
  await pause(2 * RETRY_DELAY);
  let daemon = new Daemon(address);
  for (let count = 1; count <= 100; count++) log.info(`request ${count}`);
  while (daemon.lines.length < 101) await pause(5);
  console.log(`${daemon.lines.length} lines, the first and the last of them:`);
  console.log(`  ${daemon.lines[0]}\n  ${daemon.lines.at(-1)}`);

  // The daemon is restarted, and something is logged in between.
  await daemon.socket[Symbol.asyncDispose]();
  log.warning('no daemon listens just now');
  log.err('two lines\nat once');
  await pause(2 * RETRY_DELAY);
  daemon = new Daemon(address);
  while (daemon.lines.length < 3) await pause(5);
  console.log('after a restart:');
  for (const line of daemon.lines) console.log(`  ${line}`);

  await log.close();
  console.log(`dropped: ${log.dropped}`);
  await daemon.socket[Symbol.asyncDispose]();
  fs.rmdirSync(folder);
}

async function main() {
  const [address] = process.argv.slice(2);
  if (address === undefined) {
    await demonstrate();
    return;
  }
  const log = new Syslog({ path: address, tag: 'afunix-example' });
  for (const severity of SEVERITIES.slice(3)) log[severity](`this is of severity ${severity}`);
  await log.close();
  if (log.dropped > 0) throw new Error(`${log.dropped} lines could not be logged at ${address}`);
  console.log(`logged at ${address}`);
}

module.exports = { Syslog };

if (require.main === module) main();
