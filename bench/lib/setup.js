'use strict';

/**
 * Owns what the bench needs before it starts: the rivals in node_modules/ and the compiled C program.
 * A rival that cannot be built or loaded is left out with the reason; a missing C compiler is an error.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { reasonIn } = require('./processes');

const bench = path.join(__dirname, '..');
const build = path.join(bench, 'build');

/** What the user has to put right: shown without a stack. */
class BenchError extends Error {}

/** When the file was last written, in ms; -Infinity if it is not there. */
function modified(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
}

function explain(command, error) {
  return error.code === 'ENOENT' ? `${command} was not found` : error.message;
}

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: bench,
    encoding: 'utf8',
    maxBuffer: Infinity,
  });
  return { ok: status === 0, output: error ? explain(command, error) : `${stdout}${stderr}` };
}

const logOf = (rival) => path.join(build, `${rival}.log`);

/**
 * Installs the rivals unless that was done since package-lock.json changed. Each is built apart, so
 * that one which fails takes no other with it.
 *
 * Not `npm ci`: that refuses a lock without the packages for every other platform, and a registry that
 * carries only ours cannot give it those. With --no-save npm keeps to the lock and leaves it alone.
 *
 * @param {(text: string) => void} log
 */
function installRivals(log) {
  const done = path.join(build, 'installed');
  if (modified(done) > modified(path.join(bench, 'package-lock.json'))) {
    if (fs.existsSync(path.join(bench, 'node_modules'))) return;
  }
  fs.mkdirSync(build, { recursive: true });
  log('installing the rivals in bench/node_modules');
  const install = run('npm', ['install', '--no-save', '--ignore-scripts']);
  if (!install.ok) return log(`npm install failed: ${reasonIn(install.output)}`);
  for (const rival of Object.keys(require('../package.json').dependencies)) {
    fs.rmSync(logOf(rival), { force: true });
    const rebuilt = run('npm', ['rebuild', rival]);
    if (rebuilt.ok) continue;
    fs.writeFileSync(logOf(rival), rebuilt.output);
    log(`${rival} could not be built, see ${logOf(rival)}; remove bench/build to try again`);
  }
  fs.writeFileSync(done, '');
}

/**
 * Compiles limit*.c if one of them is newer than the program.
 *
 * @returns {string} the program
 */
function compileLimit() {
  const parts = fs.readdirSync(bench).filter((name) => /^limit.*\.[ch]$/.test(name));
  const sources = parts.filter((name) => name.endsWith('.c'));
  const program = path.join(build, 'limit');
  const newest = Math.max(...parts.map((name) => modified(path.join(bench, name))));
  if (modified(program) > newest) return program;
  fs.mkdirSync(build, { recursive: true });
  const compiled = run('cc', ['-O2', '-Wall', '-Wextra', '-o', program, ...sources]);
  if (!compiled.ok) {
    throw new BenchError(`cannot compile limit*.c with cc: ${compiled.output.trim()}`);
  }
  return program;
}

/**
 * Loads an implementation in a process of its own.
 *
 * @param {string} name
 * @param {string} kind what it must have: 'dgram', 'seqpacket', 'stream', 'reuseport' or 'posix'
 * @returns {{ version: string } | { unavailable: string }}
 */
function probe(name, kind) {
  const adapter = path.join(bench, 'impl', name);
  const script = `const it = require(process.argv[1]);
    console.log(JSON.stringify({ version: it.version, has: Boolean(it[process.argv[2]]) }))`;
  const loaded = run(process.execPath, ['-e', script, adapter, kind]);
  if (loaded.ok) {
    const { version, has } = JSON.parse(loaded.output);
    return has ? { version } : { version, unavailable: `${kind} is not available yet` };
  }
  const log = fs.existsSync(logOf(name)) ? ` (its build failed, see ${logOf(name)})` : '';
  return { unavailable: `${reasonIn(loaded.output)}${log}`.replaceAll(`${bench}/`, '') };
}

module.exports = { BenchError, installRivals, compileLimit, probe };
