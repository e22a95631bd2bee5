'use strict';

/** Owns the names of implementations that the bench treats apart from the packages in impl/. */

/** This package. */
const OURS = 'afunix';
/** Another checkout of it, see --against. */
const BEFORE = 'before';
/** What serve() of this package gives a web server: connections that are net.Sockets. */
const SERVED = 'serve';
/** The minimal addon: what any addon can reach. */
const BARE = 'bare';
/** The plain C loop: what the kernel can. */
const LIMIT = 'c';

const TITLES = { [LIMIT]: 'C loop', [BEFORE]: 'before', [BARE]: 'bare', [SERVED]: 'serve()' };

const titleOf = (name) => TITLES[name] ?? name;

/** Whether a program could use it in place of this package. */
const isRival = (name) => ![OURS, SERVED, BEFORE, BARE, LIMIT].includes(name);

/** Whether targets are its. */
const hasTargets = (name) => name === OURS || name === SERVED;

module.exports = { OURS, BEFORE, BARE, LIMIT, titleOf, isRival, hasTargets };
