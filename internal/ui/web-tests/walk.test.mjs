import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Graph } from '../web/model.js';
import { step } from '../web/walk.js';
import { made } from './made.mjs';

test('arrow keys lead along the links and along the layer, and stop at the end', () => {
  const g = new Graph(made([
    { name: 'a' }, { name: 'b', parents: ['a'] }, { name: 'c', parents: ['a'] }, { name: 'd', parents: ['c'] },
  ]));
  const way = (name, key) => g.names[step(g, g.names.indexOf(name), key)];
  assert.equal(way('a', 'ArrowRight'), 'b');
  assert.equal(way('b', 'ArrowDown'), 'c');
  assert.equal(way('c', 'ArrowUp'), 'b');
  assert.equal(way('c', 'ArrowRight'), 'd');
  assert.equal(way('d', 'ArrowLeft'), 'c');
  for (const [name, key] of [['a', 'ArrowLeft'], ['d', 'ArrowRight'], ['b', 'ArrowUp'], ['c', 'ArrowDown']]) {
    assert.equal(way(name, key), name);
  }
  assert.equal(step(g, -1, 'ArrowUp'), 0);
  assert.equal(step(new Graph(made([])), -1, 'ArrowRight'), -1);
});
