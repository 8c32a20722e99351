// @ts-check
import { el } from './dom.js';
import { badge, STATUSES } from './status.js';

const keys = [
  ['?', 'this help'],
  ['/', 'search'],
  ['1 2 3', 'graph, table, timeline'],
  ['f', 'all of the graph, or of the time'],
  ['+ −', 'nearer, farther; on the time line also Ctrl and the wheel'],
  ['c', 'the critical path: the longest way through the graph by time'],
  ['← ↑ → ↓', 'walk from task to task, along the links in the graph; ← → earlier, later on the time line'],
  ['Enter', 'details of the selected task'],
  ['Esc', 'close what is open; then empty the search'],
];

/** What the keys do and the states mean. */
export function helpText() {
  return [
    el('h3', { text: 'On the page of a batch' }),
    el('dl', { class: 'keys' }, ...keys.flatMap(([k, what]) => [el('dt', {}, el('kbd', { text: k })), el('dd', { text: what })])),
    el('h3', { text: 'States' }),
    el('dl', { class: 'keys' }, ...STATUSES.flatMap((s) => [el('dt', {}, badge(s.name)), el('dd', { text: s.says })])),
    el('p', { class: 'dim', text: 'A dashed link is optional: the task after it starts also if the one before fails. Where too many long links would cover the picture, only their ends are drawn: click a task, and its own are drawn in full, and its details name its parents and children. From far away a large graph shows boxes that stand for many tasks; click one, and they come.' }),
  ];
}
