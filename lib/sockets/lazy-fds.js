// Owns: descriptors as properties of what was received, taken from native code, which closes what nobody takes, at
// the first look.
'use strict';

const { kId } = require('../native/sockets');
const { codedError } = require('../util/errors');

/**
 * Gives a message or chunk a property that is taken when somebody looks.
 *
 * @param {Buffer} data
 * @param {string} name - of the property
 * @param {object} socket - that received it
 * @param {(id: number) => any} take
 */
function defineTaken(data, name, socket, take) {
  const id = socket[kId];
  let taken;
  Object.defineProperty(data, name, {
    __proto__: null,
    configurable: true,
    enumerable: true,
    get: () => {
      if (taken === undefined && socket[kId] !== id) {
        const message = `The descriptors were closed with the socket: read ${name} before that`;
        throw codedError(Error, 'ERR_AFUNIX_FDS_CLOSED', message);
      }
      return (taken ??= take(id));
    },
  });
}

module.exports = { defineTaken };
