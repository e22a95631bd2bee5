'use strict';

// Asks another Node.js process synchronously: the answer is there when ask() returns, without a turn of
// the event loop. The same file is both processes.
// Run: node examples/posix-echo.js (after `npm start` or `npm run build` has built the addon)

const { spawn } = require('node:child_process');
const posix = require('afunix/posix');

/** Sends every byte: send() may take fewer. */
function sendAll(sockfd, bytes) {
  for (let sent = 0; sent < bytes.length;) sent += posix.send(sockfd, bytes.subarray(sent));
}

/** Fills the buffer; false if the other side has gone. */
function receiveAll(sockfd, bytes) {
  return posix.recv(sockfd, bytes, bytes.length, posix.MSG_WAITALL) === bytes.length;
}

/** A stream has no messages: each goes as its length and its bytes. */
function write(sockfd, value) {
  const text = Buffer.from(JSON.stringify(value));
  const frame = Buffer.alloc(4 + text.length);
  frame.writeUInt32LE(text.length);
  text.copy(frame, 4);
  sendAll(sockfd, frame);
}

/** The next message; undefined at the end. */
function read(sockfd) {
  const header = Buffer.alloc(4);
  if (!receiveAll(sockfd, header)) return undefined;
  const text = Buffer.alloc(header.readUInt32LE());
  return receiveAll(sockfd, text) ? JSON.parse(text) : undefined;
}

/** The other process: it has its end of the connection as descriptor 3. */
function answer() {
  for (let request; (request = read(3)) !== undefined;) {
    write(3, { sum: request.numbers.reduce((sum, number) => sum + number, 0), by: process.pid });
  }
}

function main() {
  const [ours, theirs] = posix.socketpair();
  const child = spawn(process.execPath, [__filename, 'answer'], {
    stdio: ['inherit', 'inherit', 'inherit', theirs],
  });
  posix.close(theirs);

  function ask(request) {
    write(ours, request);
    return read(ours);
  }

  for (const numbers of [[1, 2, 3], [], Array.from({ length: 100_000 }, (_, index) => index)]) {
    const { sum, by } = ask({ numbers });
    console.log(`the sum of ${numbers.length} numbers is ${sum}, says process ${by}`);
    if (by !== child.pid) throw new Error('another process has answered');
  }

  const started = performance.now();
  for (let count = 0; count < 10_000; count++) ask({ numbers: [count] });
  const each = (performance.now() - started) / 10;
  console.log(`10,000 questions and answers, ${each.toFixed(1)} µs each`);

  // The end of our side ends the loop of the other.
  posix.close(ours);
}

if (process.argv[2] === 'answer') answer();
else main();
