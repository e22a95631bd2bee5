'use strict';

// Owns the package as others load it: exports, ESM and CommonJS, types next to code, hosts that
// cannot run it, and that loading does nothing else.

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const { isBuiltin } = require('node:module');
const path = require('node:path');
const { Duplex } = require('node:stream');
const { describe, test } = require('node:test');
const afunix = require('../../lib');
const { LIB, runScript, startScript } = require('../helpers/node.js');
const { startProgram } = require('../helpers/programs.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { typesOf } = require('../helpers/types.js');
const { isNodeBefore } = require('../helpers/versions.js');

const ROOT = path.join(LIB, '..');

const ofNode = [EventEmitter.prototype, Duplex.prototype, Object.prototype];

const read = (name) => fs.readFileSync(path.join(LIB, name), 'utf8');

describe('exports', () => {
  const types = typesOf('index.d.ts');

  test('are classes and functions, under their own names', () => {
    assert.ok(Object.keys(afunix).includes('DgramSocket'));
    for (const [name, value] of Object.entries(afunix)) {
      assert.equal(typeof value, 'function', name);
      assert.equal(value.name, name);
    }
  });

  test('are the same by name of the package, and in ESM', async () => {
    assert.equal(require('afunix'), afunix);
    const module = await import('afunix');
    assert.equal(module.default, afunix);
    for (const [name, value] of Object.entries(afunix)) assert.equal(module[name], value, name);
    const names = Object.keys(module).filter((name) => name !== 'default');
    assert.deepEqual(names.sort(), Object.keys(afunix).sort());
  });

  test('have types, all of them', () => {
    const values = [...types].filter(([, { isValue }]) => isValue).map(([name]) => name);
    assert.deepEqual(values.sort(), Object.keys(afunix).sort());
    assert.match(read('index.d.mts'), /^export \* from '.\/index.js';$/m);
  });

  test('have a type for each public member of their classes, and for no other', () => {
    for (const [name, value] of Object.entries(afunix)) {
      const isClass = /^class/.test(Function.prototype.toString.call(value));
      assert.equal(types.get(name).members !== undefined, isClass, name);
      if (!isClass) continue;
      const declared = new Set(types.get(name).members);
      const members = new Set();
      for (
        let owner = value.prototype;
        !ofNode.includes(owner);
        owner = Object.getPrototypeOf(owner)
      ) {
        for (const member of Object.getOwnPropertyNames(owner)) members.add(member);
      }
      for (const member of members) {
        // What a class of Node has too needs a type of its own only where it differs.
        const isKnown = declared.has(member) || ofNode.some((owner) => member in owner);
        assert.ok(isKnown || member.startsWith('_'), `${name}.${member} has no type`);
      }
      for (const member of declared) {
        const exists = member in value.prototype || member in value || member === 'maxConnections';
        assert.ok(exists, `${name}.${member} does not exist`);
      }
    }
  });

  test('can be extended', async () => {
    class Named extends afunix.DgramSocket {
      name = 'a name';
    }
    const socket = new Named();
    assert.ok(socket instanceof afunix.DgramSocket);
    assert.equal(socket.name, 'a name');
    await socket[Symbol.asyncDispose]();
  });
});

describe('the addon', () => {
  test("runs on the host's own libuv", () => {
    assert.equal(require('../../lib/native/binding.js').uvVersion(), process.versions.uv);
  });

  test('says so on Bun, where it cannot run', async (t) => {
    const result = await runScript(
      t,
      (_afunix, lib) => {
        for (const name of Object.keys(require.cache)) delete require.cache[name];
        const versions = { ...process.versions, bun: '1.0.0' };
        Object.defineProperty(process, 'versions', { value: versions });
        try {
          require(lib);
        } catch ({ name, code, message }) {
          console.log(JSON.stringify({ name, code, message }));
        }
      },
      [LIB],
    );
    assert.equal(result.code, 'ERR_AFUNIX_HOST');
    assert.equal(result.name, 'Error');
    assert.match(result.message, /needs a Node\.js process.*Bun/);
  });

  test('says which function of libuv a host lacks', async (t) => {
    const result = await runScript(
      t,
      (_afunix, lib) => {
        for (const name of Object.keys(require.cache)) delete require.cache[name];
        require.extensions['.node'] = (module) => {
          module.exports = { posix: () => ({ constants: {} }), addSockets: () => 'uv_poll_init' };
        };
        try {
          require(lib);
        } catch ({ code, message }) {
          console.log(JSON.stringify({ code, message }));
        }
      },
      [LIB],
    );
    assert.equal(result.code, 'ERR_AFUNIX_HOST');
    assert.match(result.message, /does not export uv_poll_init/);
  });

  test('says how to build it where it is missing', async (t) => {
    const folder = temporaryFolder(t);
    fs.cpSync(LIB, `${folder}/lib`, { recursive: true });
    const program = startProgram(t, process.execPath, ['--eval', `require('${folder}/lib')`]);
    const { code, stderr } = await program.ended();
    assert.equal(code, 1);
    assert.match(stderr, /ERR_AFUNIX_BINDING/);
    assert.ok(stderr.includes(`cd ${folder} && node scripts/build.js`), stderr);
  });

  test("is refused by Node's permission model unless that allows addons", async (t) => {
    const permission = isNodeBefore('24') ? '--experimental-permission' : '--permission';
    const code = `try {
        require(${JSON.stringify(LIB)});
        console.log('loaded');
      } catch (error) {
        console.log(error.code);
      }`;
    for (const [more, expected] of [
      [[], 'ERR_DLOPEN_DISABLED'],
      [['--allow-addons'], 'loaded'],
    ]) {
      const args = ['--no-warnings', permission, '--allow-fs-read=*', ...more, '-e', code];
      const { stdout } = await startProgram(t, process.execPath, args).ended();
      assert.equal(stdout.trim(), expected);
    }
  });

  test('can be loaded twice in one process, each copy on its own', async (t) => {
    const result = await runScript(
      t,
      async ({ DgramSocket: First }, lib, folder) => {
        for (const name of Object.keys(require.cache)) delete require.cache[name];
        const { DgramSocket: Second } = require(lib);
        const sockets = [new First().bind(`${folder}/1`), new Second().bind(`${folder}/2`)];
        const counts = [0, 0];
        for (const [index, socket] of sockets.entries()) {
          socket.on('data', (data, from) => {
            counts[index]++;
            if (counts[index] < 100) socket.sendTo(data, from);
            else for (const each of sockets) each.close();
          });
        }
        sockets[0].sendTo('x', `${folder}/2`);
        await require('node:events').once(sockets[1], 'close');
        console.log(JSON.stringify({ counts, same: First === Second }));
      },
      [LIB, temporaryFolder(t)],
    );
    assert.equal(result.same, false);
    assert.ok(result.counts[0] >= 99 && result.counts[1] >= 99, `${result.counts}`);
  });
});

describe('loading', () => {
  test('prints nothing, keeps nothing alive and adds no listener', async (t) => {
    const program = startProgram(t, process.execPath, [
      '--eval',
      `const count = () => process.eventNames().map((name) => process.listenerCount(name)).join();
      const before = count();
      require(${JSON.stringify(LIB)});
      if (count() !== before) console.log(process.eventNames());`,
    ]);
    assert.deepEqual(await program.ended(), { code: 0, signal: null, stdout: '', stderr: '' });
  });

  test('and using many sockets adds no listener to the process', async (t) => {
    const program = startScript(
      t,
      async ({ DgramSocket }) => {
        const count = () =>
          process
            .eventNames()
            .map((name) => process.listenerCount(name))
            .join();
        process.stdout.write('');
        const before = count();
        const sockets = Array.from({ length: 30 }, () => new DgramSocket().bind());
        for (const socket of sockets) sockets[0].sendTo('x', socket.address());
        await new Promise((resolve) => setTimeout(resolve, 10));
        for (const socket of sockets) socket.close();
        if (count() !== before) console.log(process.eventNames());
      },
      [],
    );
    const { code, stdout, stderr } = await program.ended();
    assert.deepEqual([code, stdout, stderr], [0, '', '']);
  });

  test('prints what happens with NODE_DEBUG=afunix', async (t) => {
    const name = temporaryPath(t);
    const program = startScript(
      t,
      ({ DgramSocket }, to) => void new DgramSocket().bind(to).close(),
      [name],
      { env: { ...process.env, NODE_DEBUG: 'afunix' } },
    );
    const { code, stdout, stderr } = await program.ended();
    assert.deepEqual([code, stdout], [0, '']);
    assert.match(stderr, new RegExp(`AFUNIX ${program.pid}: .*bound to .*${name}`));
    assert.match(stderr, new RegExp(`AFUNIX ${program.pid}: .*closes`));
  });

  test('needs nothing that the package does not bring', () => {
    const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    assert.equal(manifest.dependencies, undefined);
    const names = fs.readdirSync(LIB, { recursive: true }).filter((name) => /\.m?js$/.test(name));
    for (const name of names) {
      for (const [, from] of read(name).matchAll(/(?:require\(|from )'([^']+)'/g)) {
        assert.ok(from.startsWith('.') || isBuiltin(from), `${name} requires ${from}`);
      }
    }
  });
});
