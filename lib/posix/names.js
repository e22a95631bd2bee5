// Owns: names for the numbers of socket(2), where constants are awkward.
'use strict';

const { invalidType } = require('../util/errors');
const { int, native } = require('./checks');

const { AF_UNIX, AF_INET, AF_INET6, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET } = native.constants;

const DOMAINS = new Map([
  ['unix', AF_UNIX],
  ['inet', AF_INET],
  ['inet6', AF_INET6],
]);
const TYPES = new Map([
  ['stream', SOCK_STREAM],
  ['dgram', SOCK_DGRAM],
  ['seqpacket', SOCK_SEQPACKET],
]);

function numberOf(value, names, argument) {
  if (typeof value !== 'string') return int(value, argument);
  const number = names.get(value);
  if (number !== undefined) return number;
  const known = [...names.keys()].map((name) => `'${name}'`).join(', ');
  throw invalidType(argument, `of type number or one of ${known}`, value);
}

/** The number of a protocol family. */
const domainOf = (value) => numberOf(value, DOMAINS, 'domain');

/** The number of a socket's type. */
const typeOf = (value) => numberOf(value, TYPES, 'type');

module.exports = { domainOf, typeOf };
