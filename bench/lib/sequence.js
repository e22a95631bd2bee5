'use strict';

/**
 * Numbered messages: how a sender paces them and how a receiver counts them. Shared by every case
 * that moves messages one way, whatever the kind of socket; limit*.c has the same in C.
 *
 * The first four bytes of a message are its number within its stream (little-endian), so that a lost,
 * repeated or overtaking message shows. A stream ends with one message numbered `END`.
 */

const { between, costOf, mark } = require('./marks');

const END = 0xffffffff;

/**
 * Messages before the receiver starts its clock: V8 compiles the hot functions meanwhile. One more
 * than a multiple of 256, as the receiver looks at its clock once in so many messages.
 */
const WARM_UP = 80 * 256 + 1;

/** How long past its duration a sender waits for a callback, in ms, before it calls itself stuck. */
const STUCK_AFTER = 2000;

/** How long a receiver may wait for the rest after its sender has ended, in ms. */
const GRACE = 2000;

/**
 * Counts the messages of one or more streams. The clock runs from message `warmUp` to the last `END`,
 * or from the first message if there were too few after that one to say anything.
 */
class Meter {
  /**
   * @param {number} streams
   * @param {(result: object) => void} onEnd called once every stream has ended
   * @param {number} [warmUp] in place of WARM_UP, where messages are large
   */
  constructor(streams, onEnd, warmUp = WARM_UP) {
    this.warmUp = warmUp;
    this.expected = new Array(streams).fill(0);
    this.open = streams;
    this.onEnd = onEnd;
    this.received = 0;
    this.misplaced = 0;
    this.first = null;
    this.begin = null;
    this.last = null;
  }

  take(stream, message) {
    const number = message.readUInt32LE(0);
    if (number === END) {
      this.last = mark();
      if (--this.open === 0) this.onEnd(this.result());
      return;
    }
    if (number !== this.expected[stream]) this.misplaced++;
    this.expected[stream] = number + 1;
    this.received++;
    if ((this.received & 255) !== 1) return;
    this.last = mark();
    if (this.received === 1) this.first = this.last;
    else if (this.received === this.warmUp) this.begin = this.last;
  }

  /** `{ received, misplaced, rate, user, system }`, without the last two if nothing can be said. */
  result() {
    const { received, misplaced, last, warmUp } = this;
    if (received < 2) return { received, misplaced, rate: 0 };
    const [from, begin] = received > 2 * warmUp ? [warmUp, this.begin] : [1, this.first];
    return { received, misplaced, ...between(begin, last, received - from) };
  }
}

/**
 * Cuts a stream of bytes at every `size` of them.
 *
 * @param {number} size bytes a message
 * @param {(head: Buffer) => void} onMessage is given its first four bytes, perhaps more
 * @returns {(chunk: Buffer) => void} takes the next bytes
 */
function cutter(size, onMessage) {
  const head = Buffer.alloc(4);
  let at = 0;
  return (chunk) => {
    let from = 0;
    while (from < chunk.length) {
      const left = chunk.length - from;
      if (at === 0 && left >= size) {
        const message = left === size && from === 0 ? chunk : chunk.subarray(from);
        from += size;
        onMessage(message);
        continue;
      }
      if (at < head.length) chunk.copy(head, at, from, from + Math.min(left, head.length - at));
      const some = Math.min(size - at, left);
      at += some;
      from += some;
      if (at < size) return;
      at = 0;
      onMessage(head);
    }
  };
}

/**
 * Sends windows of messages, each window when every callback of the one before has come, then `END`
 * to each stream. Works with callbacks that come inside the call, too.
 *
 * @param {object} plan
 * @param {(stream: number, message: Buffer, done: (error?: Error) => void) => void} plan.send
 * @param {number} plan.streams
 * @param {number} plan.window messages a window, dealt to the streams in turn; a multiple of `streams`
 * @param {number} plan.size bytes a message
 * @param {number} plan.duration seconds
 * @param {() => void} [plan.eachWindow] called before each window
 * @param {(result: object) => void} onEnd
 */
function sendWindows({ send, streams, window, size, duration, eachWindow }, onEnd) {
  const messages = Array.from({ length: window }, () => Buffer.alloc(size));
  const perStream = window / streams;
  const stop = performance.now() + duration * 1e3;
  let pending = 0;
  let rounds = 0;
  let sending = false;
  let ending = false;
  let begin = mark();
  let before = 0;

  /** CPU a message since about WARM_UP of them, or since the first if there were too few. */
  function result() {
    const sent = rounds * window;
    const { user, system } = between(begin, mark(), sent - before);
    return { sent, user, system };
  }

  const stuck = setTimeout(
    () => {
      const cpu = process.cpuUsage();
      const share = (cpu.user + cpu.system) / 1e6 / process.uptime();
      onEnd({ sent: rounds * window, stuck: true, cpuShare: share });
    },
    duration * 1e3 + STUCK_AFTER,
  );

  function done(error) {
    if (error) throw error;
    if (--pending === 0 && !sending) next();
  }

  function deal(count, numberOf) {
    pending = count;
    for (let i = 0; i < count; i++) {
      messages[i].writeUInt32LE(numberOf(i), 0);
      send(i % streams, messages[i], done);
    }
  }

  function next() {
    sending = true;
    while (pending === 0) {
      if (ending) {
        clearTimeout(stuck);
        onEnd(result());
        return;
      }
      if (performance.now() < stop) {
        eachWindow?.();
        const base = rounds++ * perStream;
        if (before === 0 && base * streams >= WARM_UP) {
          before = base * streams;
          begin = mark();
        }
        deal(window, (i) => base + Math.floor(i / streams));
      } else {
        ending = true;
        deal(streams, () => END);
      }
    }
    sending = false;
  }

  next();
}

/**
 * What one trial says, from the processes that send and receive. A receiver that misses the end is
 * asked for what it has.
 *
 * @throws if either process failed, the sender got stuck or nothing measurable arrived
 */
async function outcome(sender, receiver) {
  let grace;
  const ended = sender.result.then((sent) => {
    grace = setTimeout(() => receiver.stop(), GRACE);
    return sent;
  });
  const [sent, received] = await Promise.all([ended, receiver.result]);
  clearTimeout(grace);
  if (sent.stuck) {
    const share = Math.round(sent.cpuShare * 100);
    throw new Error(`stuck after ${sent.sent} messages, using ${share} % CPU`);
  }
  if (!received.rate) throw new Error(`only ${received.received} of ${sent.sent} messages came`);
  const { rate, misplaced } = received;
  const costs = { ...costOf('receive', received), ...costOf('send', sent) };
  return { rate, lost: sent.sent - received.received, misplaced, ...costs };
}

module.exports = { Meter, cutter, sendWindows, outcome };
