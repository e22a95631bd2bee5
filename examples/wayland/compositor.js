'use strict';

// Owns the compositor of examples/wayland.js: weston, on a screen that is memory alone. Its own headless
// backend has no keyboard, so where Xvfb is installed it gets that X server's screen and keyboard.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { DgramSocket } = require('afunix');

/** Nothing on the screen but the window. (The kiosk's shell shows none where nobody has a keyboard.) */
const SETTINGS = `[shell]
startup-animation=none
animation=none
close-animation=none
panel-position=none
`;

/** A program and what it prints. `ended` rejects, at the latest when it has ended. */
function start(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (text) => (log += text));
  const ended = once(child, 'close').then(() => {
    throw new Error(`${command} ended:\n${log}`);
  });
  ended.catch(() => {}); // Of interest while something of it is awaited.
  const stop = async () => {
    child.kill();
    await ended.catch(() => {});
  };
  return { child, ended, stop };
}

/** An X server without a screen; undefined where Xvfb is not installed. */
async function startXvfb() {
  const screen = ['-screen', '0', '640x480x24', '-nolisten', 'tcp'];
  // It chooses a free display, and says which once it is ready.
  const server = start('Xvfb', ['-displayfd', '1', ...screen], process.env);
  try {
    const [number] = await Promise.race([once(server.child.stdout, 'data'), server.ended]);
    return { ...server, display: `:${String(number).trim()}` };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Starts weston, and resolves when it says that it is ready, as it would to systemd.
 * @param {string} folder where its socket is to be, called `display`
 * @returns {Promise<{ stop(): Promise<void> }>}
 */
async function startWeston(folder, width, height) {
  const server = await startXvfb();
  const notifications = new DgramSocket().bind(path.join(folder, 'notify'));
  const backend = server ? 'x11-backend.so' : 'headless-backend.so';
  const screen = [`--backend=${backend}`, `--width=${width}`, `--height=${height}`, '--use-pixman'];
  const settings = path.join(folder, 'weston.ini');
  fs.writeFileSync(settings, SETTINGS);
  const modules = [
    `--config=${settings}`,
    '--shell=desktop-shell.so',
    '--modules=systemd-notify.so',
  ];
  // Without --debug weston lets no client copy the screen.
  const others = ['--idle-time=0', '--debug', '--socket=display'];
  const weston = start('weston', [...screen, ...modules, ...others], {
    ...process.env,
    DISPLAY: server?.display,
    NOTIFY_SOCKET: notifications.address(),
    XDG_RUNTIME_DIR: folder,
  });
  const stop = async () => {
    await weston.stop();
    await server?.stop();
  };
  try {
    let text = '';
    while (!String(text).includes('READY=1')) {
      [text] = await Promise.race([once(notifications, 'data'), weston.ended]);
    }
  } catch (error) {
    await stop();
    throw error;
  } finally {
    notifications.close();
  }
  return { stop };
}

module.exports = { startWeston };
