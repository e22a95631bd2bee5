'use strict';

/** As http, with a connection for each request, which the server closes. */

const http = require('./http');

const WARM_UP = 5000;

module.exports = {
  ...http,
  name: 'http-short',
  about:
    'Requests a second of a node:http server with a connection for each, 16 at once of a C client, server and client pinned to a processor each.',
  metrics: http.metrics.map((metric) => ({
    ...metric,
    targets: [{ to: 'net', atLeast: 1.05, aim: 1.25 }],
  })),
  measure: (trial) => http.measureRequests(trial, WARM_UP),
};
