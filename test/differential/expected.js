'use strict';

// Owns the classes of differences that are known faults: the tests fail with any other. A fault that is mended takes
// its lines with it.

module.exports = new Set([
  'sink data / nothing',
  'sink nothing more / sink finish',
  'socket close(false) / end',
  'socket connect called / thrown(connect, EISCONN)',
  'socket connect called: errored null / ERR_SOCKET_CLOSED',
  'socket connect called: writable true / false',
  'socket end / nothing more',
  'socket error(ECONNRESET) / connect',
  'socket iteration end(ENOENT) / close(true)',
  'socket pipeline: destroyed false / true',
  'socket probe / data',
  'socket returned(write, true) / returned(write, false)',
  'web nothing more / end',
]);
