import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Groups } from '../web/groups.js';
import { Graph } from '../web/model.js';
import { made, states } from './made.mjs';

/** Layers of tasks of two kinds, each task after one of the layer before. */
function layers(n, width, kinds = 2) {
  const tasks = [];
  for (let l = 0; l < n; l++) {
    for (let k = 0; k < width; k++) {
      tasks.push({ name: `${l}.${k}`, kind: `kind ${k % kinds}`, status: k === 0 ? 'Failure' : 'Success', parents: l ? [`${l - 1}.${k}`] : [] });
    }
  }
  return made(tasks);
}

test('one box for each layer and kind, with its states; links between boxes are counted', () => {
  const g = new Graph(layers(3, 10));
  const { boxes, bundles, boxOf } = new Groups(g).at(1);
  assert.equal(boxes.length, 6);
  assert.deepEqual(boxes.map((b) => b.total), Array(6).fill(5));
  const first = boxes[boxOf[0]];
  assert.deepEqual([first.kind, first.fromLayer, first.toLayer], ['kind 0', 0, 0]);
  assert.equal(first.counts[g.statuses.indexOf('Failure')], 1);
  assert.equal(first.counts[g.statuses.indexOf('Success')], 4);
  assert.deepEqual(bundles.map((b) => b.count), Array(4).fill(5));
});

test('boxes of a column do not overlap, and are tall enough to be seen at each scale', () => {
  const groups = new Groups(new Graph(layers(2, 40, 3)));
  for (const scale of [1, 0.1, 0.01]) {
    const { boxes, columns } = groups.at(scale);
    for (const column of columns) {
      column.boxes.forEach((b, k) => {
        assert.ok((boxes[b].y1 - boxes[b].y0) * scale > 17);
        if (k > 0) assert.ok(boxes[b].y0 > boxes[column.boxes[k - 1]].y1);
      });
    }
  }
});

test('neighbouring layers share a column where it would be too narrow', () => {
  const groups = new Groups(new Graph(layers(1000, 1, 1)));
  const { boxes } = groups.at(0.01);
  assert.ok(boxes.length < 125 && boxes.length > 20, `${boxes.length} boxes`);
  assert.equal(boxes.reduce((n, b) => n + b.total, 0), 1000);
  assert.equal(boxes[1].fromLayer, boxes[0].toLayer + 1);
  assert.equal(groups.at(1).boxes.length, 1000);
});

test('rare kinds share a box', () => {
  const { boxes } = new Groups(new Graph(layers(1, 40, 20))).at(1);
  assert.equal(boxes.length, 7);
  assert.equal(boxes.find((b) => b.kind === '14 other kinds').total, 28);
});

test('counts follow states and filter', () => {
  const answer = layers(1, 4, 1);
  const g = new Graph(answer);
  const groups = new Groups(g);
  const [box] = groups.at(1).boxes;
  g.apply(states(answer, [[1, { status: 'Failure' }]]));
  groups.recount();
  assert.equal(box.counts[g.statuses.indexOf('Failure')], 2);
  g.setFilter({ statuses: new Set(['Failure']) });
  groups.recount();
  assert.equal(box.counts.reduce((n, c) => n + c, 0), 2);
  assert.equal(box.total, 4);
});
