'use strict';

// A Wayland client over USocket alone: it asks the compositor for its globals, passes it a file in
// memory with the pixels of a window, and reads the keyboard's map from a descriptor that it receives.
// Then it has the compositor copy what it shows into another file in memory: a picture, written to the
// file that is named. The compositor here is weston, without a screen; if Xvfb is
// installed too, it has a keyboard.
// Run: node examples/wayland.js [PICTURE.png] (after `npm start` or `npm run build` built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { USocket, closeFd, memfd } = require('afunix');
const { startWeston } = require('./wayland/compositor.js');
const { Connection } = require('./wayland/connection.js');
const { draw, png } = require('./wayland/picture.js');

const [WIDTH, HEIGHT] = [320, 200];
const XRGB8888 = 1;

/** What this client needs of a compositor, and the keyboard, which it does without. */
const NEEDED = ['wl_compositor', 'wl_shm', 'wl_output', 'xdg_wm_base', 'weston_screenshooter'];
const WANTED = [...NEEDED, 'wl_seat'];

/** Asks for everything that the compositor has, and binds what this client knows. */
async function bindGlobals(connection) {
  const registry = connection.create('wl_registry');
  const globals = {};
  registry.on('global', (number, name) => {
    if (!WANTED.includes(name) || globals[name]) return;
    globals[name] = connection.create(name);
    registry.send('bind', number, name, 1, globals[name]);
  });
  connection.display.send('get_registry', registry);
  await roundTrip(connection);
  const missing = NEEDED.filter((name) => !globals[name]);
  if (missing.length > 0) throw new Error(`the compositor lacks ${missing.join(', ')}`);
  return globals;
}

/** Waits until the compositor has answered all requests before this one. */
async function roundTrip(connection) {
  const callback = connection.create('wl_callback');
  connection.display.send('sync', callback);
  await once(callback, 'done');
}

/** Shares a file in memory with the compositor. It may be closed then: the compositor has its own. */
function createBuffer(connection, shm, fd, width, height) {
  const pool = connection.create('wl_shm_pool');
  shm.send('create_pool', pool, fd, width * height * 4);
  const buffer = connection.create('wl_buffer');
  pool.send('create_buffer', buffer, 0, width, height, width * 4, XRGB8888);
  pool.send('destroy'); // It stays as long as its buffer.
  return buffer;
}

/** Opens a window; resolves when the compositor has shown it. */
async function showWindow(connection, globals) {
  const { wl_compositor: compositor, wl_output: output, wl_shm: shm, xdg_wm_base: wm } = globals;
  const surface = connection.create('wl_surface');
  compositor.send('create_surface', surface);
  const shell = connection.create('xdg_surface');
  wm.send('get_xdg_surface', shell, surface);
  const window = connection.create('xdg_toplevel');
  shell.send('get_toplevel', window);
  window.send('set_title', 'afunix');
  window.send('set_fullscreen', output);
  let size = [WIDTH, HEIGHT];
  window.on('configure', (width, height) => {
    if (width > 0 && height > 0) size = [width, height];
  });
  wm.on('ping', (serial) => wm.send('pong', serial));
  surface.send('commit');
  const [serial] = await once(shell, 'configure');
  shell.send('ack_configure', serial);

  const fd = memfd(draw(...size), { name: 'window' });
  surface.send('attach', createBuffer(connection, shm, fd, ...size), 0, 0);
  closeFd(fd);
  surface.send('damage', 0, 0, ...size);
  const shown = connection.create('wl_callback');
  surface.send('frame', shown);
  surface.send('commit');
  await once(shown, 'done');
  console.log(`A window of ${size.join(' × ')} pixels is shown.`);
}

/** The keyboard's map, which comes as a descriptor of a file. */
async function readKeymap(connection, seat) {
  if (!seat) return console.log('This compositor has no keyboard.');
  const keyboard = connection.create('wl_keyboard');
  seat.send('get_keyboard', keyboard);
  const [, fd, size] = await once(keyboard, 'keymap');
  const text = Buffer.alloc(size);
  fs.readSync(fd, text, 0, size, 0);
  closeFd(fd);
  const [first] = text.toString('utf8').split('\n');
  return console.log(`The keyboard's map has ${size} bytes and begins with ${first}`);
}

/** What the compositor shows, as a PNG file. */
async function takePicture(connection, globals) {
  const { wl_output: output, wl_shm: shm, weston_screenshooter: screenshooter } = globals;
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 4);
  const fd = memfd(pixels, { name: 'picture' });
  screenshooter.send('take_shot', output, createBuffer(connection, shm, fd, WIDTH, HEIGHT));
  await once(screenshooter, 'done');
  fs.readSync(fd, pixels, 0, pixels.length, 0);
  closeFd(fd);
  return png(pixels, WIDTH, HEIGHT);
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-wayland-'));
  let weston;
  try {
    weston = await startWeston(folder, WIDTH, HEIGHT);
    const socket = new USocket(path.join(folder, 'display'));
    const failed = once(socket, 'close').then(() => {
      throw socket.errored ?? new Error('the compositor has closed the connection');
    });
    failed.catch(() => {});
    socket.on('error', () => {}); // 'close' follows.
    const connection = new Connection(socket);
    const work = async () => {
      const globals = await bindGlobals(connection);
      await readKeymap(connection, globals.wl_seat);
      await showWindow(connection, globals);
      const picture = await takePicture(connection, globals);
      const [, , file] = process.argv;
      if (file !== undefined) fs.writeFileSync(file, picture);
      console.log(`The compositor's picture has ${picture.length} bytes.`);
    };
    await Promise.race([work(), failed]);
    socket.destroy();
  } catch (error) {
    if (error.syscall !== 'spawn weston') throw error;
    console.log('This example needs weston.');
  } finally {
    await weston?.stop();
    fs.rmSync(folder, { recursive: true });
  }
}

main();
