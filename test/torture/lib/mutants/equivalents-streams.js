'use strict';

// Owns: the same as equivalents.js for what USocket alone has of lib/sockets/.

const { CLOSED } = require('./reasons.js');

module.exports = {
  'lib/sockets/usocket.js': [
    {
      line: 'this[kWriter]?.settle(status);',
      from: 'this[kWriter]?.settle',
      becomes: ['this[kWriter].settle'],
      why: 'what is done has been written, by that',
    },
  ],
  'lib/sockets/stream-reader.js': [
    {
      line: 'if (this.fds === 0 && this.isHeard()) {',
      from: 'this.fds === 0',
      becomes: ['this.fds !== 0'],
      why: 'a short cut: what waits goes to a listener before others can come',
    },
    {
      line: 'return limit > 0 && limit < socket.readableLength ? limit : size;',
      becomes: ['limit <= socket.readableLength'],
      why: 'to read all that is there is what no limit does, too',
    },
    {
      line: 'this.fds -= group.count;',
      becomes: ['this.fds += group.count'],
      why: 'how many wait is nothing that a socket with fdsWithData asks',
    },
  ],
  'lib/sockets/stream-writer.js': [
    {
      line: 'if (this.groups.length === 0 || chunk.length === 0) return [chunk, callback];',
      from: 'this.groups.length === 0',
      becomes: ['false'],
      why: 'a short cut: without descriptors that wait none is carried',
    },
    {
      line: 'if (full === 1) {',
      from: "{ const { chunk, encoding } = entries[last]; return typeof chunk === 'string' ? this.attemptString(c",
      becomes: ['{}'],
      why: 'a short cut: one chunk can be sent as several are',
    },
    {
      line: 'this.failGroups(() => this.cancelled);',
      from: '() => this.cancelled',
      becomes: ['() => undefined'],
      why: 'without an error a callback gets this one: wrap()',
    },
    { line: 'let last = -1;', becomes: ['+1'], why: 'it is set before it is asked for' },
    {
      line: "return typeof chunk === 'string' ? this.attemptString(chunk, encoding) : this.attempt(chunk);",
      from: "typeof chunk === 'string'",
      becomes: ['true'],
      why: 'a Buffer is copied then, and the same bytes are sent',
    },
    {
      line: 'if (chunk.length > 0) buffers.push(bufferOf(chunk, encoding));',
      becomes: ['chunk.length >= 0', 'true'],
      why: 'no bytes more of one system call',
    },
    {
      line: 'for (; over < this.groups.length && room > 0; over++) {',
      becomes: ['true'],
      from: 'room > 0',
      why: 'where nothing more has room, the next group keeps what it has, and that ends the loop',
    },
    {
      line: '} finally {',
      from: '{ this.hasResult = false; }',
      becomes: ['{}'],
      why: "Writable's turn has come by then, and has taken the result",
    },
    {
      line: 'if (this.groups.length === 0 || chunk.length === 0) return [chunk, callback];',
      from: 'chunk.length === 0',
      becomes: ['false'],
      why: 'no bytes have no room for descriptors, and take none along',
    },
    {
      line: 'if (this.marks.length > 0) return this.submitMarked(entries);',
      becomes: ['true'],
      why: 'a short cut: with no descriptor to any chunk it is the same',
    },
    {
      line: 'if (full === 1) {',
      becomes: ['false'],
      why: 'a short cut: one chunk alone can go as several do',
    },
    {
      line: 'return length === 0 && corked === 0 && !needDrain && socket[kState].phase === life.OPEN;',
      from: 'length === 0',
      becomes: ['true'],
      why: 'what Writable keeps has a callback here, or it is corked',
    },
    {
      line: 'if (callback === null) return;',
      becomes: ['false'],
      why: 'native code says once that what waited is sent, and nothing of a socket that is closed',
    },
    {
      line: 'if (result === 0) {',
      becomes: ['false'],
      why: 'a short cut: since Node 20.10 it is the same by way of Writable',
    },
    {
      line: 'life.finishLater(socket, socket.readableEnded && !socket.allowHalfOpen, callback, error);',
      from: 'socket.readableEnded && !socket.allowHalfOpen',
      becomes: ['false'],
      why: 'it spares a system call: a socket that is closed next has ended',
    },
    {
      line: 'if (socket[kId] > 0) binding.dropQueuedFds(socket[kId]);',
      becomes: ['socket[kId] >= 0', 'true'],
      why: CLOSED,
    },
  ],
  'lib/sockets/usocket-plan.js': [
    {
      line: 'if (options === undefined || options === null) return { __proto__: null };',
      becomes: ['false'],
      why: 'a path that is undefined or null is none',
    },
  ],
  'lib/sockets/wrapped.js': [
    {
      line: "if (listener.name !== 'ondata' || 'prototype' in listener) return false;",
      becomes: ['false'],
      why: 'it only spares a stack for what is no such listener',
    },
  ],
};
