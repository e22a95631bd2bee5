'use strict';

// Section: datagrams from programs that know nothing of afunix, or of Node.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { text } = require('node:stream/consumers');
const { DgramSocket } = require('afunix');

const PYTHON = `
import socket, sys
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b"Greetings from Python " + sys.version.split()[0].encode(), sys.argv[1])
`;

/** How to make each program send something to a socket path. */
const PROGRAMS = [
  {
    command: 'systemd-notify',
    args: () => ['--ready', '--status=On tour'],
    env: (to) => ({ NOTIFY_SOCKET: to }),
  },
  {
    command: 'logger',
    args: (to) => ['--socket', to, '--socket-errors=on', '--tag', 'tour', 'A line for the log'],
  },
  {
    command: 'python3',
    args: (to) => ['-c', PYTHON, to],
  },
];

/** Whether the program could be started; false if it is not installed. */
async function hasStarted(child) {
  try {
    await once(child, 'spawn');
    return true;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}

/** Receives from one program; the outcome in words, or null if it is not installed. */
async function receiveFrom({ command, args, env = () => ({}) }, folder) {
  const address = path.join(folder, `${command}.sock`);
  // Without `receiveFds` the kernel closes descriptors that come along. systemd-notify sends one,
  // and waits for that.
  const socket = new DgramSocket().bind(address);
  const received = once(socket, 'data');
  const child = spawn(command, args(address), {
    env: { ...process.env, ...env(address) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    if (!(await hasStarted(child))) return null;
    const [[code], reason] = await Promise.all([once(child, 'close'), text(child.stderr)]);
    if (code !== 0) return `did not work here: ${reason.trim()}`;
    const [data] = await received;
    return data.toString().replaceAll('\n', ', ');
  } finally {
    child.kill();
    socket.close();
  }
}

async function run({ folder, say }) {
  const missing = [];
  for (const program of PROGRAMS) {
    const outcome = await receiveFrom(program, folder);
    if (outcome === null) missing.push(program.command);
    else say(`${program.command}: ${outcome}`);
  }
  if (missing.length > 0) say(`not installed here: ${missing.join(', ')}`);
}

module.exports = { title: 'Datagrams from programs that are not ours', run };
