'use strict';

// Owns examples/wayland.js against weston: what the compositor shows is what the example drew, and the
// keyboard's map is read where there is a keyboard.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { inflateSync } = require('node:zlib');
const { draw } = require('../../examples/wayland/picture.js');
const { findProgram, onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');

const ROOT = path.join(__dirname, '..', '..');
const EXAMPLE = path.join(ROOT, 'examples', 'wayland.js');
const [WIDTH, HEIGHT] = [320, 200];

/** The pixels of a PNG file as picture.js writes it, in the order of draw(). */
function pixelsOf(file) {
  const bytes = fs.readFileSync(file);
  assert.deepEqual([bytes.readUInt32BE(16), bytes.readUInt32BE(20)], [WIDTH, HEIGHT]);
  const start = bytes.indexOf('IDAT') + 4;
  const rows = inflateSync(bytes.subarray(start, start + bytes.readUInt32BE(start - 8)));
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 4);
  for (let index = 0; index < WIDTH * HEIGHT; index++) {
    const at = Math.floor(index / WIDTH) * (1 + WIDTH * 3) + 1 + (index % WIDTH) * 3;
    pixels.set([rows[at + 2], rows[at + 1], rows[at]], index * 4);
  }
  return pixels;
}

/** Runs the example with these programs alone on the PATH. */
async function run(t, ...programs) {
  const folder = temporaryFolder(t);
  const [bin, temporary] = ['bin', 'tmp'].map((name) => path.join(folder, name));
  fs.mkdirSync(bin);
  fs.mkdirSync(temporary);
  for (const name of programs) fs.symlinkSync(findProgram(name), path.join(bin, name));
  const picture = path.join(folder, 'picture.png');
  const env = { ...process.env, PATH: bin, TMPDIR: temporary };
  const { code, stdout, stderr } = await startProgram(t, process.execPath, [EXAMPLE, picture], {
    env,
  }).ended();
  assert.equal(code, 0, stderr);
  assert.deepEqual(fs.readdirSync(temporary), []);
  return { picture, stdout };
}

describe('wayland.js', onLinux({}), () => {
  test('draws what a weston without a screen shows', skipUnless('weston'), async (t) => {
    const { picture, stdout } = await run(t, 'weston', 'sh');
    assert.match(stdout, /A window of 320 × 200 pixels is shown/);
    assert.ok(pixelsOf(picture).equals(draw(WIDTH, HEIGHT)));
  });

  test('reads the map of a keyboard', skipUnless('weston', 'Xvfb'), async (t) => {
    const programs = ['weston', 'Xvfb', 'sh', 'xkbcomp'].filter((name) => findProgram(name));
    const { picture, stdout } = await run(t, ...programs);
    assert.match(stdout, /map has \d{4,} bytes and begins with xkb_keymap \{/);
    assert.ok(pixelsOf(picture).equals(draw(WIDTH, HEIGHT)));
  });

  test('says so without weston', async (t) => {
    assert.match((await run(t)).stdout, /This example needs weston/);
  });

  test('has its picture in docs/', () => {
    assert.ok(pixelsOf(path.join(ROOT, 'docs', 'wayland.png')).equals(draw(WIDTH, HEIGHT)));
  });
});
