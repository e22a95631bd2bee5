'use strict';

/** Adapter for Node's own `cluster`, whose primary accepts and deals in turn; see afunix.js. */

const cluster = require('node:cluster');

const reuseport = {
  fork() {
    cluster.schedulingPolicy = cluster.SCHED_RR;
    const args = process.argv.slice(2);
    args[2] = 'work';
    cluster.setupPrimary({ args });
    return cluster.fork();
  },

  listen: (server, port, done) => server.listen(port, '0.0.0.0', done),
};

module.exports = { version: process.version, reuseport };
