'use strict';

// Owns the rule for errors that the case fuzz-api holds us to: every error is an Error with a `code`, a
// string, or the number that createSocket('unix_dgram') documents. What the language itself throws, or a
// value's own code, is nobody's fault.

const path = require('node:path');

const LIB = path.join(__dirname, '..', '..', '..', 'lib');

/** What the language says of arguments that only pretend to be what they are, or are functions but cannot
 * be called: it is their own code that fails. */
const LANGUAGE =
  /proxy that has been revoked|Maximum call stack|Invalid (string|array) length|without 'new'|incompatible receiver|Receiver must be/;

/** Whether the first file in the stack is one of ours, not Node's own or the value's. Without any it is
 * Node's own: it builds its errors with stackTraceLimit 0. */
function isThrownByUs(error) {
  const first = String(error.stack).match(/(node:[\w/]+|\/[^\s()]+\.js):\d+/)?.[1];
  return first !== undefined && first.startsWith(LIB);
}

/** As unix-dgram has them: the errno, or 1 for congestion. */
function isPackageCode({ code, errno, message }) {
  return typeof code === 'number' && (code === errno || message === 'congestion');
}

/** Whether an error, or what was thrown in place of one, keeps the rule. */
function isWithinRule(error) {
  if (error === undefined || error === null) return true;
  if (!(error instanceof Error)) return false;
  const isCode = typeof error.code === 'string' || isPackageCode(error);
  return isCode || LANGUAGE.test(error.message) || !isThrownByUs(error);
}

module.exports = { LANGUAGE, isWithinRule };
