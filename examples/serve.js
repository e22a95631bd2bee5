'use strict';

// A web server on a Unix path that only this user may talk to, with workers that share the path: one of them is replaced
// while clients ask, and no client notices.
// Run: node examples/serve.js (after `npm start` or `npm run build` has built the addon)

const cluster = require('node:cluster');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { serve } = require('afunix');

/** A worker: an http.Server like any other, but for where it listens. */
function work(file) {
  const allow = ({ uid }) => uid === process.getuid();
  const web = http.createServer((request, response) => {
    const { pid } = request.socket.peerCredentials;
    response.end(`process ${process.pid} knows that process ${pid} asks`);
  });
  serve(web, { path: file, mode: 0o600, allow }, () => process.send('listens'));
  process.once('message', () => web.close(() => process.disconnect()));
}

/** A worker that listens. */
async function start(file) {
  cluster.setupPrimary({ args: [file] });
  const worker = cluster.fork();
  await once(worker, 'message');
  return worker;
}

/** One request over a connection of its own. */
async function ask(file) {
  const request = http.get({ socketPath: file, agent: false });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-serve-'));
  const file = path.join(folder, 'web.sock');
  const workers = [await start(file), await start(file)];
  console.log(await ask(file));

  const [old] = workers;
  const asking = Promise.all(Array.from({ length: 100 }, () => ask(file)));
  old.send('close');
  await Promise.all([once(old, 'exit'), asking]);
  workers[0] = await start(file);
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(file)));
  console.log(`${new Set(answers).size} workers answered 100 requests`);

  for (const worker of workers) worker.send('close');
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
  fs.rmSync(folder, { recursive: true });
}

if (cluster.isPrimary) main();
else work(process.argv[2]);
