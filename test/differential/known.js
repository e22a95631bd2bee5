'use strict';

// Owns the differences from net that are meant: the table is in docs/moving.md, too. And, for as long as there are
// any, the classes of those that are not.

/**
 * What USocket and UServer do in another way than net on purpose. `key` matches the key of a difference; a rule
 * without `key` is one that compare.js or adapted.js keeps. `strict`: `afunix/net`, which keeps net's shape, does so, too.
 * `cascades`: what follows differs with it. Only where a socket was connected again before its 'close' (`reconnected`),
 * where any client has more than one life (`secondLife`), where an exception was not caught (`uncaught`).
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
    strict: true,
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
  {
    what: "connect()'s callback runs before listeners for 'connect' that are older",
    key: /^socket (returned\(.*\)|read) \/ connect callback\(connect, \)$/,
    reason: 'it is none of those listeners: see above',
  },
  {
    what: 'a connection is read once as soon as it is accepted, and not when the loop polls next',
    reason: 'most short connections are over then, without a system call to watch them',
    strict: true,
  },
  {
    what: 'connections that wait are accepted in one turn',
    reason: "libuv accepts one a turn, which costs a system call's wait for each",
    strict: true,
  },
  {
    what: "'close' comes with setImmediate()",
    reason: "net's comes when libuv closes handles, the one phase of the loop that is libuv's own",
    strict: true,
  },
  {
    what: "connect() behind destroy(), before 'close': nothing of the life before gets into the next",
    key: /^(socket|peer|sink) /,
    reconnected: true,
    cascades: true,
    reason: "in net the outcome of the attempt before, or its write, is the new one's error",
    strict: true,
  },
  {
    what: 'what the peer sent before a write fails is read by who reads',
    key: /^socket (error\(EPIPE\)|ready) \/ data$/,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'a reset is reported when who reads has read what came before it',
    key: /^socket error\(ECONNRESET\) \/ nothing more$/,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'end() of a life before connect() is not sent in the next one',
    key: /^((socket|peer) end \/ nothing more|sink sink finish \/ data)$/,
    secondLife: true,
    cascades: true,
    reason: 'nothing of the life before gets into the next',
    strict: true,
  },
  {
    what: 'an exception that nobody caught: what was to come in its tick comes in a later turn',
    key: /^(socket|peer) (iteration end\(.*\) \/ close\(\w+\)|close\(\w+\) \/ iteration end\(.*\))$/,
    uncaught: true,
    cascades: true,
    reason: "in Node itself: whether 'close' is earlier depends on the phase of the loop",
    strict: true,
  },
  {
    what: 'a peer that closed with bytes unread has ended, for who has read all of its own',
    key: /^(socket (error\(ECONNRESET\) \/ end|end \/ error\(ECONNRESET\))|sink nothing more \/ sink finish)$/,
    cascades: true,
    reason: 'net does so mostly; whether it does depends on how the bytes were cut',
    strict: true,
  },
  {
    what: 'of callbacks that get the same error, a small write that the kernel took is called back in its own tick',
    key: /^socket callback\(end, (\w+)\) \/ callback\(write, \1\)$/,
    reason: 'Writable never hears of it, which is what makes it cheap',
  },
  {
    what: 'a write that waits for a connection is called back after all listeners of a close',
    key: /^socket finished\(finished, ERR_SOCKET_CLOSED_BEFORE_CONNECTION\) \/ finished\(finished, ERR_STREAM_PREMATURE_CLOSE\)$/,
    cascades: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'bytesWritten counts what write() was given, whatever becomes of it',
    key: /^socket probe: bytesWritten differs after an error$/,
    reason: 'net counts a Buffer that could not be sent, and a short string not',
    strict: true,
  },
  {
    what: 'end() before connect() and again before the connection is no error',
    key: /^socket error\(ERR_MULTIPLE_CALLBACK\) \/ /,
    cascades: true,
    reason: 'net sends the end twice, and takes the second answer for an error of its own',
    strict: true,
  },
  {
    what: 'an empty chunk behind others of one write needs no system call',
    key: /^request (error\(EPIPE\) \/ (close|nothing more)|aborted \/ end)$/,
    cascades: true,
    reason: 'libuv sends it alone, in a later turn: EPIPE if the peer has got all and left',
    strict: true,
  },
];

const CONDITIONS = ['reconnected', 'secondLife', 'uncaught'];

/** The rule by which a difference is meant, for 'afunix' or 'afunix/net'. `holds`: which conditions are met. */
function intentionOf({ key, holds }, subject) {
  return INTENDED.find(
    (each) =>
      each.key?.test(key) &&
      (each.strict || subject === 'afunix') &&
      CONDITIONS.every((name) => !each[name] || holds?.[name]),
  );
}

module.exports = { INTENDED, intentionOf };
