// @ts-check
// The tasks of a batch as a table for other programs.

/** @typedef {import('./model.js').Graph} Graph */

// A text that begins like a formula, in wide letters too, is one for spreadsheets: what a task is called must not run there.
const formula = /^[=+\-@\t\r\n＝＋－＠]/;

/** @param {string|number|bigint|null} value */
export function cell(value) {
  if (value === null) return '';
  if (typeof value !== 'string') return String(value);
  const text = formula.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {number|null} ms */
const at = (ms) => (ms === null ? null : new Date(ms).toISOString());

/** @param {Graph} graph @returns {string} the tasks that match the filter, in the order in which they were created */
export function toCSV(graph) {
  const lines = [['id', 'name', 'kind', 'status', 'priority', 'success', 'failures', 'expected_count', 'created_at', 'started_at', 'ended_at'].join(',')];
  for (let i = 0; i < graph.count; i++) {
    if (!graph.matches(i)) continue;
    lines.push([
      graph.ids[i], graph.names[i], graph.kindName(i), graph.statusName(i), graph.priority[i], graph.success[i], graph.failures[i],
      graph.expected[i], at(graph.createdAt[i]), at(graph.startedAt[i]), at(graph.endedAt[i]),
    ].map(cell).join(','));
  }
  return lines.join('\r\n') + '\r\n';
}

/** @param {Blob} blob @param {string} name Hands a file to the person in front of the browser. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
