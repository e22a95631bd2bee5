'use strict';

// Owns bundled programs: what esbuild, webpack, rollup, ncc and Vercel's file tracing make of a
// program that imports the package runs in an empty folder, with the settings that docs/bundlers.md names.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const os = require('node:os');
const { installCopy } = require('../helpers/installed.js');
const { installPackages } = require('../helpers/packages.js');
const { startProgram } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');

const { folder: tools, skip } = installPackages({
  '@rollup/plugin-commonjs': '29.0.3',
  '@rollup/plugin-node-resolve': '16.0.3',
  '@vercel/ncc': '0.45.0',
  '@vercel/nft': '1.11.5',
  esbuild: '0.28.2',
  'node-loader': '2.1.0',
  rollup: '4.68.8',
  webpack: '5.113.0',
});

/** A message with a descriptor, a stream, and the synchronous calls. */
const PROGRAM = `
import { DgramSocket, USocket, closeFd } from 'afunix';
import { SOCK_STREAM, AF_UNIX, close, socketpair } from 'afunix/posix';
const [a, b] = DgramSocket.pair({ receiveFds: true });
b.on('data', (data, path, { fds }) => {
  fds.forEach(closeFd);
  const [left, right] = USocket.pair();
  right.on('data', (more) => console.log(data + more, fds.length)).on('end', () => right.end());
  left.end('stream');
  a.close();
  b.close();
});
a.send({ data: 'datagram and ', fds: [1] });
socketpair(AF_UNIX, SOCK_STREAM, 0).forEach((fd) => close(fd));
`;

/** What each does, as a program in the folder of the project; \`out\` gets the bundle. */
const BUNDLERS = {
  esbuild: `require('esbuild').buildSync({
    entryPoints: ['main.mjs'], bundle: true, platform: 'node', outfile: 'out/main.js',
    loader: { '.node': 'copy' }, logLevel: 'error',
  })`,
  'esbuild to ESM': `require('esbuild').buildSync({
    entryPoints: ['main.mjs'], bundle: true, platform: 'node', outfile: 'out/main.mjs',
    loader: { '.node': 'copy' }, logLevel: 'error', format: 'esm',
    banner: {
      js: "import { createRequire } from 'module';const require = createRequire(import.meta.url);",
    },
  })`,
  webpack: `require('webpack')({
    mode: 'production', target: 'node', entry: './main.mjs',
    output: { path: process.cwd() + '/out', filename: 'main.js' },
    module: { rules: [{ test: /\\.node$/, loader: 'node-loader' }] },
    resolveLoader: { modules: [TOOLS + '/node_modules'] },
  }, (error, stats) => {
    if (error || stats.hasErrors()) throw error ?? new Error(stats.toString());
  })`,
  rollup: `const { basename, dirname } = require('path');
    const addons = {
      name: 'addons',
      load(id) {
        if (!id.endsWith('.node')) return null;
        const fileName = basename(dirname(id)) + '.node';
        this.emitFile({ type: 'asset', fileName, source: require('fs').readFileSync(id) });
        return \`process.dlopen(module, __dirname + '/\${fileName}');\`;
      },
    };
    const { nodeResolve } = require('@rollup/plugin-node-resolve');
    const commonjs = require('@rollup/plugin-commonjs');
    require('rollup').rollup({
      input: 'main.mjs', onwarn() {},
      plugins: [nodeResolve({ preferBuiltins: true }), addons, commonjs({ extensions: ['.js', '.node'] })],
    }).then((bundle) => bundle.write({ dir: 'out', format: 'cjs', entryFileNames: 'main.js' }))`,
  ncc: `require('@vercel/ncc')(process.cwd() + '/main.mjs', { quiet: true }).then(({ code, assets }) => {
      const { dirname, join } = require('path');
      const fs = require('fs');
      const all = { ...assets, 'main.mjs': { source: code } };
      for (const [name, { source }] of Object.entries(all)) {
        fs.mkdirSync(dirname(join('out', name)), { recursive: true });
        fs.writeFileSync(join('out', name), source);
      }
    })`,
  "Vercel's file tracing": `require('@vercel/nft').nodeFileTrace(['main.mjs']).then(({ fileList, warnings }) => {
      const { dirname, join } = require('path');
      const fs = require('fs');
      const unfound = [...warnings].filter(({ message }) => !message.includes('prebuilds/'));
      if (unfound.length > 0) throw unfound[0];
      for (const name of fileList) {
        fs.mkdirSync(dirname(join('out', name)), { recursive: true });
        fs.copyFileSync(name, join('out', name));
      }
    })`,
};

/** Milliseconds: they read thousands of files. */
const BUILD_LIMIT = 400_000;

describe('a program that is bundled', { skip: skip ?? false }, () => {
  let project;

  before(() => {
    project = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-test-'));
    fs.writeFileSync(path.join(project, 'main.mjs'), PROGRAM);
    installCopy(project);
  });
  after(() => fs.rmSync(project, { recursive: true, force: true }));

  async function runs(t, cwd, variables, ...args) {
    const env = { ...process.env, ...variables, NODE_PATH: path.join(tools, 'node_modules') };
    const { code, stdout, stderr } = await startProgram(t, process.execPath, args, {
      cwd,
      env,
    }).ended(BUILD_LIMIT);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  /** The bundle's folder, away from the project, and its program. */
  async function bundle(t, code) {
    fs.rmSync(path.join(project, 'out'), { recursive: true, force: true });
    // What of Node they use that is deprecated is not ours.
    await runs(
      t,
      project,
      { NODE_OPTIONS: '' },
      '--eval',
      `const TOOLS = ${JSON.stringify(tools)};${code}`,
    );
    const folder = path.join(temporaryFolder(t), 'bundle');
    fs.cpSync(path.join(project, 'out'), folder, { recursive: true });
    const main = ['main.js', 'main.mjs'].find((name) => fs.existsSync(path.join(folder, name)));
    return { folder, main };
  }

  for (const [name, code] of Object.entries(BUNDLERS)) {
    test(`with ${name} runs in an empty folder`, async (t) => {
      const { folder, main } = await bundle(t, code);
      assert.equal(await runs(t, folder, {}, main), 'datagram and stream 1');
    });
  }

  test('says how where its addon did not come along', async (t) => {
    const { folder, main } = await bundle(t, BUNDLERS.esbuild);
    const [addon] = fs.readdirSync(folder).filter((name) => name.endsWith('.node'));
    fs.renameSync(path.join(folder, addon), path.join(folder, '..', 'elsewhere'));
    const program = startProgram(t, process.execPath, [main], { cwd: folder });
    const { code, stderr } = await program.ended();
    assert.equal(code, 1);
    assert.match(stderr, /This is a bundle: mark afunix as external and install it/);
    assert.match(stderr, /ERR_AFUNIX_BINDING/);
    assert.doesNotMatch(stderr, /build it from source/);
    const env = { ...process.env, AFUNIX_ADDON: '../elsewhere' };
    const named = startProgram(t, process.execPath, [main], { cwd: folder, env });
    assert.equal((await named.ended()).stdout.trim(), 'datagram and stream 1');
  });
});
