'use strict';

// Owns: the rules of the house that can be checked by reading: what a file of lib/ or native/ may import, what
// it has to export, how long a file may be, that what users see is described, that every code of an error is described.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { constants } = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const ts = require('typescript');
const binding = require('../../lib/native/binding.js');

const ROOT = path.join(__dirname, '..', '..');
/** Lines of a file. */
const LIMIT = 500;

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** Files of a folder and below it whose names end so. */
const list = (folder, ...ends) =>
  fs
    .readdirSync(path.join(ROOT, folder), { recursive: true })
    .map((name) => path.join(folder, name))
    .filter((name) => ends.some((end) => name.endsWith(end)) && !name.includes('node_modules'))
    .sort();

const SOURCES = list('lib', '.js');

/** A folder → the folders that its files may import from. Nothing else stands below it. */
const LIB_FLOORS = {
  '.': ['cluster', 'compat', 'descriptors', 'native', 'net', 'sockets'],
  compat: ['native', 'sockets', 'util'],
  descriptors: ['native', 'posix', 'sockets', 'util'],
  cluster: ['native', 'sockets', 'util'],
  net: ['cluster', 'native', 'sockets', 'util'],
  posix: ['native', 'util'],
  sockets: ['native', 'util'],
  native: ['util'],
  util: [],
};

const folderOf = (file) => path.dirname(path.relative('lib', file));

/** The files of lib/ that a file imports. */
function importsOf(file) {
  const required = read(file).matchAll(/\brequire\('(\.[^']+(?<!\.node))'\)/g);
  return [...required].map(([, name]) => {
    const found = path.join(path.dirname(file), name.replace(/\.js$/, ''));
    return [`${found}.js`, `${found}/index.js`].find((one) => SOURCES.includes(one)) ?? found;
  });
}

describe('a file of lib/', () => {
  for (const file of SOURCES) {
    test(`${file} says what it owns, and imports from its own folder or one below`, () => {
      assert.match(read(file), /^\/\/ Owns: \S/);
      const floors = LIB_FLOORS[folderOf(file)];
      for (const imported of importsOf(file)) {
        const folder = folderOf(imported);
        assert.ok(folder === folderOf(file) || floors.includes(folder), imported);
      }
    });

    test(`${file} loads where no module has the prefix node:`, () => {
      assert.doesNotMatch(read(file), /\brequire\('node:/);
    });
  }

  test('imports downward only: nothing leads back to where it came from', () => {
    const open = new Set();
    const done = new Set();
    const visit = (file) => {
      assert.ok(!open.has(file), `${[...open, file].join(' > ')}`);
      if (done.has(file)) return;
      open.add(file);
      importsOf(file).forEach(visit);
      open.delete(file);
      done.add(file);
    };
    for (const file of SOURCES) visit(file);
    assert.deepEqual([...done].sort(), SOURCES);
  });

  test('exports nothing that nobody uses', () => {
    const users = [...SOURCES, ...list('lib', '.mjs'), ...list('scripts', '.js')];
    // No program here is musl's own: only a test can show whether that would be seen.
    users.push('test/house/package.test.js');
    const isPublic = ['index', 'socketpair', 'addon'];
    for (const file of SOURCES) {
      const name = path.basename(file, '.js');
      if (isPublic.includes(name)) continue;
      const exported = /^module\.exports = \{([^}]*)\};$/m.exec(read(file))?.[1];
      if (exported === undefined) {
        assert.equal(name, 'binding', `${file} exports no list`);
        continue;
      }
      const others = users.filter((user) => user !== file && read(user).includes(`/${name}`));
      for (const [one] of exported.matchAll(/\w+/g)) {
        const uses = others.filter((user) => new RegExp(`\\b${one}\\b`).test(read(user)));
        assert.ok(uses.length > 0, `${one} of ${file}`);
      }
    }
  });

  test('uses everything that native code exports', () => {
    const text = [...SOURCES, ...list('scripts', '.js')].map(read).join('\n');
    for (const name of Object.keys(binding)) assert.match(text, new RegExp(`\\b${name}\\b`));
  });
});

/** The folders of native/, from above: each may import those that follow it. */
const NATIVE_FLOORS = ['api', 'engine', 'node', 'sys'];

describe('a file of native/', () => {
  for (const file of list('native', '.rs')) {
    const [folder] = path.relative('native', file).split(path.sep);

    test(`${file} says what it owns, and imports from its own folder or one below`, () => {
      const text = read(file);
      if (file !== path.join('native', 'lib.rs')) assert.match(text, /^\/\/! Owns: \S/);
      assert.ok(folder === 'lib.rs' || folder === 'testing' || NATIVE_FLOORS.includes(folder));
      const [code] = text.split(/^\s*#\[cfg\((?:all\()?test\b/m);
      const used = [...code.matchAll(/\bcrate::(\w+)/g)].map(([, one]) => one);
      const above = NATIVE_FLOORS.slice(0, Math.max(0, NATIVE_FLOORS.indexOf(folder)));
      if (folder !== 'testing' && path.basename(file) !== 'tests.rs') {
        assert.deepEqual(
          used.filter((one) => above.includes(one) || one === 'testing'),
          [],
        );
      }
    });
  }
});

test(`no file has more than ${LIMIT} lines`, () => {
  const folders = ['lib', 'native', 'test', 'scripts', 'bench', 'examples'];
  const files = folders.flatMap((folder) =>
    list(folder, '.js', '.mjs', '.ts', '.mts', '.py', '.c', '.rs'),
  );
  assert.ok(files.length > 200);
  const long = files.filter((file) => read(file).split('\n').length - 1 > LIMIT);
  assert.deepEqual(long, []);
});

/** Rooms of test/ whose files open nothing themselves: they run other programs, or read. */
const ROOMS_WITHOUT_SOCKETS = ['differential', 'house'];
describe('a test file', () => {
  for (const file of list('test', '.test.js')) {
    const [, room] = file.split(path.sep);
    if (ROOMS_WITHOUT_SOCKETS.includes(room)) continue;
    test(`${file} fails if it leaves something open`, () => {
      assert.match(read(file), /^assertNoLeaks\(/m);
    });
  }
});

describe('types', () => {
  /** What needs no words: it is Node's own, and means what it means there. */
  const KNOWN = /^(newListener|removeListener|readable|pause|resume|pipe|unpipe)$/;

  /** Names in a file of types that users see and that nothing is said of. */
  function undescribed(file) {
    const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true);
    const missing = [];
    const said = new Set();
    const nameOf = (node) => node.name?.getText(source) ?? 'constructor';
    const check = (node, owner) => {
      const name = `${owner}${nameOf(node)}`;
      const isSaid = node.jsDoc !== undefined || said.has(name);
      // Overloads share the first one's words; events have theirs in a table.
      if (isSaid) said.add(name);
      else missing.push(name);
    };
    const isListening = (node) =>
      /^(on|once|off|emit|(add|remove|prepend|prependOnce)Listener)$/.test(nameOf(node));
    for (const node of source.statements) {
      const isClass = ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node);
      if (!isClass && !ts.isFunctionDeclaration(node) && !ts.isTypeAliasDeclaration(node)) continue;
      check(node, '');
      if (!isClass) continue;
      for (const member of node.members) {
        const isOfNode = member.name === undefined || ts.isComputedPropertyName(member.name);
        if (isOfNode || isListening(member) || KNOWN.test(nameOf(member))) continue;
        check(member, `${nameOf(node)}.`);
      }
    }
    return missing;
  }

  for (const file of list('lib', '.d.ts')) {
    test(`${file} describes what it declares`, () => assert.deepEqual(undescribed(file), []));
  }
});

describe('codes of errors', () => {
  const CODE = /\b(?:ERR_[A-Z][A-Z_0-9]+|E[A-Z]{3,}\d?|ABORT_ERR)\b/g;
  const isCode = (name) => name.startsWith('ERR_') || name in constants.errno || EXTRA.has(name);
  /** Of the system, though Node has no number for them. */
  const EXTRA = new Set(['ABORT_ERR', 'ESOCKTNOSUPPORT', 'ETOOMANYREFS']);
  /** Named in code, comments or other pages, and never given to users. */
  const INTERNAL = {
    EALREADY: 'native code goes on',
    ENODATA: 'a peer without a label',
    ERANGE: 'the call is made again, with more room',
    EDESTADDRREQ: 'unix-dgram connects again',
    EINTR: 'the call is made again',
    ERR_DLOPEN_FAILED: 'ERR_AFUNIX_BINDING has it as its cause',
    ERR_UNKNOWN_BUILTIN_MODULE: 'a missing addon, in a single executable',
    ERR_INVALID_THIS: 'nobody outside of lib/ has a native object',
    EWOULDBLOCK: 'another name of EAGAIN',
  };
  /** Given by others on behalf of our sockets. */
  const OF_NODE = ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_WRITE_AFTER_END'];

  /** Code → the files that name it, each once. */
  function named(files) {
    const found = new Map();
    for (const file of files) {
      for (const [code] of read(file).matchAll(CODE)) {
        if (isCode(code)) found.set(code, (found.get(code) ?? new Set()).add(file));
      }
    }
    return found;
  }

  const page = 'docs/errors.md';
  const described = named([page]);
  const sources = [...SOURCES, ...list('lib', '.ts'), ...list('native', '.rs')];
  const inCode = named(sources);

  test(`are all in ${page}, whoever names them`, () => {
    const everywhere = named([...sources, ...list('docs', '.md'), 'README.md']);
    assert.ok(everywhere.size > 50);
    const undescribed = [...everywhere].filter(
      ([code]) => described.has(code) === code in INTERNAL,
    );
    assert.deepEqual(undescribed, []);
  });

  test(`in ${page} come from somewhere`, () => {
    const invented = [...described.keys()].filter((code) => !inCode.has(code));
    assert.deepEqual(invented.sort(), OF_NODE);
  });

  test('of ours are in a test each', () => {
    const tests = list('test', '.test.js').filter((file) => path.join(ROOT, file) !== __filename);
    const seen = named(tests);
    for (const code of described.keys()) {
      if (code.startsWith('ERR_')) assert.ok(seen.has(code), `no test has ${code}`);
    }
  });
});
