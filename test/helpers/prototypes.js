'use strict';

// Owns what a stranger's code puts on a prototype, for as long as something runs.

/** While `prototype` has these members: values, or descriptors with a setter. */
function withMembers(prototype, members, body) {
  for (const [name, value] of Object.entries(members)) {
    const descriptor = typeof value === 'object' && 'set' in value ? value : { value };
    Object.defineProperty(prototype, name, { configurable: true, ...descriptor });
  }
  try {
    return body();
  } finally {
    for (const name of Object.keys(members)) delete prototype[name];
  }
}

/** While `Object.prototype` has these members. */
const polluted = (members, body) => withMembers(Object.prototype, members, body);

module.exports = { polluted, withMembers };
