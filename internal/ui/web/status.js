// @ts-check
import { arrange, el } from './dom.js';

/**
 * The states of a task, in the order in which they are counted: what is over, then what is nearest to it. Glyphs are those
 * of the command line; a state differs from the others by its glyph as well as by its colour.
 *
 * @type {{name: string, key: string, glyph: string, cssVar: string, terminal: boolean, says: string}[]}
 */
export const STATUSES = [
  ['Success', '✓', 'It is done.'],
  ['Failure', '✗', 'It failed, or a task that it requires did.'],
  ['Canceled', '⊘', 'Somebody canceled it, or stopped its batch.'],
  ['Running', '●', 'Its program works on it.'],
  ['Claimed', '◐', 'Its program is being called.'],
  ['Paused', '‖', 'Somebody holds it until it is resumed.'],
  ['Pending', '○', 'Its turn has come: it starts when its limits and a free slot allow it.'],
  ['Waiting', '·', 'A task before it has not ended.'],
].map(([name, glyph, says]) => ({
  name, glyph, says, key: name.toLowerCase(), cssVar: '--status-' + name.toLowerCase(),
  terminal: name === 'Success' || name === 'Failure' || name === 'Canceled',
}));

const byName = new Map(STATUSES.map((s) => [s.name, s]));

/** @param {string} name */
export function statusOf(name) {
  return byName.get(name) ?? { name, key: 'waiting', glyph: '?', says: '', cssVar: '--status-waiting', terminal: false };
}

/** @param {string} name */
export const isTerminal = (name) => statusOf(name).terminal;

/** @param {string} name A sign and the name. */
export function badge(name) {
  const s = statusOf(name);
  return el('span', { class: 'badge status-' + s.key, title: s.says },
    el('span', { class: 'glyph', 'aria-hidden': 'true', text: s.glyph }), s.name);
}

/** @param {string} name The sign alone; its name for readers of screens. */
export function sign(name) {
  const s = statusOf(name);
  return el('span', { class: 'sign status-' + s.key, role: 'img', 'aria-label': s.name, title: s.name, text: s.glyph });
}

/** @typedef {{name: string, count: number}[]} Counts Of the states that occur. */

/** @param {(s: {name: string, key: string}) => number} countOf @returns {Counts} */
export function countsBy(countOf) {
  return STATUSES.map((s) => ({ name: s.name, count: countOf(s) })).filter((c) => c.count > 0);
}

/** @param {Counts} counts */
export const countsText = (counts) => counts.map((c) => `${c.count} ${c.name}`).join(', ') || 'no tasks';

/** A bar of the states of a batch, which can be brought up to date. */
export function progressBar() {
  const e = el('div', { class: 'bar', role: 'img' });
  const parts = new Map(STATUSES.map((s) => [s.name, el('span', { class: 'part status-' + s.key })]));
  return {
    element: e,
    /** @param {Counts} counts */
    update(counts) {
      const text = countsText(counts);
      if (e.getAttribute('aria-label') === text) return;
      e.setAttribute('aria-label', text);
      e.title = text;
      const shown = new Map(counts.map((c) => [c.name, c.count]));
      for (const [name, part] of parts) part.style.flexGrow = String(shown.get(name) ?? 0);
      arrange(e, [...parts].filter(([name]) => shown.has(name)).map(([, part]) => part));
    },
  };
}
