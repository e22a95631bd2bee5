'use strict';

// Owns examples/tour.js, what `npm start` shows: how it ends, and that it leaves nothing behind.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { startProgram } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');

const TOUR = path.join(__dirname, '..', '..', 'examples', 'tour.js');

/** Starts the tour with a folder for its temporary files. */
function startTour(t, folder, env = {}) {
  return startProgram(t, process.execPath, [TOUR], {
    env: { ...process.env, TMPDIR: folder, ...env },
  });
}

test('shows datagrams between processes and ends well', async (t) => {
  const folder = temporaryFolder(t);
  const tour = startTour(t, folder);
  const { code, stdout, stderr } = await tour.ended();
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.match(stdout, /from clerk\.sock: GOOD MORNING/);
  assert.match(stdout, /it says "Whoever holds the descriptor can read this\."/);
  if (process.platform === 'linux') {
    assert.match(stdout, /from @afunix-tour-\d+: IS ANYBODY THERE\?/);
    assert.match(stdout, new RegExp(`the clerk saw process ${tour.pid}, user`));
  }
  assert.deepEqual(fs.readdirSync(folder), []);
});

test('says so where no other program is installed', async (t) => {
  const tour = startTour(t, temporaryFolder(t), { PATH: '/nonexistent' });
  const { code, stdout } = await tour.ended();
  assert.equal(code, 0);
  assert.match(stdout, /not installed here: systemd-notify, logger, python3/);
});

test('says what went wrong and fails', async (t) => {
  const folder = path.join(temporaryFolder(t), 'too-long-for-a-socket-path'.repeat(5));
  fs.mkdirSync(folder);
  const { code, stderr } = await startTour(t, folder).ended();
  assert.equal(code, 1);
  assert.match(stderr, /^The tour failed in "Datagrams between two Node processes": /m);
  assert.match(stderr, /ENAMETOOLONG/);
  assert.deepEqual(fs.readdirSync(folder), []);
});

test('cleans up when it is interrupted', async (t) => {
  const folder = temporaryFolder(t);
  const tour = startTour(t, folder);
  await tour.lines.take(5, "the tour's output"); // The second process has been started.
  tour.kill('SIGINT');
  const { code } = await tour.ended();
  assert.equal(code, 130);
  assert.deepEqual(fs.readdirSync(folder), []);
});
