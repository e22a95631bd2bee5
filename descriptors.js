// afunix/descriptors, for tools that do not read "exports" of package.json: Jest before 28, older bundlers.
'use strict';

module.exports = require('./lib/descriptors/index.js');
