import assert from 'node:assert/strict';
import test from 'node:test';

import { toCSV } from '../web/csv.js';
import { parseExact, sum, whole } from '../web/exact.js';
import { progress } from '../web/format.js';
import { Graph } from '../web/model.js';
import { made, states } from './made.mjs';

// Node knows of exact numbers from 21 on.
const known = 'rawJSON' in JSON;

test('what is written again is what was read', () => {
  const text = '{"__proto__":{"x":1},"constructor":"y","n":[1,-5,0.5,true,null,"1.0"]}';
  assert.equal(JSON.stringify(parseExact(text)), text);
  const numbers = '[12345678901234567890,-9007199254740993,1.0,0.30000000000000000001,{"id":9223372036854775807}]';
  assert.equal(JSON.stringify(parseExact(numbers)), known ? numbers : JSON.stringify(JSON.parse(numbers)));
});

test('common numbers are numbers', () => {
  assert.deepEqual(parseExact('[1,-2.5]'), [1, -2.5]);
  assert.throws(() => parseExact('[1'), SyntaxError);
});

test('counts are exact, and so are their sums', () => {
  assert.equal(whole(7), 7);
  assert.equal(whole('9223372036854775807'), 9223372036854775807n);
  if (known) assert.equal(whole(parseExact('{"n":9007199254740993}').n), 9007199254740993n);
  assert.equal(sum(2, 3), 5);
  assert.equal(sum(Number.MAX_SAFE_INTEGER, 2), 9007199254740993n);
  assert.equal(progress(9223372036854775807n, 1, 9007199254740993n), '9,223,372,036,854,775,808 of 9,007,199,254,740,993, 1 failed');
});

test('a graph keeps large counts, and tells changes of one', () => {
  const answer = made([{ name: 'a', success: '9007199254740993', failures: 0, expected: '9223372036854775807' }]);
  const graph = new Graph(answer);
  assert.match(toCSV(graph), /,9007199254740993,0,9223372036854775807,/);
  let changes = 0;
  graph.addEventListener('change', () => changes++);
  graph.apply(states(answer, [[0, {}]]));
  assert.equal(changes, 0);
  graph.apply(states(answer, [[0, { success: '9007199254740992' }]]));
  assert.equal(changes, 1);
  assert.equal(graph.success[0], 9007199254740992n);
});
