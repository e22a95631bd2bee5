'use strict';

/** Adapter for the `reusePort` option of Node's own `net`; see afunix.js. */

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 12) || (major === 23 && minor < 1)) {
  throw new Error(`Node ${process.version} has no reusePort, which came with 22.12 and 23.1`);
}

const reuseport = {
  listen: (server, port, done) => server.listen({ port, host: '0.0.0.0', reusePort: true }, done),
};

module.exports = { version: process.version, reuseport };
