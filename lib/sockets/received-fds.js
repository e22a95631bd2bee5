// Owns: descriptors that came with messages and chunks, as their readers get them: taken from native code, which
// closes what nobody takes.
'use strict';

const binding = require('../native/binding');
const { NO_FDS, closeFd } = require('../native/fds');
const { credentialsAt, fdsToken, flag, kId } = require('../native/sockets');
const { codedError } = require('../util/errors');

/** How often such a property has been taken. */
let takes = 0;

/**
 * Gives a message or chunk a property that is taken when it is first read.
 *
 * @param {Buffer} data
 * @param {string} name - of the property
 * @param {object} socket - that received it
 * @param {(id: number) => any} take
 */
function defineTaken(data, name, socket, take) {
  const id = socket[kId];
  let taken;
  Object.defineProperty(data, name, {
    __proto__: null,
    configurable: true,
    enumerable: true,
    get: () => {
      if (taken === undefined && socket[kId] !== id) {
        const message = `The descriptors were closed with the socket: read ${name} before that`;
        throw codedError(Error, 'ERR_AFUNIX_FDS_CLOSED', message);
      }
      if (taken === undefined) {
        taken = take(id);
        takes++;
      }
      return taken;
    },
  });
}

/** Takes what came with a message while its socket is open: its descriptors, unless its reader has them already. */
function takeUntaken(message) {
  // Its pidfd stays with it. Anything can be put back into a stream of messages.
  void message?.pidfd;
  const before = takes;
  const fds = message?.fds;
  return takes === before ? NO_FDS : fds;
}

/** What lets descriptors wait under a message's token. */
const HAS_TOKEN = flag.FDS | flag.PIDFD;

/**
 * What came with a datagram: `{ fds, credentials }`, and `pidfd` if the socket asks for that. Its descriptors are closed
 * where nobody wants them.
 */
function receivedWith(socket, { pidfd: asksForPidfd }, isWanted, flags, words, at) {
  const credentials = flags & flag.CREDENTIALS ? credentialsAt(words, at) : undefined;
  const info = { fds: NO_FDS, credentials };
  if (asksForPidfd) info.pidfd = undefined;
  const token = fdsToken(words, at);
  if (!isWanted) {
    if (flags & HAS_TOKEN) binding.dropFds(socket[kId], token);
    return info;
  }
  if (flags & flag.FDS) info.fds = binding.takeFds(socket[kId], token);
  if (flags & flag.PIDFD) info.pidfd = binding.takePidfd(socket[kId], token);
  return info;
}

/** Closes what came with a message. */
function closeReceived({ fds, pidfd }) {
  for (const fd of fds) closeFd(fd);
  if (pidfd !== undefined) closeFd(pidfd);
}

module.exports = { closeReceived, defineTaken, receivedWith, takeUntaken };
