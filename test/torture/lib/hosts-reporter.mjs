// Owns a reporter for `node --test`: one line of JSON at the end,
// `{ tests, passed, failed: [{ file, name, why }], skipped: [reason], warnings: [text] }`. Suites do
// not count. The same on every version of Node, which the wording of Node's own reporters is not.

/** Lines that Node prints for a warning, `(node:PID) …Warning: …` or `[CODE] …`. */
const WARNING = /^\(node:\d+\) .*Warning: /;

export default async function* report(events) {
  const counts = { tests: 0, passed: 0, failed: [], skipped: [], warnings: [] };
  for await (const { type, data } of events) {
    if (type === 'test:stderr') {
      // With --trace-warnings the stack follows the line in the same piece.
      if (WARNING.test(data.message)) counts.warnings.push(data.message);
      continue;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details.type === 'suite') continue;
    counts.tests++;
    if (type === 'test:fail') {
      const { error } = data.details;
      const why = String(error?.cause?.message ?? error?.message).split('\n')[0];
      counts.failed.push({ file: data.file ?? data.name, name: data.name, why });
    } else if (data.skip !== undefined) {
      counts.skipped.push(data.skip === true ? data.name : data.skip);
    } else {
      counts.passed++;
    }
  }
  yield `${JSON.stringify(counts)}\n`;
}
