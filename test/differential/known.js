'use strict';

// Owns the differences from net that are meant: the table is in docs/moving.md, too. And, for as long as there are
// any, the classes of those that are not.

/**
 * What USocket and UServer do in another way than net on purpose. `key` matches the key of a difference; a rule
 * without `key` is one that compare.js keeps. `strict`: `afunix/net`, which keeps net's shape, does so, too.
 */
const INTENDED = [
  {
    what: 'write() of highWaterMark or more that the kernel takes whole returns true, and no drain follows',
    reason: 'nothing waits: who heeds false would wait for nothing',
  },
  {
    what: "connect()'s callback runs before 'connect'",
    reason: 'usocket does so, and libraries written for it rely on it',
  },
  {
    what: "'ready' comes before the callbacks of what was written before 'connect'",
    reason: "as 'connect' does: first the connection, then what it carried",
  },
  {
    what: "'connectionAttempt' and 'connectionAttemptFailed' are not emitted",
    reason: 'they report the addresses of a host name; a path is one',
    strict: true,
  },
  {
    what: 'the callback of a write that destroy() or a reset cut off gets an error',
    reason: 'net calls it without one: it says that bytes were sent that never were',
    strict: true,
  },
  {
    what: 'errors have `path` as well as what net gives',
    key: /^socket error \w+: path undefined \/ "PATH"$/,
    reason: 'errors of this package have it everywhere, as those of fs',
  },
  {
    what: 'address() is the name',
    key: /^socket probe: address \{\} \/ "/,
    reason: "net's is an empty object for a Unix socket",
  },
  {
    what: 'remoteAddress is the name of a peer that has one',
    key: /^socket probe: remoteAddress undefined \/ "PATH"$/,
    reason: 'net has none for a Unix socket',
  },
  {
    what: 'a server that fails to listen says what the system said',
    key: /^server error\(EACCES\) \/ error\(ENOENT\)$/,
    reason: 'libuv turns ENOENT of bind(2) into EACCES',
    strict: true,
  },
];

/** Whether a difference with this key is meant, for 'afunix' or 'afunix/net'. */
function isIntended(key, subject) {
  return INTENDED.some((each) => each.key?.test(key) && (each.strict || subject === 'afunix'));
}

module.exports = { INTENDED, isIntended };
