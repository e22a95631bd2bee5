'use strict';

// Owns npm packages in tests: real programs' libraries, installed once into the checkout's .cache/,
// with this package in the place of one that they depend on. A second run needs no network.

const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const CACHE = path.join(ROOT, '.cache', 'test-packages');

/** Milliseconds an installation may take: a test file has a minute, and may need two. */
const LIMIT = 25_000;

/** Nothing of the packages is run, and without network it is over soon. */
const OPTIONS = [
  ...['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'],
  ...['--fetch-retries=1', '--fetch-retry-mintimeout=200', '--fetch-retry-maxtimeout=500'],
];

/**
 * Installs packages with npm, unless they are there already. No script of theirs is run.
 * @param {Record<string, string>} dependencies name → exact version
 * @param {string} [replaced] the dependency of theirs in whose place this package goes
 * @param {number} [limit] milliseconds that the installation may take
 * @returns {{ folder: string } | { skip: string }} where `node_modules` is, or why it is not
 */
function installPackages(dependencies, replaced, limit = LIMIT) {
  const overrides = replaced === undefined ? undefined : { [replaced]: `file:${ROOT}` };
  const manifest = JSON.stringify({ private: true, dependencies, overrides });
  const folder = path.join(CACHE, createHash('sha256').update(manifest).digest('hex').slice(0, 16));
  if (fs.existsSync(folder)) return { folder };
  fs.mkdirSync(CACHE, { recursive: true });
  // Next to its place, so that links in it stay true; it gets its name once it is complete.
  const making = fs.mkdtempSync(`${folder}-`);
  try {
    fs.writeFileSync(path.join(making, 'package.json'), manifest);
    const { error, status, stderr } = spawnSync('npm', ['install', ...OPTIONS], {
      cwd: making,
      encoding: 'utf8',
      timeout: limit,
    });
    const names = Object.keys(dependencies).join(', ');
    if (error) return { skip: `npm cannot install ${names}: ${error.message}` };
    if (status !== 0) {
      const reason = stderr.split('\n').find((line) => /error/.test(line)) ?? `code ${status}`;
      return { skip: `npm cannot install ${names}: ${reason}` };
    }
    try {
      fs.renameSync(making, folder);
    } catch (failure) {
      // Another test file was faster with the same packages.
      if (!fs.existsSync(folder)) throw failure;
    }
    return { folder };
  } finally {
    fs.rmSync(making, { recursive: true, force: true });
  }
}

module.exports = { installPackages };
