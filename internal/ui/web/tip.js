// @ts-check
// What is under the pointer, in words.

import { el } from './dom.js';
import { sum } from './exact.js';
import { duration } from './format.js';

/** @typedef {import('./model.js').Graph} Graph */

/** A task in a few lines. @param {Graph} graph @param {number} i @returns {string[]} */
export function describe(graph, i) {
  const elapsed = graph.elapsed(i);
  const lines = [graph.names[i], `${graph.statusName(i)}${elapsed > 0 ? `, ${duration(elapsed / 1000)}` : ''}`, `kind ${graph.kindName(i)}`];
  const done = sum(graph.success[i], graph.failures[i]);
  const failed = graph.failures[i] > 0 ? `, ${graph.failures[i].toLocaleString('en')} failed` : '';
  if (graph.expected[i] !== null) lines.push(`${done.toLocaleString('en')} of ${graph.expected[i]?.toLocaleString('en')}${failed}`);
  else if (done > 0) lines.push(`${done.toLocaleString('en')} counted${failed}`);
  const many = (/** @type {number} */ n, /** @type {string} */ one, /** @type {string} */ more) => `${n} ${n === 1 ? one : more}`;
  lines.push(`${many(graph.parents(i).length, 'parent', 'parents')}, ${many(graph.children(i).length, 'child', 'children')}`);
  return lines;
}

/** A small box beside the pointer. */
export function tip() {
  const element = el('div', { class: 'graph-tip', 'aria-hidden': 'true', hidden: true });
  const text = (/** @type {string[]} */ lines) => element.replaceChildren(...lines.map((line) => el('div', { text: line })));
  return {
    element,
    text,
    hide: () => {
      element.hidden = true;
    },
    /** @param {string[]} lines @param {number} x @param {number} y @param {HTMLElement} within */
    show: (lines, x, y, within) => {
      text(lines);
      element.hidden = false;
      const { offsetWidth: width, offsetHeight: height } = element;
      element.style.left = `${Math.max(4, Math.min(x + 14, within.clientWidth - width - 4))}px`;
      element.style.top = `${y + 18 + height < within.clientHeight ? y + 18 : Math.max(4, y - height - 10)}px`;
    },
  };
}
