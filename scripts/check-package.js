'use strict';

// Refuses to make a package that would not work where it is installed. npm runs it before it packs
// (`prepack`), where it builds this system's addon if that is missing, and before it publishes
// (`prepublishOnly`, with --complete), where every system's has to be there, made of these sources.
// `--set` looks at the set of addons alone, whatever the version and the change log say.

const fs = require('node:fs');
const path = require('node:path');
const { platformName } = require('../lib/native/platform.js');
const { TARGETS, checkPrebuilt, present } = require('./check-prebuilt.js');
const { isCurrent, prebuild } = require('./prebuild.js');
const { ROOT, Stop, main } = require('./tools.js');

/** What npm would run on the machines of users, who may have forbidden it or have no compiler. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare'];

const read = (name) => fs.readFileSync(path.join(ROOT, name), 'utf8');

function checkManifest({ version, scripts, gypfile }) {
  const found = INSTALL_SCRIPTS.filter((name) => name in scripts);
  if (found.length > 0) throw new Stop(`package.json has install scripts: ${found.join(', ')}.`);
  if (gypfile !== false) {
    throw new Stop('package.json must say "gypfile": false, or npm compiles at each installation.');
  }
  const crate = /^version\s*=\s*"(.+)"/m.exec(read('Cargo.toml'))?.[1];
  if (crate !== version) {
    throw new Stop(`package.json is of version ${version}, Cargo.toml of ${crate}.`);
  }
}

/** Stops if a prebuilt is missing, or made of other sources than those that go with it. */
function checkSet(names) {
  const missing = names.filter((name) => !present().includes(name));
  if (missing.length > 0) {
    throw new Stop(
      `prebuilds/ is incomplete: ${missing.join(', ')} missing. Nothing is published.`,
    );
  }
  const stale = names.filter((name) => !isCurrent(name));
  if (stale.length > 0) {
    throw new Stop(
      `prebuilds/ has files of other sources: ${stale.join(', ')}. ` +
        `Build them again (\`npm run prebuilt -- ${stale.join(' ')}\`) or remove them.`,
    );
  }
  for (const name of names) checkPrebuilt(name);
}

main(() => {
  const manifest = JSON.parse(read('package.json'));
  checkManifest(manifest);
  const wantsAll = process.argv.includes('--complete');
  if (wantsAll || process.argv.includes('--set')) {
    checkSet(Object.keys(TARGETS));
    if (wantsAll && !read('CHANGELOG.md').includes(`## [${manifest.version}]`)) {
      throw new Stop(`CHANGELOG.md has no section for ${manifest.version}.`);
    }
    return;
  }
  const own = platformName();
  if (own in TARGETS && !isCurrent(own)) prebuild(own);
  checkSet(present());
});
