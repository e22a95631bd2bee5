'use strict';

// Owns npm packages in tests: installed once, into a folder below .cache that later runs use without
// a network, and required from there. In place of `usocket` they find this package.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { findProgram } = require('./programs.js');

const ROOT = path.join(__dirname, '..', '..');
/** Milliseconds. */
const INSTALL_LIMIT = 25_000;

/**
 * Installs packages without their optional dependencies and scripts, unless
 * that was done before.
 * @returns {string} the folder they are in
 * @throws {Error} where that cannot be had
 */
function install(packages) {
  const folder = path.join(ROOT, '.cache', 'npm', packages.join('+').replaceAll('/', '_'));
  if (fs.existsSync(folder)) return folder;
  // Test files run side by side: each makes its own, the first is kept.
  const draft = `${folder}.${process.pid}`;
  fs.mkdirSync(draft, { recursive: true });
  try {
    fs.writeFileSync(path.join(draft, 'package.json'), '{ "private": true }');
    const options = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
    const retries = ['--fetch-retries=0', '--loglevel=error'];
    const { status, stderr, error } = spawnSync(
      'npm',
      ['install', ...options, ...retries, ...packages],
      { cwd: draft, encoding: 'utf8', timeout: INSTALL_LIMIT },
    );
    if (status !== 0) throw error ?? new Error(stderr.trim().split('\n')[0]);
    // Relative: a copy of the checkout, .cache included, must test its own files.
    const modules = path.join(draft, 'node_modules');
    for (const name of ['usocket', 'afunix']) {
      fs.symlinkSync(path.relative(modules, ROOT), path.join(modules, name));
    }
    try {
      fs.renameSync(draft, folder);
    } catch (failure) {
      if (!fs.existsSync(folder)) throw failure;
    }
    return folder;
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * Packages that the tests need. `options` are for `test` or `describe`: a skip, with a printed
 * reason, where they cannot be installed; `require` finds them.
 * @param {...string} packages as npm takes them, with their exact versions
 */
function usePackages(...packages) {
  if (findProgram('npm') === null) return { options: { skip: 'not installed: npm' } };
  try {
    const folder = install(packages);
    const from = createRequire(path.join(folder, 'package.json'));
    return { options: {}, folder, require: from };
  } catch (error) {
    return { options: { skip: `cannot install ${packages.join(', ')}: ${error.message}` } };
  }
}

module.exports = { usePackages };
