'use strict';

// Section: datagrams between two separate Node processes, this one and clerk.js. Messages go from
// socket to socket, with boundaries, in order, without any connection.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { DgramSocket } = require('afunix');

/** Abstract names, and credentials with each message, are Linux's own. */
const LINUX = process.platform === 'linux';

/** A name as people write it: @ stands for the NUL that starts an abstract one. */
const shown = (name) => path.basename(name).replace(/^\0/, '@');

const describe = ({ pid, uid, gid }) => `process ${pid}, user ${uid}, group ${gid}`;

/** Starts the other process and waits until its sockets are bound. */
async function startClerk(names) {
  const clerk = fork(path.join(__dirname, 'clerk.js'), names);
  const ended = once(clerk, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`the clerk ended with code ${code}`);
  });
  await Promise.race([once(clerk, 'message'), ended]);
  return { clerk, ended };
}

/** Sends a request and waits for the answer: `{ answer, sender, from, credentials }`. */
async function ask(socket, to, message, options = {}) {
  const answered = once(socket, 'data'); // Rejects if there is an 'error' instead.
  socket.sendTo(message, to, options);
  const [data, from, { credentials }] = await answered;
  return { ...JSON.parse(data), from, credentials };
}

/** Request and answer between two paths. */
async function overPaths({ folder, say }, clerkPath) {
  say('A request and its answer, over path addresses');
  // Bound, because the answer needs an address to go to.
  const socket = new DgramSocket().bind(path.join(folder, 'visitor.sock'));
  say(`  to ${shown(clerkPath)}: good morning`);
  const { answer, from } = await ask(socket, clerkPath, 'good morning');
  say(`  from ${shown(from)}: ${answer}`);
  socket.close();
}

/** The same without any file. */
async function overAbstractNames({ say }, clerkName) {
  say('The same over an abstract name, for which there is no file');
  // Without an argument, bind() has the kernel choose an abstract name.
  const socket = new DgramSocket().bind();
  say(`  from ${shown(socket.address())} to ${shown(clerkName)}: is anybody there?`);
  const { answer, from } = await ask(socket, clerkName, 'is anybody there?');
  say(`  from ${shown(from)}: ${answer}`);
  socket.close();
}

/** An open file travels to the other process. */
async function withDescriptor({ folder, say }, clerkPath) {
  say('An open file, passed in a datagram');
  const letter = path.join(folder, 'letter.txt');
  fs.writeFileSync(letter, 'Whoever holds the descriptor can read this.');
  const fd = fs.openSync(letter);
  fs.unlinkSync(letter);
  const socket = new DgramSocket().bind(path.join(folder, 'sender.sock'));
  say(`  to ${shown(clerkPath)}: descriptor ${fd}, of a file that is deleted already`);
  const answered = ask(socket, clerkPath, 'what does it say?', { fds: [fd] });
  fs.closeSync(fd); // Ours to close as soon as sendTo has returned.
  const { answer, from } = await answered;
  say(`  from ${shown(from)}: it says "${answer}"`);
  socket.close();
}

/** The kernel says who sent a message. */
async function withCredentials({ folder, say }, clerkPath, clerkPid) {
  say('The credentials of the sender, vouched for by the kernel');
  const socket = new DgramSocket({ credentials: true }).bind(path.join(folder, 'curious.sock'));
  const { sender, credentials } = await ask(socket, clerkPath, 'who are we?');
  say(`  the clerk saw ${describe(sender)}: that is this process`);
  say(`  we saw ${describe(credentials)}: that is the clerk`);
  if (sender.pid !== process.pid || credentials.pid !== clerkPid) {
    throw new Error(`we are process ${process.pid} and the clerk is ${clerkPid}`);
  }
  socket.close();
}

async function run(stage) {
  const { folder, say } = stage;
  const clerkPath = path.join(folder, 'clerk.sock');
  const clerkName = `\0afunix-tour-${process.pid}`;
  const names = LINUX ? [clerkPath, clerkName.replace('\0', '@')] : [clerkPath];
  const { clerk, ended } = await startClerk(names);
  say(`This is process ${process.pid}, the visitor; process ${clerk.pid} is the clerk.`);

  say();
  await overPaths(stage, clerkPath);
  say();
  if (LINUX) await overAbstractNames(stage, clerkName);
  else say('Abstract names are skipped: only Linux has them.');
  say();
  await withDescriptor(stage, clerkPath);
  say();
  if (LINUX) await withCredentials(stage, clerkPath, clerk.pid);
  else say('Credentials are skipped: only Linux sends them with each message.');

  clerk.disconnect(); // It closes its sockets, and nothing keeps it alive any longer.
  await ended;
}

module.exports = { title: 'Datagrams between two Node processes', run };
