'use strict';

// Owns the question which Node runs the tests.

/**
 * Whether this Node is older than a version.
 * @param {string} version such as '22' or '20.13'
 */
function isNodeBefore(version) {
  const [major, minor = 0] = version.split('.').map(Number);
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number);
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}

/** Options for `test` or `describe`: skip, with a printed reason, in a Node that is older. */
const sinceNode = (version) => ({ skip: isNodeBefore(version) && `needs Node ${version}` });

module.exports = { isNodeBefore, sinceNode };
