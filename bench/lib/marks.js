'use strict';

/** Owns moments of a process: the time and the CPU used until then, and what lies between two of them. */

/** Now: `time` in ms, `user` and `system` CPU of this process in µs. */
function mark() {
  const { user, system } = process.cpuUsage();
  return { time: performance.now(), user, system };
}

/**
 * What lies between two moments.
 *
 * @param {{ time: number, user: number, system: number }} begin
 * @param {{ time: number, user: number, system: number }} end
 * @param {number} operations how many were done meanwhile
 * @returns {{ rate: number, user: number, system: number }} operations a second, µs of CPU each
 */
function between(begin, end, operations) {
  const seconds = (end.time - begin.time) / 1e3;
  const each = (name) => (operations > 0 ? (end[name] - begin[name]) / operations : 0);
  const rate = seconds > 0 ? operations / seconds : 0;
  return { rate, user: each('user'), system: each('system') };
}

/**
 * Counts operations of a server and measures those after the first `warmUp`, or all but the first if there were too few
 * to say anything of those.
 */
class Count {
  constructor(warmUp) {
    this.warmUp = warmUp;
    this.done = 0;
    this.first = null;
    this.begin = null;
  }

  add() {
    this.done++;
    if (this.done === 1) this.first = mark();
    if (this.done === this.warmUp) this.begin = mark();
  }

  /** Whether so many seconds have passed since the warm-up. */
  hasLasted(seconds) {
    return this.begin !== null && performance.now() - this.begin.time >= seconds * 1e3;
  }

  /** `{ done, rate, user, system }`; only `done` if nothing can be said. */
  result() {
    const { done, first, begin, warmUp } = this;
    if (done < 2) return { done };
    const end = mark();
    if (begin === null || done === warmUp) return { done, ...between(first, end, done - 1) };
    return { done, ...between(begin, end, done - warmUp) };
  }
}

/**
 * CPU of a role, as measures of a case: `{ 'ROLE.user', 'ROLE.system', 'ROLE.cpu' }`, in µs an operation.
 *
 * @param {string} role
 * @param {{ user?: number, system?: number }} measured
 */
function costOf(role, { user, system }) {
  if (user === undefined) return {};
  return { [`${role}.user`]: user, [`${role}.system`]: system, [`${role}.cpu`]: user + system };
}

module.exports = { mark, between, Count, costOf };
