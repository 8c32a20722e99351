// @ts-check
// The critical path: the chain of tasks, each a parent of the next, that took the longest time in sum. A task counts from
// its start to its end, or until now while it runs; what has not started counts nothing and is not part of it, and neither
// does the time that a task waited for a place. Both required and optional links count, since a child waits for both.

/** @typedef {import('./model.js').Graph} Graph */

/**
 * The tasks of the critical path in the order in which they ran; empty if none has started.
 * @param {Graph} graph
 * @param {number} now milliseconds since the epoch
 * @returns {number[]}
 */
export function criticalPath(graph, now) {
  const total = new Float64Array(graph.count); // of the longest chain that ends with this task
  const before = new Int32Array(graph.count).fill(-1);
  let last = -1;
  for (const i of graph.order) {
    const own = graph.elapsed(i, now);
    let longest = 0;
    graph.eachParent(i, (parent) => {
      if (total[parent] > longest) {
        longest = total[parent];
        before[i] = parent;
      }
    });
    total[i] = longest + own;
    if (own > 0 && (last < 0 || total[i] > total[last])) last = i;
  }
  const path = [];
  for (let i = last; i >= 0; i = before[i]) {
    if (graph.startedAt[i] !== null) path.push(i);
  }
  return path.reverse();
}
