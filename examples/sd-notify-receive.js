'use strict';

// Receives what services tell their manager with sd_notify(3), and believes only the process that
// the kernel names. The service is systemd-notify or, where that is not installed, this process.
// Linux only: messages carry credentials.
// Run: node examples/sd-notify-receive.js (after `npm start` or `npm run build` built the addon)

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { DgramSocket } = require('afunix');

/** Starts systemd-notify; false if it is not installed. */
async function startNotifier(address) {
  const notifier = spawn('systemd-notify', ['--ready', '--status=Ready to serve'], {
    env: { ...process.env, NOTIFY_SOCKET: address },
    stdio: 'inherit',
  });
  try {
    await once(notifier, 'spawn');
    return true;
  } catch {
    return false;
  }
}

function notifyOurselves(address) {
  const service = new DgramSocket();
  service.sendTo('READY=1\nSTATUS=Ready to serve', address, (error) => {
    if (error) throw error;
    service.close();
  });
}

async function main() {
  if (process.platform !== 'linux') return console.log('Only Linux sends credentials.');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-notify-'));
  const address = path.join(folder, 'notify.sock');
  // Without `receiveFds` the kernel closes descriptors that come along. systemd-notify sends one
  // with a second message, and waits until it is closed.
  const manager = new DgramSocket({ credentials: true }).bind(address, { mode: 0o600 });
  manager.unref(); // Should no message ever come, the process ends all the same.

  const received = once(manager, 'data');
  if (!(await startNotifier(address))) notifyOurselves(address);
  const [data, , { credentials }] = await received;
  for (const line of data.toString().trimEnd().split('\n')) {
    const [name, value] = line.split(/=(.*)/s);
    console.log(`${name}: ${value}`);
  }
  console.log(`said by user ${credentials.uid}, group ${credentials.gid}`);
  return new Promise((resolve) => {
    manager.close(() => resolve(fs.rmdirSync(folder)));
  });
}

main();
