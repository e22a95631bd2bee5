'use strict';

// Receives what services report to their manager with sd_notify(3), with the credentials of the
// sender, which the kernel vouches for. The service is systemd-notify or, where that is not installed,
// this process itself. Linux only: nobody else sends credentials with each message.
// Run: node examples/sd-notify-receive.js (after `npm start` or `npm run build` built the addon)

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const { DgramSocket } = require('afunix');

/** Runs systemd-notify to its end; false if it is not installed. */
async function runNotifier(address) {
  const notifier = spawn('systemd-notify', ['--ready', '--status=Ready to serve'], {
    env: { ...process.env, NOTIFY_SOCKET: address },
    stdio: 'inherit',
  });
  try {
    await once(notifier, 'close'); // Rejects if there is an 'error' instead.
    return true;
  } catch {
    return false;
  }
}

/** Sends the same from this process. */
async function notifyOurselves(address) {
  const service = new DgramSocket();
  await promisify(service.sendTo).call(service, 'READY=1\nSTATUS=Ready to serve', address);
  service.close();
}

async function main() {
  if (process.platform !== 'linux') {
    console.log('Skipped: only Linux sends credentials with each message.');
    return;
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-notify-'));
  const address = path.join(folder, 'notify.sock');
  // Without `receiveFds` the kernel closes descriptors that come along. systemd-notify sends one
  // with its last message, BARRIER=1, and waits until it is closed.
  const manager = new DgramSocket({ credentials: true }).bind(address, { mode: 0o600 });
  manager.on('data', (data, _from, { credentials }) => {
    const { pid, uid, gid } = credentials;
    console.log(`process ${pid}, user ${uid}, group ${gid}:`);
    for (const line of data.toString().trimEnd().split('\n')) console.log(`  ${line}`);
  });

  const received = once(manager, 'data');
  if (!(await runNotifier(address))) await notifyOurselves(address);
  await received;
  manager.close();
  fs.rmdirSync(folder);
}

main();
