import assert from 'node:assert/strict';
import test from 'node:test';

import { parseExact } from '../web/exact.js';

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
