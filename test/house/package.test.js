'use strict';

// Owns the package as npm packs and installs it: without a compiler, without scripts, without a
// network; what is said where it cannot run; and the rules that prebuilt addons keep. It packs a copy
// with the ordinary build in the place of a prebuilt one.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { interpreter, platformName } = require('../../lib/native/platform.js');
const { checkGlibc } = require('../../scripts/check-prebuilt.js');
const { readElf } = require('../../scripts/elf.js');
const { bill } = require('../../scripts/sbom.js');
const { findProgram } = require('../helpers/programs.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

const ROOT = path.join(__dirname, '..', '..');
const ADDON = path.join(ROOT, 'build', 'Release', 'afunix.node');
const MANIFEST = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const NPM = findProgram('npm');
const needsNpm = NPM === null ? { skip: 'not installed: npm' } : {};
const needsLinux = process.platform === 'linux' ? {} : { skip: 'reads files of Linux' };

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-test-'));
const source = path.join(folder, 'source');
const programs = path.join(folder, 'bin');
after(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Runs Node where nothing but Node is on the PATH, and no npm configuration of ours applies. */
function node(cwd, ...args) {
  const env = { PATH: programs, HOME: folder, npm_config_cache: path.join(folder, 'cache') };
  const result = spawnSync(process.execPath, args, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: 300_000,
  });
  if (result.error) throw result.error;
  return result;
}

/** Runs npm in a folder; fails unless it succeeds. */
function npm(cwd, ...args) {
  const result = node(cwd, fs.realpathSync(NPM), ...args, '--no-audit', '--no-fund');
  assert.equal(result.status, 0, result.stderr);
  return result;
}

/** What an installed file says, run by Node; fails unless it ends well. */
function says(cwd, ...args) {
  const { status, stdout, stderr } = node(cwd, ...args);
  assert.deepEqual([status, stderr], [0, ''], stdout);
  return stdout.trim();
}

describe('the package', needsNpm, () => {
  let tarball;
  let installed;

  before(() => {
    fs.mkdirSync(programs);
    fs.symlinkSync(process.execPath, path.join(programs, 'node'));
    for (const name of [...MANIFEST.files, 'scripts', 'package.json', 'README.md', 'LICENSE']) {
      if (name.startsWith('prebuilds/')) continue;
      fs.cpSync(path.join(ROOT, name), path.join(source, name), { recursive: true });
    }
    const prebuilt = path.join(source, 'prebuilds', platformName());
    fs.mkdirSync(prebuilt, { recursive: true });
    fs.copyFileSync(ADDON, path.join(prebuilt, 'afunix.node'));
    npm(source, 'pack', '--ignore-scripts', '--pack-destination', folder);
    tarball = path.join(folder, `afunix-${MANIFEST.version}.tgz`);
    installed = path.join(folder, 'user');
    fs.mkdirSync(installed);
  });

  test('is smaller than 1 MB for one system', (t) => {
    const { size } = fs.statSync(tarball);
    t.diagnostic(`${path.basename(tarball)}: ${size} bytes with ${platformName()}`);
    assert.ok(size < 1_000_000, `${size} bytes`);
  });

  for (const options of [['--ignore-scripts'], []]) {
    test(`installs offline ${options.join(' ') || 'with scripts'}, without a warning`, () => {
      fs.rmSync(installed, { recursive: true });
      fs.mkdirSync(installed);
      const { stdout, stderr } = npm(installed, 'install', '--offline', ...options, tarball);
      assert.match(stdout, /added 1 package/);
      assert.doesNotMatch(stdout + stderr, /warn|script/i);
      const inside = fs.readdirSync(path.join(installed, 'node_modules', 'afunix'));
      assert.ok(inside.includes('prebuilds') && !inside.includes('build'), inside.join());
    });
  }

  test('has every file that its pages link to', () => {
    const inside = path.join(installed, 'node_modules', 'afunix');
    const pages = fs
      .readdirSync(inside, { recursive: true })
      .filter((name) => name.endsWith('.md') && !name.includes('node_modules'));
    assert.ok(pages.length > 20, pages.join());
    for (const page of pages) {
      const text = fs
        .readFileSync(path.join(inside, page), 'utf8')
        .replaceAll(/^```[^]*?^```$/gm, '');
      for (const [, target] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (/^https:/.test(target)) continue;
        const linked = path.join(inside, path.dirname(page), target);
        assert.ok(fs.existsSync(linked), `${page} links to ${target}`);
      }
    }
  });

  test('works from CommonJS', () => {
    const file = path.join(installed, 'user.cjs');
    fs.writeFileSync(
      file,
      `const { DgramSocket } = require('afunix');
      const posix = require('afunix/posix');
      const pair = require('afunix/socketpair');
      if (require('afunix/net').serve !== require('afunix').serve) throw new Error('afunix/net');
      const [a, b] = DgramSocket.pair();
      b.on('data', (data) => {
        console.log(String(data), typeof posix.socket, pair().length);
        a.close();
        b.close();
      });
      a.send('hello');`,
    );
    assert.equal(says(installed, file), 'hello function 2');
  });

  test('works from ESM', () => {
    const file = path.join(installed, 'user.mjs');
    fs.writeFileSync(
      file,
      `import afunix, { DgramSocket } from 'afunix';
      import * as posix from 'afunix/posix';
      import pair from 'afunix/socketpair';
      import net, { connect } from 'afunix/net';
      if (net.connect !== connect) throw new Error('afunix/net');
      const [a, b] = DgramSocket.pair();
      b.on('data', (data) => {
        console.log(String(data), afunix.DgramSocket === DgramSocket, typeof posix.socket);
        console.log(pair().length);
        a.close();
        b.close();
      });
      a.send('hello');`,
    );
    assert.equal(says(installed, file), 'hello true function\n2');
  });

  test('has its parts also for tools that know no "exports"', () => {
    for (const name of ['posix', 'socketpair', 'addon']) {
      const code = `const inside = require('afunix/package.json') && require.resolve('afunix');
        const file = require('path').join(inside, '..', '..', '${name}');
        console.log(require(file) === require('afunix/${name}'))`;
      assert.equal(says(installed, '--eval', code), 'true');
    }
  });

  describe('loads the addon from a file that is named', () => {
    const use = `const { DgramSocket } = require('afunix');
      const [a, b] = DgramSocket.pair();
      a.close();
      b.close();
      const { sharedObjects } = process.report.getReport();
      console.log(sharedObjects.some((name) => name.endsWith('/other.library')));`;
    let other;
    before(() => {
      other = path.join(folder, 'other.library');
      fs.copyFileSync(ADDON, other);
    });

    test('in AFUNIX_ADDON', () => {
      const code = `process.env.AFUNIX_ADDON = '../other.library';${use}`;
      assert.equal(says(installed, '--eval', code), 'true');
    });

    test('with useAddon(), as a path and as a URL', () => {
      for (const name of [JSON.stringify(other), `new URL('file://${other}')`]) {
        const code = `process.env.AFUNIX_ADDON = 'nothing';
          require('afunix/addon').useAddon(${name});${use}`;
        assert.equal(says(installed, '--eval', code), 'true');
      }
    });

    test('and says so if it cannot, or if it is too late, or no name', () => {
      const code = `const { useAddon } = require('afunix/addon');
        const faults = [];
        const attempt = (body) => {
          try { body(); } catch ({ code, message }) { faults.push(code, message); }
        };
        attempt(() => useAddon(5));
        attempt(() => useAddon(''));
        useAddon('missing.library');
        attempt(() => require('afunix'));
        attempt(() => useAddon('late.library'));
        console.log(JSON.stringify(faults));`;
      const [type, , value, , missing, why, late, when] = JSON.parse(
        says(installed, '--eval', code),
      );
      assert.deepEqual(
        [type, value, missing, late],
        [
          'ERR_INVALID_ARG_TYPE',
          'ERR_INVALID_ARG_VALUE',
          'ERR_AFUNIX_BINDING',
          'ERR_AFUNIX_BINDING',
        ],
      );
      assert.match(why, /named, .*user\/missing\.library: /);
      assert.match(when, /before anything requires afunix/);
    });
  });

  test('works from TypeScript, of both kinds', () => {
    const text = (pair) => `import { DgramSocket } from 'afunix';
      import * as posix from 'afunix/posix';
      import { useAddon } from 'afunix/addon';
      import ${pair};
      const named: void = useAddon(new URL('file:///a'));
      const sockets: [DgramSocket, DgramSocket] = DgramSocket.pair();
      const fd: number = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
      const fds: [number, number] = pair(pair.SOCK_STREAM);
      // @ts-expect-error: an array is no path
      new DgramSocket().bind([]);
      export { sockets, fd, fds, named };`;
    const write = (name, pair) => fs.writeFileSync(path.join(installed, name), text(pair));
    write('user.cts', `pair = require('afunix/socketpair')`);
    write('user.mts', `pair from 'afunix/socketpair'`);
    // The declarations themselves are checked with test/types. This is quick also where others hog the processors.
    const quick = ['--skipLibCheck', '--lib', 'es2022'];
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      ...quick,
    ];
    const types = ['--types', 'node', '--typeRoots', path.join(ROOT, 'node_modules', '@types')];
    const compiler = require.resolve('typescript/bin/tsc');
    const { status, stdout } = node(
      installed,
      ...[compiler, ...options, ...types, 'user.cts', 'user.mts'],
    );
    assert.equal(status, 0, stdout);
  });

  test('says what it looked for and how to build where nothing fits', () => {
    const inside = path.join(installed, 'node_modules', 'afunix');
    const prebuilt = path.join(inside, 'prebuilds', platformName(), 'afunix.node');
    const load = `try { require('afunix') } catch ({ code, message, cause }) {
      console.log(JSON.stringify({ code, message, cause: cause?.code })) }`;
    const refused = () => JSON.parse(says(installed, '--eval', load));

    fs.writeFileSync(prebuilt, 'not a library');
    const damaged = refused();
    assert.equal(damaged.code, 'ERR_AFUNIX_BINDING');
    assert.equal(damaged.cause, 'ERR_DLOPEN_FAILED');
    assert.match(damaged.message, /prebuilds\/.*\(.*(invalid ELF|too short|not a mach-o).*\)/i);

    fs.rmSync(prebuilt);
    const { code, message } = refused();
    assert.equal(code, 'ERR_AFUNIX_BINDING');
    const own = path.join(inside, 'build', 'Release', 'afunix.node');
    for (const file of [own, prebuilt]) assert.ok(message.includes(`${file} (not there)`), message);
    const command = `cd ${fs.realpathSync(inside)} && node scripts/build.js`;
    assert.ok(message.endsWith(command), message);
    // The command's program is there with all that it requires: what it misses is Rust.
    const built = node(inside, 'scripts/build.js');
    assert.equal(built.status, 1);
    assert.match(built.stderr, /^afunix: cargo is missing: install Rust with/);
  });

  test('is not published with a system missing', () => {
    const { status, stderr } = node(source, 'scripts/check-package.js', '--complete');
    assert.equal(status, 1);
    assert.match(stderr, /^afunix: prebuilds\/ is incomplete: .*darwin-arm64.* missing/);
    assert.equal(MANIFEST.scripts.prepublishOnly, 'node scripts/check-package.js --complete');
  });

  test('is not packed with an addon of other sources', () => {
    const others = path.join(source, 'prebuilds', 'linux-x64', 'afunix.node');
    fs.mkdirSync(path.dirname(others), { recursive: true });
    fs.copyFileSync(ADDON, others);
    // Elsewhere this system's own would be built first, which needs Rust.
    const { status, stderr } = node(source, 'scripts/check-package.js');
    assert.equal(status, 1);
    assert.match(stderr, /^afunix: (cargo is missing|prebuilds\/ has files of other sources)/);
  });
});

describe('a prebuilt addon', () => {
  test('may ask for glibc 2.28, and for nothing newer', () => {
    assert.equal(checkGlibc('it', ['GLIBC_2.2.5', 'GLIBC_2.28', 'GLIBC_2.3', 'GCC_3.0']), '2.28');
    for (const version of ['GLIBC_2.29', 'GLIBC_2.34', 'GLIBC_3.0', 'GLIBC_PRIVATE']) {
      assert.throws(() => checkGlibc('it', ['GLIBC_2.17', version]), /asks for glibc/);
    }
  });

  test('is read without other programs', needsLinux, () => {
    const { machine, needed, exported, isStripped, names } = readElf(ADDON);
    assert.equal(isStripped, true);
    assert.equal(machine, process.arch);
    assert.deepEqual(exported, ['napi_register_module_v1']);
    assert.ok(needed.some((name) => name.startsWith('libc.')));
    assert.ok(names.length > 50 && !names.some((name) => name.startsWith('uv_')));
  });

  test('that is damaged is refused', needsLinux, (t) => {
    const file = temporaryPath(t, 'afunix.node');
    fs.writeFileSync(file, 'no library at all');
    assert.throws(() => readElf(file), /no ELF file/);
    fs.writeFileSync(file, fs.readFileSync(ADDON).subarray(0, 5000));
    assert.throws(() => readElf(file), /cut short or damaged/);
  });
});

test('the bill of materials has every crate and package, with its digest', () => {
  const { components, dependencies, metadata, ...head } = bill();
  assert.deepEqual(head, { bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 });
  assert.equal(metadata.component.purl, `pkg:npm/afunix@${MANIFEST.version}`);
  const lock = fs.readFileSync(path.join(ROOT, 'Cargo.lock'), 'utf8');
  const crates = [...lock.matchAll(/^name = "(.+)"\nversion = "(.+)"$/gm)].map(
    ([, name, version]) => `pkg:cargo/${name}@${version}`,
  );
  const names = Object.keys(MANIFEST.devDependencies).map((name) => name.replace('@', '%40'));
  const urls = new Set(components.map(({ purl }) => purl));
  assert.equal(urls.size, components.length);
  const missing = crates.filter((url) => !urls.has(url));
  assert.deepEqual(missing, [`pkg:cargo/afunix@${MANIFEST.version}`]);
  for (const name of names) {
    assert.ok(
      [...urls].some((url) => url.startsWith(`pkg:npm/${name}@`)),
      name,
    );
  }
  for (const { purl, hashes } of components) {
    assert.match(hashes[0].content, /^[\da-f]{64,}$/, purl);
  }
  const known = new Set([...urls, metadata.component.purl]);
  for (const { ref, dependsOn } of dependencies) {
    assert.ok(
      [ref, ...dependsOn].every((url) => known.has(url)),
      ref,
    );
  }
});

describe('the C library', needsLinux, () => {
  /** A program's file with one header, which names its dynamic loader at an offset. */
  function program(t, loader, at = 200) {
    const file = Buffer.alloc(at + loader.length + 1);
    file.write('\x7fELF\x02\x01', 'latin1');
    file.writeBigUInt64LE(64n, 32);
    file.writeUInt16LE(56, 54);
    file.writeUInt16LE(1, 56);
    file.writeUInt32LE(3, 64);
    file.writeBigUInt64LE(BigInt(at), 72);
    file.writeBigUInt64LE(BigInt(loader.length + 1), 96);
    file.write(loader, at, 'latin1');
    const name = path.join(temporaryFolder(t), 'program');
    fs.writeFileSync(name, file);
    return name;
  }

  test('is known from the loader that the program names, whose file is closed again', (t) => {
    const open = () => fs.readdirSync('/proc/self/fd').length;
    const before = open();
    for (const loader of ['/lib/ld-musl-x86_64.so.1', '/nix/store/x-glibc/ld-linux-x86-64.so.2']) {
      assert.equal(interpreter(program(t, loader)), loader);
      assert.equal(interpreter(program(t, loader, 70_000)), loader);
    }
    assert.equal(open(), before);
  });

  test("is the one that Node's own report names", () => {
    const isGlibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
    assert.equal(platformName(), `linux-${process.arch}${isGlibc ? '' : '-musl'}`);
    assert.ok(interpreter(process.execPath));
  });

  test('is the one of the report where the program names no loader, or is gone', (t) => {
    const { execPath } = process;
    t.after(() => (process.execPath = execPath));
    const script = temporaryPath(t, 'script');
    fs.writeFileSync(script, '#!/bin/sh\n');
    const header = {};
    t.mock.method(process.report, 'getReport', () => ({ header }));
    for (const file of [script, `${script}-gone`]) {
      process.execPath = file;
      header.glibcVersionRuntime = '2.36';
      assert.equal(platformName(), `linux-${process.arch}`);
      delete header.glibcVersionRuntime;
      assert.equal(platformName(), `linux-${process.arch}-musl`);
    }
  });

  test('of a file without a loader is unknown', (t) => {
    const file = temporaryPath(t, 'script');
    fs.writeFileSync(file, '#!/bin/sh\n');
    assert.equal(interpreter(file), undefined);
  });
});
