'use strict';

// Owns README.md and docs/: that their links lead somewhere, that the reference names all there is, and the words of all
// that is written. Their code has its own test, code.test.js.

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const afunix = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { PAGES, ROOT, list, read } = require('../helpers/pages.js');
const { typesOf } = require('../helpers/types.js');

/** What a heading is called in links. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const anchorsOf = (page) =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));

test('links within the project lead somewhere', () => {
  for (const page of PAGES) {
    const text = read(page).replaceAll(/^```[^]*?^```$/gm, '');
    for (const [, target] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const linked = file === '' ? page : path.join(path.dirname(page), file);
      assert.ok(fs.existsSync(path.join(ROOT, linked)), `${page} links to ${target}`);
      if (anchor === undefined) continue;
      assert.ok(anchorsOf(linked).includes(anchor), `${page} links to ${target}`);
    }
  }
});

/** Files of a folder and of those in it that end so, relative to the root. */
const listBelow = (folder, ...ends) =>
  fs
    .readdirSync(path.join(ROOT, folder), { recursive: true })
    .filter((name) => ends.some((end) => name.endsWith(end)))
    .map((name) => path.join(folder, name))
    .sort();

test('pages, comments, names and messages use plain words', () => {
  const oddAnywhere = [/\b(?:tells?|telling|told|besides?|manieth)\b/i];
  const odd = [
    ...oddAnywhere,
    /\b(?:him|somebody)\b|lives there|\[there\]/i,
    /\bwhat (?:is|are|was|has|have|had) no\b/i,
    // But: a message is over the limit.
    /\b(?:is|are|was|were|be|been) over\b(?! (?:its|the|\d))/i,
  ];
  const files = [
    ...PAGES,
    ...listBelow('examples', '.js', '.py'),
    ...listBelow('lib', '.js', '.mjs', '.ts', '.mts'),
    ...listBelow('native', '.rs'),
    ...listBelow('scripts', '.js'),
    ...listBelow('.github', '.yml'),
    ...listBelow('.ci', ''),
  ];
  assert.ok(files.length > 150, `${files.length} files`);
  const code = ['.js', '.mjs', '.ts', '.mts', '.py', '.c', '.h'];
  const others = [
    ...listBelow('test', ...code),
    ...listBelow('bench', ...code, 'README.md'),
  ].filter(
    // This one names the words.
    (file) => !file.includes('node_modules') && path.join(ROOT, file) !== __filename,
  );
  assert.ok(others.length > 250, `${others.length} files`);
  const found = (files, patterns) =>
    files.flatMap((file) =>
      read(file)
        .split('\n')
        .map((line, index) => `${file}:${index + 1}: ${line.trim()}`)
        .filter((line) => patterns.some((pattern) => pattern.test(line))),
    );
  assert.deepEqual(found(files, odd), []);
  assert.deepEqual(found(others, oddAnywhere), []);
});

/** Events of Node's own classes, which their documentation describes; and net's for TCP alone. */
const ofEveryEmitter = new Set(
  'newListener removeListener readable pause resume pipe unpipe lookup connectionAttempt \
connectionAttemptFailed connectionAttemptTimeout'.split(' '),
);

describe('the reference', () => {
  /** Public names on a class and its instances. */
  const membersOf = (Class) => [
    ...Object.getOwnPropertyNames(Class.prototype).filter((name) => name !== 'constructor'),
    ...Object.getOwnPropertyNames(Class).filter((name) => typeof Class[name] === 'function'),
  ];

  /** Public names of a class that are not those of Node's own. */
  const allMembersOf = (Class) => {
    const Base = Object.getPrototypeOf(Class);
    const inherited = ['SocketServer', 'ConnectedSocket'].includes(Base.name)
      ? membersOf(Base)
      : [];
    // Node calls what begins so; and what every emitter has is Node's to describe.
    return [...membersOf(Class), ...inherited].filter(
      (name) => !name.startsWith('_') && !(name in EventEmitter.prototype),
    );
  };

  const types = typesOf('index.d.ts');

  for (const [page, classes, interfaces, least] of [
    [
      'docs/dgram.md',
      ['DgramSocket'],
      { options: ['DgramSocketOptions', 'BindOptions'], events: ['DgramSocketEvents'] },
      16,
    ],
    [
      'docs/seqpacket.md',
      ['SeqpacketSocket', 'SeqpacketServer'],
      {
        options: [
          'SeqpacketSocketOptions',
          'SeqpacketServerOptions',
          'ListenOptions',
          'CloseOptions',
        ],
        events: ['SeqpacketSocketEvents', 'SeqpacketServerEvents'],
      },
      25,
    ],
    [
      'docs/usocket.md',
      ['USocket', 'UServer'],
      {
        options: ['USocketOptions', 'UServerOptions', 'ListenOptions', 'CloseOptions'],
        events: ['USocketEvents', 'UServerEvents'],
      },
      28,
    ],
  ]) {
    test(`names every method, property, option and event of ${classes.join(' and ')}`, () => {
      const text = read(page);
      // The types are the contract: they say which options and events there are.
      const namesIn = (names) => [...new Set(names.flatMap((name) => types.get(name).properties))];
      const options = namesIn(interfaces.options);
      assert.ok(options.length >= least, `${options.length} options`);
      for (const name of [...classes.flatMap((name) => allMembersOf(afunix[name])), ...options]) {
        assert.match(text, new RegExp(`\\b${name}\\b`), `${page} lacks ${name}`);
      }
      const events = namesIn(interfaces.events).filter((name) => !ofEveryEmitter.has(name));
      assert.ok(events.includes('error') && events.includes('close'));
      for (const event of events) {
        assert.ok(text.includes(`\`'${event}'`), `${page} lacks '${event}'`);
      }
    });
  }

  test('names every option of functions', () => {
    for (const [page, sources] of [
      [
        'docs/descriptors.md',
        [
          'lib/descriptors/socketpair.js',
          'lib/descriptors/memfd.js',
          'lib/descriptors/activation.js',
        ],
      ],
      ['docs/reuseport.md', ['lib/descriptors/reuseport.js']],
    ]) {
      const text = read(page);
      for (const source of sources) {
        for (const [, name] of read(source).matchAll(/@param \{.*\} \[?([\w.]+)/g)) {
          if (name === 'options') continue;
          assert.ok(text.includes(`\`${name}\``), `${page} lacks ${name} of ${source}`);
        }
      }
    }
    const types = [...read('lib/descriptors/functions.d.ts').matchAll(/^ {2}\| ('[\w-]+');?$/gm)];
    assert.ok(types.length > 10);
    const text = read('docs/descriptors.md');
    for (const [, type] of types) assert.ok(text.includes(`\`${type}\``), type);
  });

  test('names everything that is exported', () => {
    const text = list('docs', '.md').map(read).join('');
    for (const name of Object.keys(afunix)) assert.ok(text.includes(name), `docs/ lack ${name}`);
  });

  test('names every call of afunix/posix, every parameter and kind of constant', () => {
    const text = read('docs/posix.md');
    const found = read('lib/posix/index.js').matchAll(/@param \{.*\} \[?([\w.]+)/g);
    const parameters = [...found].map(([, name]) => name.split('.').at(-1));
    assert.ok(parameters.length > 40);
    for (const name of parameters) assert.match(text, new RegExp(`\\b${name}\\b`), name);
    for (const [name, value] of Object.entries(posix)) {
      if (typeof value === 'function') {
        assert.match(text, new RegExp(`^### .*\`${name}\\(`, 'm'));
      } else {
        // By name, or by kind: `SO_*`, `POLL*`.
        const kind = `${/^(?:POLL|[A-Z0-9]+_)?/.exec(name)[0]}*`;
        assert.ok(text.includes(`\`${name}\``) || text.includes(`\`${kind}\``), name);
      }
    }
  });
});
