'use strict';

// Builds the program in main.js into a single executable: https://nodejs.org/api/single-executable-applications.html
// Run: node examples/sea/build.js EXECUTABLE (Node 22 or later; needs the packages esbuild and postject)

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { buildSync } = require('esbuild');
const { inject } = require('postject');

/** What Node looks for in its own file. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** The addon for this system: that of a build in a checkout, or the package's. */
function findAddon() {
  const root = path.dirname(require.resolve('afunix/package.json'));
  const built = path.join(root, 'build', 'Release', 'afunix.node');
  const { platformName } = require(path.join(root, 'lib', 'native', 'platform.js'));
  const prebuilt = path.join(root, 'prebuilds', platformName(), 'afunix.node');
  return [built, prebuilt].find((file) => fs.existsSync(file));
}

async function main([executable]) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-sea-'));
  try {
    const [bundle, blob, config] = ['main.js', 'main.blob', 'sea.json'].map((name) =>
      path.join(folder, name),
    );
    buildSync({
      entryPoints: [path.join(__dirname, 'main.js')],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      // The asset takes the place of the addons next to the bundle.
      external: ['*.node'],
    });
    const settings = { main: bundle, output: blob, disableExperimentalSEAWarning: true };
    const assets = { 'afunix.node': findAddon() };
    fs.writeFileSync(config, JSON.stringify({ ...settings, assets }));
    execFileSync(process.execPath, ['--experimental-sea-config', config], { stdio: 'ignore' });
    fs.copyFileSync(process.execPath, executable);
    fs.chmodSync(executable, 0o755);
    await inject(executable, 'NODE_SEA_BLOB', fs.readFileSync(blob), {
      sentinelFuse: FUSE,
      machoSegmentName: process.platform === 'darwin' ? 'NODE_SEA' : undefined,
    });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

main(process.argv.slice(2));
