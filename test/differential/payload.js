'use strict';

// Owns the bytes that programs send: the same for the same write, different for each.

const LARGEST = 4 * 1024 * 1024;

let pattern;

/** Bytes that look random and do not repeat within 64 KiB. */
function patternBytes() {
  if (pattern === undefined) {
    pattern = Buffer.allocUnsafe(LARGEST + 65536);
    let state = 0x2545f491;
    for (let at = 0; at < pattern.length; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      pattern[at] = state >>> 24;
    }
  }
  return pattern;
}

/** `size` bytes of the write with that number. */
function bytesFor(number, size) {
  const start = (number * 977) % 65536;
  return Buffer.from(patternBytes().subarray(start, start + size));
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789é€ü';

/** A string of `size` characters. */
function textFor(number, size) {
  const unit = Array.from({ length: 41 }, (_, at) => LETTERS[(at * 7 + number) % LETTERS.length]);
  return unit
    .join('')
    .repeat(Math.ceil(size / 41))
    .slice(0, size);
}

/** What write() gets for a step: `[chunk, encoding]`. */
function chunkFor({ number, size, kind }) {
  const bytes = () => bytesFor(number, size);
  if (kind === 'text') return [textFor(number, size), undefined];
  if (kind === 'latin1') return [bytes().toString('latin1'), 'latin1'];
  if (kind === 'hex') return [bytes().toString('hex'), 'hex'];
  if (kind === 'base64') return [bytes().toString('base64'), 'base64'];
  if (kind === 'utf16le') return [textFor(number, size), 'utf16le'];
  if (kind === 'uint8') return [new Uint8Array(bytes()), undefined];
  return [bytes(), undefined];
}

module.exports = { chunkFor, bytesFor };
