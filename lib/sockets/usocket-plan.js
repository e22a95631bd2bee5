// Owns: the options of a USocket.
'use strict';

const { SOCK_STREAM } = require('../native/binding');
const check = require('../util/validate');
const { ConnectedPlan, refuseObjectMode } = require('./options');
const { checkFdsWithData, checkOnread } = require('./stream-reader');

const DEFAULT_MARK = 64 * 1024;

/** The options of a USocket. */
class USocketPlan extends ConnectedPlan {
  constructor(options) {
    refuseObjectMode(options);
    const mark = options.highWaterMark ?? DEFAULT_MARK;
    super(options, {
      type: SOCK_STREAM,
      receiveFds: true,
      duplex: {
        readableHighWaterMark: options.readableHighWaterMark ?? mark,
        writableHighWaterMark: options.writableHighWaterMark ?? mark,
        // Short strings go to the kernel without a Buffer in between.
        decodeStrings: false,
      },
    });
    this.onread = checkOnread(options.onread);
    this.fdsWithData = checkFdsWithData(options.fdsWithData, this.onread);
    this.timeout = options.timeout;
    // As setTimeout() does it: a server throws at once, and not each of its connections.
    if (this.timeout) check.duration(this.timeout, 'msecs');
    /** Whether 'connected' is an event, as usocket has it. */
    this.emitsConnected = true;
    /** From this length on every write takes Writable's way, whose result is what net's is. */
    this.indirectLength = Infinity;
  }
}

/** What users give in place of options. */
function optionsOf(options) {
  if (options === undefined || options === null) return { __proto__: null };
  if (check.isOptions(options)) return check.optionsObject(options);
  return { __proto__: null, [typeof options === 'number' ? 'fd' : 'path']: options };
}

/** The same for connect(), where a number would be a port. */
function connectOptions(options) {
  return typeof options === 'number' ? { port: options } : optionsOf(options);
}

module.exports = { USocketPlan, connectOptions, optionsOf };
