'use strict';

// Section: descriptors over a stream. This process, the archive, has files that nobody can open by a
// name; reader.js, in a process of its own, asks for them over a Unix stream socket and reads them.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { UServer } = require('afunix');

const FILES = { poem: 'Roses are red', prose: 'It was a dark and stormy night' };

/** A file that is deleted already: only its descriptor leads to it. */
function openDeleted(folder, name, text) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  const fd = fs.openSync(file, 'r');
  fs.unlinkSync(file);
  return fd;
}

async function run({ folder, say }) {
  // Only processes of this user may come in.
  const server = new UServer({ allow: ({ uid }) => uid === process.getuid() });
  server.listen(path.join(folder, 'archive.sock'));
  server.on('connection', (socket) => {
    // A Duplex of bytes: setEncoding(), 'data', 'end', as with net.Socket.
    socket.setEncoding('utf8');
    socket.on('data', (text) => {
      const names = text.trimEnd().split('\n');
      say(`process ${socket.peerCredentials.pid} asks for ${names.join(' and ')}`);
      const fds = names.map((name) => openDeleted(folder, name, FILES[name]));
      socket.end({ data: `${names.length} files`, fds });
      // The descriptors were sent, or duplicated to be sent: ours can be closed.
      for (const fd of fds) fs.closeSync(fd);
    });
  });
  await once(server, 'listening');

  const reader = fork(path.join(__dirname, 'reader.js'), [server.address(), ...Object.keys(FILES)]);
  reader.on('message', (line) => say(`process ${reader.pid} ${line}`));
  const [code] = await once(reader, 'exit');
  if (code !== 0) throw new Error(`the reader's process ended with code ${code}`);
  server.close();
  await once(server, 'close');
}

module.exports = { title: 'Descriptors over a stream, between two Node processes', run };
