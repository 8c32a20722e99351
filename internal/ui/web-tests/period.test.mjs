import assert from 'node:assert/strict';
import test from 'node:test';

import { marksOf, Period } from '../web/period.js';

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

test('an axis names moments that are told from each other, and at least one, however near or narrow it is', () => {
  const noon = new Date(2020, 4, 6, 12, 0, 0).getTime(); // of another day than today
  const texts = (/** @type {number} */ ms, width = 800, from = noon) => marksOf({ from, to: from + ms }, width).map((m) => m.text);
  assert.deepEqual(texts(200), ['12:00:00.000', '12:00:00.050', '12:00:00.100', '12:00:00.150']);
  assert.deepEqual(texts(1000).slice(0, 3), ['12:00:00.000', '12:00:00.200', '12:00:00.400']);
  assert.deepEqual(texts(4000, 800, noon + 300), ['12:00:01', '12:00:02', '12:00:03']);
  assert.deepEqual(texts(600e3).slice(0, 2), ['05-06 12:00', '05-06 12:02']);
  for (const width of [180, 250, 400, 800, 3000]) {
    for (let ms = 200; ms < 400 * 86400e3; ms *= 1.07) {
      for (const shift of [0, 0.3, 777, 59999.9]) {
        const span = { from: noon + shift, to: noon + shift + ms };
        const marks = marksOf(span, width);
        const about = `${ms} ms from ${shift} in ${width} px`;
        assert.ok(marks.length > 0 && marks.length < 10, about);
        const px = marks.map((m) => ((m.at - span.from) / ms) * width);
        const room = marks[0].text.includes('.') ? 105 : 85;
        assert.ok(px.every((x, k) => x >= 0 && (px[k + 1] ?? width) - x > room - 0.001), about);
        assert.equal(new Set(marks.map((m) => m.text)).size, marks.length, about);
      }
    }
  }
});
