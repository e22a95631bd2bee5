// Owns: descriptors that systemd, or whoever speaks its protocol, hands over: sd_listen_fds(3).
'use strict';

const binding = require('../native/binding');
const { codedError, invalidType } = require('../util/errors');
const check = require('../util/validate');

/** Where they start, SD_LISTEN_FDS_START. */
const FIRST = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];
/** What systemd calls a descriptor without a name. */
const NO_NAME = 'unknown';

/**
 * The descriptors that were handed over to this process; none if that did not happen, or if they
 * are meant for another process (LISTEN_PID). Makes them close-on-exec.
 *
 * @param {string | string[]} [names] - only those of these names (`FileDescriptorName=`), in the
 *   order of the names
 * @param {object} [options]
 * @param {boolean} [options.unset] - remove the variables from `process.env`; default false
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {Error} ERR_AFUNIX_LISTEN_FDS for variables that make no sense, or name a descriptor that
 *   is not open
 * @returns {{ fd: number, name: string }[]}
 */
function listenFds(names = undefined, options = undefined) {
  if (check.isOptions(names) && options === undefined) [names, options] = [undefined, names];
  const wanted = names === undefined ? undefined : nameList(names);
  const { unset } = check.optionsObject(options);
  const mustUnset = check.optionalBoolean(unset, 'options.unset', false);
  try {
    const found = handedOver();
    if (wanted === undefined) return found;
    return [...new Set(wanted)].flatMap((name) => found.filter((each) => each.name === name));
  } finally {
    if (mustUnset) for (const name of VARIABLES) delete process.env[name];
  }
}

function nameList(names) {
  const list = Array.isArray(names) ? names : [names];
  for (const name of list) {
    if (typeof name !== 'string') {
      throw invalidType('names', 'of type string or an array of strings', name);
    }
  }
  return list;
}

function handedOver() {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env;
  if (LISTEN_PID === undefined || LISTEN_FDS === undefined) return [];
  if (decimal('LISTEN_PID', LISTEN_PID) !== process.pid) return [];
  const count = decimal('LISTEN_FDS', LISTEN_FDS);
  if (count === 0) return [];
  const names = LISTEN_FDNAMES?.split(':') ?? [];
  if (LISTEN_FDNAMES !== undefined && names.length !== count) {
    throw malformed('LISTEN_FDNAMES', LISTEN_FDNAMES, `has not ${count} names, as LISTEN_FDS says`);
  }
  for (let fd = FIRST; fd < FIRST + count; fd++) {
    if (binding.setCloexec(fd) !== 0) {
      throw malformed('LISTEN_FDS', LISTEN_FDS, `promises descriptor ${fd}, which is not open`);
    }
  }
  return Array.from({ length: count }, (_, at) => ({ fd: FIRST + at, name: names[at] ?? NO_NAME }));
}

function decimal(variable, text) {
  if (!/^\d+$/.test(text)) throw malformed(variable, text, 'is not a number');
  return Number(text);
}

function malformed(variable, text, fault) {
  const message = `The environment variable ${variable} ${fault}: ${JSON.stringify(text)}`;
  return codedError(Error, 'ERR_AFUNIX_LISTEN_FDS', message);
}

module.exports = { listenFds };
