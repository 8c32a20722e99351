// @ts-check
// The tasks of a batch by time: a bar from start to end for each, the earliest first, with only the rows in the page that can
// be seen.

import { el, setText } from './dom.js';
import { duration } from './format.js';
import { listenToTime, marksOf, Period } from './period.js';
import { isTerminal, statusOf } from './status.js';

/** @typedef {import('./model.js').Graph} Graph */

const rowHeight = 28;
const spare = 8; // rows above and below those that can be seen
const leastSpan = 1000; // ms, so that a bar has a width

export class TimelineView {
  /**
   * @param {HTMLElement} container @param {Graph} graph
   * @param {{onOpen: (i: number) => void}} options
   */
  constructor(container, graph, { onOpen }) {
    this.graph = graph;
    this.onOpen = onOpen;
    this.axis = el('div', { class: 'times-axis' });
    this.rows = el('div', { class: 'rows' });
    this.none = el('p', { class: 'dim', text: 'No task matches.' });
    this.list = el('div', { class: 'times', role: 'listbox', tabindex: 0, 'aria-label': 'Tasks by the time of their start', data: { test: 'timeline' } }, this.rows);
    this.element = el('div', { class: 'scroller' }, el('div', { class: 'times-head', 'aria-hidden': 'true' }, el('span', { text: 'Task' }), this.axis), this.list, this.none);
    container.append(this.element);

    this.off = new AbortController();
    const on = { signal: this.off.signal };
    for (const type of ['change', 'filter', 'replace']) {
      graph.addEventListener(type, () => { this.#dirty = true; this.#draw(); }, on);
    }
    graph.addEventListener('select', () => { this.reveal(graph.selected); this.#draw(); }, on);
    this.element.addEventListener('scroll', () => this.#draw(), on);
    this.list.addEventListener('keydown', (e) => this.#key(e), on);
    this.rows.addEventListener('click', (e) => {
      const row = e.target instanceof Element ? e.target.closest('[data-index]') : null;
      if (row) this.#open(Number(/** @type {HTMLElement} */ (row).dataset.index));
    }, on);
    listenToTime(this.element, this.axis, {
      zoom: (factor, part) => this.#look(() => this.#period.zoom(this.#span(), factor, part)),
      pan: (parts) => this.#look(() => this.#period.pan(this.#span(), parts)),
    }, this.off.signal);
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
    cancelAnimationFrame(this.#frame);
    this.element.remove();
  }

  /** Scrolls to a task. @param {number} i */
  reveal(i) {
    if (this.#dirty) this.#sort();
    const at = this.#order.indexOf(i);
    if (at < 0) return;
    const top = at * rowHeight;
    const room = this.element.clientHeight - 2 * rowHeight; // the axis stays where it is
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top > this.element.scrollTop + room) this.element.scrollTop = top - room;
  }

  fit() {
    this.#look(() => this.#period.fit());
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.#look(() => this.#period.zoom(this.#span(), factor, 0.5));
  }

  #period = new Period();
  #dirty = true;
  #frame = 0;
  /** @type {number[]} the tasks from top to bottom */
  #order = [];
  /** @type {Map<number, HTMLElement>} */
  #made = new Map();

  #sort() {
    const g = this.graph;
    const when = (/** @type {number} */ i) => g.startedAt[i] ?? g.endedAt[i] ?? Infinity;
    this.#order = [];
    for (let i = 0; i < g.count; i++) if (g.matches(i)) this.#order.push(i);
    this.#order.sort((a, b) => (when(a) === when(b) ? a - b : when(a) - when(b)));
    this.#dirty = false;
  }

  /** From the first start to the last end, or to now while something runs. */
  #span() {
    const g = this.graph;
    const now = g.now();
    let from = Infinity;
    let to = -Infinity;
    let open = false;
    for (let i = 0; i < g.count; i++) {
      const start = g.startedAt[i] ?? g.endedAt[i];
      if (start !== null) from = Math.min(from, start);
      if (g.endedAt[i] !== null) to = Math.max(to, /** @type {number} */ (g.endedAt[i]));
      else if (g.startedAt[i] !== null) open = true;
    }
    if (!Number.isFinite(from)) from = now;
    return { from, to: Math.max(from + leastSpan, open ? now : to), now };
  }

  /** @param {() => void} move */
  #look(move) {
    move();
    this.#draw();
  }

  #draw() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#drawNow(); });
  }

  #drawNow() {
    if (this.#dirty) this.#sort();
    const { element } = this;
    const order = this.#order;
    const all = this.#span();
    const span = { ...this.#period.of(all), now: all.now };
    this.#marks(span);
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - spare);
    const last = Math.min(order.length, Math.ceil((element.scrollTop + element.clientHeight) / rowHeight) + spare);
    this.rows.style.height = `${order.length * rowHeight}px`;
    this.none.hidden = order.length > 0;

    const made = new Map();
    for (let at = first; at < last; at++) {
      const i = order[at];
      const row = this.#made.get(i) ?? this.#row();
      made.set(i, row);
      this.#fill(row, i, at, span);
      if (!row.parentNode) this.rows.append(row);
    }
    for (const [i, row] of this.#made) if (made.get(i) !== row) row.remove();
    this.#made = made;
    const selected = made.get(this.graph.selected);
    if (selected) this.list.setAttribute('aria-activedescendant', selected.id);
    else this.list.removeAttribute('aria-activedescendant');
  }

  /** @param {{from: number, to: number}} span */
  #marks({ from, to }) {
    const marks = marksOf({ from, to }, this.axis.clientWidth);
    while (this.axis.children.length > marks.length) this.axis.lastElementChild?.remove();
    marks.forEach(({ at, text }, k) => {
      const mark = /** @type {HTMLElement} */ (this.axis.children[k] ?? this.axis.appendChild(el('span', {})));
      mark.style.left = `${((at - from) / (to - from)) * 100}%`;
      setText(mark, text);
    });
  }

  #row() {
    return el('div', { role: 'option', class: 'time' }, el('span', { class: 'time-name' }), el('span', { class: 'time-track' }, el('span', { class: 'time-bar' }), el('span', { class: 'time-text' })),
      el('span', { class: 'hidden' })); // the name of the state, for readers of screens
  }

  /** @param {HTMLElement} row @param {number} i @param {number} at @param {{from: number, to: number, now: number}} span */
  #fill(row, i, at, { from, to, now }) {
    const g = this.graph;
    const status = statusOf(g.statusName(i));
    const start = g.startedAt[i] ?? g.endedAt[i];
    const name = /** @type {HTMLElement} */ (row.children[0]);
    const [bar, text] = /** @type {HTMLElement[]} */ ([...row.children[1].children]);
    row.id = `time-${g.ids[i]}`;
    row.dataset.index = String(i);
    row.dataset.test = 'time-row';
    row.className = `time status-${status.key}`;
    row.style.top = `${at * rowHeight}px`;
    row.setAttribute('aria-selected', String(i === g.selected));
    row.setAttribute('aria-setsize', String(this.#order.length));
    row.setAttribute('aria-posinset', String(at + 1));
    setText(name, g.names[i]);
    const took = g.startedAt[i] === null ? '' : duration(g.elapsed(i, now) / 1000);
    const says = [status.name, took].filter(Boolean).join(', ');
    setText(row.children[2], status.name);
    row.title = `${g.names[i]}: ${says}`;
    bar.hidden = start === null;
    setText(text, `${status.glyph} ${took || (status.name === 'Success' ? 'at once' : isTerminal(status.name) ? 'not started' : status.name)}`);
    if (start === null) {
      text.classList.remove('inside');
      text.style.left = '0';
      text.style.right = 'auto';
      return;
    }
    // What is out of sight to the left or to the right is not drawn there, but said.
    const at100 = (/** @type {number} */ ms) => Math.max(-1, Math.min(101, ((ms - from) / (to - from)) * 100));
    const left = at100(start);
    const right = Math.max(left, at100(g.endedAt[i] ?? now)); // a report that overtook the start may have ended before it by its clock
    bar.hidden = right < 0 || left > 100;
    if (bar.hidden) {
      text.classList.remove('inside');
      text.style.left = right < 0 ? '0' : 'auto';
      text.style.right = right < 0 ? 'auto' : '0';
      setText(text, right < 0 ? `‹ ${text.textContent}` : `${text.textContent} ›`);
      return;
    }
    bar.style.left = left > 99 ? 'calc(100% - 6px)' : `${left}%`; // 6: the least width, which would be out of sight at the end
    bar.style.width = `${Math.max(0, right - left)}%`;
    text.style.left = right < 75 ? `${right}%` : 'auto'; // beside the bar, where there is room
    text.style.right = right < 75 ? 'auto' : left > 25 ? `${100 - left}%` : '0';
    text.classList.toggle('inside', right >= 75 && left <= 25);
  }

  /** @param {number} i */
  #open(i) {
    this.graph.select(i);
    this.onOpen(i);
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || this.#order.length === 0) return;
    const at = this.#order.indexOf(this.graph.selected);
    const aside = /** @type {Record<string, number>} */ ({ ArrowLeft: -0.2, ArrowRight: 0.2 })[e.key];
    const page = Math.max(1, Math.floor(this.element.clientHeight / rowHeight) - 2);
    const to = /** @type {Record<string, number>} */ ({
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.#order.length - 1,
    })[e.key];
    if (aside) this.#look(() => this.#period.pan(this.#span(), aside));
    else if (e.key === 'Enter' && at >= 0) this.#open(this.graph.selected);
    else if (to === undefined) return;
    else this.graph.select(this.#order[Math.min(this.#order.length - 1, Math.max(0, to))]);
    e.preventDefault();
  }
}
