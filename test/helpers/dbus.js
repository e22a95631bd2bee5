'use strict';

// Owns D-Bus in tests: a session bus of the test's own, by the program dbus-daemon.

const fs = require('node:fs');
const path = require('node:path');
const { startProgram } = require('./programs.js');
const { temporaryFolder } = require('./tmp.js');

/**
 * Starts a private bus that ends with the test.
 * @param {import('node:test').TestContext} t
 * @param {'path' | 'abstract'} kind of its address
 * @returns {Promise<string>} the address
 */
async function startBus(t, kind = 'path') {
  const folder = temporaryFolder(t);
  const config = path.join(folder, 'bus.conf');
  fs.writeFileSync(
    config,
    `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
      "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig>
      <type>session</type>
      <listen>unix:${kind}=${path.join(folder, 'bus')}</listen>
      <auth>EXTERNAL</auth>
      <limit name="max_replies_per_connection">10000</limit>
      <policy context="default">
        <allow send_destination="*" eavesdrop="true"/>
        <allow eavesdrop="true"/>
        <allow own="*"/>
      </policy>
    </busconfig>`,
  );
  const daemon = startProgram(t, 'dbus-daemon', [
    `--config-file=${config}`,
    '--nofork',
    '--print-address=1',
  ]);
  return daemon.lines.next('the address of the bus');
}

module.exports = { startBus };
