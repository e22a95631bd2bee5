'use strict';

// Owns descriptors in tests: counting them, files to pass, and what comes out at the other end.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { closeFd } = require('../../lib');
const { temporaryFolder } = require('./tmp.js');
const { until } = require('./wait.js');

const O_CLOEXEC = 0o2000000;

/** How many descriptors a process has open. */
const countFds = (pid = 'self') => fs.readdirSync(`/proc/${pid}/fd`).length;

/** Whether a process has as many descriptors as before: none leaked, none lost. */
async function assertNoLeak(before, pid) {
  // The far end closes its own a moment after its answer.
  await until(() => countFds(pid) <= before, `${countFds(pid)} descriptors to become ${before}`);
  assert.equal(countFds(pid), before);
}

/** Files with a line each that says which one it is: `{ paths, texts }`. */
function makeFiles(t, count) {
  const folder = temporaryFolder(t);
  const texts = Array.from({ length: count }, (_, index) => `file ${index} of ${count}\n`);
  const paths = texts.map((text, index) => {
    const file = path.join(folder, `${index}.txt`);
    fs.writeFileSync(file, text);
    return file;
  });
  return { paths, texts };
}

/** The flags of an open descriptor, as in /proc: those of its file, and O_CLOEXEC. */
function flagsOf(fd, pid = 'self') {
  const [, flags] = /^flags:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
  return parseInt(flags, 8);
}

/** Checks that received descriptors are close-on-exec, and returns the texts behind them. */
function readAndClose(fds) {
  return fds.map((fd) => {
    assert.ok(flagsOf(fd) & O_CLOEXEC, `descriptor ${fd} is not close-on-exec`);
    const text = fs.readFileSync(fd, 'utf8');
    fs.closeSync(fd);
    return text;
  });
}

/** Closes a descriptor that may be closed already. */
function closeQuietly(fd) {
  try {
    closeFd(fd);
  } catch {
    // The test closed it.
  }
}

/** Opens files, passes their descriptors to the body, and closes them afterwards. */
async function withFiles(t, count, body) {
  const { paths, texts } = makeFiles(t, count);
  const fds = paths.map((path) => fs.openSync(path));
  try {
    return await body(fds, texts);
  } finally {
    fds.forEach(closeQuietly);
  }
}

/** Descriptors of /dev/null, as cheap as they come. */
const nulls = (count) => Array.from({ length: count }, () => fs.openSync('/dev/null'));

/** For tests that have so many open: skipped where the process may not. */
function needsDescriptors(count) {
  const { soft } = process.report.getReport().userLimits.open_files;
  const isEnough = soft === 'unlimited' || Number(soft) > count;
  return isEnough ? {} : { skip: `the process may not open ${count} descriptors` };
}

module.exports = {
  O_CLOEXEC,
  assertNoLeak,
  closeQuietly,
  countFds,
  flagsOf,
  makeFiles,
  needsDescriptors,
  nulls,
  readAndClose,
  withFiles,
};
