'use strict';

// Messages that end with a NUL, as those of varlink do, with descriptors: a message's descriptors come with its last
// byte at the latest, and with fdsWithData a chunk ends where descriptors came.
// Run: node examples/framed-nul.js (after `npm start` or `npm run build` has built the addon)

const fs = require('node:fs');
const os = require('node:os');
const { USocket, closeFd } = require('afunix');

/** Messages as `{ value, fds }`: the descriptors are yours to close. */
async function* messagesOf(socket) {
  let rest = [];
  let fds = [];
  for await (const chunk of socket) {
    // They were written with the chunk's last byte: with the message that has it.
    const ofLast = [...chunk.fds];
    let start = 0;
    for (let end; (end = chunk.indexOf(0, start)) >= 0; start = end + 1) {
      const text = Buffer.concat([...rest, chunk.subarray(start, end)]).toString();
      rest = [];
      if (end === chunk.length - 1) fds.push(...ofLast.splice(0));
      yield { value: JSON.parse(text), fds };
      fds = [];
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
    // The message goes on: they are of its beginning.
    fds.push(...ofLast);
  }
}

/** Sends one message. */
function send(socket, value, fds) {
  return socket.write({ data: `${JSON.stringify(value)}\0`, fds });
}

async function main() {
  const [client, service] = USocket.pair({ fdsWithData: true });
  const fd = fs.openSync(os.devNull);
  send(client, { method: 'org.example.Ping' });
  send(client, { method: 'org.example.Open', parameters: { fileDescriptor: 0 } }, [fd]);
  send(client, { method: 'org.example.Ping' });
  client.end();
  fs.closeSync(fd);
  for await (const { value, fds } of messagesOf(service)) {
    console.log(`${value.method} with ${fds.length} descriptors`);
    for (const received of fds) closeFd(received);
  }
}

module.exports = { messagesOf, send };

if (require.main === module) main();
