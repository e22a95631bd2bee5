'use strict';

/** As seq-accept, with stream sockets. */

const seqAccept = require('./seq-accept');

const [server, both] = seqAccept.metrics;

const targets = [
  { to: 'bare', atLeast: 0.5, aim: 0.8 },
  { to: 'net', atLeast: 2, aim: 3.5 },
];

module.exports = {
  ...seqAccept,
  name: 'stream-accept',
  kind: 'stream',
  implementations: ['afunix', 'bare', 'net', 'usocket'],
  metrics: [{ ...server, targets }, both],
  roles: seqAccept.rolesFor('stream'),
};
