'use strict';

// What every script here shares: the root folder, running programs, finding them, and ending with
// one sentence. No script below this one; no dependency but Node.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.join(__dirname, '..');

/** A fault that the user can mend: shown as its one sentence, without a stack. */
class Stop extends Error {}

/**
 * Runs a script's body and ends the process with the exit code it returns (nothing is 0).
 * @param {() => number | void} body
 */
function main(body) {
  try {
    process.exitCode = body() ?? 0;
  } catch (error) {
    console.error(error instanceof Stop ? `afunix: ${error.message}` : error);
    process.exitCode = 1;
  }
}

/**
 * Runs a program in the foreground, in the root folder unless told otherwise.
 * @returns {number} its exit code; 128 + n when signal n ended it
 */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  if (result.error) throw new Stop(`${command} cannot be run: ${result.error.message}`);
  return result.status ?? 128 + os.constants.signals[result.signal];
}

/** What a program prints on standard output, trimmed; null when it is missing or fails. */
function output(command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : null;
}

/** Whether a program is on the PATH. */
function hasProgram(name) {
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
    try {
      fs.accessSync(path.join(folder, name), fs.constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

const PACKAGE_MANAGERS = {
  'apt-get': 'apt-get install',
  dnf: 'dnf install',
  apk: 'apk add',
  pacman: 'pacman -S',
  zypper: 'zypper install',
  brew: 'brew install',
};

/**
 * The command that installs something with this machine's package manager.
 * @param {Record<string, string>} names the package's name for each package manager
 */
function installCommand(names) {
  const manager = Object.keys(names).find(hasProgram) ?? Object.keys(names)[0];
  return `\`${PACKAGE_MANAGERS[manager]} ${names[manager]}\``;
}

/** Compares dotted versions: whether `version` is at least `least`. */
function atLeast(version, least) {
  const [a, b] = [version, least].map((text) => text.split('.').map((part) => parseInt(part, 10)));
  const differing = b.findIndex((part, index) => part !== (a[index] ?? 0));
  return differing === -1 || (a[differing] ?? 0) > b[differing];
}

module.exports = { ROOT, Stop, main, run, output, hasProgram, installCommand, atLeast };
