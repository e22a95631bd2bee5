'use strict';

// Finds libclang, which bindgen (under libuv-sys2) loads to read libuv's headers. Where the system
// has none, a pinned wheel goes into .cache/, without root and without touching the system.

const fs = require('node:fs');
const path = require('node:path');
const { ROOT, Stop, output, hasProgram, installCommand, installWheel } = require('./tools.js');

const WHEEL_VERSION = '18.1.1';
const WHEEL_FOLDER = path.join(ROOT, '.cache', `libclang-${WHEEL_VERSION}`);
const WHEEL_LIBRARIES = path.join(WHEEL_FOLDER, 'clang', 'native');

/** libclang.so, libclang-18.so, libclang.so.1, libclang-14.so.1, libclang.dylib; never libclang-cpp. */
const LIBRARY = /^libclang(-\d+(\.\d+)*)?\.(so(\.\d+)*|dylib)$/;

const list = (folder) => {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
};

const holdsLibrary = (folder) =>
  list(folder).some((name) => LIBRARY.test(name) && fs.existsSync(path.join(folder, name)));

/** Folders of the form prefix*suffix, the highest version first. */
function versioned(parent, prefix, suffix) {
  return list(parent)
    .filter((name) => name.startsWith(prefix))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .map((name) => path.join(parent, name, suffix));
}

/** Where the system may have it, the likeliest first. Lazy: later places cost a process. */
function* systemFolders() {
  const fromConfig = output('llvm-config', ['--libdir']);
  if (fromConfig) yield fromConfig;
  for (const line of (output('ldconfig', ['-p']) ?? '').split('\n')) {
    const file = line.split(' => ')[1];
    if (file && LIBRARY.test(path.basename(file))) yield path.dirname(file);
  }
  yield* versioned('/usr/lib', 'llvm', 'lib');
  yield* versioned('/usr/lib', 'llvm', 'lib64');
  yield* ['/usr/lib64', '/usr/lib', '/usr/local/lib'];
  yield* ['/opt/homebrew/opt/llvm/lib', '/usr/local/opt/llvm/lib'];
  yield '/Library/Developer/CommandLineTools/usr/lib';
  yield '/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib';
}

/** Fetches the wheel; where that cannot be, says how to install libclang instead. */
function fetchWheel() {
  const command = installCommand({
    'apt-get': 'libclang-dev',
    dnf: 'clang-devel',
    apk: 'clang-dev',
    pacman: 'clang',
    zypper: 'clang-devel',
    brew: 'llvm',
  });
  installWheel('libclang', WHEEL_VERSION, WHEEL_FOLDER, `install it with ${command}`);
}

/** The folder that holds libclang; installs it where there is none. */
function libraryFolder() {
  const chosen = process.env.LIBCLANG_PATH;
  if (chosen) {
    if (holdsLibrary(chosen) || LIBRARY.test(path.basename(chosen))) return chosen;
    throw new Stop(`LIBCLANG_PATH names ${chosen}, which holds no libclang.`);
  }
  for (const folder of systemFolders()) if (holdsLibrary(folder)) return folder;
  if (!holdsLibrary(WHEEL_LIBRARIES)) fetchWheel();
  return WHEEL_LIBRARIES;
}

/** Whether clang's own headers (stddef.h and the like) lie where this libclang looks for them. */
function hasOwnHeaders(folder) {
  const libraries = list(folder)
    .filter((name) => LIBRARY.test(name))
    .map((name) => path.dirname(fs.realpathSync(path.join(folder, name))));
  return [folder, ...libraries]
    .flatMap((place) => [path.join(place, 'clang'), path.join(place, '..', 'lib', 'clang')])
    .flatMap((parent) => versioned(parent, '', 'include'))
    .some((include) => fs.existsSync(path.join(include, 'stddef.h')));
}

/** The C compiler's folder of the same headers, which serve libclang as well; null if unknown. */
function compilerHeaders() {
  const compiler = ['gcc', 'cc', 'clang'].find(hasProgram);
  if (!compiler) return null;
  const include = output(compiler, ['-print-file-name=include']);
  if (include && path.isAbsolute(include)) return include;
  const resources = output(compiler, ['-print-resource-dir']);
  return resources && path.join(resources, 'include');
}

/**
 * The environment variables that bindgen needs. They are the same at every call on one machine:
 * a change in them makes cargo run bindgen again.
 * @returns {Record<string, string>}
 */
function libclangEnvironment() {
  const folder = libraryFolder();
  const variables = { LIBCLANG_PATH: folder };
  if (process.env.BINDGEN_EXTRA_CLANG_ARGS === undefined && !hasOwnHeaders(folder)) {
    const headers = compilerHeaders();
    if (headers) variables.BINDGEN_EXTRA_CLANG_ARGS = `-I${headers}`;
  }
  return variables;
}

module.exports = { libclangEnvironment };
