'use strict';

// Owns the wire of examples/wayland.js: objects, requests and events of the Wayland protocol over a
// USocket. An event with a descriptor takes the next one that came: like libwayland, and unlike
// protocols whose messages each have their own, Wayland's descriptors are one queue.

const { EventEmitter } = require('node:events');
const { closeFd } = require('afunix');

/**
 * What this client uses of each interface. A request has its opcode, and a letter for each argument;
 * events are in the order of their opcodes. Letters: int, uint, object, new id, string, array, and h
 * for a descriptor, as in wayland.xml.
 */
const INTERFACES = {
  wl_display: {
    requests: { sync: [0, 'n'], get_registry: [1, 'n'] },
    events: { error: 'ous', delete_id: 'u' },
  },
  wl_registry: { requests: { bind: [0, 'usun'] }, events: { global: 'usu', global_remove: 'u' } },
  wl_callback: { requests: {}, events: { done: 'u' } },
  wl_compositor: { requests: { create_surface: [0, 'n'] }, events: {} },
  wl_shm: { requests: { create_pool: [0, 'nhi'] }, events: { format: 'u' } },
  wl_shm_pool: { requests: { create_buffer: [0, 'niiiiu'], destroy: [1, ''] }, events: {} },
  wl_buffer: { requests: { destroy: [0, ''] }, events: { release: '' } },
  wl_surface: {
    requests: { attach: [1, 'oii'], damage: [2, 'iiii'], frame: [3, 'n'], commit: [6, ''] },
    events: { enter: 'o', leave: 'o' },
  },
  wl_output: {
    requests: {},
    events: { geometry: 'iiiiissi', mode: 'uiii', done: '', scale: 'i' },
  },
  wl_seat: { requests: { get_keyboard: [1, 'n'] }, events: { capabilities: 'u', name: 's' } },
  wl_keyboard: {
    requests: {},
    events: {
      keymap: 'uhu',
      enter: 'uoa',
      leave: 'uo',
      key: 'uuuu',
      modifiers: 'uuuuu',
      repeat_info: 'ii',
    },
  },
  xdg_wm_base: { requests: { get_xdg_surface: [2, 'no'], pong: [3, 'u'] }, events: { ping: 'u' } },
  xdg_surface: {
    requests: { get_toplevel: [1, 'n'], ack_configure: [4, 'u'] },
    events: { configure: 'u' },
  },
  xdg_toplevel: {
    requests: { set_title: [2, 's'], set_fullscreen: [11, 'o'] },
    events: { configure: 'iia', close: '' },
  },
  weston_screenshooter: { requests: { take_shot: [0, 'oo'] }, events: { done: '' } },
};

/** Bytes of a message's head: the object's id, its opcode and the length of the whole. */
const HEAD = 8;

/** Strings and arrays have a length before them and fill up whole words. */
const padded = (length) => Math.ceil(length / 4) * 4;

/** An argument of a request in the processor's byte order, which is little-endian here. */
function encode(kind, value) {
  if (kind === 's') {
    const text = Buffer.from(`${value}\0`);
    const bytes = Buffer.alloc(4 + padded(text.length));
    bytes.writeUInt32LE(text.length);
    text.copy(bytes, 4);
    return bytes;
  }
  const bytes = Buffer.alloc(4);
  if (kind === 'i') bytes.writeInt32LE(value);
  else bytes.writeUInt32LE(kind === 'u' ? value : value.id);
  return bytes;
}

/** An object of the protocol: send() makes requests of it, its events are emitted. */
class WaylandObject extends EventEmitter {
  constructor(connection, id, name) {
    super();
    this.connection = connection;
    this.id = id;
    this.interface = name;
  }

  send(request, ...values) {
    const [opcode, kinds] = INTERFACES[this.interface].requests[request];
    const fds = values.filter((_, index) => kinds[index] === 'h');
    const parts = [...kinds].map((kind, index) =>
      kind === 'h' ? Buffer.alloc(0) : encode(kind, values[index]),
    );
    const head = Buffer.alloc(HEAD);
    const size = parts.reduce((sum, { length }) => sum + length, HEAD);
    head.writeUInt32LE(this.id);
    head.writeUInt32LE(size * 0x10000 + opcode, 4);
    this.connection.socket.write({ data: Buffer.concat([head, ...parts]), fds });
  }
}

class Connection {
  #objects = new Map();
  #lastId = 0;
  #bytes = Buffer.alloc(0);
  #fds = [];

  /** @param {import('afunix').USocket} socket */
  constructor(socket) {
    this.socket = socket;
    this.display = this.create('wl_display');
    this.display.on('delete_id', (id) => this.#objects.delete(id));
    this.display.on('error', (object, code, text) => {
      socket.destroy(new Error(`the compositor refuses (${object}, ${code}): ${text}`));
    });
    // Descriptors come before the bytes that they were sent with.
    socket.on('fds', (fds) => this.#fds.push(...fds));
    socket.on('data', (bytes) => this.#take(bytes));
    socket.on('close', () => this.#fds.splice(0).forEach(closeFd));
  }

  /** A new object, for an argument of the kind n. */
  create(name) {
    const object = new WaylandObject(this, ++this.#lastId, name);
    this.#objects.set(object.id, object);
    return object;
  }

  /** Emits the events that are complete. */
  #take(bytes) {
    let rest = Buffer.concat([this.#bytes, bytes]);
    while (rest.length >= HEAD) {
      const size = rest.readUInt16LE(6);
      if (rest.length < size) break;
      this.#emit(rest.readUInt32LE(0), rest.readUInt16LE(4), rest.subarray(HEAD, size));
      rest = rest.subarray(size);
    }
    this.#bytes = rest;
  }

  #emit(id, opcode, bytes) {
    const object = this.#objects.get(id);
    if (object === undefined) throw new Error(`an event of an object that is gone: ${id}`);
    const event = Object.entries(INTERFACES[object.interface].events)[opcode];
    if (event === undefined) return; // Of a newer version than we ask for: without descriptors.
    const [name, kinds] = event;
    let at = 0;
    const values = [...kinds].map((kind) => {
      if (kind === 'h') return this.#fds.shift();
      const value = kind === 'i' ? bytes.readInt32LE(at) : bytes.readUInt32LE(at);
      at += 4;
      if (kind !== 's' && kind !== 'a') return value;
      const content = bytes.subarray(at, at + value);
      at += padded(value);
      return kind === 's' ? content.toString('utf8', 0, value - 1) : content;
    });
    // An 'error' of the display is an event like any other.
    object.emit(name, ...values);
  }
}

module.exports = { Connection };
