'use strict';

// A two-way channel to a program in another language: one end of a socket pair becomes the child's
// descriptor 3, ours becomes a net.Socket. Standard input and output stay free for other things.
// Run: node examples/socketpair-python.js (after `npm start` or `npm run build` built the addon)

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const readline = require('node:readline');
const { closeFd } = require('afunix');
const socketpair = require('afunix/socketpair');

const CHILD = `
import json, socket
channel = socket.socket(fileno=3)
channel.setblocking(True)  # The pair is nonblocking, as Node wants it; Python waits.
with channel.makefile('rw', encoding='utf-8') as stream:
    for line in stream:
        numbers = json.loads(line)
        print(f'Python: summing {len(numbers)} numbers', flush=True)
        stream.write(json.dumps({'sum': sum(numbers)}) + '\\n')
        stream.flush()
`;

async function main() {
  const [ours, theirs] = socketpair(socketpair.SOCK_STREAM);
  const child = spawn('python3', ['-c', CHILD], {
    stdio: ['ignore', 'inherit', 'inherit', theirs],
  });
  closeFd(theirs); // The child has a duplicate. While ours is open, we would not see its end.
  const channel = new net.Socket({ fd: ours, readable: true, writable: true });
  try {
    await once(child, 'spawn'); // Rejects if there is an 'error' instead.
  } catch {
    channel.destroy();
    console.log('This example needs python3.');
    return;
  }

  const answers = readline.createInterface({ input: channel });
  for (const numbers of [[1, 2, 3], Array.from({ length: 100_000 }, (_, index) => index)]) {
    channel.write(`${JSON.stringify(numbers)}\n`);
    const [line] = await once(answers, 'line');
    console.log(`Node: the sum is ${JSON.parse(line).sum}`);
  }
  channel.end();
  const [code] = await once(child, 'exit');
  console.log(`Python ended with code ${code}`);
}

main();
