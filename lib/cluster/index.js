// Owns: what loading the package does about node:cluster.
'use strict';

const { setSharing } = require('../sockets/sharing');
const { serveWorkers } = require('./primary');
const { share } = require('./worker');

setSharing(share);
serveWorkers();
