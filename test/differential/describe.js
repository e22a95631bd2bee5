'use strict';

// Owns showing programs and traces to people.

/** A step as code would say it. */
function stepText(step) {
  const { do: name, who, run, then, options, ...more } = step;
  delete more.number;
  if (who === undefined) return name === 'sleep' ? `sleep(${more.time})` : name;
  const values = [];
  for (const [member, value] of Object.entries({ ...options, ...more })) {
    if (value === undefined || value === false) continue;
    if (['to', 'size', 'encoding', 'event', 'time', 'how'].includes(member)) values.push(value);
    else if (member === 'callback') values.push('cb');
    else if (member === 'kind' && value === 'buffer') continue;
    else values.push(`${member}: ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  }
  if (run) values.push(`{ ${programText(run)} }`);
  if (then) values.push(`cb { ${programText(then)} }`);
  return `${who}.${name}(${values.join(', ')})`;
}

const programText = (steps) => steps.map(stepText).join('; ');

/** A whole program in one line. */
function describeProgram(program) {
  const { mode, server, steps, connections = [], solo } = program;
  const parts = [`[under test: ${mode}${solo ? ', own process' : ''}]`];
  const options = Object.entries(server ?? {}).filter(([name]) => name !== 'highWaterMark');
  const mark = server?.highWaterMark;
  if (mark !== undefined && mark !== 16384) options.push(['highWaterMark', mark]);
  if (options.length > 0) parts.push(`server ${JSON.stringify(Object.fromEntries(options))}`);
  connections.forEach((list, at) => {
    if (list.length > 0) parts.push(`on connection ${at}: { ${programText(list)} }`);
  });
  parts.push(programText(steps));
  return parts.join(' ');
}

/** What happened to one socket, in one line. */
function describeList(list) {
  const words = [];
  for (const { event, of, code, value, bytes, state, number } of list ?? []) {
    if (event === 'settled') {
      words.push(`|${number}|`);
      continue;
    }
    if (event === 'left' || event === 'over' || event === 'readable') continue;
    const details = [of, code, bytes?.length ?? bytes, value].filter(
      (one) => one !== undefined && one !== null && typeof one !== 'object',
    );
    const text = details.length > 0 ? `${event}(${details.join(' ')})` : event;
    const isData = event === 'data' && words.at(-1)?.startsWith('data(');
    if (isData) {
      words[words.length - 1] =
        `data(${parseInt(words.at(-1).slice(5)) + (bytes?.length ?? bytes)})`;
    } else {
      words.push(event === 'connect called' && state?.connecting === false ? `${text}!` : text);
    }
  }
  return words.join(' ');
}

module.exports = { describeList, describeProgram };
