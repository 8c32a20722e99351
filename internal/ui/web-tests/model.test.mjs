import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Graph } from '../web/model.js';
import { made, states } from './made.mjs';

const diamond = () => [
  { name: 'fetch', kind: 'io', status: 'Success', start: 1000, end: 3000 },
  { name: 'Left', status: 'Running', start: 3000, parents: ['fetch'] },
  { name: 'right', status: 'Failure', start: 3000, end: 4000, optional: ['fetch'] },
  { name: 'join', parents: ['Left'], optional: ['right'] },
];

/** What was dispatched while f ran. */
function events(graph, f) {
  const seen = [];
  const note = (e) => seen.push(e.detail?.indices ? [e.type, ...e.detail.indices] : [e.type]);
  const types = ['change', 'filter', 'select', 'replace'];
  types.forEach((t) => graph.addEventListener(t, note));
  f();
  types.forEach((t) => graph.removeEventListener(t, note));
  return seen;
}

test('tasks know their parents and children, and come after their parents', () => {
  const g = new Graph(made(diamond()));
  assert.equal(g.count, 4);
  assert.deepEqual(g.parents(3), [{ index: 1, required: true, link: 2 }, { index: 2, required: false, link: 3 }]);
  assert.deepEqual(g.children(0), [{ index: 1, required: true, link: 0 }, { index: 2, required: false, link: 1 }]);
  assert.deepEqual(g.parents(0), []);
  assert.equal(g.indexOf(g.ids[2]), 2);
  assert.equal(g.indexOf('another'), -1);
  assert.deepEqual([...g.order], [0, 1, 2, 3]);
  const backwards = new Graph(made([{ name: 'b', parents: ['a'] }, { name: 'a' }]));
  assert.deepEqual([...backwards.order], [1, 0]);
});

test('states change what they name, and say what changed', () => {
  const answer = made(diamond());
  const g = new Graph(answer);
  const seen = events(g, () => {
    assert.equal(g.apply(states(answer, [[0, {}], [1, { status: 'Success', end: 9000, success: 7 }]])), true);
  });
  assert.deepEqual(seen, [['change', 1]]);
  assert.equal(g.statusName(1), 'Success');
  assert.equal(g.success[1], 7);
  assert.equal(g.elapsed(1), 6000);
  assert.deepEqual([...g.counts()], [1, 0, 0, 0, 1, 2, 0, 0]);
  assert.deepEqual(events(g, () => g.apply(states(answer, [[0, {}]]))), []);
});

test('states of another structure are refused', () => {
  const answer = made(diamond());
  const g = new Graph(answer);
  assert.equal(g.apply({ ...states(answer, [[1, { status: 'Success' }]]), revision: 'r2' }), false);
  assert.equal(g.statusName(1), 'Running');
});

test('a filter is of text, statuses and kinds, and follows the states', () => {
  const answer = made(diamond());
  const g = new Graph(answer);
  const matching = () => [...g.ids.keys()].filter((i) => g.matches(i));
  assert.equal(g.matchCount, 4);
  assert.equal(g.filtering, false);
  assert.deepEqual(events(g, () => g.setFilter({ text: ' LEFT ' })), [['filter']]);
  assert.deepEqual(matching(), [1]);
  g.setFilter({ text: g.ids[3].slice(0, 8) });
  assert.deepEqual(matching(), [3]);
  g.setFilter({ kinds: new Set(['io']) });
  assert.deepEqual(matching(), [0]);
  g.setFilter({ statuses: new Set(['Running']) });
  assert.deepEqual(matching(), [1]);
  assert.deepEqual(events(g, () => g.apply(states(answer, [[1, { status: 'Success' }]]))), [['change', 1], ['filter']]);
  assert.equal(g.matchCount, 0);
  g.setFilter({});
  assert.equal(g.matchCount, 4);
});

test('selection and filter outlive another structure', () => {
  const g = new Graph(made(diamond()));
  assert.deepEqual(events(g, () => { g.select(2); g.select(2); }), [['select']]);
  g.setFilter({ text: 'right' });
  const [fetch, left, right, join] = diamond().map((t, i) => ({ ...t, id: g.ids[i] }));
  assert.deepEqual(events(g, () => g.replace({ ...made([right, fetch, left, join]), revision: 'r2' })), [['replace']]);
  assert.equal(g.selected, 0);
  assert.equal(g.names[g.selected], 'right');
  assert.equal(g.matchCount, 1);
  g.replace(made([{ ...fetch }]));
  assert.equal(g.selected, -1);
  assert.equal(g.matchCount, 0);
});

test('the time is that of the service', () => {
  const g = new Graph({ ...made(diamond()), now: 5000 });
  assert.ok(Math.abs(g.now() - 5000) < 1000);
  assert.ok(g.elapsed(1) >= 2000 && g.elapsed(1) < 3000);
  assert.equal(g.elapsed(3), 0);
});

test('an empty batch is a graph too', () => {
  const g = new Graph(made([]));
  assert.equal(g.count, 0);
  assert.deepEqual(g.criticalPath(), []);
  assert.equal(g.running, false);
});
