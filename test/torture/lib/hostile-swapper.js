'use strict';

// Exchanges what has a socket's path, for cases/hostile.js: links, files, folders, dead and living
// sockets, nothing; by moving over it, or by removing and making. All that it puts there it takes away
// again a moment later, and then that has to be there, unless it was dead. Answers as
// hostile-process.js asks. Imports nothing of the project but hostile-things.js.

const fs = require('node:fs');
const path = require('node:path');
const { answer } = require('./hostile-process.js');
const { KINDS, identify } = require('./hostile-things.js');

/** Milliseconds within which what was moved aside has to be back. */
const BACK = 60_000;

const problems = [];
const counts = {};
let number = 0;

/** Whether the call worked; what it found missing, or there already, is nobody's fault. */
function tried(call) {
  try {
    call();
    return true;
  } catch (error) {
    if (['ENOENT', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY'].includes(error.code)) return false;
    throw error;
  }
}

function spin(microseconds) {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}

/** Puts something there, by one of two ways, and takes it back. */
function exchange(place, staging, precious, kind) {
  const staged = path.join(staging, `${kind}${number++}`);
  const letGo = KINDS[kind](staged, precious);
  const before = identify(staged);
  let isThere = false;
  for (let attempt = 0; attempt < 100 && !isThere; attempt++) {
    if (kind === 'folder' || Math.random() < 0.3) tried(() => fs.unlinkSync(place));
    // A folder does not replace a socket.
    isThere = tried(() => fs.renameSync(staged, place));
  }
  if (isThere) {
    counts[kind] = (counts[kind] ?? 0) + 1;
    spin(Math.random() * 200);
    // What is dead may be gone, and another in its place.
    const isSafe = kind !== 'dead';
    const end = performance.now() + BACK;
    const take = () => tried(() => fs.renameSync(place, staged));
    let isBack = take();
    while (!isBack && isSafe && performance.now() < end) isBack = take();
    if (isSafe && !isBack) problems.push(`a ${kind} is gone`);
    const after = isBack ? identify(staged) : '';
    if (isSafe && isBack && after !== before) problems.push(`${kind} ${before} became ${after}`);
    if (kind === 'file' && isBack && after === before) {
      if (fs.readFileSync(staged, 'latin1') !== 'precious') problems.push('a file was changed');
    }
  }
  letGo?.();
  fs.rmSync(staged, { recursive: true, force: true });
}

answer({
  swap({ place, staging, precious, milliseconds }) {
    const end = performance.now() + milliseconds;
    const kinds = Object.keys(KINDS);
    while (performance.now() < end && problems.length < 20) {
      exchange(place, staging, precious, kinds[Math.floor(Math.random() * kinds.length)]);
      // Nothing is there for a moment, or what the victim makes.
      spin(Math.random() * 200);
    }
    return { problems, counts };
  },
});
