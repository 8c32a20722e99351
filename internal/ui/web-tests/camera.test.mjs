import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Camera, between } from '../web/camera.js';

function camera(world = { width: 4000, height: 1000 }, view = { width: 800, height: 600 }) {
  const c = new Camera();
  c.setWorld(world.width, world.height);
  c.setView(view.width, view.height);
  c.fit();
  return c;
}

const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);

test('all of the graph fits, in the middle, and a small one is not blown up', () => {
  const c = camera();
  assert.ok(c.viewX(0) >= 0 && c.viewX(4000) <= 800 && c.viewY(0) >= 0 && c.viewY(1000) <= 600);
  near((c.viewX(0) + c.viewX(4000)) / 2, 400);
  near((c.viewY(0) + c.viewY(1000)) / 2, 300);
  assert.ok(camera({ width: 160, height: 40 }).scale <= 1.2);
  assert.equal(camera({ width: 0, height: 0 }).scale, 1);
});

test('what is under the pointer stays there while it zooms', () => {
  const c = camera();
  const [x, y] = [c.worldX(300), c.worldY(310)];
  c.zoomAt(3, 300, 310);
  near(c.worldX(300), x);
  near(c.worldY(310), y);
});

test('it zooms only so far', () => {
  const c = camera();
  const fit = c.scale;
  c.zoomAt(1e9, 400, 300);
  assert.ok(c.scale <= 5);
  c.zoomAt(1e-9, 400, 300);
  near(c.scale, fit / 2);
});

test('the graph cannot be lost', () => {
  const c = camera();
  c.panBy(1e9, -1e9);
  assert.ok(c.viewX(0) < 800 && c.viewY(1000) > 0);
  c.panBy(-1e9, 1e9);
  assert.ok(c.viewX(4000) > 0 && c.viewY(0) < 600);
});

test('another size of the view keeps the middle', () => {
  const c = camera();
  const [x, y] = [c.worldX(400), c.worldY(300)];
  c.setView(500, 900);
  near(c.worldX(250), x);
  near(c.worldY(450), y);
});

test('on the way between two places a point that stays in both stays', () => {
  const c = camera();
  const from = c.place;
  const [x, y] = [c.worldX(200), c.worldY(300)];
  c.zoomAt(4, 200, 300);
  const to = c.place;
  c.place = between(from, to, 0.5);
  near(c.viewX(x), 200);
  near(c.viewY(y), 300);
  near(c.scale, from.scale * 2);
  assert.deepEqual(between(from, to, 0), from);
});
