// Owns: the options of a DgramSocket, and what it knows.
'use strict';

const { Buffer } = require('buffer');
const { SOCK_DGRAM } = require('../native/binding');
const { invalidValue } = require('../util/errors');
const { Destinations } = require('./destinations');
const { SocketPlan } = require('./options');

/** The options of a DgramSocket. */
class DgramPlan extends SocketPlan {
  constructor(options) {
    super(options, false);
    this.takePidfdOption(options);
    this.type = SOCK_DGRAM;
    this.pathsAsBuffers = pathsAsBuffers(options.pathEncoding);
    this.failsWhenFull = failsWhenFull(options.whenFull);
    /** For one end of a pair: its id. */
    this.id = 0;
  }
}

/** What a DgramSocket knows. */
class DgramState {
  constructor(plan) {
    this.plan = plan;
    this.isBound = false;
    /** bind() gave it a name, and then could not watch it. */
    this.isDeaf = false;
    this.isConnected = false;
    /** The peer's name, to find its successor; null where there is none to find. */
    this.peer = null;
    this.isPeerGone = false;
    this.isEnding = false;
    this.closeEmitted = false;
    this.referenced = true;
    this.dropped = 0;
    this.destinations = new Destinations();
    /** A message whose error is being emitted, and which comes behind that; as loops have it. */
    this.inHand = null;
    /** Loops over its messages: a Set. Made with the first. */
    this.loops = null;
    this.senderPath = plan.pathsAsBuffers ? Buffer.alloc(0) : '';
    this.stopListening = null;
  }
}

function pathsAsBuffers(encoding) {
  if (encoding === undefined || encoding === 'utf8') return false;
  if (encoding === 'buffer') return true;
  throw invalidValue('options.pathEncoding', encoding, "must be 'utf8' or 'buffer'");
}

function failsWhenFull(whenFull) {
  if (whenFull === undefined || whenFull === 'wait') return false;
  if (whenFull === 'fail') return true;
  throw invalidValue('options.whenFull', whenFull, "must be 'wait' or 'fail'");
}

module.exports = { DgramPlan, DgramState };
