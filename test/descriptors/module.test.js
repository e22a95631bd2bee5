'use strict';

// Owns `afunix/descriptors`: the same functions as those of the main module, without the classes.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const afunix = require('../../lib');
const descriptors = require('../../lib/descriptors');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript } = require('../helpers/node.js');
const { typesOf } = require('../helpers/types.js');

assertNoLeaks();

test('are those of the main module, in CommonJS and ESM', async () => {
  assert.equal(require('afunix/descriptors'), descriptors);
  const module = await import('afunix/descriptors');
  assert.equal(module.default, descriptors);
  const names = Object.keys(descriptors);
  assert.ok(names.includes('memfd'));
  for (const name of names) {
    assert.equal(descriptors[name], afunix[name], name);
    assert.equal(module[name], afunix[name], name);
  }
  const inModule = Object.keys(module).filter((name) => name !== 'default');
  assert.deepEqual(inModule.sort(), names.sort());
});

test('each class is the constructor of what it makes, and has its own name', () => {
  for (const name of ['DgramSocket', 'SeqpacketServer', 'SeqpacketSocket', 'UServer', 'USocket']) {
    const made = new afunix[name]();
    assert.equal(made.constructor, afunix[name]);
    assert.equal(made.constructor.name, name);
    if (name.endsWith('Server') || name === 'DgramSocket') made.close();
    else made.destroy();
  }
});

test('have types, all of them', () => {
  const types = typesOf('descriptors/functions.d.ts');
  for (const name of Object.keys(descriptors)) assert.ok(types.has(name), name);
});

for (const name of ['posix', 'descriptors', 'descriptors/socketpair.js']) {
  test(`${name} loads no socket class`, async (t) => {
    const result = await runScript(
      t,
      (_afunix, lib, name) => {
        for (const file of Object.keys(require.cache)) delete require.cache[file];
        require(`${lib}/${name}`);
        console.log(JSON.stringify(Object.keys(require.cache)));
      },
      [LIB, name],
    );
    const folders = result.map((file) => path.relative(LIB, path.dirname(file)));
    assert.ok(folders.includes('native'));
    const sockets = folders.filter((folder) => ['', 'sockets', 'compat'].includes(folder));
    assert.deepEqual(sockets, []);
    assert.ok(!result.includes(path.join(LIB, 'native', 'sockets.js')));
  });
}
