// Owns: the name under which a prebuilt addon for this process is kept.
'use strict';

const fs = require('fs');

/** Bytes of the program's file in which its headers and the interpreter's name lie. */
const HEAD = 4096;
const PT_INTERP = 3;

/**
 * The dynamic loader that a 64-bit ELF program asks for: glibc's or musl's own. Undefined where the
 * file is of another kind.
 * @param {string} file
 * @see man elf(5)
 */
function interpreter(file) {
  const head = Buffer.alloc(HEAD);
  const fd = fs.openSync(file, 'r');
  try {
    fs.readSync(fd, head, 0, HEAD, 0);
    if (head.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return undefined;
    const first = Number(head.readBigUInt64LE(32));
    const size = head.readUInt16LE(54);
    for (let index = 0; index < head.readUInt16LE(56); index++) {
      const entry = head.subarray(first + index * size);
      if (entry.readUInt32LE(0) !== PT_INTERP) continue;
      const name = Buffer.alloc(Number(entry.readBigUInt64LE(32)));
      fs.readSync(fd, name, 0, name.length, Number(entry.readBigUInt64LE(8)));
      return name.toString('latin1').replace(/\0.*/s, '');
    }
    return undefined;
  } finally {
    fs.closeSync(fd);
  }
}

/** Whether this process runs on musl. The report knows for sure, but takes many milliseconds. */
function isMusl() {
  try {
    const name = interpreter(process.execPath);
    if (name !== undefined) return /(^|\/)ld-musl-[^/]*$/.test(name);
  } catch {
    // The program's file may be gone, or not readable, or unlike any known.
  }
  const { excludeNetwork } = process.report;
  process.report.excludeNetwork = true;
  const { header } = process.report.getReport();
  process.report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime === undefined;
}

/** The folder's name below prebuilds/, like `linux-x64`, `linux-arm64-musl` or `darwin-arm64`. */
function platformName() {
  const libc = process.platform === 'linux' && isMusl() ? '-musl' : '';
  return `${process.platform}-${process.arch}${libc}`;
}

module.exports = { interpreter, platformName };
