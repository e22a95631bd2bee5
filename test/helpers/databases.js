'use strict';

// Owns database servers in tests: started on a socket in a folder of the test's own, and ended with it.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { findProgram, startProgram } = require('./programs.js');
const { temporaryFolder } = require('./tmp.js');
const { until } = require('./wait.js');

/** Where Debian puts the programs of PostgreSQL's newest version. */
function postgresFolder() {
  const root = '/usr/lib/postgresql';
  const versions = fs.existsSync(root) ? fs.readdirSync(root).sort((a, b) => b - a) : [];
  return versions.map((version) => `${root}/${version}/bin`).find((one) => fs.existsSync(one));
}

/** Options for tests: a skip, with a printed reason, where a database or one of its programs is missing. */
const have = {
  postgres: { skip: postgresFolder() === undefined && 'not installed: postgresql' },
  redis: { skip: findProgram('redis-server') === null && 'not installed: redis-server' },
  mariadb: {
    skip:
      (findProgram('mariadbd') === null || findProgram('mariadb-install-db') === null) &&
      'not installed: mariadb-server',
  },
};

/** Who runs a server that refuses to be run by root, and a folder of theirs. */
function userFor(t, name) {
  const folder = temporaryFolder(t);
  if (process.getuid() !== 0) return { folder, options: {} };
  const [, , uid, gid] = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([user]) => user === name);
  fs.chownSync(folder, Number(uid), Number(gid));
  fs.chmodSync(folder, 0o755);
  return { folder, options: { uid: Number(uid), gid: Number(gid), cwd: folder } };
}

/** Runs a program to its good end. */
function run(command, args, options) {
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error || status !== 0) throw error ?? new Error(`${path.basename(command)}: ${stderr}`);
}

/** The flag of /proc/net/unix for a socket that listens. */
const LISTENS = '00010000';

/** Waits until a server listens. Its file is there a moment before. */
function ready(program, file) {
  const listens = () =>
    fs
      .readFileSync('/proc/net/unix', 'latin1')
      .split('\n')
      .some((line) => line.endsWith(` ${file}`) && line.split(' ')[3] === LISTENS);
  return until(listens, `${program.name} to listen`);
}

/** PostgreSQL: `{ host, port, user, database }` for clients. */
async function startPostgres(t) {
  const { folder, options } = userFor(t, 'postgres');
  const bin = postgresFolder();
  const data = `${folder}/data`;
  const quick = ['--no-sync', '--auth=trust', '--username=test', '--locale=C', '--encoding=UTF8'];
  run(`${bin}/initdb`, ['-D', data, ...quick], options);
  const settings = ['-c', 'listen_addresses=', '-c', 'fsync=off', '-k', folder];
  const program = startProgram(t, `${bin}/postgres`, ['-D', data, ...settings], options);
  const isReady = () => spawnSync(`${bin}/pg_isready`, ['-h', folder]).status === 0;
  await until(isReady, `${program.name} to be ready`);
  return { host: folder, port: 5432, user: 'test', database: 'postgres' };
}

/** Redis on a socket at that path. */
async function startRedis(t, file) {
  const where = ['--port', '0', '--unixsocket', file, '--dir', path.dirname(file)];
  const program = startProgram(t, 'redis-server', [...where, '--save', '', '--daemonize', 'no']);
  await ready(program, file);
  return program;
}

/** MariaDB: the path of its socket. */
async function startMariadb(t) {
  const { folder, options } = userFor(t, 'mysql');
  const where = ['--no-defaults', `--datadir=${folder}/data`];
  const easy = ['--auth-root-authentication-method=normal', '--skip-test-db'];
  run('mariadb-install-db', [...where, ...easy], options);
  const file = `${folder}/mysql.sock`;
  const quiet = ['--skip-networking', '--innodb-flush-log-at-trx-commit=0', '--skip-log-bin'];
  const args = [...where, `--socket=${file}`, `--pid-file=${folder}/pid`, ...quiet];
  const program = startProgram(t, 'mariadbd', args, options);
  await ready(program, file);
  return file;
}

module.exports = { have, startMariadb, startPostgres, startRedis };
