// @ts-check
// What is drawn over the picture of the graph in each frame: the critical path, the selected task with its parents and
// children, and the task under the pointer.

import { NODE, tracer } from './tasks.js';

/** @typedef {import('./camera.js').Camera} Camera */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./palette.js').Palette} Palette */

const NEIGHBOURS = 400; // of a task are marked; more are no help

/**
 * @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {Graph} graph @param {Palette} colours
 * @param {{critical: boolean, selected: number, hovered: number, focused: boolean}} marks
 */
export function paintMarks(ctx, camera, graph, colours, { critical, selected, hovered, focused }) {
  ctx.lineJoin = 'round';
  const trace = tracer(ctx, camera);
  const from = Math.max(1, Math.min(2, 2.5 * camera.scale));
  if (critical) {
    const path = graph.criticalPath();
    ctx.strokeStyle = colours.text;
    ctx.lineWidth = 1.6 * from;
    ctx.beginPath();
    for (let k = 1; k < path.length; k++) graph.eachCurveBetween(path[k - 1], path[k], trace);
    ctx.stroke();
    for (const i of path) outline(ctx, camera, graph, i, 0);
  }
  if (selected >= 0) {
    ctx.strokeStyle = colours.focus;
    ctx.lineWidth = from;
    const parents = graph.parents(selected).slice(0, NEIGHBOURS);
    const children = graph.children(selected).slice(0, NEIGHBOURS);
    for (const required of [true, false]) {
      ctx.setLineDash(required ? [] : [6, 4]);
      ctx.beginPath();
      for (const p of parents) if (p.required === required) graph.ways.eachCurve(p.link, trace);
      for (const c of children) if (c.required === required) graph.ways.eachCurve(c.link, trace);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    for (const { index } of parents) outline(ctx, camera, graph, index, 1);
    for (const { index } of children) outline(ctx, camera, graph, index, 1);
    ctx.lineWidth = focused ? 3 : 2;
    outline(ctx, camera, graph, selected, 3);
  }
  if (hovered >= 0 && hovered !== selected) {
    ctx.strokeStyle = colours.text;
    ctx.lineWidth = 1.5;
    outline(ctx, camera, graph, hovered, 1);
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {Graph} graph @param {number} i @param {number} beyond */
function outline(ctx, camera, graph, i, beyond) {
  const width = Math.max(4, NODE.width * camera.scale) + 2 * beyond;
  const height = Math.max(4, NODE.height * camera.scale) + 2 * beyond;
  const [x, y] = [camera.viewX(graph.x[i]) - width / 2, camera.viewY(graph.y[i]) - height / 2];
  if (x > camera.width || y > camera.height || x + width < 0 || y + height < 0) return;
  ctx.beginPath();
  ctx.roundRect(x, y, width, height, NODE.radius * camera.scale + beyond);
  ctx.stroke();
}
