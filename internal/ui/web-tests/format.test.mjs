import assert from 'node:assert/strict';
import test from 'node:test';

import { ago, duration, plural, progress, serviceNow, setClock } from '../web/format.js';

test('lengths of time', () => {
  for (const [seconds, text] of [[0, '0 s'], [1.24, '1.2 s'], [59.6, '60 s'], [119, '119 s'], [120, '2 min'], [754, '12 min'],
    [7200, '2 h'], [7260, '2 h 1 min'], [172799, '47 h 59 min'], [172800, '2 d'], [-3, '0 s'], [NaN, '–']]) {
    assert.equal(duration(seconds), text, String(seconds));
  }
});

test('progress and counts', () => {
  assert.equal(progress(0, 0, null), '–');
  assert.equal(progress(3, 0, 10), '3 of 10');
  assert.equal(progress(3, 2, null), '5, 2 failed');
  assert.equal(progress(0, 0, 1000), '0 of 1,000');
  assert.equal(plural(1, 'task'), '1 task');
  assert.equal(plural(1200, 'task'), '1,200 tasks');
});

test('ages are by the clock of the service', () => {
  const made = Date.now() + 3600e3;
  setClock(new Date(made + 120e3).toUTCString());
  assert.match(ago(made), /^(1[12]\d s|2 min) ago$/);
  setClock(null);
  setClock('nonsense');
  assert.ok(serviceNow() > made);
  setClock(new Date().toUTCString());
  assert.ok(serviceNow() < made);
});
