'use strict';

// The case "one binary, many hosts": the same file of the addon under every version of Node, with
// libuv's io_uring, and in hosts that lack what it needs, which must say so. The long form runs all
// tests in JavaScript under each; the short form a smoke script, and installs nothing.

const { spawn, spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { findProgram } = require('../../helpers/programs.js');
const { isNodeBefore } = require('../../helpers/versions.js');
const { ROOT, findHost } = require('../lib/hosts-install.js');

const ADDON = path.join(ROOT, 'build', 'Release', 'afunix.node');
const SMOKE = path.join(__dirname, '..', 'lib', 'hosts-smoke.js');
const REPORTER = path.join(__dirname, '..', 'lib', 'hosts-reporter.mjs');
const HIDE = path.join(__dirname, '..', 'lib', 'hosts-hide.c');

/** Milliseconds. */
const SMOKE_LIMIT = 100_000;
const SUITE_LIMIT = 1_200_000;

const WITH_IO_URING = { UV_USE_IO_URING: '1' };
/** Options of the test runner. */
const LIMITS = ['--test-concurrency=2', '--test-timeout=120000'];
/** Whatever is deprecated throws, also what is so only in the documents. */
const STRICT = {
  NODE_OPTIONS: '--throw-deprecation --pending-deprecation --trace-warnings',
};

/**
 * The first Node 20 with long-term support: the rooms that compare with nothing of Node's own. What fails in them fails
 * with net there, too, or in Node itself.
 */
const FIRST = {
  version: '20.9.0',
  // It knows none of those.
  options: [],
  rooms: ['compat', 'descriptors', 'dgram', 'posix', 'seqpacket', 'sockets', 'usocket'],
  known: [
    // net calls back for no end() there.
    'end() and a connect() that fails behind it',
    // A write that fills the mark has a 'drain' in any case.
    'what was received before a handler listens, from a peer that leaves our bytes unread',
    // Lost bytes, and a failed assertion of Node's.
    'what is written last arrives, however the stream and the session close: net',
    'what is written last arrives, however the stream and the session close: USocket',
  ],
};

/**
 * The hosts of the addon. `env` comes on top of ours. `rooms`: the tests to run, where it is not all; `known`: those of
 * them that fail for a fault of that Node's.
 */
const NODES = [
  { version: '20', env: {} },
  { version: '20', env: WITH_IO_URING, label: 'UV_USE_IO_URING=1' },
  { ...FIRST, env: {}, label: 'the first with long-term support' },
  { version: '22', env: {} },
  { version: '24', env: {} },
  { version: '26', env: STRICT, label: 'deprecations thrown' },
  { version: '26', env: WITH_IO_URING, label: 'UV_USE_IO_URING=1' },
];

const skippedRow = (what, reason) => ({ what, tried: 0, lost: 0, note: `skipped: ${reason}` });

/** `node` is the host for the programs that tests start, too. */
const environment = (program, env) => ({
  ...process.env,
  ...env,
  PATH: `${path.dirname(program)}${path.delimiter}${process.env.PATH}`,
});

/**
 * Runs the smoke script. Returns `{ faults, node, uv, found, ring, error }`: what was wrong, and what
 * it printed.
 */
function smoke(program, { args = [], env = {} } = {}) {
  const { status, signal, stdout, stderr } = spawnSync(program, [...args, SMOKE], {
    cwd: ROOT,
    encoding: 'utf8',
    env: environment(program, env),
    timeout: SMOKE_LIMIT,
    killSignal: 'SIGKILL',
  });
  const faults = [];
  if (status !== 0) faults.push(`ended with ${signal ?? `code ${status}`}`);
  if (stderr !== '') faults.push(stderr.split('\n').find((line) => /Error|Warning/.test(line)));
  const last = stdout.trimEnd().split('\n').at(-1);
  if (!last.startsWith('{')) return { faults: [...faults, 'it printed no result'] };
  return { faults, ...JSON.parse(last) };
}

/** What the smoke script shows of a Node; its `faults` is empty where all is well. */
function smokeNode(program, env) {
  const result = smoke(program, { env });
  const { faults, error, uv, found } = result;
  if (error) faults.push(`${error.code}: ${error.message}`);
  else if (uv !== found) faults.push(`the addon runs libuv ${found}, the process ${uv}`);
  return result;
}

/** Runs test files; resolves to what hosts-reporter.mjs counted. */
function runSuite(program, { env, options = LIMITS }, files) {
  const args = ['--test', '--expose-gc', ...options, `--test-reporter=${REPORTER}`, ...files];
  const child = spawn(program, args, {
    cwd: ROOT,
    env: environment(program, env),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), SUITE_LIMIT);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const last = stdout.trimEnd().split('\n').at(-1);
      if (last.startsWith('{')) return resolve(JSON.parse(last));
      const name = '(the run)';
      const why = `ended with ${signal ?? `code ${code}`}`;
      return resolve({
        ...{ tests: 0, passed: 0, skipped: [], warnings: [] },
        failed: [{ file: name, name, why }],
      });
    });
  });
}

/** All tests under one Node. A file that failed is run again, alone: the machine may be busy. */
async function suiteRow(what, program, host, note, say) {
  const { rooms, known: theirs = [] } = host;
  const all = fs.readdirSync(path.join(ROOT, 'test'), { recursive: true });
  const names = all.filter((name) => name.endsWith('.test.js')).sort();
  const chosen = rooms ? names.filter((name) => rooms.includes(name.split(path.sep)[0])) : names;
  const files = chosen.map((name) => path.join('test', name));
  const run = async (some) => {
    const found = await runSuite(program, host, some);
    return { ...found, failed: found.failed.filter(({ name }) => !theirs.includes(name)) };
  };
  const result = await run(files);
  const failedFiles = [...new Set(result.failed.map(({ file }) => path.relative(ROOT, file)))];
  const known = failedFiles.filter((file) => files.includes(file));
  for (const { name, why } of result.failed) say(`${what}: ${name}: ${why}; once more, alone`);
  const again = known.length > 0 ? (await run(known)).failed : [];
  const lost = known.length === failedFiles.length ? again : [...again, ...result.failed];
  for (const { file, name, why } of lost) say(`${what}: ${path.basename(file)}: ${name}: ${why}`);
  for (const warning of result.warnings) say(`${what}: ${warning}`);
  const late = result.failed.length - lost.length;
  const notes = [
    `${result.passed + Math.max(late, 0)} passed`,
    `${result.skipped.length} skipped`,
    late > 0 ? `${late} only when run again alone` : '',
    result.warnings.length > 0 ? `${result.warnings.length} warnings` : '',
    note,
  ];
  return {
    what,
    tried: `${result.tests} tests`,
    lost: lost.length + result.warnings.length,
    note: notes.filter(Boolean).join(', '),
  };
}

/** The addon in one Node: the smoke script, and in the long form all tests. */
async function nodeRow(host, quick, say) {
  const { version, env, label } = host;
  const what = [`Node ${version}`, label].filter(Boolean).join(', ');
  const { skip, program } = findHost('node', version, !quick);
  if (skip) return skippedRow(what, skip);
  const { faults, node, uv, ring } = smokeNode(program, env);
  for (const fault of faults) say(`${what}: ${fault}`);
  const uring = env === WITH_IO_URING ? `, io_uring ${ring ? 'in use' : 'not to be had'}` : '';
  const note = `${node}, libuv ${uv}${uring}`;
  if (quick || faults.length > 0) return { what, tried: 'smoke', lost: faults.length, note };
  return suiteRow(what, program, host, note, say);
}

/** A host that cannot run the addon: it has to say so, and to go on. */
function refusalRow(what, program, options, reason, say) {
  const { faults, error } = smoke(program, options);
  if (!error) faults.push('it loaded');
  else if (error.code !== 'ERR_AFUNIX_HOST' || !reason.test(error.message)) {
    faults.push(`${error.code}: ${error.message}`);
  }
  for (const fault of faults) say(`${what}: ${fault}`);
  return { what, tried: 'load', lost: faults.length, note: error?.code };
}

/** Bun and Deno. */
function foreignRows(quick, say) {
  return [
    { kind: 'bun', version: '1', what: 'Bun', args: [], reason: /this is Bun/ },
    {
      kind: 'deno',
      version: '2',
      what: 'Deno',
      args: ['run', '-A'],
      reason: /does not export uv_/,
    },
  ].map(({ kind, version, what, args, reason }) => {
    const { skip, program } = findHost(kind, version, !quick);
    return skip ? skippedRow(what, skip) : refusalRow(what, program, { args }, reason, say);
  });
}

/**
 * Electron as Node. It exports libuv, so the addon may run; if not, it has to say so. Its npm package
 * fetches the executable from elsewhere: used only where it is installed.
 */
function electronRow(say) {
  const program = findProgram('electron');
  if (program === null) return skippedRow('Electron', 'not installed: electron');
  const env = { ELECTRON_RUN_AS_NODE: '1' };
  const { faults, error, node, uv } = smoke(program, { env });
  if (error && error.code !== 'ERR_AFUNIX_HOST') faults.push(`${error.code}: ${error.message}`);
  for (const fault of faults) say(`Electron: ${fault}`);
  const note = error?.code ?? `${node}, libuv ${uv}`;
  return { what: 'Electron', tried: 'smoke', lost: faults.length, note };
}

/** This Node without each of libuv's functions in turn: dlsym(3) denies it. */
function hiddenRow(quick, say) {
  const what = 'a host without one of the functions';
  if (process.platform !== 'linux') return skippedRow(what, 'needs LD_PRELOAD: Linux only');
  const compiler = findProgram('cc');
  if (compiler === null) return skippedRow(what, 'not installed: cc');
  const source = fs.readFileSync(path.join(ROOT, 'native', 'node', 'uv.rs'), 'utf8');
  const [, block] = /^host_functions! \{(.*?)^\}/ms.exec(source);
  const names = [...block.matchAll(/^ +(uv_\w+): fn/gm)].map(([, name]) => name);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-hosts-'));
  try {
    const library = path.join(folder, 'hide.so');
    const { status, stderr } = spawnSync(
      compiler,
      ['-shared', '-fPIC', '-o', library, HIDE, '-ldl'],
      { encoding: 'utf8' },
    );
    if (status !== 0) return skippedRow(what, `cc: ${stderr.trim().split('\n')[0]}`);
    const load = (name) => ({ env: { LD_PRELOAD: library, HIDE: name } });
    // That the preloaded library alone changes nothing.
    const whole = smokeNode(process.execPath, load('').env).faults.length;
    const chosen = quick ? [names[0], names.at(-1)] : names;
    const lost = chosen.map((name) => {
      const reason = new RegExp(`does not export ${name}\\.`);
      return refusalRow(`without ${name}`, process.execPath, load(name), reason, say).lost;
    });
    return {
      what,
      tried: `${chosen.length} functions`,
      lost: lost.reduce((sum, each) => sum + each, whole),
      note: 'the error names it',
    };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Node's permission model: Node itself refuses addons, unless --allow-addons is given. */
function permissionRow(say) {
  const [version] = process.versions.node.split('.');
  const flag = isNodeBefore('22') ? '--experimental-permission' : '--permission';
  const args = [flag, '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker', '--no-warnings'];
  const what = `Node ${version} ${flag}`;
  const without = smoke(process.execPath, { args });
  const { faults } = without;
  if (without.error?.code !== 'ERR_DLOPEN_DISABLED') {
    faults.push(`without --allow-addons: ${without.error?.code ?? 'it loaded'}`);
  }
  const allowed = smoke(process.execPath, { args: [...args, '--allow-addons'] });
  faults.push(...allowed.faults);
  if (allowed.error) faults.push(`with --allow-addons: ${allowed.error.code}`);
  for (const fault of faults) say(`${what}: ${fault}`);
  return { what, tried: 'load', lost: faults.length, note: 'runs with --allow-addons' };
}

async function run({ quick, say }) {
  const digest = () => createHash('sha256').update(fs.readFileSync(ADDON)).digest('hex');
  const before = digest();
  const rows = [];
  for (const host of NODES) {
    if (!quick) say(`Node ${host.version} ${host.label ?? ''}`);
    rows.push(await nodeRow(host, quick, say));
  }
  rows.push(...foreignRows(quick, say), electronRow(say), hiddenRow(quick, say));
  rows.push(permissionRow(say));
  rows.push({
    what: 'the file of the addon',
    tried: 1,
    lost: digest() === before ? 0 : 1,
    note: `sha256 ${before.slice(0, 16)} under all of them`,
  });
  return rows;
}

module.exports = {
  about:
    'One file of the addon under several versions of Node (all tests in JavaScript under each), with ' +
    'io_uring, and in hosts that cannot run it.',
  limit: 7200,
  quickLimit: 600,
  run,
};
