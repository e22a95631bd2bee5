'use strict';

// Owns the hosts that the addon is tried in: Node of other versions, Bun and Deno, from the npm
// packages that carry their executables. Installed once below .cache/hosts; later runs need no network.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { findProgram } = require('../../helpers/programs.js');

const ROOT = path.join(__dirname, '..', '..', '..');
const CACHE = path.join(ROOT, '.cache', 'hosts');
/** Milliseconds: an executable has up to 120 MB. */
const LIMIT = 120_000;
/** No script of a package is run. Without network it is over soon. */
const OPTIONS = [
  ...['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'],
  ...['--fetch-retries=1', '--fetch-retry-mintimeout=200', '--fetch-retry-maxtimeout=500'],
];

const { platform, arch } = process;
const isLinux = platform === 'linux';
const isArm = arch === 'arm64';

/** What the package of an executable is called on this system, and where in it that is. */
const PACKAGES = {
  node: {
    name: isLinux || !isArm ? `node-${platform}-${arch}` : `node-bin-${platform}-${arch}`,
    file: 'bin/node',
  },
  bun: { name: `@oven/bun-${platform}-${isArm ? 'aarch64' : arch}`, file: 'bin/bun' },
  deno: { name: `@deno/${platform}-${arch}${isLinux ? '-glibc' : ''}`, file: 'deno' },
};

/** Installs a package into the folder; returns why not, or nothing. */
function install(folder, name, version) {
  if (findProgram('npm') === null) return 'not installed: npm';
  fs.mkdirSync(CACHE, { recursive: true });
  // It gets its name once it is complete.
  const draft = fs.mkdtempSync(`${folder}-`);
  try {
    fs.writeFileSync(path.join(draft, 'package.json'), '{ "private": true }');
    const { error, status, stderr } = spawnSync(
      'npm',
      ['install', ...OPTIONS, `${name}@${version}`],
      { cwd: draft, encoding: 'utf8', timeout: LIMIT },
    );
    if (error) return `npm cannot install ${name}: ${error.message}`;
    if (status !== 0) return `npm cannot install ${name}: ${stderr.trim().split('\n')[0]}`;
    fs.renameSync(draft, folder);
    return undefined;
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * The executable of a host.
 * @param {'node' | 'bun' | 'deno'} kind
 * @param {string} version such as '22', which is the newest of it when it is installed, or '20.9.0'
 * @param {boolean} mayInstall false: only what is there already
 * @returns {{ program: string } | { skip: string }} its path, or why there is none
 */
function findHost(kind, version, mayInstall) {
  if (kind === 'node' && `${process.versions.node}.`.startsWith(`${version}.`)) {
    return { program: process.execPath };
  }
  const { name, file } = PACKAGES[kind];
  const folder = path.join(CACHE, `${kind}-${version}`);
  if (!fs.existsSync(folder)) {
    const skip = mayInstall ? install(folder, name, version) : 'not in .cache yet';
    if (skip !== undefined) return { skip };
  }
  const program = path.join(folder, 'node_modules', name, file);
  const { status, error, stderr } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  if (status === 0) return { program };
  return { skip: `${name} does not run here: ${error?.message ?? stderr.trim().split('\n')[0]}` };
}

module.exports = { ROOT, findHost };
