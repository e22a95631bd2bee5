'use strict';

// Reads what a shared library for Linux (ELF, 64 bits, little-endian) asks of the system that loads
// it. It needs no program, so that it reads the files of every processor anywhere.
// The format: man elf(5), and the chapter on symbol versioning in the Linux Standard Base.

const fs = require('node:fs');
const { Stop } = require('./tools.js');

const MACHINES = { 62: 'x64', 183: 'arm64' };
const SHT_SYMTAB = 2;
const SHT_DYNAMIC = 6;
const SHT_DYNSYM = 11;
const SHT_GNU_VERNEED = 0x6ffffffe;
const DT_NEEDED = 1;
const SYMBOL_SIZE = 24;

const number = (buffer, offset) => Number(buffer.readBigUInt64LE(offset));

/** The text that starts at an offset and ends with a NUL. */
const text = (table, offset) => table.toString('utf8', offset, table.indexOf(0, offset));

/** All sections: type, bytes, and the string table that goes with them. */
function sections(file) {
  const [first, size, count] = [number(file, 40), file.readUInt16LE(58), file.readUInt16LE(60)];
  const headers = Array.from({ length: count }, (_, index) =>
    file.subarray(first + index * size, first + (index + 1) * size),
  );
  const bytes = (header) =>
    file.subarray(number(header, 24), number(header, 24) + number(header, 32));
  return headers.map((header) => ({
    type: header.readUInt32LE(4),
    bytes: bytes(header),
    strings: bytes(headers[header.readUInt32LE(40)] ?? headers[0]),
  }));
}

/** The libraries that have to be loaded with it. */
function neededLibraries({ bytes, strings }) {
  const names = [];
  for (let at = 0; at < bytes.length; at += 16) {
    if (number(bytes, at) === DT_NEEDED) names.push(text(strings, number(bytes, at + 8)));
  }
  return names;
}

/** The symbol versions that those libraries have to have, like `GLIBC_2.17`. */
function neededVersions({ bytes, strings }) {
  const versions = new Set();
  for (let at = 0, next = -1; next !== 0; at += next) {
    let entry = at + bytes.readUInt32LE(at + 8);
    for (let left = bytes.readUInt16LE(at + 2); left > 0; left--) {
      versions.add(text(strings, bytes.readUInt32LE(entry + 8)));
      entry += bytes.readUInt32LE(entry + 12);
    }
    next = bytes.readUInt32LE(at + 12);
  }
  return [...versions];
}

/** A symbol table's names: of what it defines for others, of what it wants, of the rest. */
function symbols({ bytes, strings }) {
  const all = [];
  for (let at = SYMBOL_SIZE; at < bytes.length; at += SYMBOL_SIZE) {
    const isLocal = bytes[at + 4] >> 4 === 0;
    const isHere = bytes.readUInt16LE(at + 6) !== 0;
    all.push({ name: text(strings, bytes.readUInt32LE(at)), isExported: isHere && !isLocal });
  }
  return all;
}

/**
 * @param {string} path
 * @returns {{ machine: string, needed: string[], versions: string[], exported: string[],
 *   isStripped: boolean, names: string[] }} the processor as Node names it, libraries, symbol
 *   versions, what it exports, whether its full symbol table is gone, and every symbol's name
 */
function readElf(path) {
  const file = fs.readFileSync(path);
  if (file.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') {
    throw new Stop(`${path} is no ELF file of 64 bits, little-endian.`);
  }
  try {
    const all = sections(file);
    const collect = (type, read) =>
      all.filter((section) => section.type === type).flatMap((section) => read(section));
    const dynamic = collect(SHT_DYNSYM, symbols);
    const full = collect(SHT_SYMTAB, symbols);
    const code = file.readUInt16LE(18);
    return {
      machine: MACHINES[code] ?? `ELF machine ${code}`,
      needed: collect(SHT_DYNAMIC, neededLibraries),
      versions: collect(SHT_GNU_VERNEED, neededVersions),
      exported: dynamic.filter(({ isExported }) => isExported).map(({ name }) => name),
      isStripped: full.length === 0,
      names: [...dynamic, ...full].map(({ name }) => name),
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Stop(`${path} is cut short or damaged: ${error.message}.`);
  }
}

module.exports = { readElf };
