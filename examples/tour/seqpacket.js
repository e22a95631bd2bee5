'use strict';

// Section: a seqpacket server in this process, and three clients, visitor.js, each in a process of
// its own. Connected like a stream, with messages kept apart like datagrams.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { SeqpacketServer } = require('afunix');

const VISITORS = ['Ada', 'Ben', 'Cleo'];

/** A message as people can see it, the empty one too. */
const shown = (message) => (message.length === 0 ? '(an empty message)' : `"${message}"`);

/** A file that is deleted already: only its descriptor leads to it. */
function openGuestBook(folder) {
  const file = path.join(folder, 'guest-book.txt');
  const fd = fs.openSync(file, 'ax+');
  fs.unlinkSync(file);
  return fd;
}

/** Takes what one visitor says until the end, and lends the guest book to whoever asks for it. */
async function receive(socket, guestBook) {
  const { pid } = socket.peerCredentials;
  const messages = [];
  // Each turn is one message, whole, as it was written.
  for await (const message of socket) {
    if (String(message) === 'the guest book, please') {
      socket.write({ data: 'here it is', fds: [guestBook] });
    } else {
      messages.push(String(message));
    }
  }
  return { pid, messages };
}

/** Starts a visitor's process; `ended` rejects if it does not end well. */
function startVisitor(name, serverPath) {
  const visitor = fork(path.join(__dirname, 'visitor.js'), [serverPath, name]);
  const ended = once(visitor, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`${name}'s process ended with code ${code}`);
  });
  return { name, pid: visitor.pid, ended };
}

async function run({ folder, say }) {
  if (process.platform !== 'linux') {
    say('Skipped: only Linux has seqpacket Unix sockets.');
    return;
  }
  const guestBook = openGuestBook(folder);
  const visits = [];
  const server = new SeqpacketServer((socket) => visits.push(receive(socket, guestBook)));
  // Synchronous: visitors may come from here on.
  server.listen(path.join(folder, 'house.sock'));

  const visitors = VISITORS.map((name) => startVisitor(name, server.address()));
  const pids = visitors.map(({ name, pid }) => `${name} is ${pid}`).join(', ');
  say(`This is process ${process.pid}, the server; of the visitors, ${pids}.`);
  await Promise.all(visitors.map(({ ended }) => ended)); // And so have their connections.

  say();
  say('What each of them said, message by message; the kernel says who is who');
  const heard = await Promise.all(visits);
  for (const { name, pid } of visitors) {
    const found = heard.find((visit) => visit.pid === pid);
    if (!found) throw new Error(`no connection came from ${name}, process ${pid}`);
    say(`  process ${pid}: ${found.messages.map(shown).join(', ')}`);
  }

  say();
  say(`What they wrote themselves through descriptor ${guestBook}, passed to each of them`);
  // Written by three processes in any order.
  const lines = fs.readFileSync(`/proc/self/fd/${guestBook}`, 'utf8').trimEnd().split('\n');
  for (const line of lines.sort()) say(`  ${line}`);
  if (lines.length !== VISITORS.length) throw new Error(`${lines.length} lines in the guest book`);
  fs.closeSync(guestBook);

  server.close();
  await once(server, 'close');
}

module.exports = { title: 'Seqpacket: a server and three clients in other processes', run };
