// @ts-check
// The part of the time of a batch that the time line shows: nearer and farther, to the left and to the right, by mouse, finger and wheel.

import { clock, moment } from './format.js';

const least = 200; // ms that are shown at least
const dragFrom = 5; // px; less is a click that trembled

const day = 86400000;
const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400].map((s) => s * 1000)];
const marksAtMost = 8;

/** @typedef {{from: number, to: number}} Span */

/**
 * The moments that an axis of a width names: none touches the next, none is cut at the end.
 *
 * @param {Span} span @param {number} width px @returns {{at: number, text: string}[]}
 */
export function marksOf({ from, to }, width) {
  const room = (/** @type {number} */ step) => Math.max(1, width / (step < 1000 ? 105 : 85)); // px of a text
  const most = (/** @type {number} */ step) => Math.min(marksAtMost, room(step));
  const wide = steps.find((step) => (to - from) / step <= most(step)) ?? Math.ceil((to - from) / most(day) / day) * day;
  const marksBy = (/** @type {number} */ step) => {
    const marks = [];
    for (let at = Math.ceil(from / step) * step; at <= to - (to - from) / room(step); at += step) marks.push({ at, text: timeOf(at, step) });
    return marks;
  };
  const marks = marksBy(wide);
  // A narrow axis may have no place for any of these: then one that is less round is better than none.
  for (const step of steps.filter((s) => s < wide).reverse()) if (marks.length === 0) marks.push(...marksBy(step).slice(0, 1));
  return marks;
}

/** No more of it than tells the mark from the next. @param {number} at @param {number} step */
function timeOf(at, step) {
  if (step >= 60000) return clock(at);
  return moment(at).slice(11) + (step < 1000 ? `.${String(at % 1000).padStart(3, '0')}` : '');
}

export class Period {
  /** @type {Span|null} null: all of it */
  #shown = null;

  /** @param {Span} all @returns {Span} what is to be seen of it */
  of(all) {
    return this.#shown ?? all;
  }

  fit() {
    this.#shown = null;
  }

  /** The moment at a part (0 to 1) of the width stays there. @param {Span} all @param {number} factor @param {number} part */
  zoom(all, factor, part) {
    const { from, to } = this.of(all);
    const width = Math.max(least, (to - from) / factor);
    this.#set(all, from + part * (to - from - width), width);
  }

  /** @param {Span} all @param {number} parts of the width; more: later */
  pan(all, parts) {
    const { from, to } = this.of(all);
    this.#set(all, from + parts * (to - from), to - from);
  }

  /** @param {Span} all @param {number} from @param {number} width */
  #set(all, from, width) {
    if (width >= all.to - all.from) return this.fit();
    const held = Math.max(all.from, Math.min(from, all.to - width));
    this.#shown = { from: held, to: held + width };
  }
}

/**
 * Listens until the signal. A wheel alone and a finger up or down scroll, as elsewhere.
 *
 * @param {HTMLElement} element @param {HTMLElement} track what shows the times
 * @param {{zoom: (factor: number, part: number) => void, pan: (parts: number) => void}} on @param {AbortSignal} signal
 */
export function listenToTime(element, track, on, signal) {
  /** @type {Map<number, number>} */
  const down = new Map();
  let start = 0;
  let moved = false;
  const part = (/** @type {number} */ x) => {
    const box = track.getBoundingClientRect();
    return Math.max(0, Math.min(1, (x - box.left) / box.width));
  };
  const middle = () => [...down.values()].reduce((n, x) => n + x, 0) / down.size;
  const apart = () => (down.size === 2 ? Math.max(20, Math.max(...down.values()) - Math.min(...down.values())) : 0);

  element.addEventListener('wheel', (e) => {
    const across = Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : e.shiftKey ? e.deltaY : 0; // a stroke is never quite straight
    if (e.ctrlKey) on.zoom(2 ** (-Math.max(-240, Math.min(240, e.deltaY)) / 200), part(e.clientX)); // a pinch on a trackpad, too
    else if (across) on.pan(across / track.clientWidth);
    if (e.ctrlKey || across) e.preventDefault();
  }, { signal, passive: false });
  element.addEventListener('pointerdown', (e) => {
    if (e.button !== 0) return;
    if (down.size === 0) {
      moved = false;
      start = e.clientX;
    }
    down.set(e.pointerId, e.clientX);
  }, { signal });
  window.addEventListener('pointermove', (e) => {
    if (e.buttons === 0) down.delete(e.pointerId); // released where the page did not hear of it
    if (!down.has(e.pointerId)) return;
    moved ||= down.size > 1 || Math.abs(e.clientX - start) >= dragFrom;
    const [was, wide] = [middle(), apart()];
    down.set(e.pointerId, e.clientX);
    if (!moved) return;
    if (wide > 0) on.zoom(apart() / wide, part(middle()));
    on.pan((was - middle()) / track.clientWidth);
  }, { signal });
  for (const type of ['pointerup', 'pointercancel']) {
    window.addEventListener(type, (e) => down.delete(/** @type {PointerEvent} */ (e).pointerId), { signal });
  }
  element.addEventListener('click', (e) => { if (moved && e.detail > 0) e.stopPropagation(); }, { signal, capture: true }); // the end of a drag
}
