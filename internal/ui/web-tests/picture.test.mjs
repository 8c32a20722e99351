import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Graph } from '../web/model.js';
import { graphSVG } from '../web/picture.js';
import { STATUSES, made } from './made.mjs';

const colours = {
  background: '#fff', panel: '#eee', text: '#000', dim: '#555', link: '#999', font: '"Segoe UI", sans-serif',
  status: STATUSES.map(() => ({ fill: '#123', ink: '#fff', edge: '#456', glyph: '✓' })),
};
const svg = (tasks, critical = false) => graphSVG(new Graph(made(tasks)), colours, { critical, shorten: (text) => text });

test('what a task is called stays text', () => {
  const text = svg([{ name: `<img onerror="x" src='y'>&\u0001\ud800` }]);
  assert.ok(text.includes('&lt;img onerror=&quot;x&quot; src=&#39;y&#39;&gt;&amp;\ufffd\ufffd'));
  assert.ok(!text.includes('<img'));
  assert.ok(text.includes('font-family="&quot;Segoe UI&quot;, sans-serif"'));
});

test('every task and link is drawn, optional links dashed, the critical path if it is wanted', () => {
  const tasks = [{ name: 'a', start: 0, end: 9 }, { name: 'b', start: 9, end: 10, parents: ['a'] }, { name: 'c', optional: ['a'] }];
  assert.equal(svg(tasks).match(/<g transform/g).length, 3);
  assert.equal(svg(tasks).match(/stroke-dasharray/g).length, 1);
  assert.equal(svg(tasks).match(/stroke-width="3.5"/g), null);
  assert.equal(svg(tasks, true).match(/stroke-width="3.5"/g).length, 3);
});
