'use strict';

// The worker that tools-spec.js starts.

const { parentPort } = require('worker_threads');
const { DgramSocket } = require('afunix');

const [left, right] = DgramSocket.pair();
right.on('data', (data) => {
  parentPort.postMessage(String(data));
  left.close();
  right.close();
});
left.send('from a worker');
