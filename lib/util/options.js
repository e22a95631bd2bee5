// Owns: members of objects that users pass, read so that nothing comes from Object.prototype: what some
// other code has put there was given to nobody.
'use strict';

const { getPrototypeOf, hasOwn, prototype: base } = Object;

/**
 * A member of an object, its own or of its class.
 *
 * @param {object} object
 * @param {string} name
 * @param {any} [value] - object[name], where each message has one: a name that is written out is found several times
 *   as fast as one in a variable
 */
function memberOf(object, name, value = object[name]) {
  if (value === undefined || base[name] === undefined) return value;
  for (let owner = object; owner !== null && owner !== base; owner = getPrototypeOf(owner)) {
    if (hasOwn(owner, name)) return value;
  }
  return undefined;
}

/** Those of these names, on an object without a prototype. */
function membersOf(object, names) {
  const members = { __proto__: null };
  for (const name of names) members[name] = memberOf(object, name);
  return members;
}

module.exports = { memberOf, membersOf };
