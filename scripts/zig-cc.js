#!/usr/bin/env node
'use strict';

// The C compiler and linker that cargo calls for a prebuilt (see zig.js, which sets the variables):
// `zig cc` for one target. It takes away the few arguments of rustc and of the crate cc that name
// another target or another linker, or strip: Zig would strip the names of functions too.

const { spawnSync } = require('node:child_process');

const UNWANTED = /^(--target=.*|-fuse-ld=.*|-B.*gcc-ld.*|-Wl,--strip-debug)$/;

const { AFUNIX_ZIG, AFUNIX_ZIG_TARGET } = process.env;
const args = process.argv.slice(2).filter((argument) => !UNWANTED.test(argument));
const { status, error } = spawnSync(AFUNIX_ZIG, ['cc', '-target', AFUNIX_ZIG_TARGET, ...args], {
  stdio: 'inherit',
});
if (error) console.error(`${AFUNIX_ZIG} cannot be run: ${error.message}`);
process.exitCode = status ?? 1;
