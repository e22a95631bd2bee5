'use strict';

// Owns the pictures of examples/wayland.js: what its window shows, and PNG files of what the compositor
// shows. Pixels are four bytes: blue, green, red, and one that is not used (XRGB8888).

const { deflateSync } = require('node:zlib');

/** The letters of the window, a string a row. */
const LETTERS = [
  '        ##             #      ',
  '       #                      ',
  ' ###  ###  #   # ####  # #   #',
  '    #  #   #   # #   # #  # # ',
  ' ####  #   #   # #   # #   #  ',
  '#   #  #   #   # #   # #  # # ',
  ' ####  #    #### #   # # #   #',
];

/** Where a letter is set, the letters being in the middle and half as wide as the window. */
function isLetter(x, y, width, height) {
  const size = Math.max(1, Math.floor(width / 2 / LETTERS[0].length));
  const column = Math.floor((x - (width - size * LETTERS[0].length) / 2) / size);
  const row = Math.floor((y - (height - size * LETTERS.length) / 2) / size);
  return LETTERS[row]?.[column] === '#';
}

/** The window's pixels: rings, as around a stone in a pond, and letters. */
function draw(width, height) {
  const pixels = Buffer.alloc(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const distance = Math.hypot(x - width / 2, y - height / 2);
      const light = 16 * (Math.floor(distance / 16) % 8);
      const color = isLetter(x, y, width, height) ? [255, 255, 255] : [160 - light, 90, light];
      pixels.set(color, (y * width + x) * 4);
    }
  }
  return pixels;
}

/** The checksum of a part of a PNG file. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function chunk(type, data) {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length);
  bytes.write(type, 4, 'latin1');
  data.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), 8 + data.length);
  return bytes;
}

/** A PNG file of pixels. */
function png(pixels, width, height) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8); // Eight bits each of red, green and blue.
  const rows = Buffer.alloc(height * (1 + width * 3)); // Each begins with its filter: none.
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [blue, green, red] = pixels.subarray((y * width + x) * 4);
      rows.set([red, green, blue], y * (1 + width * 3) + 1 + x * 3);
    }
  }
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  const data = deflateSync(rows, { level: 9 });
  const parts = [chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
}

module.exports = { draw, png };
