'use strict';

// Owns clients of databases over afunix: pg, ioredis and mysql2 with the servers of Debian's packages, as
// docs/with-libraries.md shows it.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Readable } = require('node:stream');
const { text } = require('node:stream/consumers');
const { pipeline } = require('node:stream/promises');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const unix = require('../../lib/net');
const { have, startMariadb, startPostgres, startRedis } = require('../helpers/databases.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { usePackages } = require('../helpers/npm.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

const SOCKETS = { 'afunix/net': unix.Socket, USocket };
const NUMBERS = Array.from({ length: 50 }, (_value, at) => at);

/** The next event, whatever errors come before it. */
const next = (emitter, event) => new Promise((done) => emitter.once(event, done));

/** Skips for want of the server or of the client. */
const needs = (server, client) => (have[server].skip ? have[server] : client.options);

describe('PostgreSQL with pg', () => {
  const client = usePackages('pg@8.16.3', 'pg-copy-streams@7.0.0');

  test('a pool, COPY, notifications, a killed backend', needs('postgres', client), async (t) => {
    const { Client, Pool } = client.require('pg');
    const copy = client.require('pg-copy-streams');
    const server = await startPostgres(t);
    for (const [name, Socket] of Object.entries(SOCKETS)) {
      const stream = () => new Socket();
      const pool = new Pool({ ...server, max: 4, stream });
      const killed = [];
      pool.on('error', (error) => killed.push(error.code));
      const all = NUMBERS.map((at) => pool.query('select $1::int as n', [at]));
      const numbers = (await Promise.all(all)).map(({ rows }) => rows[0].n);
      assert.deepEqual(numbers, NUMBERS, name);

      const lines = NUMBERS.map((at) => `${at}\t${'x'.repeat(50_000)}\n`);
      const one = await pool.connect();
      await one.query('create temporary table many (n int, t text)');
      await pipeline(Readable.from(lines), one.query(copy.from('copy many from stdin')));
      const out = await text(one.query(copy.to('copy many to stdout')));
      assert.ok(out === lines.join(''), 'COPY there and back');

      const listener = new Client({ ...server, stream });
      await listener.connect();
      await listener.query('listen news');
      const heard = once(listener, 'notification');
      await one.query("notify news, 'hello'");
      assert.equal((await heard)[0].payload, 'hello');
      const broken = new Promise((done) => listener.on('error', done));
      const sleeping = listener.query('select pg_sleep(60)').catch(({ code }) => code);
      await one.query('select pg_terminate_backend($1)', [listener.processID]);
      assert.equal(await sleeping, '57P01');
      await within(broken, 'the error of the killed connection');
      one.release();
      assert.equal((await pool.query('select 1 as n')).rows[0].n, 1);
      await pool.end();
    }
  });
});

describe('Redis with ioredis', () => {
  const client = usePackages('ioredis@5.8.2');

  test(
    'absent at first, gone and back, publish and subscribe',
    needs('redis', client),
    async (t) => {
      const { Redis, AbstractConnector } = client.require('ioredis');
      for (const [name, Socket] of Object.entries(SOCKETS)) {
        const file = temporaryPath(t);
        /** As docs/with-libraries.md has it. */
        class Connector extends AbstractConnector {
          constructor({ disconnectTimeout }) {
            super(disconnectTimeout);
          }

          async connect() {
            this.connecting = true;
            this.stream = new Socket().connect(file);
            return this.stream;
          }
        }
        const options = { Connector, retryStrategy: () => 20, maxRetriesPerRequest: null };
        const redis = new Redis(options);
        const codes = [];
        redis.on('error', ({ code }) => codes.push(code));
        t.after(() => redis.disconnect());
        await next(redis, 'reconnecting');
        const early = redis.set('a', 'early');
        const server = await startRedis(t, file);
        assert.equal(await within(early, 'the first answer'), 'OK', name);
        assert.ok(codes.includes('ENOENT'));

        const subscriber = redis.duplicate();
        subscriber.on('error', () => {});
        t.after(() => subscriber.disconnect());
        await subscriber.subscribe('news');
        const heard = once(subscriber, 'message');
        await redis.publish('news', 'hello');
        assert.deepEqual(await heard, ['news', 'hello']);

        const values = await Promise.all(NUMBERS.map((at) => redis.echo(`${at}`)));
        assert.deepEqual(values, NUMBERS.map(String));
        const large = Buffer.alloc(20_000_000, 'x');
        await redis.set('large', large);
        assert.ok((await redis.getBuffer('large')).equals(large));

        const gone = next(redis, 'reconnecting');
        server.kill('SIGKILL');
        await Promise.all([gone, server.ended()]);
        const late = redis.set('a', 'late');
        await startRedis(t, file);
        assert.equal(await within(late, 'an answer of the next server'), 'OK');
        // It has subscribed anew by then; cut off in between, ioredis has a rejection that nobody handles.
        await within(subscriber.unsubscribe('news'), 'the subscriber to be back');
        await redis.quit();
      }
    },
  );
});

describe('MariaDB with mysql2', () => {
  const client = usePackages('mysql2@3.15.3');

  test('a pool, prepared statements, large rows', needs('mariadb', client), async (t) => {
    const { createPool } = client.require('mysql2/promise');
    const file = await startMariadb(t);
    for (const [name, Socket] of Object.entries(SOCKETS)) {
      const stream = () => new Socket().connect(file);
      const pool = createPool({ user: 'root', connectionLimit: 4, stream });
      const all = NUMBERS.map((at) => pool.execute('select ? as n', [at]));
      const numbers = (await Promise.all(all)).map(([[row]]) => Number(row.n));
      assert.deepEqual(numbers, NUMBERS, name);
      const [[{ t: large }]] = await pool.query("select repeat('x', 10000000) as t");
      assert.equal(large.length, 10_000_000);
      const one = await pool.getConnection();
      const failed = one.query('select sleep(60)').catch(({ code }) => code);
      await pool.query('kill ?', [one.threadId]);
      assert.match(await failed, /PROTOCOL_CONNECTION_LOST|ER_CONNECTION_KILLED|ECONNRESET/);
      one.destroy();
      assert.equal((await pool.query('select 1 as n'))[0][0].n, 1);
      await pool.end();
    }
  });
});
