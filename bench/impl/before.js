'use strict';

/** Adapter for another checkout of this package, see --against in ../README.md. */

const { adapterOf } = require('../lib/ours');

module.exports = adapterOf(process.env.AFUNIX_BENCH_BEFORE);
