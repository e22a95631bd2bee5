'use strict';

// Brings what a fresh clone lacks, and does nothing the second time: checks Node and the Rust
// toolchain, installs the npm packages. libclang comes with the first build (see libclang.js).

const fs = require('node:fs');
const path = require('node:path');
const { checkToolchain } = require('./cargo.js');
const { ROOT, Stop, main, run, atLeast } = require('./tools.js');

const NODE = '20.0.0';

const readPackages = (file) => JSON.parse(fs.readFileSync(file, 'utf8')).packages;

/** Whether every package of the lock file is installed in the locked version. */
function packagesInstalled(folder) {
  const hidden = path.join(folder, 'node_modules', '.package-lock.json');
  if (!fs.existsSync(hidden)) return false;
  const installed = readPackages(hidden);
  return Object.entries(readPackages(path.join(folder, 'package-lock.json'))).every(
    ([name, { version, optional }]) =>
      name === '' || installed[name]?.version === version || (optional && !installed[name]),
  );
}

/** Installs the npm packages of a folder that has a lock file, unless they are there. */
function installPackages(folder = ROOT) {
  if (packagesInstalled(folder)) return;
  console.log(`Installing npm packages in ${path.relative(process.cwd(), folder) || '.'}`);
  if (run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder }) !== 0) {
    throw new Stop(`npm packages are missing: \`npm ci\` failed in ${folder}.`);
  }
}

/** Makes the clone ready to build and test. */
function setup() {
  if (!atLeast(process.versions.node, NODE)) {
    throw new Stop(`Node ${process.versions.node} is too old: install 20 with \`nvm install 20\`.`);
  }
  checkToolchain();
  installPackages();
}

module.exports = { setup, installPackages };

if (require.main === module) main(setup);
