'use strict';

/**
 * Owns the servers that real clients are measured with, as Debian's packages bring them: PostgreSQL, Redis, MariaDB. Each
 * runs in the foreground in a new folder below the system's temporary one, without a network, and ends with the bench.
 */

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { reasonIn } = require('./processes');

/** How long a server may take until it accepts, in ms. */
const PATIENCE = 30_000;

const running = new Set();

/** A program on the PATH or in a folder where Debian puts servers; undefined without one. */
function find(name) {
  const postgres = '/usr/lib/postgresql';
  const versions = fs.existsSync(postgres) ? fs.readdirSync(postgres) : [];
  const folders = [
    ...versions.map((version) => path.join(postgres, version, 'bin')),
    ...(process.env.PATH ?? '').split(path.delimiter),
    '/usr/sbin',
  ];
  return folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file));
}

/** The user to run as: PostgreSQL refuses to be root. */
function userFor(name) {
  if (process.getuid() !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((what) => Number(spawnSync('id', [what, name]).stdout));
  return { uid, gid };
}

/** Runs a program to its end. */
function prepare(command, args, user) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...user });
  if (status !== 0) throw error ?? new Error(reasonIn(`${stderr}\n${stdout}`) ?? `code ${status}`);
}

/** How each is found, prepared and started. */
const SERVERS = {
  postgresql: {
    programs: ['postgres', 'initdb'],
    user: 'postgres',
    socket: (folder) => path.join(folder, '.s.PGSQL.5432'),
    start({ postgres, initdb }, folder, user) {
      const data = path.join(folder, 'data');
      prepare(initdb, ['-D', data, '-U', 'bench', '-A', 'trust', '--no-sync'], user);
      const args = ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off'];
      return [postgres, args];
    },
  },
  'redis-server': {
    programs: ['redis-server'],
    socket: (folder) => path.join(folder, 'redis'),
    start(programs, folder) {
      const args = ['--port', '0', '--unixsocket', path.join(folder, 'redis'), '--dir', folder];
      return [programs['redis-server'], [...args, '--save', '', '--appendonly', 'no']];
    },
  },
  'mariadb-server': {
    programs: ['mariadbd', 'mariadb-install-db'],
    user: 'mysql',
    socket: (folder) => path.join(folder, 'mariadb'),
    start(programs, folder, user) {
      const data = `--datadir=${path.join(folder, 'data')}`;
      const install = ['--no-defaults', data, '--auth-root-authentication-method=normal'];
      prepare(programs['mariadb-install-db'], install, user);
      const socket = `--socket=${path.join(folder, 'mariadb')}`;
      const others = ['--skip-networking', '--skip-grant-tables', '--innodb-flush-method=nosync'];
      return [programs.mariadbd, ['--no-defaults', data, socket, ...others]];
    },
  },
};

/** Waits until somebody accepts connections. */
async function accepts(socket, child) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(50)) {
    if (child.exitCode !== null) throw new Error(reasonIn(child.said) ?? 'ended early');
    const isOpen = await new Promise((resolve) => {
      const probe = net.connect(socket, () => resolve(true));
      probe.on('connect', () => probe.destroy());
      probe.on('error', () => resolve(false));
    });
    if (isOpen) return;
  }
  throw new Error(`accepts no connection after ${PATIENCE / 1e3} s`);
}

/**
 * Starts a server.
 *
 * @param {string} name of its package: 'postgresql', 'redis-server' or 'mariadb-server'
 * @returns {Promise<{ folder: string, socket: string } | { unavailable: string }>}
 */
async function startServer(name) {
  const { programs, user: userName, socket: socketIn, start } = SERVERS[name];
  const found = Object.fromEntries(programs.map((program) => [program, find(program)]));
  const missing = programs.filter((program) => !found[program]);
  if (missing.length > 0) return { unavailable: `not installed: ${missing.join(', ')} (${name})` };
  const user = userName === undefined ? {} : userFor(userName);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-bench-'));
  const server = { folder, child: null };
  running.add(server);
  try {
    if (user.uid !== undefined) fs.chownSync(folder, user.uid, user.gid);
    const [command, args] = start(found, folder, user);
    const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...user });
    server.child = child;
    child.said = '';
    for (const output of [child.stdout, child.stderr]) {
      output
        .setEncoding('utf8')
        .on('data', (text) => (child.said = (child.said + text).slice(-4000)));
    }
    child.on('error', (error) => (child.said += `Error: ${error.message}`));
    const socket = socketIn(folder);
    await accepts(socket, child);
    return { folder, socket };
  } catch (error) {
    return { unavailable: `${name}: ${error.message}` };
  }
}

const remove = (folder) => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 });

/** Ends all servers and removes their folders. */
async function stopServers() {
  for (const server of running) {
    const { child, folder } = server;
    if (child?.pid !== undefined && child.exitCode === null) {
      const exited = once(child, 'exit');
      // To PostgreSQL: at once. Others take it for a fault.
      child.kill(child.spawnfile.endsWith('postgres') ? 'SIGQUIT' : 'SIGTERM');
      await exited;
    }
    remove(folder);
    running.delete(server);
  }
}

process.on('exit', () => {
  for (const { child, folder } of running) {
    child?.kill('SIGKILL');
    remove(folder);
  }
});

module.exports = { startServer, stopServers };
