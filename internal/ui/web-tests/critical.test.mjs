import assert from 'node:assert/strict';
import { test } from 'node:test';

import { criticalPath } from '../web/critical.js';
import { Graph } from '../web/model.js';
import { made, states } from './made.mjs';

const path = (tasks, now = 100) => {
  const g = new Graph(made(tasks));
  return criticalPath(g, now).map((i) => g.names[i]);
};

test('the longest chain by time, not by number of tasks', () => {
  assert.deepEqual(path([
    { name: 'a', start: 0, end: 10 },
    { name: 'b', start: 10, end: 60, parents: ['a'] },
    { name: 'c', start: 10, end: 20, parents: ['a'] },
    { name: 'd', start: 20, end: 30, parents: ['c'] },
    { name: 'e', start: 60, end: 65, parents: ['b', 'd'] },
  ]), ['a', 'b', 'e']);
});

test('a running task counts until now, one that has not started is left out', () => {
  assert.deepEqual(path([
    { name: 'a', start: 0, end: 10 },
    { name: 'short', start: 10, end: 50, parents: ['a'] },
    { name: 'running', start: 10, parents: ['a'] },
    { name: 'waits', parents: ['short', 'running'] },
  ]), ['a', 'running']);
});

test('a task that was never run does not cut the chain, nor is it part of it', () => {
  assert.deepEqual(path([
    { name: 'a', start: 0, end: 10 },
    { name: 'by hand', status: 'Success', parents: ['a'] },
    { name: 'c', start: 20, end: 30, parents: ['by hand'] },
  ]), ['a', 'c']);
});

test('optional links count like required ones', () => {
  assert.deepEqual(path([
    { name: 'a', start: 0, end: 10 },
    { name: 'b', start: 10, end: 20, optional: ['a'] },
  ]), ['a', 'b']);
});

test('nothing has started: no path', () => {
  assert.deepEqual(path([{ name: 'a' }, { name: 'b', parents: ['a'] }]), []);
});

test('a changed state makes another path', () => {
  const answer = made([{ name: 'a', start: 0, end: 10 }, { name: 'b', start: 0, end: 5 }]);
  const g = new Graph(answer);
  assert.deepEqual(g.criticalPath(), [0]);
  assert.equal(g.criticalPath(), g.criticalPath());
  g.apply(states(answer, [[1, { end: 50 }]]));
  assert.deepEqual(g.criticalPath(), [1]);
});
