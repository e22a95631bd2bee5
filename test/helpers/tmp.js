'use strict';

// Owns temporary names: a fresh folder for each test, removed after it, and unused abstract names.

const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/**
 * A new empty folder, removed with all that is in it when the test ends.
 * @param {import('node:test').TestContext} t
 * @returns {string} its path, short enough for a socket path inside it
 */
function temporaryFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-test-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A path of that name in a new folder of the test's own. */
function temporaryPath(t, name = 'a.sock') {
  return path.join(temporaryFolder(t), name);
}

/** An abstract name (Linux) that nobody uses: a leading NUL, then text. */
function abstractName() {
  return `\0afunix-test-${randomUUID()}`;
}

module.exports = { abstractName, temporaryFolder, temporaryPath };
