// @ts-check
// Which task the arrow keys lead to: parents are on the left, children on the right, neighbours of the layer above and below.

/** @typedef {import('./model.js').Graph} Graph */

/**
 * The next task from one, itself if there is none. From none (-1) every way leads to the first task.
 * @param {Graph} graph @param {number} i @param {'ArrowLeft'|'ArrowRight'|'ArrowUp'|'ArrowDown'} key
 */
export function step(graph, i, key) {
  if (graph.count === 0) return -1;
  if (i < 0) return graph.order.length > 0 ? graph.order[0] : 0;
  if (key === 'ArrowLeft') return nearest(graph, i, graph.parents(i).map((l) => l.index));
  if (key === 'ArrowRight') return nearest(graph, i, graph.children(i).map((l) => l.index));
  return beside(graph, i, key === 'ArrowDown' ? 1 : -1);
}

/** @param {Graph} graph @param {number} i @param {number[]} among */
function nearest({ x, y }, i, among) {
  const far = (/** @type {number} */ k) => Math.hypot(x[k] - x[i], y[k] - y[i]);
  return among.reduce((best, k) => (best === i || far(k) < far(best) ? k : best), i);
}

/** The next one of the layer column by column. @param {Graph} graph @param {number} i @param {1|-1} way */
function beside({ count, layer, x, y }, i, way) {
  let best = i;
  const before = (/** @type {number} */ a, /** @type {number} */ b) => x[a] - x[b] || y[a] - y[b] || a - b;
  for (let k = 0; k < count; k++) {
    if (layer[k] !== layer[i] || way * before(k, i) <= 0) continue;
    if (best === i || way * before(k, best) < 0) best = k;
  }
  return best;
}
