'use strict';

// Owns this package as users have it: the files of lib/ and an addon below a folder's node_modules,
// copied, as tools treat links to a checkout in their own ways.

const fs = require('node:fs');
const path = require('node:path');
const { platformName } = require('../../lib/native/platform.js');

const ROOT = path.join(__dirname, '..', '..');

/**
 * Puts the package into `node_modules` of a folder, with an addon for this system alone, as `npm
 * pack` makes it here.
 * @param {string} folder
 */
function installCopy(folder) {
  const inside = path.join(folder, 'node_modules', 'afunix');
  for (const name of ['lib', 'package.json', 'addon.js', 'posix.js', 'socketpair.js']) {
    fs.cpSync(path.join(ROOT, name), path.join(inside, name), { recursive: true });
  }
  const prebuilt = path.join(inside, 'prebuilds', platformName());
  fs.mkdirSync(prebuilt, { recursive: true });
  fs.copyFileSync(
    path.join(ROOT, 'build', 'Release', 'afunix.node'),
    path.join(prebuilt, 'afunix.node'),
  );
  return inside;
}

module.exports = { installCopy };
