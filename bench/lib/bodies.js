'use strict';

/**
 * Owns large bodies over http and http2: a handler that takes and sends them, and a client that moves one up or down and
 * checks its size. Buffers of 64 KiB, with backpressure.
 */

const { once } = require('node:events');

const CHUNK = Buffer.alloc(64 * 1024, 'afunix');
/** Of a whole body: 100 MiB. */
const CHUNKS = 1600;
const MIB = (CHUNKS * CHUNK.length) / 2 ** 20;

/** Writes so many chunks and the end. */
async function writeBody(stream, chunks) {
  for (let i = 0; i < chunks; i++) {
    if (!stream.write(CHUNK)) await once(stream, 'drain');
  }
  stream.end();
}

/** How many bytes come until the end. */
function sizeOf(stream) {
  return new Promise((resolve, reject) => {
    let size = 0;
    stream.on('data', (chunk) => (size += chunk.length));
    stream.on('end', () => resolve(size));
    stream.on('error', reject);
  });
}

/**
 * Handles `POST /`, whose answer is the size of the body, and `GET /CHUNKS`, a body of so many.
 *
 * @param {(mib: number) => void} onBody called after each
 */
function bodyHandler(onBody) {
  return async (request, response) => {
    if (request.method === 'POST') {
      const size = await sizeOf(request);
      response.end(String(size));
      onBody(size / 2 ** 20);
      return;
    }
    const chunks = Number(request.url.slice(1));
    response.writeHead(200, { 'Content-Length': chunks * CHUNK.length });
    response.on('finish', () => onBody((chunks * CHUNK.length) / 2 ** 20));
    await writeBody(response, chunks);
  };
}

/** Throws unless a body came whole. */
function checkSize(size, chunks) {
  if (size === chunks * CHUNK.length) return;
  throw new Error(`${size} of ${chunks * CHUNK.length} bytes came`);
}

module.exports = { CHUNK, CHUNKS, MIB, bodyHandler, checkSize, sizeOf, writeBody };
