'use strict';

// Owns Python in tests: the interpreter, scripts run with arguments, and the far end in peer.py.

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { findProgram, startProgram } = require('./programs.js');

/** Asks for what the tests need: `recv_fds` came with Python 3.9. Prints the true interpreter. */
const PROBE = 'import socket, sys; socket.recv_fds; print(sys.executable)';

let interpreter;

/** The interpreter itself, not a version manager's wrapper around it; null if there is none. */
function findPython() {
  if (interpreter === undefined) {
    const found = findProgram('python3');
    const probe = found && spawnSync(found, ['-c', PROBE], { encoding: 'utf8' });
    interpreter = probe?.status === 0 ? probe.stdout.trim() : null;
  }
  return interpreter;
}

/** Options for `test` or `describe`: skip, with a printed reason, where there is no Python. */
function skipUnlessPython() {
  return { skip: findPython() === null && 'not installed: python3, version 3.9 or later' };
}

/** Starts a Python script with arguments; as `startProgram`. */
function startPython(t, script, args = [], options = {}) {
  return startProgram(t, findPython(), ['-u', script, ...args], options);
}

/** A Python process with one datagram socket that follows commands. */
class Peer {
  constructor(program) {
    this.program = program;
  }

  get pid() {
    return this.program.pid;
  }

  /** Starts a command without waiting; the answers come in the order of the commands. */
  post(command, args = {}) {
    this.program.write(`${JSON.stringify({ command, ...args })}\n`);
  }

  /** The next answer. A command that failed in Python is an Error here. */
  async answer(command = 'a command') {
    const answer = JSON.parse(await this.program.lines.next(`Python's answer to ${command}`));
    if (answer.error !== undefined) throw new Error(`Python failed to ${command}: ${answer.error}`);
    return answer.result;
  }

  /**
   * Runs one of the commands in peer.py.
   * @param {string} command the name of a method there
   * @param {object} [args] its keyword arguments
   */
  call(command, args) {
    this.post(command, args);
    return this.answer(command);
  }
}

/**
 * Starts peer.py. Its socket is unbound, or bound if there is a path ('' autobinds).
 * @param {import('node:test').TestContext} t
 * @param {string} [bind]
 * @returns {Promise<Peer>}
 */
async function startPeer(t, bind) {
  const peer = new Peer(startPython(t, path.join(__dirname, 'peer.py')));
  await (bind === undefined ? peer.call('identity') : peer.call('bind', { path: bind }));
  return peer;
}

module.exports = { findPython, skipUnlessPython, startPeer, startPython };
