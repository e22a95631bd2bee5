'use strict';

// A TCP server is replaced by a new version of itself, twice, without refusing a connection: the
// listening socket goes from process to process over a Unix socket, see restart/version.js. A client
// connects again and again meanwhile.
// Run: node examples/restart.js (after `npm start` or `npm run build` has built the addon)

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const PROGRAM = path.join(__dirname, 'restart', 'version.js');

/** Starts a version. Resolves once it accepts connections. */
async function start(name, meetingPoint) {
  const child = fork(PROGRAM, [name, meetingPoint]);
  const ended = once(child, 'exit');
  const [{ port }] = await once(child, 'message');
  return { child, ended, port };
}

/** Asks a server for its name, over and over; counts the answers and the failures. */
function keepAsking(port) {
  const answers = new Map();
  let failures = 0;
  let isOn = true;
  const ask = () => {
    if (!isOn) return;
    let text = '';
    const socket = net.connect(port, '127.0.0.1');
    socket.on('data', (data) => (text += data));
    socket.on('error', () => failures++);
    socket.on('close', () => {
      if (text) answers.set(text.trim(), (answers.get(text.trim()) ?? 0) + 1);
      ask();
    });
  };
  ask();
  return () => {
    isOn = false;
    return { answers, failures };
  };
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-restart-'));
  const meetingPoint = path.join(folder, 'versions.sock');

  let current = await start('version 1', meetingPoint);
  const stop = keepAsking(current.port);
  for (const name of ['version 2', 'version 3']) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const next = await start(name, meetingPoint);
    await current.ended;
    console.log(`${name} has taken over; the process before it has ended`);
    current = next;
  }
  await new Promise((resolve) => setTimeout(resolve, 200));

  const { answers, failures } = stop();
  for (const [name, count] of answers) console.log(`${name} answered ${count} times`);
  console.log(`${failures} connections were refused or reset`);
  current.child.send('stop');
  await current.ended;
  fs.rmSync(folder, { recursive: true });
  if (failures > 0 || answers.size !== 3) process.exitCode = 1;
}

main();
