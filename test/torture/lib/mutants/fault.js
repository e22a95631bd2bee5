'use strict';

// Owns: the form of a planted fault: `breaks` says what it breaks, `edits` are search (once in its file) and replace,
// `tests` the files that have to fail with it.

const edit = (file, search, replace) => ({ file, search, replace });
const fault = (name, breaks, tests, ...edits) => ({ name, breaks, tests, edits });

module.exports = { edit, fault };
