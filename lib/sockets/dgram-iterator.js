// Owns: loops over the messages of a DgramSocket.
'use strict';

const { kId } = require('../native/sockets');
const { kState } = require('./members');
const { closeReceived } = require('./received-fds');

/** Messages a loop holds before it stops the socket from reading more. */
const HIGH_WATER_MARK = 64;

/** A socket's method: receives, or not. */
const kSetReading = Symbol('kSetReading');

/** Messages as `{ data, path, fds, credentials, … }`, until the socket is closed. */
function messagesOf(socket) {
  const reader = { waiting: [], stopped: false, wake: () => {}, stop: () => {} };
  const messages = iterate(socket, reader);
  abandoned.register(messages, reader);
  const end = messages.return;
  // A generator's own return() would wait until the next message has come.
  messages.return = (value) => {
    reader.stopped = true;
    reader.wake();
    return end.call(messages, value);
  };
  return messages;
}

/** An iterator that was dropped in the middle is one that was broken off. */
const abandoned = new FinalizationRegistry((reader) => reader.stop());

async function* iterate(socket, reader) {
  const { waiting } = reader;
  const loops = (socket[kState].loops ??= new Set());
  let failure = null;
  const onData = (data, path, info) => {
    waiting.push({ data, path, ...info });
    if (waiting.length === HIGH_WATER_MARK) socket[kSetReading](0);
    reader.wake();
  };
  const onError = (error) => {
    failure ??= error;
    reader.wake();
  };
  const onClose = () => reader.wake();
  reader.stop = () => {
    socket.off('data', onData).off('error', onError).off('close', onClose);
    loops.delete(reader);
    for (const message of waiting.splice(0)) closeReceived(message);
    socket[kSetReading](1);
  };
  loops.add(reader);
  socket.on('data', onData).on('error', onError).on('close', onClose);
  try {
    while (!reader.stopped) {
      if (waiting.length > 0) {
        yield waiting.shift();
        if (waiting.length === 0) socket[kSetReading](1);
      } else if (failure !== null) {
        throw failure;
      } else if (socket[kId] === 0) {
        return;
      } else {
        await new Promise((resolve) => {
          reader.wake = resolve;
        });
      }
    }
  } finally {
    reader.stop();
  }
}

/** What a loop has not come to yet, where nobody else listens: its messages, which it does not get any more. */
function takeWaiting(socket) {
  const { loops } = socket[kState];
  const isAlone = socket.listenerCount('data') === 1 && socket.listenerCount('message') === 0;
  return isAlone && loops !== null ? [...loops].flatMap(({ waiting }) => waiting.splice(0)) : [];
}

module.exports = { kSetReading, messagesOf, takeWaiting };
