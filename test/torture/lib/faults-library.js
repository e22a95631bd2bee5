'use strict';

// Owns the library that makes system calls fail: compiled from faults-inject.c, and the environment for who runs
// with it.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

const SOURCE = path.join(__dirname, 'faults-inject.c');

/**
 * Compiles the library into a folder.
 * @returns {string} its file
 * @throws {Error} where there is no C compiler, or it refuses; `stderr` says why
 */
function compileLibrary(folder) {
  const library = path.join(folder, 'faults-inject.so');
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl'], { stdio: 'pipe' });
  return library;
}

/** The environment of a process whose calls are to fail; each fault becomes a line of `log`. */
const environment = (library, log) => ({
  ...process.env,
  LD_PRELOAD: library,
  AFUNIX_FAULTS_LOG: log,
});

module.exports = { compileLibrary, environment };
