// Owns: every Error object of the package.
// Argument faults are TypeErrors and RangeErrors with Node's own ERR_* codes, thrown at once.
// Faults of the system carry `code`, `errno` (negative), `syscall` and, where it helps, `path`.
'use strict';

const { Buffer } = require('buffer');
const { fileURLToPath } = require('url');
const { inspect, getSystemErrorMap, types } = require('util');
const { constants } = require('os');

const { isUint8Array } = types;

const names = new Map();
for (const [name, errno] of Object.entries(constants.errno)) {
  // The first name of a number is the usual one: EAGAIN, not EWOULDBLOCK.
  if (!names.has(-errno)) names.set(-errno, name);
}
// libuv has no name of its own for this one.
if (process.platform === 'linux') names.set(-109, 'ETOOMANYREFS');

/**
 * The Error for a system call that failed.
 *
 * @param {number} errno - negative, as native code returns it
 * @param {string} syscall - the call's name, `sendmsg(2)` without the section
 * @param {string | Buffer | URL} [path] - the socket path or abstract name concerned
 * @returns {NodeJS.ErrnoException}
 */
function systemError(errno, syscall, path) {
  const known = getSystemErrorMap().get(errno);
  const code = known?.[0] ?? names.get(errno) ?? `E${-errno}`;
  const description = known?.[1] ?? 'system error';
  const text = textOf(path);
  // An abstract name with the `@` that ss(8) and systemd print for its NUL.
  const shown = text === '' ? '' : ` ${text.replace(/^\0/, '@')}`;
  const error = new Error(`${code}: ${description}, ${syscall}${shown}`);
  error.errno = errno;
  error.code = code;
  error.syscall = syscall;
  if (text !== '') error.path = text;
  return error;
}

/**
 * The same as net has it: `connect ENOENT /path`, with the name as `address`, and as `path` too.
 *
 * @param {number} errno - negative
 * @param {string} syscall - `'connect'`, `'read'`, `'write'` …
 * @param {string | Buffer | URL} [path]
 * @returns {NodeJS.ErrnoException}
 */
function streamError(errno, syscall, path) {
  const error = systemError(errno, syscall, path);
  const { code, path: address } = error;
  error.message = `${syscall} ${code}${address === undefined ? '' : ` ${address}`}`;
  if (address !== undefined) error.address = address;
  return error;
}

/** The same for a server: `listen EADDRINUSE: address already in use /path`, with a `port` of -1. */
function serverError(errno, syscall, path) {
  const error = systemError(errno, syscall, path);
  const { code, path: address } = error;
  const description = getSystemErrorMap().get(errno)?.[1] ?? 'system error';
  error.message = `${syscall} ${code}: ${description}${address === undefined ? '' : ` ${address}`}`;
  if (address !== undefined) Object.assign(error, { address, port: -1 });
  return error;
}

/** Also one of another realm, as test runners have them. */
function isUrl(value) {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof value.href === 'string' &&
    'protocol' in value
  );
}

/** A path as text; '' for none, and for what an unchecked argument may be instead. */
function textOf(path) {
  if (typeof path === 'string') return path;
  if (isUrl(path)) return fileURLToPath(path);
  if (!isUint8Array(path)) return '';
  return Buffer.from(path).toString();
}

/** An Error with a code of our own or one of Node's. */
function codedError(Base, code, message) {
  const error = new Base(message);
  error.code = code;
  return error;
}

/** Why connect() or listen() has nothing to go to: ERR_MISSING_ARGS, or ERR_INVALID_ARG_VALUE for what net takes. */
function noPath(host, port) {
  if (host === undefined && port === undefined) {
    const message = 'The "options" or "port" or "path" argument must be specified';
    return codedError(TypeError, 'ERR_MISSING_ARGS', message);
  }
  const message = 'Unix sockets only: give a path; host and port are for node:net';
  return codedError(TypeError, 'ERR_INVALID_ARG_VALUE', message);
}

/** As Node's messages have it. */
function kindOf(name) {
  return name.includes('.') ? 'property' : 'argument';
}

/** ERR_INVALID_ARG_TYPE */
function invalidType(name, expected, actual) {
  const received = actual === null || actual === undefined ? String(actual) : describe(actual);
  const message = `The "${name}" ${kindOf(name)} must be ${expected}. Received ${received}`;
  return codedError(TypeError, 'ERR_INVALID_ARG_TYPE', message);
}

/** A value for a message. What has code of its own, or only pretends to be of its class, can fail. */
function show(value) {
  try {
    return inspect(value);
  } catch {
    return `type ${typeof value}`;
  }
}

/** ERR_INVALID_ARG_VALUE */
function invalidValue(name, value, reason) {
  const message = `The ${kindOf(name)} '${name}' ${reason}. Received ${show(value)}`;
  return codedError(TypeError, 'ERR_INVALID_ARG_VALUE', message);
}

/** ERR_OUT_OF_RANGE */
function outOfRange(name, range, actual) {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${show(actual)}`;
  return codedError(RangeError, 'ERR_OUT_OF_RANGE', message);
}

function describe(value) {
  // A name that is no string can be anything, also what no string can be made of.
  const nameOf = ({ name }) => (typeof name === 'string' ? name : '');
  if (typeof value === 'object') return `an instance of ${nameOf(value.constructor ?? Object)}`;
  if (typeof value === 'function') return `function ${nameOf(value)}`;
  return `type ${typeof value} (${show(value)})`;
}

module.exports = {
  codedError,
  invalidType,
  invalidValue,
  isUrl,
  noPath,
  outOfRange,
  serverError,
  show,
  streamError,
  systemError,
  textOf,
};
