'use strict';

// Owns certificates in tests: one for `localhost`, made by openssl and signed by itself.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { temporaryFolder } = require('./tmp.js');

/** A new key and its certificate, as PEM: `{ key, cert }`. Needs the program openssl. */
function makeCertificate(t) {
  const folder = temporaryFolder(t);
  const files = { key: path.join(folder, 'key.pem'), cert: path.join(folder, 'cert.pem') };
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const output = ['-keyout', files.key, '-out', files.cert];
  execFileSync('openssl', ['req', '-x509', ...curve, '-days', '2', ...names, ...output], {
    stdio: 'pipe',
  });
  return { key: fs.readFileSync(files.key, 'utf8'), cert: fs.readFileSync(files.cert, 'utf8') };
}

module.exports = { makeCertificate };
