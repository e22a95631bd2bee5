'use strict';

// Owns reading README.md and docs/: their names, and the blocks of code in them.
//
// A block marked `js` is run, one marked `ts` has its types checked and is run, one marked `js fragment` has its syntax
// checked.

const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** Files of a folder that end in the given way, relative to the root. */
const list = (folder, end) =>
  fs
    .readdirSync(path.join(ROOT, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => path.join(folder, name))
    .sort();

const PAGES = [...list('.', '.md'), ...list('docs', '.md')];
const RUN = ['README.md', ...list('docs', '.md')];

/** The fenced blocks of a page: their line, what they are marked with, their text. */
function* blocksOf(page) {
  const text = read(page);
  for (const { index, 1: mark, 2: code } of text.matchAll(/^```(.*)\n([^]*?)^```$/gm)) {
    yield { line: text.slice(0, index).split('\n').length, mark, code };
  }
}

module.exports = { PAGES, ROOT, RUN, blocksOf, list, read };
