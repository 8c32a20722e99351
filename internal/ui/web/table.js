// @ts-check
// The tasks of a batch as a table: sorted by any column, and with only the rows in the page that can be seen.

import { el, setText } from './dom.js';
import { sum } from './exact.js';
import { clock, duration, moment, progress } from './format.js';
import { badge } from './status.js';

/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {{key: string, label: string, class: string, sort: (g: Graph, i: number) => number|bigint|string, text?: (g: Graph, i: number) => string, full?: (g: Graph, i: number) => string}} Column */

const rowHeight = 34;
const spare = 8; // rows above and below those that can be seen
const rank = new Map(['Failure', 'Running', 'Claimed', 'Paused', 'Pending', 'Waiting', 'Canceled', 'Success'].map((name, i) => [name, i]));
const late = Infinity; // what has not happened comes last

/** @type {Column[]} */
const columns = [
  { key: 'status', label: 'State', class: 'c-status', sort: (g, i) => rank.get(g.statusName(i)) ?? 0 },
  { key: 'name', label: 'Task', class: 'c-name', sort: (g, i) => g.names[i], text: (g, i) => g.names[i] },
  { key: 'kind', label: 'Kind', class: 'c-kind', sort: (g, i) => g.kindName(i), text: (g, i) => g.kindName(i) },
  { key: 'progress', label: 'Progress', class: 'c-progress number', sort: (g, i) => sum(g.success[i], g.failures[i]),
    text: (g, i) => progress(g.success[i], g.failures[i], g.expected[i]) },
  { key: 'took', label: 'Took', class: 'c-took number', sort: (g, i) => (g.startedAt[i] === null ? late : g.elapsed(i)),
    text: (g, i) => (g.startedAt[i] === null ? '–' : duration(g.elapsed(i) / 1000)) },
  { key: 'started', label: 'Started', class: 'c-started number', sort: (g, i) => g.startedAt[i] ?? late, text: (g, i) => clock(g.startedAt[i]), full: (g, i) => moment(g.startedAt[i]) },
  { key: 'ended', label: 'Ended', class: 'c-ended number', sort: (g, i) => g.endedAt[i] ?? late, text: (g, i) => clock(g.endedAt[i]), full: (g, i) => moment(g.endedAt[i]) },
  { key: 'priority', label: 'Priority', class: 'c-priority number', sort: (g, i) => -g.priority[i], text: (g, i) => String(g.priority[i]) },
];

export class TableView {
  /**
   * @param {HTMLElement} container @param {Graph} graph
   * @param {{onOpen: (i: number) => void}} options
   */
  constructor(container, graph, { onOpen }) {
    this.graph = graph;
    this.onOpen = onOpen;
    /** @type {Column|null} null: in the order of creation */
    this.by = null;
    this.down = false;
    this.dirty = true;

    this.heads = columns.map((c) => el('th', { scope: 'col', class: c.class, 'aria-sort': 'none' },
      el('button', { type: 'button', class: 'sort', data: { test: `sort-${c.key}` }, on: { click: () => this.#sortBy(c) } }, c.label)));
    this.above = el('tr', { class: 'spacer', 'aria-hidden': 'true' }, el('td', {}));
    this.below = el('tr', { class: 'spacer', 'aria-hidden': 'true' }, el('td', {}));
    this.body = el('tbody', {}, this.above, this.below);
    this.table = el('table', { class: 'tasks', role: 'grid', 'aria-label': 'Tasks', tabindex: 0, data: { test: 'tasks-table' } },
      el('thead', {}, el('tr', {}, ...this.heads)), this.body);
    this.none = el('p', { class: 'dim', text: 'No task matches.' });
    this.element = el('div', { class: 'scroller' }, this.table, this.none);
    container.append(this.element);

    this.off = new AbortController();
    const on = { signal: this.off.signal };
    for (const type of ['change', 'filter', 'replace']) {
      graph.addEventListener(type, () => { this.dirty = true; this.#draw(); }, on);
    }
    graph.addEventListener('select', () => { this.reveal(graph.selected); this.#draw(); }, on);
    this.element.addEventListener('scroll', () => this.#draw(), on);
    this.table.addEventListener('keydown', (e) => this.#key(e), on);
    this.body.addEventListener('click', (e) => {
      const row = e.target instanceof Element ? e.target.closest('tr[data-index]') : null;
      if (row) this.#open(Number(/** @type {HTMLElement} */ (row).dataset.index));
    }, on);
    this.sizes = new ResizeObserver(() => this.#draw());
    this.sizes.observe(this.element);
    this.timer = setInterval(() => { if (graph.running) this.#draw(); }, 1000);
    this.#sort();
    this.reveal(graph.selected);
    this.#draw();
  }

  destroy() {
    this.off.abort();
    this.sizes.disconnect();
    clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
    this.element.remove();
  }

  /** Scrolls to a task. @param {number} i */
  reveal(i) {
    if (i < 0) return;
    if (this.dirty) this.#sort();
    const at = this.rows.indexOf(i);
    if (at < 0) return;
    const top = at * rowHeight;
    const room = this.element.clientHeight - rowHeight; // the head stays where it is
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + rowHeight > this.element.scrollTop + room) this.element.scrollTop = top + rowHeight - room;
  }

  /** @type {Int32Array} the tasks in the order of the table */
  rows = new Int32Array(0);
  /** @type {Map<number, HTMLElement>} */
  #made = new Map();
  frame = 0;

  /** @param {Column} column First up, then down, then as they were created. */
  #sortBy(column) {
    if (this.by !== column) [this.by, this.down] = [column, false];
    else if (!this.down) this.down = true;
    else [this.by, this.down] = [null, false];
    columns.forEach((c, k) => this.heads[k].setAttribute('aria-sort', c !== this.by ? 'none' : this.down ? 'descending' : 'ascending'));
    this.dirty = true;
    this.element.scrollTop = 0;
    this.#draw();
  }

  #sort() {
    const g = this.graph;
    const rows = [];
    for (let i = 0; i < g.count; i++) if (g.matches(i)) rows.push(i);
    if (this.by) {
      const { sort } = this.by;
      const keys = new Map(rows.map((i) => [i, sort(g, i)]));
      const sign = this.down ? -1 : 1;
      rows.sort((a, b) => sign * compare(keys.get(a), keys.get(b)) || a - b);
    }
    this.rows = Int32Array.from(rows);
    this.dirty = false;
  }

  #draw() {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => { this.frame = 0; this.#drawNow(); });
  }

  #drawNow() {
    if (this.dirty) this.#sort();
    const { element, rows } = this;
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - spare);
    const last = Math.min(rows.length, Math.ceil((element.scrollTop + element.clientHeight) / rowHeight) + spare);
    setHeight(this.above, first * rowHeight);
    setHeight(this.below, (rows.length - last) * rowHeight);
    this.table.setAttribute('aria-rowcount', String(rows.length + 1));
    this.none.hidden = rows.length > 0;

    const made = new Map();
    /** @type {Element} */
    let before = this.above;
    for (let at = first; at < last; at++) {
      const i = rows[at];
      const row = this.#made.get(i) ?? this.#row();
      made.set(i, row);
      this.#fill(row, i, at);
      if (before.nextElementSibling !== row) before.after(row);
      before = row;
    }
    for (const [i, row] of this.#made) if (made.get(i) !== row) row.remove();
    this.#made = made;
    const selected = made.get(this.graph.selected);
    if (selected) this.table.setAttribute('aria-activedescendant', selected.id);
    else this.table.removeAttribute('aria-activedescendant');
  }

  #row() {
    return el('tr', {}, ...columns.map((c) => el('td', { class: c.class })));
  }

  /** @param {HTMLElement} row @param {number} i @param {number} at */
  #fill(row, i, at) {
    const g = this.graph;
    const id = `row-${g.ids[i]}`;
    if (row.id !== id) {
      row.id = id;
      row.dataset.index = String(i);
      row.dataset.test = 'task-row';
    }
    row.setAttribute('aria-rowindex', String(at + 2));
    row.setAttribute('aria-selected', String(i === g.selected));
    const status = g.statusName(i);
    if (row.dataset.status !== status) {
      row.dataset.status = status;
      row.children[0].replaceChildren(badge(status));
    }
    columns.forEach((c, k) => {
      if (!c.text) return;
      const text = c.text(g, i);
      const cell = /** @type {HTMLElement} */ (row.children[k]);
      if (cell.textContent !== text) {
        setText(cell, text);
        cell.title = c.full ? c.full(g, i) : text;
      }
    });
  }

  /** @param {number} i */
  #open(i) {
    this.graph.select(i);
    this.onOpen(i);
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    if (e.target !== this.table || e.ctrlKey || e.metaKey || e.altKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / rowHeight) - 2);
    const at = this.rows.indexOf(this.graph.selected);
    const to = /** @type {Record<string, number>} */ ({
      ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), PageDown: at + page, PageUp: at - page, Home: 0, End: this.rows.length - 1,
    })[e.key];
    if (e.key === 'Enter' && at >= 0) this.#open(this.graph.selected);
    else if (to === undefined || this.rows.length === 0) return;
    else this.graph.select(this.rows[Math.min(this.rows.length - 1, Math.max(0, to))]);
    e.preventDefault();
  }
}

const byName = new Intl.Collator('en', { numeric: true }); // one: thousands of names are compared with each change

/** @param {any} a @param {any} b */
function compare(a, b) {
  if (typeof a === 'string') return byName.compare(a, b);
  return a === b ? 0 : a < b ? -1 : 1;
}

/** @param {HTMLElement} spacer @param {number} height */
function setHeight(spacer, height) {
  const cell = /** @type {HTMLElement} */ (spacer.firstElementChild);
  cell.style.height = `${height}px`;
  spacer.hidden = height === 0;
}
