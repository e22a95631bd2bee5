'use strict';

// Owns the question whether a test file leaves something open: descriptors, and handles of libuv that
// wait for something. One line at the top of the file, `assertNoLeaks()`, asks it.

const assert = require('node:assert/strict');
const dns = require('node:dns');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, before } = require('node:test');
const { until } = require('./wait.js');

/** Kinds of handles that wait for something outside, and so are somebody's to close. */
const KINDS = new Set(['poll', 'timer', 'tcp', 'udp', 'pipe', 'process', 'fs_event']);

/** Descriptor → what it is of, for all that this process has open. */
function openDescriptors() {
  const found = new Map();
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      found.set(fd, fs.readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The one of the folder itself, which is closed by now.
    }
  }
  return found;
}

/** The handles of the event loop that may have to be closed: `{ address, words, isOpen }` each. */
function handlesOfLoop() {
  const { excludeNetwork } = process.report;
  // Otherwise the names of peers are looked up.
  process.report.excludeNetwork = true;
  const { libuv } = process.report.getReport();
  process.report.excludeNetwork = excludeNetwork;
  return libuv
    .filter(({ type }) => KINDS.has(type))
    .map(({ type, address, fd, is_active: isActive, is_referenced: isReferenced }) => {
      const words = fd === undefined ? type : `${type} of ${fd}`;
      // V8 has timers of its own, which keep no process.
      return { address, words, isOpen: isActive && (isReferenced || type !== 'timer') };
    });
}

/** Everything that Node opens when it is first needed, and keeps. */
function openWhatStays() {
  void [process.stdin, process.stdout, process.stderr];
  const ignore = () => {};
  process.on('SIGCONT', ignore).off('SIGCONT', ignore);
  // From the first stream on libuv has a descriptor in reserve.
  net.createServer().listen(0).close();
  // Names are looked up by a library that reads /dev/urandom, in older versions.
  dns.getServers();
}

/**
 * What is open: descriptors as they are named in /proc, and handles. Not what Node or V8 may open at any
 * time for themselves (event queues).
 */
function look() {
  return {
    descriptors: [...openDescriptors().values()].filter((name) => !name.startsWith('anon_inode:')),
    handles: handlesOfLoop(),
  };
}

/** What is open now and was not then, as words. */
function newSince(earlier) {
  const now = look();
  const left = [...earlier.descriptors];
  const descriptors = now.descriptors.filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  // Open or not: Node starts and stops a timer of its own.
  const known = new Set(earlier.handles.map(({ address }) => address));
  const handles = now.handles.filter(({ isOpen, address }) => isOpen && !known.has(address));
  return [...descriptors, ...handles.map(({ words }) => words)];
}

/**
 * Before the first test of the file notes what is open, and asserts after the last that nothing else is
 * then, nor is anything closed that is not the file's. Linux only: elsewhere it does nothing.
 *
 * @param {() => Promise<void>} [openForLife] opens before that what the process keeps by design
 */
function assertNoLeaks(openForLife) {
  if (process.platform !== 'linux') return;
  let earlier;
  before(async () => {
    openWhatStays();
    // Only then: other hooks of the file may run meanwhile.
    if (openForLife) await openForLife();
    earlier = look();
  });
  after(async () => {
    // What was closed last takes a turn of the event loop, or another process's time.
    await until(() => newSince(earlier).length === 0, 'everything to close').catch(() => {});
    // Some versions of Node 22 print what fails here, and exit with 0.
    const { exitCode } = process;
    process.exitCode = 1;
    const left = newSince(earlier);
    // Who reads only this has to know which file, and what.
    const tests = `the tests of ${path.basename(process.argv[1])}`;
    assert.deepEqual(left, [], `${tests} left these open: ${left}`);
    const now = look().descriptors;
    const lost = earlier.descriptors.filter((name) => !now.includes(name));
    assert.deepEqual(lost, [], `${tests} closed these: ${lost}`);
    process.exitCode = exitCode;
  });
}

module.exports = { assertNoLeaks };
