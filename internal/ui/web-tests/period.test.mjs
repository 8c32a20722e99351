import assert from 'node:assert/strict';
import test from 'node:test';

import { Period } from '../web/period.js';

test('the moment under the pointer stays, and no time is shown that the batch has not', () => {
  const all = { from: 1000, to: 101000 };
  const period = new Period();
  assert.deepEqual(period.of(all), all);
  period.zoom(all, 10, 0.5);
  assert.deepEqual(period.of(all), { from: 46000, to: 56000 });
  period.pan(all, 0.5);
  assert.deepEqual(period.of(all), { from: 51000, to: 61000 });
  period.pan(all, 100);
  assert.deepEqual(period.of(all), { from: 91000, to: 101000 });
  period.zoom(all, 1e9, 0);
  assert.equal(period.of(all).to - period.of(all).from, 200);
  period.zoom(all, 1e-9, 0.3);
  assert.deepEqual(period.of(all), all);
  period.zoom(all, 2, 0);
  period.fit();
  assert.deepEqual(period.of(all), all);
});
