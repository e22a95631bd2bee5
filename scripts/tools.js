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
 * Runs a program in the foreground, in the root folder unless another is given.
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

/**
 * Installs a wheel with pip into a folder, whole or not at all: pip fills a folder next to it, a rename
 * puts it in place.
 * @param {string} [otherwise] how else the user may get it, for the message
 */
function installWheel(name, version, folder, otherwise) {
  const advice = otherwise === undefined ? '' : `: ${otherwise}`;
  const missing = (reason) => new Stop(`${name} is missing and ${reason}${advice}.`);
  if (output('python3', ['-m', 'pip', '--version']) === null) {
    throw missing('there is no python3 with pip to fetch it');
  }
  console.log(`Fetching ${name} ${version} into ${path.relative(ROOT, folder)}`);
  const partial = `${folder}.${process.pid}`;
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
    const what = ['--only-binary=:all:', '--target', partial, `${name}==${version}`];
    const env = { ...process.env, PIP_ROOT_USER_ACTION: 'ignore' };
    if (run('python3', [...pip, ...what], { env }) !== 0) throw missing('pip could not fetch it');
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(partial, folder);
  } finally {
    fs.rmSync(partial, { recursive: true, force: true });
  }
}

/** Compares dotted versions: whether `version` is at least `least`. */
function atLeast(version, least) {
  const [a, b] = [version, least].map((text) => text.split('.').map((part) => parseInt(part, 10)));
  const differing = b.findIndex((part, index) => part !== (a[index] ?? 0));
  return differing === -1 || (a[differing] ?? 0) > b[differing];
}

module.exports = {
  ROOT,
  Stop,
  main,
  run,
  output,
  hasProgram,
  installCommand,
  installWheel,
  atLeast,
};
