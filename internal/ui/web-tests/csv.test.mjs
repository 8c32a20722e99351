import assert from 'node:assert/strict';
import test from 'node:test';

import { cell } from '../web/csv.js';

test('a text never is a formula', () => {
  for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1', '＋1', '－1', '＠A']) {
    assert.match(cell(text), /^("?)'/, JSON.stringify(text));
  }
  assert.equal(cell('a=b'), 'a=b');
});

test('numbers stay numbers, and nothing is empty', () => {
  assert.equal(cell(-5), '-5');
  assert.equal(cell(0), '0');
  assert.equal(cell(null), '');
});

test('what separates cells and lines is quoted', () => {
  assert.equal(cell('a,b'), '"a,b"');
  assert.equal(cell('say "x"'), '"say ""x"""');
  assert.equal(cell('two\nlines'), '"two\nlines"');
  assert.equal(cell('=1,2'), `"'=1,2"`);
});
