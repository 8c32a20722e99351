// @ts-check
// A graph from far away: one box for each kind of task in each layer, with its states as a bar; so many neighbouring layers
// share their boxes that a column stays wide enough to be seen. Links between boxes are as strong as they are many.

import { NODE } from './tasks.js';

/** @typedef {import('./camera.js').Camera} Camera */
/** @typedef {import('./model.js').Graph} Graph */

/**
 * @typedef {object} Box
 * @property {number} x0 in units of the graph
 * @property {number} x1
 * @property {number} y0 in units of the graph, as far as they reach at this scale
 * @property {number} y1
 * @property {number} fromLayer
 * @property {number} toLayer
 * @property {string} kind or what the many kinds of the rest are called
 * @property {number} total
 * @property {Int32Array} counts of tasks that match the filter, by status
 * @typedef {{from: number, to: number, count: number}} Bundle links between two boxes
 * @typedef {{x0: number, x1: number, y0: number, y1: number, boxes: number[]}} Column
 * @typedef {{boxes: Box[], columns: Column[], bundles: Bundle[], boxOf: Int32Array}} Level
 */

const COLUMN_PITCH = 26; // pixels from one column to the next, at least
const BOX_HEIGHT = 18; // pixels, at least
const GAP = 4; // pixels between the boxes of a column
const KINDS = 7; // of a column; more share one box

export class Groups {
  #graph;
  /** @type {Map<number, Level>} by how many layers share a column */
  #levels = new Map();
  #laidOut = { level: /** @type {Level|null} */ (null), scale: 0 };

  /** @param {Graph} graph */
  constructor(graph) {
    this.#graph = graph;
    this.layers = 1 + graph.layer.reduce((max, l) => Math.max(max, l), 0);
  }

  /** The boxes at a scale, placed. @param {number} scale */
  at(scale) {
    const pitch = (this.#graph.width * scale) / this.layers;
    const share = pitch >= COLUMN_PITCH ? 1 : 2 ** Math.ceil(Math.log2(COLUMN_PITCH / Math.max(pitch, 1e-6)));
    let level = this.#levels.get(share);
    if (!level) {
      level = this.#make(share);
      this.#levels.set(share, level);
    }
    if (this.#laidOut.level !== level || this.#laidOut.scale !== scale) {
      level.columns.forEach((column) => place(column, level.boxes, scale));
      this.#laidOut = { level, scale };
    }
    return level;
  }

  /** States or filter are others. */
  recount() {
    for (const level of this.#levels.values()) this.#count(level);
  }

  /** @param {number} share @returns {Level} */
  #make(share) {
    const { count, layer, kind, x, y, kinds } = this.#graph;
    /** @type {Level} */
    const level = { boxes: [], columns: [], bundles: [], boxOf: new Int32Array(count) };
    const columnOf = (/** @type {number} */ i) => Math.floor(layer[i] / share);
    /** @type {Map<number, {column: Column, of: Map<number, {total: number, y: number}>}>} */
    const found = new Map();
    for (let i = 0; i < count; i++) {
      const at = columnOf(i);
      let entry = found.get(at);
      if (!entry) {
        entry = { column: { x0: Infinity, x1: -Infinity, y0: Infinity, y1: -Infinity, boxes: [] }, of: new Map() };
        found.set(at, entry);
      }
      widen(entry.column, x[i], y[i]);
      const sum = entry.of.get(kind[i]) ?? { total: 0, y: 0 };
      sum.total++;
      sum.y += y[i];
      entry.of.set(kind[i], sum);
    }

    /** @type {Map<number, number>} box by column and kind */
    const boxAt = new Map();
    for (const [at, { column, of }] of found) {
      const largest = [...of].sort(([, a], [, b]) => b.total - a.total);
      const own = new Set(largest.slice(0, of.size > KINDS ? KINDS - 1 : KINDS).map(([k]) => k));
      let rest = -1;
      for (const [k] of [...of].sort(([, a], [, b]) => a.y / a.total - b.y / b.total)) {
        if (!own.has(k) && rest >= 0) {
          boxAt.set(at * kinds.length + k, rest);
          continue;
        }
        const box = level.boxes.length;
        if (!own.has(k)) rest = box;
        boxAt.set(at * kinds.length + k, box);
        column.boxes.push(box);
        level.boxes.push({
          x0: column.x0, x1: column.x1, y0: 0, y1: 0, fromLayer: at * share, toLayer: Math.min(this.layers, (at + 1) * share) - 1,
          kind: own.has(k) ? kinds[k] : `${of.size - own.size} other kinds`, total: 0, counts: new Int32Array(this.#graph.statuses.length),
        });
      }
      level.columns.push(column);
    }
    for (let i = 0; i < count; i++) level.boxOf[i] = boxAt.get(columnOf(i) * kinds.length + kind[i]) ?? 0;
    level.bundles = this.#bundle(level);
    this.#count(level);
    return level;
  }

  /** @param {Level} level */
  #bundle({ boxes, boxOf }) {
    const { linkParent, linkChild } = this.#graph;
    /** @type {Map<number, number>} */
    const many = new Map();
    for (let k = 0; k < linkParent.length; k++) {
      const [from, to] = [boxOf[linkParent[k]], boxOf[linkChild[k]]];
      if (boxes[from].fromLayer === boxes[to].fromLayer) continue; // within a column
      const key = from * boxes.length + to;
      many.set(key, (many.get(key) ?? 0) + 1);
    }
    return [...many].map(([key, count]) => ({ from: Math.floor(key / boxes.length), to: key % boxes.length, count }))
      .sort((a, b) => b.count - a.count);
  }

  /** @param {Level} level */
  #count({ boxes, boxOf }) {
    for (const box of boxes) {
      box.total = 0;
      box.counts.fill(0);
    }
    for (let i = 0; i < boxOf.length; i++) {
      const box = boxes[boxOf[i]];
      box.total++;
      if (this.#graph.matches(i)) box.counts[this.#graph.status[i]]++;
    }
  }
}

/** @param {Column} column @param {number} x @param {number} y */
function widen(column, x, y) {
  column.x0 = Math.min(column.x0, x - NODE.width / 2);
  column.x1 = Math.max(column.x1, x + NODE.width / 2);
  column.y0 = Math.min(column.y0, y - NODE.height / 2);
  column.y1 = Math.max(column.y1, y + NODE.height / 2);
}

/** Shares the height of a column among its boxes; where it is too little they reach out evenly. @param {Column} column @param {Box[]} boxes @param {number} scale */
function place(column, boxes, scale) {
  const gap = GAP / scale;
  const least = BOX_HEIGHT / scale;
  const room = column.y1 - column.y0 - gap * (column.boxes.length - 1);
  const total = column.boxes.reduce((n, b) => n + boxes[b].total, 0);
  const heights = column.boxes.map((b) => Math.max(least, (room * boxes[b].total) / total));
  const needed = heights.reduce((n, h) => n + h, 0) + gap * (column.boxes.length - 1);
  let y = (column.y0 + column.y1 - needed) / 2;
  column.boxes.forEach((b, k) => {
    boxes[b].y0 = y;
    boxes[b].y1 = y + heights[k];
    y += heights[k] + gap;
  });
}
