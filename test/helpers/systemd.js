'use strict';

// Owns systemd in tests: a user manager in namespaces of its own, with cgroups of its own, whether or not
// the machine runs systemd. Nothing of it outlives its test: it ends with the first process of its namespace.

const { spawnSync } = require('node:child_process');
const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { scriptArguments } = require('./node.js');
const { skipUnless, startProgram } = require('./programs.js');
const { temporaryFolder } = require('./tmp.js');
const { until } = require('./wait.js');

const MANAGER = ['/lib/systemd/systemd', '/usr/lib/systemd/systemd'].find(fs.existsSync);
/** Its own folders in /run, where it looks whether systemd runs the system. */
const SCRIPT = `
mount --make-rprivate / && mount -t tmpfs tmpfs /run || exit 90
mkdir -p /run/systemd/system /run/user/0 && chmod 700 /run/user/0 || exit 91
"$MANAGER" --user >&2 &
exec "$0" "$@"`;
const NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Where the manager makes its cgroups: cgroup2, and where both are in use systemd's own as well. */
const hierarchies = () =>
  ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd'].filter((folder) =>
    fs.existsSync(path.join(folder, 'cgroup.procs')),
  );

/** Options for `describe`: a skip, with a reason, where no manager can be started. */
function withSystemd() {
  if (MANAGER === undefined) return { skip: 'not installed: systemd' };
  const { skip } = skipUnless('systemctl', 'unshare');
  if (skip) return { skip };
  if (process.getuid() !== 0) return { skip: 'a systemd of its own needs root' };
  if (hierarchies().length === 0) return { skip: 'no cgroups are mounted' };
  const mayMount = 'mount --make-rprivate / && mount -t tmpfs tmpfs /run';
  const { status, stderr } = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', mayMount]);
  return { skip: status !== 0 && `no namespaces here: ${String(stderr).trim()}` };
}

/** Removes a cgroup and those in it, which is done as with empty folders, whatever files they show. */
function removeGroup(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(path.join(folder, entry.name));
  }
  fs.rmdirSync(folder);
}

/** Whether it is gone: not as long as a process in it dies. */
function isRemoved(folder) {
  try {
    removeGroup(folder);
    return true;
  } catch (error) {
    if (error.code !== 'EBUSY') throw error;
    return false;
  }
}

/**
 * Runs a function, as startScript() does, next to a systemd that has these units.
 * `systemctl --user` reaches it; /run is an empty folder of its own.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string>} units a unit's name → its file's content
 * @param {(afunix: object, ...args: any[]) => Promise<void>} body
 * @param {any[]} [args] what JSON can carry
 * @returns what it printed as JSON in its last line
 */
async function runUnderSystemd(t, units, body, args = []) {
  // One name: systemd takes its own from one hierarchy and makes the same in the others.
  const name = `afunix-test-${randomUUID()}`;
  const groups = hierarchies().map((hierarchy) => path.join(hierarchy, name));
  for (const group of groups) fs.mkdirSync(group);
  const folder = temporaryFolder(t);
  const config = path.join(folder, 'systemd', 'user');
  fs.mkdirSync(config, { recursive: true });
  for (const [unit, text] of Object.entries(units)) fs.writeFileSync(path.join(config, unit), text);
  const env = {
    ...process.env,
    MANAGER,
    HOME: folder,
    XDG_CONFIG_HOME: folder,
    XDG_RUNTIME_DIR: '/run/user/0',
    SYSTEMD_LOG_TARGET: 'console',
  };
  delete env.NODE_TEST_CONTEXT;
  const join = `for group in ${groups.join(' ')}; do echo $$ >$group/cgroup.procs || exit 92; done`;
  const shell = ['sh', '-c', `${join}; exec "$0" "$@"`];
  const program = [process.execPath, ...scriptArguments(body, args)];
  const [command, ...rest] = [...shell, 'unshare', ...NAMESPACES, 'sh', '-c', SCRIPT, ...program];
  const started = startProgram(t, command, rest, { env });
  t.after(async () => {
    started.kill('SIGKILL');
    await started.ended();
    for (const group of groups) await until(() => isRemoved(group), `the end of ${group}`);
  });
  const { code, signal, stdout, stderr } = await started.ended();
  if (code !== 0) throw new Error(`ended with ${signal ?? `code ${code}`}\n${stdout}${stderr}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1));
}

module.exports = { runUnderSystemd, withSystemd };
