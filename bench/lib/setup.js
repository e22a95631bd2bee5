'use strict';

/**
 * Owns what the bench needs before it starts: the rivals in node_modules/, the compiled C program and the
 * minimal addon. A rival or an addon that cannot be built or loaded is left out with the reason; a missing C compiler is an
 * error.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
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

/** Where node-gyp keeps Node's headers. */
function gypFolder() {
  const cache = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache');
  const devdir = process.env.npm_config_devdir ?? path.join(cache, 'node-gyp');
  return path.join(devdir, process.versions.node);
}

/**
 * The folder of node_api.h and uv.h, from the places where node-gyp, which builds the rivals, looks for them:
 * npm's `nodedir`, what came with this Node, what node-gyp has fetched. If all fail, node-gyp fetches them.
 *
 * @returns {string | undefined}
 */
function nodeHeaders() {
  const nodedir = run('npm', ['config', 'get', 'nodedir']).output.trim();
  const installed = path.join(path.dirname(fs.realpathSync(process.execPath)), '..');
  const candidates = [path.isAbsolute(nodedir) ? nodedir : installed, installed, gypFolder()];
  const find = () =>
    candidates
      .map((folder) => path.join(folder, 'include', 'node'))
      .find((folder) =>
        ['node_api.h', 'uv.h'].every((file) => fs.existsSync(path.join(folder, file))),
      );
  const found = find();
  if (found) return found;
  const gyp = path.join(bench, 'node_modules', '.bin', 'node-gyp');
  if (fs.existsSync(gyp)) run(gyp, ['install']);
  return find();
}

/**
 * Compiles bare/*.c into an addon, if one of them is newer. A failure is logged, and shown as the reason why the
 * implementation is not measured.
 *
 * @param {(text: string) => void} log
 */
function compileBare(log) {
  const folder = path.join(bench, 'bare');
  const sources = fs.readdirSync(folder).filter((name) => name.endsWith('.c'));
  const files = sources.map((name) => path.join(folder, name));
  const addon = path.join(build, 'bare.node');
  if (modified(addon) > Math.max(...files.map(modified))) return;
  fs.mkdirSync(build, { recursive: true });
  fs.rmSync(addon, { force: true });
  const headers = nodeHeaders();
  if (!headers) return log("bare was not built: Node's headers (node_api.h, uv.h) were not found");
  const flags = ['-O2', '-Wall', '-Wextra', '-fPIC', '-shared', `-I${headers}`];
  const compiled = run('cc', [...flags, '-o', addon, ...files]);
  if (compiled.ok) return;
  fs.writeFileSync(logOf('bare'), compiled.output);
  log(`bare could not be built, see ${logOf('bare')}`);
}

/**
 * Makes another built checkout of this package the implementation `before`.
 *
 * @param {string} folder
 */
function useBefore(folder) {
  const root = path.resolve(folder);
  const manifest = path.join(root, 'package.json');
  if (!fs.existsSync(manifest)) throw new BenchError(`--against: no package in ${root}`);
  const { name } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
  if (name !== require('../../package.json').name) {
    throw new BenchError(`--against: ${root} has another package, ${name}`);
  }
  process.env.AFUNIX_BENCH_BEFORE = root;
  const loaded = run(process.execPath, ['-e', 'require(process.argv[1])', root]);
  if (!loaded.ok) {
    throw new BenchError(`--against: ${root} cannot be loaded: ${reasonIn(loaded.output)}`);
  }
}

/**
 * Loads an implementation in a process of its own.
 *
 * @param {string} name
 * @param {string[]} kinds of what it must have one: 'dgram', 'seqpacket', 'stream', 'reuseport' or 'posix'
 * @returns {{ version: string, kinds: string[] } | { unavailable: string }} the kinds that it has
 */
function probe(name, kinds) {
  const adapter = path.join(bench, 'impl', name);
  const script = `const it = require(process.argv[1]);
    const kinds = process.argv[2].split(',').filter((kind) => it[kind]);
    console.log(JSON.stringify({ version: it.version, kinds }))`;
  const loaded = run(process.execPath, ['-e', script, adapter, kinds.join()]);
  if (loaded.ok) {
    const { version, kinds: found } = JSON.parse(loaded.output);
    if (found.length > 0) return { version, kinds: found };
    return { version, unavailable: `${kinds.join(' or ')} is not available` };
  }
  const log = fs.existsSync(logOf(name)) ? ` (its build failed, see ${logOf(name)})` : '';
  return { unavailable: `${reasonIn(loaded.output)}${log}`.replaceAll(`${bench}/`, '') };
}

module.exports = { BenchError, installRivals, compileLimit, compileBare, useBefore, probe };
