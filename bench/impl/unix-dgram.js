'use strict';

/**
 * Adapter for unix-dgram; see afunix.js for the interface.
 *
 * Its callbacks come inside the call. Only a connected socket has congestion control: a send to a full
 * destination fails with code 1, and 'writable' says when to try again. So `fan` is a connected socket
 * for each destination.
 */

const { version } = require('unix-dgram/package.json');
const { createSocket } = require('unix-dgram');

const CONGESTION = 1;

function fail(error) {
  throw error;
}

const dgram = {
  bind(path, onMessage) {
    const socket = createSocket('unix_dgram', (message, { path: from }) =>
      onMessage(message, from),
    );
    socket.on('error', fail);
    socket.bind(path);
    return {
      answer: (message, to) => socket.sendto(message, 0, message.length, to),
      close: () => socket.close(),
    };
  },

  connect(path) {
    const socket = createSocket('unix_dgram');
    const waiting = [];
    let outcome;
    const report = (error) => (outcome = error);

    /** False if the destination is full; otherwise the message is done. */
    function attempt(message, done) {
      socket.send(message, report);
      if (outcome?.code === CONGESTION) return false;
      done(outcome);
      return true;
    }

    socket.on('error', fail);
    socket.on('writable', () => {
      while (waiting.length > 0) {
        const [message, done] = waiting.shift();
        if (attempt(message, done)) continue;
        waiting.unshift([message, done]);
        return;
      }
    });
    socket.connect(path);
    return (message, done) => {
      if (waiting.length > 0 || !attempt(message, done)) waiting.push([message, done]);
    };
  },

  pair(path, peer, onMessage) {
    const socket = createSocket('unix_dgram', onMessage);
    socket.on('error', fail);
    socket.bind(path);
    return { connect: () => socket.connect(peer), send: (message) => socket.send(message) };
  },

  fan(paths) {
    const sends = paths.map(dgram.connect);
    return (index, message, done) => sends[index](message, done);
  },
};

module.exports = { version, dgram };
