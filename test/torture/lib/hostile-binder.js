'use strict';

// Binds and closes sockets at a path, again and again, while others play with it, or as another user:
// a victim of cases/hostile.js. Answers as hostile-process.js asks. Imports lib/ of the project.

const fs = require('node:fs');
const { DgramSocket, SeqpacketServer, UServer } = require('../../../lib');
const { answer } = require('./hostile-process.js');

/** More than the umask allows: the file's mode is widened after it was made. */
const MODE = 0o666;
const UMASK = 0o077;

/** Opens a socket at a path: resolves to it, or rejects. */
const OPEN = {
  dgram: (path) => {
    const socket = new DgramSocket();
    try {
      return socket.bind(path, { mode: MODE });
    } catch (error) {
      socket.close();
      throw error;
    }
  },
  seqpacket: (path) => new SeqpacketServer().listen({ path, mode: MODE }),
  stream: (path) =>
    new Promise((resolve, reject) => {
      const server = new UServer().on('error', reject);
      server.listen({ path, mode: MODE }, () => resolve(server));
    }),
};

async function attempt(kind, path) {
  try {
    return { socket: await OPEN[kind](path), code: 'bound' };
  } catch (error) {
    const isClear = typeof error.code === 'string' && error.path === path;
    return { socket: null, code: isClear ? error.code : `unclear: ${error.stack}` };
  }
}

/** What `bind` opened. */
let bound = null;

answer({
  /** Binds and closes as often as it goes: how often it came to what. */
  async loop({ path, milliseconds }) {
    process.umask(UMASK);
    const outcomes = {};
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      // Datagram sockets most of all: nothing comes between bind and close.
      const kind = Math.random() < 0.8 ? 'dgram' : Math.random() < 0.5 ? 'stream' : 'seqpacket';
      const { socket, code } = await attempt(kind, path);
      outcomes[code] = (outcomes[code] ?? 0) + 1;
      if (socket !== null) await new Promise((resolve) => socket.close(resolve));
    }
    return outcomes;
  },

  /** Becomes another user, for good. */
  become({ uid }) {
    process.setgroups([]);
    process.setgid(uid);
    process.setuid(uid);
  },

  /** Binds once, and closes: the code, and whether a file of the right mode was there meanwhile. */
  async once({ kind, path }) {
    const { socket, code } = await attempt(kind, path);
    if (socket === null) return { code };
    const mode = fs.lstatSync(path).mode & 0o777;
    await new Promise((resolve) => socket.close(resolve));
    return { code, mode, isLeft: fs.existsSync(path) };
  },

  /** Binds, and stays: the code. */
  async bind({ kind, path }) {
    const { socket, code } = await attempt(kind, path);
    bound = socket;
    return code;
  },

  close: () => new Promise((resolve) => bound.close(() => resolve())),
});
