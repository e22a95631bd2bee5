'use strict';

/** Owns the description of where and of what something was measured. */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');

/** What a program prints, or null if it cannot say. */
function output(command, ...args) {
  const { status, stdout } = spawnSync(command, args, { cwd: __dirname, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

function kernelSetting(name) {
  try {
    return Number(fs.readFileSync(`/proc/sys/${name}`, 'latin1'));
  } catch {
    return null;
  }
}

function machine() {
  return {
    cpu: os.cpus()[0].model.trim(),
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    maxDgramQlen: kernelSetting('net/unix/max_dgram_qlen'),
    node: process.version,
    rustc: output('rustc', '--version'),
    cc: output('cc', '--version')?.split('\n')[0] ?? null,
  };
}

/** The commit that is measured, with `+` if files other than results differ from it; null outside of a
 * checkout. */
function commit() {
  const id = output('git', 'rev-parse', '--short', 'HEAD');
  const files = [':/', ':(top,exclude)bench/results.*', ':(top,exclude)test/torture/results.md'];
  return id && `${id}${output('git', 'status', '--porcelain', '--', ...files) ? '+' : ''}`;
}

module.exports = { machine, commit };
