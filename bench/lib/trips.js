'use strict';

/**
 * Owns request and answer between two processes on one processor, one at a time, whatever the kind of socket: what is
 * measured is the work of both sides and the switch between them, not how idle processors wake up.
 */

const { between, costOf, mark } = require('./marks');

const SIZE = 64;
const WARM_UP = 2000;

/**
 * The asking side of a case. A request has its number in its first four bytes, and so has its answer.
 *
 * @param {{ size: number, warmUp: number, duration: number }} params of the role
 * @param {(result: object) => void} finish gets the round trips a second, and their CPU
 * @param {(request: Buffer) => void} send
 * @returns {{ ask: () => void, onAnswer: (message: Buffer) => void }} `ask` sends the first request
 */
function asker({ size, warmUp, duration }, finish, send) {
  const request = Buffer.alloc(size);
  let trips = 0;
  let begin = null;

  function ask() {
    request.writeUInt32LE(trips, 0);
    send(request);
  }

  function onAnswer(message) {
    if (message.readUInt32LE(0) !== trips) throw new Error('wrong answer');
    trips++;
    if (trips === warmUp) begin = mark();
    if (trips > warmUp && performance.now() - begin.time >= duration * 1e3) {
      finish(between(begin, mark(), trips - warmUp));
    } else {
      ask();
    }
  }

  return { ask, onAnswer };
}

/**
 * What such a case has in common with the others. Its roles are `answer` and `ask`: `path` is the path of the one that
 * answers, `own` that of the one that asks, for sockets that need one.
 *
 * @param {object} own the members of the case that are its own
 * @param {object[]} targets of its rate
 */
const tripsCase = (own, targets) => ({
  ...own,
  pinned: true,
  metrics: [{ key: 'rate', label: 'round trips/s', better: 'more', targets }],
  costs: ['ask'],
  per: 'a round trip, of the process that asks',

  async measure(trial) {
    const paths = { path: trial.path('answerer'), own: trial.path('asker') };
    const pin = true;
    await trial.start('answer', paths, { pin }).ready;
    const { duration } = trial;
    const params = { ...paths, size: SIZE, warmUp: WARM_UP, duration };
    const asked = await trial.start('ask', params, { pin }).result;
    return { rate: asked.rate, ...costOf('ask', asked) };
  },
});

module.exports = { asker, tripsCase };
