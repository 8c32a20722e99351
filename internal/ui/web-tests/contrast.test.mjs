import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { STATUSES } from '../web/status.js';

const css = readFileSync(new URL('../web/app.css', import.meta.url), 'utf8');

/** The colours that a rule sets. */
function colours(selector) {
  const start = css.indexOf(`\n${selector} {`);
  assert.ok(start >= 0, selector);
  return Object.fromEntries([...css.slice(start, css.indexOf('}', start)).matchAll(/(--[\w-]+):\s*(#[0-9a-f]{6})/g)].map((m) => [m[1], m[2]]));
}

/** WCAG 2.1, relative luminance and contrast ratio. */
function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const light = colours(':root');
for (const [theme, palette] of Object.entries({ light, dark: { ...light, ...colours(':root[data-theme="dark"]') } })) {
  test(`contrast in the ${theme} theme`, () => {
    const check = (front, back, least) => {
      assert.ok(palette[front] && palette[back], `${front}, ${back}`);
      const ratio = contrast(palette[front], palette[back]);
      assert.ok(ratio >= least, `${front} on ${back}: ${ratio.toFixed(2)}, not ${least}`);
    };
    for (const { cssVar } of STATUSES) {
      check(`${cssVar}-ink`, cssVar, 4.5);
      for (const back of ['--bg', '--panel']) check(`${cssVar}-edge`, back, 3);
    }
    for (const back of ['--bg', '--panel', '--hover']) {
      for (const text of ['--text', '--dim', '--link', '--bad']) check(text, back, 4.5);
      for (const line of ['--focus', '--control']) check(line, back, 3);
    }
    for (const [text, back] of [['--primary-ink', '--primary'], ['--danger-ink', '--danger'], ['--bad', '--bad-bg'], ['--text', '--bad-bg'],
      ['--link', '--bad-bg'], ['--text', '--chip'], ['--toast-ink', '--toast']]) check(text, back, 4.5);
  });
}

test('no two states have the same glyph', () => {
  assert.equal(new Set(STATUSES.map((s) => s.glyph)).size, STATUSES.length);
});
