// Owns: callbacks that wait for their outcome.
'use strict';

const { AsyncResource } = require('async_hooks');
const { nextTick } = require('./host');

/**
 * A callback waiting for its outcome, with the async context of the call that brought it.
 *
 * AsyncResource.bind() does the same at a thousand times the cost.
 */
class Callback extends AsyncResource {
  constructor(callback) {
    super('AFUNIXSENDREQ', { requireManualDestroy: true });
    this.callback = callback;
  }

  /** Calls back, once: a Writable may do it again, for a buffered write whose callback corked and ended the stream. */
  run(error) {
    const { callback } = this;
    if (callback === null) return;
    this.callback = null;
    try {
      this.runInAsyncScope(callback, undefined, error);
    } finally {
      this.emitDestroy();
    }
  }
}

/** Calls back; an exception waits for the next tick, because others are to be called yet. */
function runAlone(callback, error) {
  try {
    callback(error);
  } catch (thrown) {
    nextTick(() => {
      throw thrown;
    });
  }
}

/** A callback that will be called once, in the context of now. */
function inContext(callback) {
  const kept = new Callback(callback);
  return (error) => kept.run(error);
}

module.exports = { Callback, inContext, runAlone };
