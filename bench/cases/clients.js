'use strict';

/**
 * Real clients of databases over a USocket and over net's socket; see ../clients.js, which starts the servers and runs
 * this. The client gets its socket the same way in both: by its own option for that.
 */

const { createRequire } = require('node:module');
const path = require('node:path');
const { between, costOf, mark } = require('../lib/marks');

const FOLDER = path.join(__dirname, '..', 'build', 'clients');
const AT_ONCE = 16;
const WARM_UP = 500;
/** Of a large answer: rows of 64 KiB. */
const ROWS = 64;
const ROW = 64 * 1024;
const MIB = (ROWS * ROW) / 2 ** 20;

/** Each client connects to a server and asks for little (`ask`) and for much (`fetch`). */
const CLIENTS = {
  async pg(require, { socket }, { folder }) {
    const { Client } = require('pg');
    const client = new Client({
      host: folder,
      user: 'bench',
      database: 'postgres',
      stream: socket,
    });
    await client.connect();
    const rows = `SELECT repeat('x', ${ROW}) AS row FROM generate_series(1, ${ROWS})`;
    return {
      ask: async (n) => (await client.query('SELECT $1::int AS n', [n])).rows[0].n,
      fetch: async () => (await client.query(rows)).rows.map(({ row }) => row.length),
    };
  },

  async ioredis(require, { connect }, { path }) {
    const Redis = require('ioredis');
    class Connector {
      check = () => true;
      connect = async () => (this.stream = connect(path));
      disconnect = () => this.stream?.end();
    }
    const client = new (Redis.default ?? Redis)({ Connector });
    for (let i = 0; i < ROWS; i++) await client.set(`row${i}`, 'x'.repeat(ROW));
    const keys = Array.from({ length: ROWS }, (_, i) => `row${i}`);
    return {
      ask: async (n) => Number(await client.echo(String(n))),
      fetch: async () => (await client.mget(keys)).map((row) => row.length),
    };
  },

  async mysql2(require, { connect }, { path }) {
    const { createConnection } = require('mysql2/promise');
    const client = await createConnection({ user: 'bench', stream: connect(path) });
    const rows = `SELECT REPEAT('x', ${ROW}) AS \`row\` FROM seq_1_to_${ROWS}`;
    await client.query('CREATE DATABASE IF NOT EXISTS bench');
    await client.query('USE bench');
    return {
      ask: async (n) => (await client.query('SELECT ? AS n', [n]))[0][0].n,
      fetch: async () => (await client.query(rows))[0].map(({ row }) => row.length),
    };
  },
};

const roles = {
  async query({ stream }, { params, finish }) {
    const { client, duration } = params;
    const require = createRequire(path.join(FOLDER, 'package.json'));
    const { ask, fetch } = await CLIENTS[client](require, stream, params);
    let asked = 0;

    async function askOne() {
      const n = ++asked;
      if ((await ask(n)) !== n) throw new Error('wrong answer');
    }

    async function fetchAll() {
      const lengths = await fetch();
      if (lengths.length !== ROWS || lengths.some((length) => length !== ROW)) {
        throw new Error('wrong rows');
      }
    }

    /** Runs something as often as it can be done for so long, `atOnce` at a time. */
    async function measure(run, atOnce) {
      const begin = mark();
      let done = 0;
      const isOver = () => performance.now() - begin.time >= duration * 1e3;
      const repeat = async () => {
        while (!isOver()) {
          await run();
          done++;
        }
      };
      await Promise.all(Array.from({ length: atOnce }, repeat));
      return between(begin, mark(), done);
    }

    for (let i = 0; i < WARM_UP; i++) await askOne();
    await fetchAll();
    const one = await measure(askOne, 1);
    const many = await measure(askOne, AT_ONCE);
    const rows = await measure(fetchAll, 1);
    finish({ one, many, rows });
  },
};

const targets = [{ to: 'net', atLeast: 1 }];

/**
 * The case of a client.
 *
 * @param {string} client a name of CLIENTS
 * @param {{ folder: string, socket: string }} server
 */
const caseOf = (client, { folder, socket }) => ({
  name: 'clients',
  about: `${client}: queries a second, one and ${AT_ONCE} at a time, and answers of ${MIB} MiB.`,
  kind: 'stream',
  implementations: ['afunix', 'net'],
  limit: false,
  metrics: [
    { key: 'one', label: 'queries/s, one at a time', better: 'more', targets },
    { key: 'many', label: `queries/s, ${AT_ONCE} at a time`, better: 'more', targets },
    { key: 'rows', label: 'MiB/s', better: 'more', targets },
  ],
  costs: ['one', 'many', 'rows'],
  per: `of the client: a query, one of ${AT_ONCE}, a MiB`,
  patience: 30,

  async measure(trial) {
    const { duration } = trial;
    const params = { client, folder, path: socket, duration };
    const { one, many, rows } = await trial.start('query', params).result;
    const perMib = { rate: rows.rate * MIB, user: rows.user / MIB, system: rows.system / MIB };
    return {
      one: one.rate,
      many: many.rate,
      rows: perMib.rate,
      ...costOf('one', one),
      ...costOf('many', many),
      ...costOf('rows', perMib),
    };
  },
});

module.exports = { roles, caseOf, FOLDER };
