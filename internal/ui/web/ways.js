// @ts-check
// The ways of links in the picture: from the right of the parent to the left of the child, around the tasks between. The service
// says where a link bends (GET /view/graph); from one such point to the next it is a curve that is level at both.

import { NODE } from './tasks.js';

/** @typedef {(x0: number, y0: number, x1: number, y1: number) => void} Visit */
/** @typedef {{x: ArrayLike<number>, y: ArrayLike<number>, linkParent: Int32Array, linkChild: Int32Array}} Places */

// How far the end of a link goes of which no more is drawn: less than from a task to the next one on its right.
const END = { x: 18, y: 12 };

export class Ways {
  #at;
  #start; // of the bends of each link
  #x;
  #y;
  /** By link, whether only its ends are drawn. @type {Uint8Array} */ cut;
  /** How many such links there are. @type {number} */ cuts;
  /** By link, how high and how low it reaches. @type {Float64Array} */ top;
  /** @type {Float64Array} */ bottom;

  /** @param {Places} at @param {(number|null)[]} counts of bends by link, null for a cut one @param {{x: number[], y: number[]}} bends */
  constructor(at, counts, { x, y }) {
    this.#at = at;
    this.#x = Float64Array.from(x);
    this.#y = Float64Array.from(y);
    this.cut = Uint8Array.from(counts, (n) => (n === null ? 1 : 0));
    this.cuts = this.cut.reduce((sum, cut) => sum + cut, 0);
    this.#start = new Int32Array(counts.length + 1);
    this.top = new Float64Array(counts.length);
    this.bottom = new Float64Array(counts.length);
    counts.forEach((n, k) => {
      this.#start[k + 1] = this.#start[k] + (n ?? 0);
      const [a, b] = [at.y[at.linkParent[k]], at.y[at.linkChild[k]]];
      this.top[k] = Math.min(a, b);
      this.bottom[k] = Math.max(a, b);
      for (let i = this.#start[k]; i < this.#start[k + 1]; i++) {
        this.top[k] = Math.min(this.top[k], this.#y[i]);
        this.bottom[k] = Math.max(this.bottom[k], this.#y[i]);
      }
    });
  }

  /** The curves of a link in their order. @param {number} link @param {Visit} visit */
  eachCurve(link, visit) {
    const { linkParent, linkChild } = this.#at;
    this.#follow(linkParent[link], linkChild[link], this.#start[link], this.#start[link + 1], visit);
  }

  /** One curve from task to task. @param {number} a @param {number} b @param {Visit} visit */
  direct(a, b, visit) {
    this.#follow(a, b, 0, 0, visit);
  }

  /** @param {number} a @param {number} b @param {number} first of the bends on the way @param {number} end @param {Visit} visit */
  #follow(a, b, first, end, visit) {
    const { x, y } = this.#at;
    let [x0, y0] = [x[a] + NODE.width / 2, y[a]];
    for (let i = first; i < end; i++) {
      visit(x0, y0, this.#x[i], this.#y[i]);
      [x0, y0] = [this.#x[i], this.#y[i]];
    }
    visit(x0, y0, x[b] - NODE.width / 2, y[b]);
  }

  /** How a cut link leaves its parent and reaches its child: two short curves towards each other. @param {number} link @param {Visit} visit */
  eachEnd(link, visit) {
    const { x, y, linkParent, linkChild } = this.#at;
    const [a, b] = [linkParent[link], linkChild[link]];
    const rise = Math.max(-1, Math.min(1, (y[b] - y[a]) / (x[b] - x[a]))) * END.y;
    const [from, to] = [x[a] + NODE.width / 2, x[b] - NODE.width / 2];
    visit(from, y[a], from + END.x, y[a] + rise);
    visit(to, y[b], to - END.x, y[b] - rise);
  }
}
