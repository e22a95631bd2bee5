'use strict';

// Owns what valgrind's XML says: its reports, and which of them are about our code.

/** Where the addon is, in a checkout or in a package. */
const ADDON = /\/afunix[^/]*\.node$/;
/** What our code calls that is not Node: C's library, and valgrind's in its place. */
const LIBRARY = /\/(vgpreload_|libc[.-]|libpthread[.-]|ld-)[^/]*$/;
/** Frames shown to the reader. */
const SHOWN = 12;

const unescape = (text) =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const textOf = (xml, tag) =>
  unescape(new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(xml)?.[1] ?? '');
const partsOf = (xml, tag) =>
  [...xml.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'gs'))].map(([, inner]) => inner);

/** The frames of one stack, the innermost first. */
const framesOf = (stack) =>
  partsOf(stack, 'frame').map((frame) => ({
    fn: textOf(frame, 'fn'),
    object: textOf(frame, 'obj'),
  }));

/** JavaScript: compiled at run time, so in no file, or one of V8's built-in functions. */
const isJavaScript = ({ fn, object }) => object === '' || fn.startsWith('Builtins_');
const isAddon = ({ object }) => ADDON.test(object);

/** Whether our code, or what it called, did it: not what JavaScript does that we called. */
function reachesUs(frames) {
  const end = frames.findIndex((frame) => isAddon(frame) || isJavaScript(frame));
  return end !== -1 && isAddon(frames[end]);
}

/** The same, but for calls of Node's: V8's collector reads stacks, whatever is there. */
function isUsOrLibrary(frames) {
  const first = frames.findIndex(isAddon);
  return first !== -1 && frames.slice(0, first).every(({ object }) => LIBRARY.test(object));
}

/**
 * The reports in what valgrind wrote, null where it ends too early.
 * @param {string} xml
 * @returns {{ kind: string, text: string, isOurs: boolean, stack: string[] }[] | null}
 */
function readReports(xml) {
  if (!xml.includes('<state>FINISHED</state>') || !xml.includes('</valgrindoutput>')) return null;
  return partsOf(xml, 'error').map((error) => {
    const kind = textOf(error, 'kind');
    // Where it happened, then, of some kinds, where the block was made or freed.
    const stacks = partsOf(error, 'stack').map(framesOf);
    const isOurs = kind.startsWith('Uninit') ? isUsOrLibrary(stacks[0]) : stacks.some(reachesUs);
    const stack = stacks[0].slice(0, SHOWN).map(({ fn, object }) => `${fn || '?'} (${object})`);
    return { kind, text: textOf(error, 'what') || textOf(error, 'text'), isOurs, stack };
  });
}

module.exports = { readReports };
