'use strict';

// Owns runs of tools-spec.js in a test runner: a folder with the package as users have it, one process,
// and what became of each of its tests.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { installCopy } = require('../../helpers/installed.js');
const { installPackages } = require('../../helpers/packages.js');

/** Milliseconds for one of its tests. */
const TEST_LIMIT = 60_000;
/** Milliseconds for all of them, whatever hangs. */
const LIMIT = 500_000;

/** Milliseconds to install one: these are packages of hundreds. */
const INSTALL_LIMIT = 90_000;

/** The newest of each major version of Jest; from 28 on jsdom is a package of its own. */
const JESTS = {
  24: '24.9.0',
  25: '25.5.4',
  26: '26.6.3',
  27: '27.5.1',
  28: '28.1.3',
  29: '29.7.0',
  30: '30.5.2',
};
const VITEST = '3.2.4';

function installJest(version) {
  const exact = JESTS[version];
  const jsdom = version < 28 ? {} : { 'jest-environment-jsdom': exact };
  return installPackages({ jest: exact, ...jsdom }, undefined, INSTALL_LIMIT);
}

/** A folder for one run, gone after it. */
function inProject(body) {
  const project = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-spec-')));
  try {
    installCopy(project);
    fs.copyFileSync(path.join(__dirname, 'tools-spec.js'), path.join(project, 'spec.test.js'));
    fs.copyFileSync(path.join(__dirname, 'tools-worker.js'), path.join(project, 'worker.js'));
    fs.writeFileSync(path.join(project, 'package.json'), '{ "private": true }');
    return body(project);
  } finally {
    fs.rmSync(project, { recursive: true, force: true });
  }
}

/** Jest 28 cannot fake what Node 20 has made read-only. */
const FAKE_TIMERS = { 28: '{ "doNotFake": ["performance"] }' };

/** Runs a tool; `{ tests, output }`, where tests are `{ name, passed, why }`. */
function runTool(project, args, fakeTimers, read) {
  const env = { ...process.env, TMPDIR: project, CI: '1' };
  delete env.NODE_TEST_CONTEXT; // The runner of our own tests would be taken for its parent.
  if (fakeTimers) env.AFUNIX_FAKE_TIMERS = fakeTimers;
  const { stdout, stderr, error } = spawnSync(process.execPath, args, {
    cwd: project,
    env,
    encoding: 'utf8',
    timeout: LIMIT,
    killSignal: 'SIGKILL',
    maxBuffer: Infinity,
  });
  const output = `${error?.message ?? ''}${stdout}${stderr}`;
  try {
    return { tests: read(project, stdout), output };
  } catch {
    return { tests: [], output };
  }
}

/** The report that Jest writes, and Vitest after its example. */
function readReport(project) {
  const { testResults } = JSON.parse(fs.readFileSync(path.join(project, 'report.json'), 'utf8'));
  return testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ title, status, failureMessages }) => ({
      name: title,
      passed: status === 'passed',
      why: (failureMessages ?? []).join('\n').split('\n')[0],
    })),
  );
}

/**
 * @param {number} version 24 to 30
 * @param {'node' | 'jsdom'} environment
 * @param {boolean} hasFakeTimers
 * @returns {{ tests: { name: string, passed: boolean, why: string }[], output: string } | { skip: string }}
 */
function runJest(version, environment, hasFakeTimers) {
  const { folder, skip } = installJest(version);
  if (skip) return { skip };
  const modules = path.join(folder, 'node_modules');
  const separate = path.join(modules, `jest-environment-${environment}`);
  const options = ['--json', '--outputFile=report.json', '--no-cache', '--forceExit'];
  const args = [...options, `--env=${separate}`, `--testTimeout=${TEST_LIMIT}`, '--runInBand'];
  const fakeTimers = hasFakeTimers && (FAKE_TIMERS[version] ?? 'default');
  const settings = ['--config', JSON.stringify({ transform: {} })];
  return inProject((project) =>
    runTool(
      project,
      [path.join(modules, 'jest', 'bin', 'jest.js'), ...args, ...settings],
      fakeTimers,
      readReport,
    ),
  );
}

/** As runJest(). */
function runVitest(hasFakeTimers) {
  const { folder, skip } = installPackages({ vitest: VITEST }, undefined, INSTALL_LIMIT);
  if (skip) return { skip };
  const program = path.join(folder, 'node_modules', 'vitest', 'vitest.mjs');
  const options = ['run', '--globals', '--reporter=json', '--outputFile=report.json'];
  const limit = `--testTimeout=${TEST_LIMIT}`;
  return inProject((project) =>
    runTool(project, [program, ...options, limit], hasFakeTimers && 'default', readReport),
  );
}

/** As runJest(), of Node's own runner. */
function runNode() {
  return inProject((project) =>
    runTool(project, ['--test', '--test-reporter=tap', 'spec.test.js'], false, (_, stdout) =>
      [...stdout.matchAll(/^ *(not ok|ok) \d+ - (.*)$/gm)]
        .filter(([, , name]) => !name.endsWith('spec.test.js'))
        .map(([, outcome, name]) => ({ name, passed: outcome === 'ok', why: outcome })),
    ),
  );
}

module.exports = { JESTS, runJest, runNode, runVitest };
