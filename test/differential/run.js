'use strict';

// The differential tester by hand: `node test/differential/run.js [--seed N] [--count N] [--processes N] [--shrink]`,
// and `--program FILE [--whole]` for one program.

const fs = require('node:fs');
const { parseArgs } = require('node:util');
const { describeList, describeProgram } = require('./describe.js');
const { generate } = require('./generate.js');
const { Worker, runAll } = require('./runner.js');
const { shrink } = require('./shrink.js');

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    processes: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    program: { type: 'string' },
    whole: { type: 'boolean', default: false },
    subject: { type: 'string', default: 'afunix' },
    report: { type: 'string' },
    only: { type: 'string' },
  },
});

async function one() {
  const text = fs.readFileSync(values.program === '-' ? 0 : values.program, 'utf8');
  const worker = new Worker(values.subject);
  const result = await worker.judge(JSON.parse(text), { whole: values.whole });
  console.dir(result, { depth: 8, maxArrayLength: 500, breakLength: 180 });
  worker.close();
}

async function many() {
  const seed = Number(values.seed);
  const counts = {};
  const classes = new Map();
  const started = performance.now();
  const report = (number, program, result) => {
    counts[result.status] = (counts[result.status] ?? 0) + 1;
    if (result.reason) console.log(result.status, seed + number, result.reason);
    if (result.status === 'unsteady') return;
    for (const difference of result.differences) {
      const known = classes.get(difference.key) ?? { count: 0, programs: [] };
      known.count++;
      known.programs.push({ seed: seed + number, program, difference });
      classes.set(difference.key, known);
    }
  };
  await runAll(
    (n) => generate(seed + n),
    Number(values.count),
    { subject: values.subject, processes: values.processes && Number(values.processes) },
    report,
  );
  console.log(counts, `${((performance.now() - started) / 1000).toFixed(1)} s`);
  const sorted = [...classes].sort(([, one], [, two]) => two.count - one.count);
  const worker = new Worker(values.subject);
  for (const [key, { count, programs }] of sorted) {
    console.log(`${String(count).padStart(6)}  ${key}   seed ${programs[0].seed}`);
    if (!values.shrink || (values.only && !new RegExp(values.only).test(key))) continue;
    const size = ({ program }) => JSON.stringify(program).length;
    const [shortest] = programs.sort((one, two) => size(one) - size(two));
    const program = await shrink(worker, shortest.program, key);
    const { traces, differences } = await worker.judge(program, { whole: true });
    const lines = [`\n### ${key}`, `${count} times, seed ${shortest.seed}`];
    lines.push(`\`${describeProgram(program)}\``);
    const who = differences.find((each) => each.key === key)?.who;
    for (const subject of ['net', values.subject]) {
      lines.push(`- ${subject}: ${who}: ${describeList(traces?.[subject][who])}`);
    }
    lines.push(`<!-- ${JSON.stringify(program)} -->`);
    console.log(lines.join('\n'));
    if (values.report) fs.appendFileSync(values.report, `${lines.join('\n')}\n`);
  }
  worker.close();
}

if (values.program) one();
else many();
