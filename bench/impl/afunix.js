'use strict';

/**
 * Adapter for this package. Every adapter has the same few functions for a kind of socket:
 *
 * dgram.bind(path, onMessage(message, from)) → { answer(message, to), close() }: a bound socket
 * dgram.connect(path)  → send(message, done): one peer, the best way the package offers for that
 * dgram.fan(paths)     → send(index, message, done): one sender with many destinations
 * dgram.pair(path, peer, onMessage(message)) → { connect(), send(message) }: a bound socket which, once its peer is
 *   bound, connects to it
 *
 * seqpacket.listen(path, onConnection(socket), onListening?)
 * seqpacket.connect(path, onConnect()) → socket
 * seqpacket.read(socket, onMessage(message)): until the peer ends, then the socket closes, too
 * seqpacket.write(socket, message, done?), .close(socket)
 *
 * stream.listen, .connect, .read(socket, onBytes(chunk)), .write, .close: as of seqpacket
 * stream.socket() → one that does not connect yet
 * stream.serve(path, server, onListening): gives a server of http, http2 or tls the connections, half-open
 * stream.writeFd(socket, bytes, fd, done), .readFds(socket, size, onMessage(head), onFd(fd)): messages
 *   of `size` bytes with a descriptor each; where a package cannot, it has neither
 * stream.readAllFds(socket, onBytes(bytes), onFd(fd)): what is there, by read(null, null) on 'readable'
 * reuseport.listen(server, port, onListening): net.Server on a port that other processes share
 * reuseport.fork() → ChildProcess: a worker of its own kind, where it takes one
 * posix.answer(path, size, ready): sends everything back, synchronously, until the other side goes
 * posix.connect(path, request, response) → ask(): the size of the answer to the ArrayBuffer `request`
 *
 * `done(error)` comes once a message is with the kernel, inside the call or later. Where a package
 * leaves a full destination to its user, the adapter does what its documentation says, so that
 * every message arrives. Sockets of connections are emitters with 'close'.
 */

const path = require('node:path');
const { adapterOf } = require('../lib/ours');

module.exports = adapterOf(path.join(__dirname, '..', '..'));
