'use strict';

/**
 * seq-oneway twice: alone, and with 10,000 connections to the same server that nothing happens on;
 * their other ends are in a C program. The C server reads with epoll in both.
 */

const { kind, faults, roles, oneway } = require('./seq-oneway');

const IDLE = 10_000;

module.exports = {
  name: 'seq-idle-throughput',
  about:
    'seq-oneway alone, then with 10,000 connections to the same server that nothing happens on. The C server reads with epoll.',
  kind,
  implementations: ['afunix', 'bare', 'node-unix-socket'],
  metrics: [
    { key: 'alone', label: 'messages/s, alone', better: 'more' },
    { key: 'crowded', label: 'messages/s, with 10,000 idle', better: 'more' },
    {
      key: 'kept',
      label: 'with ÷ alone',
      digits: 2,
      targets: [{ atLeast: 0.95 }],
    },
  ],
  faults,
  roles,

  async measure(trial) {
    const alone = await trial.part((part) => oneway(part));
    const measures = { alone: alone.rate, lost: alone.lost, misplaced: alone.misplaced };
    try {
      const crowded = await trial.part((part) => oneway(part, { idle: IDLE }));
      measures.crowded = crowded.rate;
      measures.kept = crowded.rate / alone.rate;
      measures.lost += crowded.lost;
      measures.misplaced += crowded.misplaced;
    } catch (error) {
      measures.error = `with idle connections: ${error.message}`;
    }
    return measures;
  },
};
