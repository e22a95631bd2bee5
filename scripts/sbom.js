'use strict';

// Writes the software bill of materials, CycloneDX 1.6 as JSON: the crates that are compiled into the
// addon or that compile it, from Cargo.lock, and the npm packages of those who work on it, from
// package-lock.json. The same sources give the same bytes: there is no date and no serial number in it.
// `node scripts/sbom.js [FILE]`: to standard output without a file.

const fs = require('node:fs');
const path = require('node:path');
const { ROOT, main } = require('./tools.js');

const read = (name) => fs.readFileSync(path.join(ROOT, name), 'utf8');

/** The packages of a Cargo.lock: name, version, checksum and the names that each depends on. */
function crates(lock) {
  const field = (text, name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(text)?.[1];
  return lock
    .split(/^\[\[package\]\]$/m)
    .slice(1)
    .map((text) => ({
      name: field(text, 'name'),
      version: field(text, 'version'),
      checksum: field(text, 'checksum'),
      needs: [
        ...(/^dependencies = \[([^\]]*)\]/m.exec(text)?.[1] ?? '').matchAll(/"([^"]+)"/g),
      ].map(([, name]) => name),
    }));
}

const crateUrl = ({ name, version }) => `pkg:cargo/${name}@${version}`;

/** A crate that another names: by its name alone, or with a version where there are several. */
function resolve(all, needed) {
  const [name, version] = needed.split(' ');
  return all.find((one) => one.name === name && (version ?? one.version) === one.version);
}

const component = (type, url, { name, version }, more) => ({
  type,
  'bom-ref': url,
  name,
  version,
  purl: url,
  ...more,
});

function npmComponents(lock) {
  return Object.entries(lock.packages)
    .filter(([place]) => place !== '')
    .map(([place, { version, license, integrity, dev }]) => {
      const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const url = `pkg:npm/${name.replace(/^@/, '%40')}@${version}`;
      const content = integrity && Buffer.from(integrity.replace('sha512-', ''), 'base64');
      return component(
        'library',
        url,
        { name, version },
        {
          scope: dev ? 'excluded' : 'required', // Excluded: nothing that runs at the users'.
          ...(license && { licenses: [{ expression: license }] }),
          ...(content && { hashes: [{ alg: 'SHA-512', content: content.toString('hex') }] }),
        },
      );
    });
}

/** The bill: an object that JSON has. */
function bill() {
  const manifest = JSON.parse(read('package.json'));
  const all = crates(read('Cargo.lock'));
  const own = all.find(({ name }) => name === manifest.name);
  const subject = `pkg:npm/${manifest.name}@${manifest.version}`;
  const urlOf = (crate) => (crate === own ? subject : crateUrl(crate));
  const ofRust = all
    .filter((crate) => crate !== own)
    .map((crate) =>
      component('library', crateUrl(crate), crate, {
        scope: 'required',
        hashes: [{ alg: 'SHA-256', content: crate.checksum }],
      }),
    );
  const ofNpm = npmComponents(JSON.parse(read('package-lock.json')));
  const once = new Map([...ofRust, ...ofNpm].map((one) => [one['bom-ref'], one]));
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: component('library', subject, manifest, {
        description: manifest.description,
        licenses: [{ expression: manifest.license }],
      }),
    },
    components: [...once.values()],
    dependencies: all.map((crate) => ({
      ref: urlOf(crate),
      dependsOn: [...new Set(crate.needs.map((needed) => urlOf(resolve(all, needed))))],
    })),
  };
}

module.exports = { bill };

if (require.main === module) {
  main(() => {
    const [file] = process.argv.slice(2);
    const text = `${JSON.stringify(bill(), null, 2)}\n`;
    if (file === undefined) process.stdout.write(text);
    else fs.writeFileSync(file, text);
  });
}
