#!/usr/bin/env node
'use strict';

/**
 * Real clients over a USocket, compared with net: `node bench/clients.js [pg|ioredis|mysql2 …] [--rounds N]
 * [--duration S] [--against FOLDER]`.
 *
 * The clients are installed in build/clients in the versions below, the servers are those of Debian's packages; without one
 * its client is left out. What is measured is in cases/clients.js. Prints tables, writes nothing.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { FOLDER, caseOf } = require('./cases/clients');
const { reasonIn } = require('./lib/processes');
const { brief, table } = require('./lib/report');
const { runCase } = require('./lib/rounds');
const { startServer, stopServers } = require('./lib/servers');
const { BenchError, probe, useBefore } = require('./lib/setup');

/** Client → its version and the Debian package of its server. */
const CLIENTS = {
  pg: { version: '8.23.1', server: 'postgresql' },
  ioredis: { version: '6.0.0', server: 'redis-server' },
  mysql2: { version: '3.24.6', server: 'mariadb-server' },
};

const log = (text) => process.stderr.write(`${text}\n`);

function readArguments() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '5' },
        duration: { type: 'string', default: '1.2' },
        against: { type: 'string' },
      },
    });
  } catch (error) {
    throw new BenchError(error.message);
  }
  const { values, positionals } = parsed;
  const unknown = positionals.filter((name) => !(name in CLIENTS));
  if (unknown.length > 0) {
    throw new BenchError(
      `no such client: ${unknown.join(', ')} (${Object.keys(CLIENTS).join(', ')})`,
    );
  }
  const [rounds, duration] = [values.rounds, values.duration].map(Number);
  if (!Number.isInteger(rounds) || rounds < 1) throw new BenchError('--rounds: at least 1');
  if (!(duration > 0)) throw new BenchError('--duration: more than 0 seconds');
  const names = positionals.length > 0 ? positionals : Object.keys(CLIENTS);
  return { names, rounds, duration, against: values.against };
}

/** Installs the clients unless they are there in these versions. */
function installClients() {
  const dependencies = Object.fromEntries(
    Object.entries(CLIENTS).map(([name, { version }]) => [name, version]),
  );
  const manifest = `${JSON.stringify({ private: true, dependencies }, null, 2)}\n`;
  const file = path.join(FOLDER, 'package.json');
  const done = path.join(FOLDER, 'installed');
  const isInstalled = () => fs.readFileSync(file, 'utf8') === manifest;
  if (fs.existsSync(done) && isInstalled()) return;
  fs.mkdirSync(FOLDER, { recursive: true });
  fs.rmSync(done, { force: true });
  fs.writeFileSync(file, manifest);
  log('installing the clients in bench/build/clients');
  const options = { cwd: FOLDER, encoding: 'utf8' };
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { status, error, stderr } = spawnSync('npm', args, options);
  if (status !== 0) throw new BenchError(`npm install: ${error?.message ?? reasonIn(stderr)}`);
  fs.writeFileSync(done, '');
}

async function main() {
  const { names, rounds, duration, against } = readArguments();
  installClients();
  if (against) useBefore(against);
  for (const name of names) {
    const { version, server: serverName } = CLIENTS[name];
    const server = await startServer(serverName);
    if (server.unavailable) {
      process.stdout.write(`\n${name} ${version}: not measured: ${server.unavailable}\n`);
      continue;
    }
    const bench = caseOf(name, server);
    log(`\n${bench.about}`);
    const onTrial = (round, who, measures) => log(`  ${round + 1} ${brief(bench, who, measures)}`);
    const options = { rounds, duration, against: Boolean(against), probe, onTrial };
    const implementations = await runCase(bench, options);
    process.stdout.write(`\n${name} ${version}\n\n${table(bench, implementations)}\n`);
    await stopServers();
  }
}

// An exit by signal would leave processes and directories: 'exit' ends them.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

main().catch((error) => {
  log(error instanceof BenchError ? `bench: ${error.message}` : error.stack);
  process.exitCode = 1;
});
