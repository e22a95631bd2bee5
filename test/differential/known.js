'use strict';

// Owns the differences from net that are meant: the table is in docs/moving.md, too. And, for as long as there are
// any, the classes of those that are not.

/**
 * What USocket and UServer do in another way than net on purpose. `key` matches the key of a difference; a rule
 * without `key` is one that compare.js, operations.js or adapted.js keeps. `strict`: `afunix/net`, which keeps net's
 * shape, does so, too. `cascades`: what follows differs with it. Only where a socket was connected again before its
 * 'close' (`reconnected`), where any client has more than one life (`secondLife`), of which one has ended its stream
 * before that (`endedBefore`), where the socket never was connected (`unconnected`), where what net did comes a
 * little later (`comesLater`), or another error (`failsLater`), where what net does next is to fail (`failsNext`),
 * where a socket was connected once more before its 'close' (`connectedTwice`), where ref() or unref() of a client
 * comes before its connect() (`refsBefore`), where a stream is ended before it is connected (`endsEarly`), in Node
 * 22 or later (`isNode22`), where a program destroys the socket (`isDestroyed`), sends back what that receives
 * (`isEcho`) or what any socket does (`isEchoed`), lets a process of its own end without it (`isUnreferenced`), does
 * not read whatever there is on each 'readable' (`isHeld`), or has several readers (`isShared`), or where all bytes
 * have come at the end (`arrivesLater`), or the last count of connections is the same (`agreesLater`).
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
    what: 'pause() before there is a connection holds with `onread`, too',
    reason: 'net reads all the same, if a read waits for the connection, and hands the bytes over',
    strict: true,
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
    what: 'the same from Node 22 on: the error is that of the stream',
    key: /^socket (callback\(\w+|finished\(\w+|pipeline\(\w+), ECANCELED\) \/ /,
    isNode22: true,
    cascades: true,
    reason: "net's is what libuv says of a write that it has given up",
    strict: true,
  },
  {
    what: 'end() before connect() is sent when the connection is made',
    key: /^(socket|peer) (finish|nothing more) \/ /,
    endsEarly: true,
    isNode22: true,
    cascades: true,
    reason: 'so did net before Node 22, where it is over at once, and the peer never hears of it',
    strict: true,
  },
  {
    what: 'the callback of end() behind destroy() gets an error',
    reason:
      'a Writable forgets it, but in the callback of a write: who waits for it would wait for ever',
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
    strict: true,
  },
  {
    what: 'a server that fails to listen says what the system said',
    key: /^server error\(EACCES\) \/ error\(ENOENT\)$/,
    reason: 'libuv turns ENOENT of bind(2) into EACCES',
    strict: true,
  },
  {
    what: 'address() of a server that failed to listen is null',
    key: /^server probe: address false \/ true$/,
    reason: 'nobody listens there; net has what was asked for',
    strict: true,
  },
  {
    what: 'ref() and unref() hold in the order of their calls, before a connection, too',
    key: /^process (exit\(0\) \/ alive|alive \/ exit\(0\))$/,
    refsBefore: true,
    reason: "net repeats those from before connect() at 'connect', over what was called since",
    strict: true,
  },
  {
    what: "connect()'s callback runs before listeners for 'connect' that are older",
    key: /^socket (returned\(.*\)|read|probe) \/ connect callback\(connect, \)$/,
    reason: 'it is none of those listeners: see above',
  },
  {
    what: 'a connection is read once as soon as it is accepted, and not when the loop polls next',
    reason: 'most short connections are over then, without a system call to watch them',
    strict: true,
  },
  {
    what: 'the same: a reset that is there by then comes before the callback of what the handler ended',
    key: /^socket error\(EMINE\) \/ error\(ECONNRESET\)$/,
    isDestroyed: true,
    cascades: true,
    reason: 'most short connections are over then, without a system call to watch them',
    strict: true,
  },
  {
    what: 'the end of a peer that has closed comes a turn after its last bytes',
    key: /^socket (end \/ nothing more|data \/ fewer bytes)$/,
    isUnreferenced: true,
    cascades: true,
    reason: "that it has closed, and not only ended, is nothing that an add-on's poll reports",
    strict: true,
  },
  {
    what: 'an unreferenced socket whose peer closes as the process ends hears of it',
    key: /^socket nothing more \/ error\(ECONNRESET\)$/,
    isUnreferenced: true,
    cascades: true,
    reason: 'whether the loop polls once more depends on what is closed in which of its phases',
    strict: true,
  },
  {
    what: 'connections that wait are accepted in one turn',
    reason: "libuv accepts one a turn, which costs a system call's wait for each",
    strict: true,
  },
  {
    what: "'close' comes with setImmediate()",
    key: /^socket close\(\w+\) \/ (read|probe|returned\(\w+, \w+\))$/,
    comesLater: true,
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
    what: 'connect() of a socket that was closed drops what nobody has read',
    reason: 'bytes of two connections in one stream are data of neither',
    strict: true,
  },
  {
    what: 'destroySoon() destroys no later connection',
    reason: 'it was not meant',
    strict: true,
  },
  {
    what: 'what the peer sent before a write fails is read by who reads',
    key: /^socket (error\((EPIPE|ECONNRESET)\)|ready) \/ (data|data\(text\)|end)$/,
    comesLater: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'the same: who destroys the socket while the rest is read has no error',
    key: /^socket error\(EPIPE\) \/ (data|data\(text\)|close\(false\))$/,
    isDestroyed: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'a peer that has died is reported by a read or by a write, whichever finds it first',
    key: /^socket (end|error\((ECONNRESET|EPIPE)\)) \/ error\((EPIPE|ECONNRESET)\)$/,
    isEcho: true,
    cascades: true,
    reason: 'a socket that sends back what it receives does both at once',
    strict: true,
  },
  {
    what: 'a write that waits fails in the turn after the end of a peer that has closed both ways',
    key: /^socket (error\(EPIPE\) \/ (returned\(\w+, \w+\)|read|probe)|callback\(write, EPIPE\) \/ returned\(write, false\))$/,
    comesLater: true,
    cascades: true,
    reason: 'libuv looks at POLLHUP, which it passes on to nobody',
    strict: true,
  },
  {
    what: 'the same: a write that fails in a handler of data destroys the socket behind it',
    key: /^socket (returned|callback): destroyed true \/ false$/,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'the same: who ends the socket once more in a handler of that has the error of this',
    key: /^socket error\((EPIPE|ECONNRESET)\) \/ (data|data\(text\))$/,
    failsLater: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'the same: what a handler writes while the rest is read fails as that write did',
    key: /^socket error\(EPIPE\) \/ callback\(write, EPIPE\)$/,
    comesLater: true,
    cascades: true,
    reason: 'nothing that was received is thrown away, and the socket is destroyed behind it',
    strict: true,
  },
  {
    what: 'the same: who destroys the socket with an error while the rest is read has that error',
    key: /^socket error\(EPIPE\) \/ error\((EMINE|Error)\)$/,
    cascades: true,
    reason:
      'nothing that was received is thrown away, and the first error given is the one emitted',
    strict: true,
  },
  {
    what: 'the same: node:http emits what it has of a body behind aborted, where a pipe() stood in its way',
    key: /^web error\(ECONNRESET\) \/ data$/,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'a reset is reported when who reads has read what came before it',
    key: /^socket error\(ECONNRESET\) \/ nothing more$/,
    isHeld: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'the same, where nobody reads until the socket times out',
    key: /^socket error\(ECONNRESET\) \/ timeout$/,
    isHeld: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'the same, where nobody reads and a write finds it',
    key: /^socket error\(ECONNRESET\) \/ returned\(write, false\)$/,
    isHeld: true,
    comesLater: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'the same, where what came before it is read at once',
    key: /^socket data \/ more bytes$/,
    failsNext: true,
    cascades: true,
    reason: 'nothing that was received is thrown away',
    strict: true,
  },
  {
    what: 'how much a socket that sends back what it receives has received when nobody takes that, and goes on later',
    key: /^socket data \/ (fewer|more) bytes$/,
    isEcho: true,
    arrivesLater: true,
    reason: 'how much fits between depends on how the bytes were cut',
    strict: true,
  },
  {
    what: 'the same: how much of that its peer has received by then',
    key: /^peer data \/ (fewer|more) bytes$/,
    isEchoed: true,
    arrivesLater: true,
    reason: 'how much fits between depends on how the bytes were cut',
    strict: true,
  },
  {
    what: 'the same: whether anything waits, where bytes are sent back as they are read, a few at a time',
    key: /^socket left: bytes wait true \/ false$/,
    isEcho: true,
    reason: 'what waited is sent together, of which more fits',
    strict: true,
  },
  {
    what: 'the same: whether the end that waits behind it has been sent',
    key: /^(socket|peer) nothing more \/ finish$/,
    isEcho: true,
    cascades: true,
    reason: 'what waited is sent together, of which more fits',
    strict: true,
  },
  {
    what: 'the same: what of it its peer has, and the end, where the one or the other reads no more',
    key: /^(peer data \/ more bytes|socket nothing more \/ end)$/,
    isEchoed: true,
    isHeld: true,
    cascades: true,
    reason: 'how much fits between depends on how the bytes were cut',
    strict: true,
  },
  {
    what: 'which bytes a pipe() gets first that begins while others read',
    key: /^sink data \/ other bytes$/,
    isShared: true,
    reason: 'it begins with a chunk, and how the bytes are cut is up to the kernel and the clock',
    strict: true,
  },
  {
    what: 'which of two connections that a client gave up at once is heard of first',
    key: /^web clientError\((\w+)\) \/ clientError\((?!\1)\w+\)$/,
    comesLater: true,
    cascades: true,
    reason: 'a poll reports descriptors in an order of its own',
    strict: true,
  },
  {
    what: 'whether a connection that ends just now is still counted in the callback of another socket',
    key: /^server connections\(, \d+\) \/ connections\(, \d+\)$/,
    agreesLater: true,
    reason: 'a poll reports descriptors in an order of its own',
    strict: true,
  },
  {
    what: 'connect() behind another one that is about to fail connects, and nothing else happens',
    key: /^((socket|peer) end \/ nothing more|socket error\(ENOTCONN\) \/ (data|nothing more)|socket error\(EMINE\) \/ nothing more)$/,
    connectedTwice: true,
    cascades: true,
    reason: 'in net the failure of the first ends the second',
    strict: true,
  },
  {
    what: 'the same, where nothing is left that keeps the process',
    key: /^process alive \/ exit\(0\)$/,
    connectedTwice: true,
    reason: 'in net the first attempt goes on for a while',
    strict: true,
  },
  {
    what: 'end() of a life before connect() is not sent in the next one',
    key: /^((socket|peer) end \/ (nothing more|data)|socket error\(EPIPE\) \/ .*|socket finish \/ close\(false\)|socket pipeline: destroyed true \/ false|sink sink finish \/ data)$/,
    endedBefore: true,
    cascades: true,
    reason: 'nothing of the life before gets into the next',
    strict: true,
  },
  {
    what: 'a peer that closed with bytes unread has ended, for who has read all of its own',
    key: /^(socket (error\(ECONNRESET\) \/ end|end \/ error\(ECONNRESET\))|raw raw end\(ECONNRESET\) \/ raw end\(end\)|sink nothing more \/ sink finish)$/,
    cascades: true,
    reason: 'net does so mostly; whether it does depends on how the bytes were cut',
    strict: true,
  },
  {
    what: 'a small write that the kernel took is called back in its own tick, before an end() that failed',
    reason: 'Writable never hears of it, which is what makes it cheap',
  },
  {
    what: 'a write that waits for a connection is called back after all listeners of a close',
    key: /^socket (callback\(write, |finished\(\w+, |pipeline\(\w+, |iteration end\()ERR_SOCKET_CLOSED_BEFORE_CONNECTION\) \/ (finished\(\w+, |pipeline\(\w+, |iteration end\()ERR_STREAM_PREMATURE_CLOSE\)$/,
    cascades: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'the same, for a listener that connects the socket again',
    key: /^socket callback\(\w+, \w+\) \/ connect called$/,
    comesLater: true,
    cascades: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'the same, for a listener that writes',
    key: /^socket callback\(write, \w+\) \/ returned\(write, false\)$/,
    unconnected: true,
    comesLater: true,
    cascades: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'the same, for a listener that looks whether anything waits',
    key: /^socket probe: waiting false \/ true$/,
    unconnected: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'the same, for a listener that looks whether the socket flows',
    key: /^socket probe: flowing true \/ null$/,
    unconnected: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'the same, for a listener that looks at the error',
    key: /^socket returned: errored ERR_SOCKET_CLOSED_BEFORE_CONNECTION \/ null$/,
    unconnected: true,
    cascades: true,
    reason: 'net calls back in between, by a listener of its own',
    strict: true,
  },
  {
    what: 'connect() in a listener of close: a write that waited for the connection before is no error of the new life',
    key: /^socket error\(ERR_SOCKET_CLOSED_BEFORE_CONNECTION\) \/ /,
    secondLife: true,
    cascades: true,
    reason: 'nothing of the life before gets into the next',
    strict: true,
  },
  {
    what: 'the callback of a connect() that was given up is not called when a later one connects',
    reason: 'nothing of the life before gets into the next',
  },
  {
    what: 'each callback runs once',
    reason: 'a Writable may call that of a buffered write that failed twice',
    strict: true,
  },
  {
    what: 'bytesWritten counts what write() was given, whatever becomes of it',
    key: /^socket probe: bytesWritten differs after an error$/,
    reason: 'net counts a Buffer that could not be sent, and a short string not',
    strict: true,
  },
  {
    what: 'the same where there never was a connection to send it',
    key: /^socket probe: bytesWritten differs$/,
    unconnected: true,
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

const CONDITIONS = [
  'reconnected',
  'secondLife',
  'endedBefore',
  'unconnected',
  'comesLater',
  'failsLater',
  'failsNext',
  'connectedTwice',
  'refsBefore',
  'endsEarly',
  'isNode22',
  'isDestroyed',
  'isUnreferenced',
  'isEcho',
  'isEchoed',
  'isHeld',
  'isShared',
  'arrivesLater',
  'agreesLater',
];

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
