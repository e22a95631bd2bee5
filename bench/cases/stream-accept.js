'use strict';

/** As seq-accept, with stream sockets. */

const { about, metrics, faults, rolesFor, measure } = require('./seq-accept');

const [server, both] = metrics;

module.exports = {
  name: 'stream-accept',
  about,
  kind: 'stream',
  implementations: ['afunix', 'net', 'usocket'],
  metrics: [{ ...server, target: { of: 'ratio', atLeast: 0.35, aim: 0.5 } }, both],
  faults,
  roles: rolesFor('stream'),
  measure,
};
