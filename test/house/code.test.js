'use strict';

// Owns the code of README.md, docs/ and examples/: that it runs as it stands. The tour has its own test, tour.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const vm = require('node:vm');
const ts = require('typescript');
const { PAGES, ROOT, RUN, blocksOf, list, read } = require('../helpers/pages.js');
const { onLinux, startProgram } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');

/** Programs at once: most of the time of one is its start, and on a busy machine that takes seconds. */
const AT_ONCE = { concurrency: 2 };
const EXAMPLES = list('examples', '.js').filter((file) => path.basename(file) !== 'tour.js');

/** A folder in which `afunix` can be required and imported. */
function project(t) {
  const folder = temporaryFolder(t);
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'afunix'));
  return folder;
}

/** Compiles a module in TypeScript, without an error; returns what came of it. */
function compiled(folder, code) {
  const file = path.join(folder, 'example.mts');
  fs.writeFileSync(file, code);
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    types: ['node'],
  });
  const { diagnostics } = program.emit();
  const found = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  assert.equal(ts.formatDiagnostics(found, ts.createCompilerHost({})), '');
  return path.join(folder, 'example.mjs');
}

/** Runs a program to its end, which has to be a good one that leaves nothing behind. */
async function runs(t, file, folder) {
  const temporary = temporaryFolder(t);
  const program = startProgram(t, process.execPath, [file], {
    cwd: folder,
    env: { ...process.env, TMPDIR: temporary },
  });
  const { code, signal, stderr } = await program.ended();
  assert.equal(code, 0, `ended with ${signal ?? `code ${code}`}\n${stderr}`);
  assert.deepEqual(fs.readdirSync(temporary), [], 'left something behind');
}

describe('code', AT_ONCE, () => {
  for (const page of RUN) {
    for (const { line, mark, code } of blocksOf(page)) {
      if (mark === 'js') {
        test(`${page}:${line} runs`, onLinux({}), async (t) => {
          const folder = project(t);
          const isModule = /^import /m.test(code);
          const file = path.join(folder, isModule ? 'example.mjs' : 'example.cjs');
          fs.writeFileSync(file, code);
          await runs(t, file, folder);
        });
      } else if (mark === 'ts') {
        test(`${page}:${line} compiles and runs`, onLinux({}), async (t) => {
          const folder = project(t);
          await runs(t, compiled(folder, code), folder);
        });
      } else if (mark === 'js fragment') {
        test(`${page}:${line} has no fault of syntax`, () => {
          new vm.Script(`async () => {\n${code}\n}`, { filename: page, lineOffset: line - 1 });
        });
      }
    }
  }

  test('is marked in a way that is known', () => {
    for (const page of PAGES) {
      for (const { line, mark } of blocksOf(page)) {
        assert.match(mark, /^(js|js fragment|ts|sh|text)$/, `${page}:${line}`);
      }
    }
  });
});

describe('examples', AT_ONCE, () => {
  for (const file of EXAMPLES) {
    test(`${path.basename(file)} runs and says how to run it`, onLinux({}), async (t) => {
      assert.ok(read(file).includes(`// Run: node ${file}`));
      await runs(t, path.join(ROOT, file), ROOT);
    });
  }
});
