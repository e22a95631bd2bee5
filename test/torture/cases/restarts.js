'use strict';

// The case "restarts": a web server on a TCP port and a Unix path is replaced by a new version of itself, under load,
// with its listening sockets and idle connections: examples/restart.js. Not one request may be refused or fail.

const path = require('node:path');
const { CLIENTS, run: restart } = require(
  path.join(__dirname, '..', '..', '..', 'examples', 'restart.js'),
);

async function run({ quick, say }) {
  const restarts = quick ? 20 : 100;
  const { answers, failures, kept } = await restart(restarts, say);
  const served = [...answers.values()].reduce((sum, count) => sum + count, 0);
  for (const failure of new Set(failures)) say(`a request failed: ${failure}`);
  return [
    {
      what: `${restarts} restarts: requests`,
      tried: served + failures.length,
      lost: failures.length,
    },
    { what: 'versions that answered', tried: restarts + 1, lost: restarts + 1 - answers.size },
    { what: 'connections that are kept', tried: CLIENTS, lost: kept - CLIENTS },
  ];
}

module.exports = {
  about: 'A web server is restarted under load, with its listening sockets and idle connections.',
  limit: 300,
  quickLimit: 600,
  run,
};
