// Owns: `afunix/descriptors`: what needs no event loop, and so works on other hosts than Node, too.
'use strict';

const { closeFd } = require('../native/fds');
const { listenFds } = require('./activation');
const { fdType } = require('./describe');
const { dup, fileHandle } = require('./duplicate');
const { memfd } = require('./memfd');
const { sdNotify } = require('./notify');
const socketpair = require('./socketpair');

module.exports = { closeFd, dup, fdType, fileHandle, listenFds, memfd, sdNotify, socketpair };
