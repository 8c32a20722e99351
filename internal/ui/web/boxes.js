// @ts-check
// How the boxes of groups.js are drawn.

import { STATUSES } from './status.js';
import { fitting } from './tasks.js';

/** @typedef {import('./camera.js').Camera} Camera */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./palette.js').Palette} Palette */
/** @typedef {import('./raster.js').Region} Region */
/** @typedef {import('./groups.js').Groups} Groups */
/** @typedef {import('./groups.js').Box} Box */

const BUNDLES = 600; // the strongest ones are drawn
const SLIVER = 3; // pixels: one failure among thousands is seen
const LABEL = { height: 16, size: 11, width: 44, least: 40 }; // pixels

export class BoxPainter {
  #groups;
  #colours;
  /** @type {number[]} */
  #order; // of states within a box, as everywhere on the page

  /** @param {Graph} graph @param {Groups} groups @param {Palette} palette */
  constructor(graph, groups, palette) {
    this.#groups = groups;
    this.#colours = palette;
    this.#order = STATUSES.map((s) => graph.statuses.indexOf(s.name)).filter((k) => k >= 0);
  }

  /** The box at a place of the view, or null. @param {Camera} camera @param {number} vx @param {number} vy */
  at(camera, vx, vy) {
    const [x, y] = [camera.worldX(vx), camera.worldY(vy)];
    return this.#groups.at(camera.scale).boxes.find((b) => x >= b.x0 && x <= b.x1 && y >= b.y0 && y <= b.y1) ?? null;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {Region} region */
  paint(ctx, camera, region) {
    ctx.fillStyle = this.#colours.background;
    ctx.fillRect(region.x, region.y, region.width, region.height);
    const { boxes, bundles } = this.#groups.at(camera.scale);
    const [x0, x1] = [region.x, region.x + region.width];
    ctx.strokeStyle = this.#colours.linkThin;
    let drawn = 0;
    for (const { from, to, count } of bundles) {
      const [a, b] = [boxes[from], boxes[to]];
      const [ax, ay] = [camera.viewX(a.x1), camera.viewY((a.y0 + a.y1) / 2)];
      const [bx, by] = [camera.viewX(b.x0), camera.viewY((b.y0 + b.y1) / 2)];
      if (bx < x0 - 4 || ax > x1 + 4) continue;
      if (++drawn > BUNDLES) break;
      ctx.lineWidth = Math.min(8, 0.5 + Math.log2(1 + count) / 2);
      ctx.beginPath();
      ctx.moveTo(ax, ay);
      ctx.bezierCurveTo((ax + bx) / 2, ay, (ax + bx) / 2, by, bx, by);
      ctx.stroke();
    }
    for (const box of boxes) {
      if (camera.viewX(box.x1) < x0 - 2 || camera.viewX(box.x0) > x1 + 2) continue;
      this.#paintBox(ctx, camera, box);
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {Box} box */
  #paintBox(ctx, camera, box) {
    const [x, y] = [camera.viewX(box.x0), camera.viewY(box.y0)];
    const [width, height] = [(box.x1 - box.x0) * camera.scale, (box.y1 - box.y0) * camera.scale];
    const labelled = width >= LABEL.width && height >= LABEL.least;
    const top = labelled ? LABEL.height : 0;
    ctx.fillStyle = this.#colours.panel;
    ctx.fillRect(x, y, width, height);
    if (labelled) {
      ctx.fillStyle = this.#colours.text;
      ctx.font = `${LABEL.size}px ${this.#colours.font}`;
      ctx.textAlign = 'left';
      ctx.textBaseline = 'middle';
      const count = box.total.toLocaleString('en');
      const room = width - 12 - ctx.measureText(count).width;
      const kind = fitting(ctx, box.kind, room);
      if (kind === box.kind || kind.length > 3) ctx.fillText(kind, x + 4, y + LABEL.height / 2); // less says nothing
      ctx.textAlign = 'right';
      ctx.fillStyle = this.#colours.dim;
      ctx.fillText(count, x + width - 4, y + LABEL.height / 2);
    }
    let at = y + top;
    for (const [status, share] of this.#shares(box, height - top)) {
      ctx.fillStyle = this.#colours.status[status].fill;
      ctx.fillRect(x, at, width, share);
      at += share;
    }
    ctx.strokeStyle = this.#colours.control;
    ctx.lineWidth = 1;
    ctx.strokeRect(Math.round(x) + 0.5, Math.round(y) + 0.5, Math.round(width) - 1, Math.round(height) - 1);
  }

  /** How high each state is in a box; what does not match the filter stays empty. @param {Box} box @param {number} height @returns {[number, number][]} */
  #shares(box, height) {
    const present = this.#order.filter((k) => box.counts[k] > 0);
    const least = Math.min(SLIVER, height / Math.max(1, present.length));
    const sum = present.reduce((n, k) => n + Math.max(least, (height * box.counts[k]) / box.total), 0);
    const shrink = Math.min(1, height / sum);
    return present.map((k) => [k, Math.max(least, (height * box.counts[k]) / box.total) * shrink]);
  }
}

/** What a box is, in words. @param {Graph} graph @param {Box} box */
export function describeBox(graph, box) {
  const layers = box.fromLayer === box.toLayer ? `Layer ${box.fromLayer + 1}` : `Layers ${box.fromLayer + 1} to ${box.toLayer + 1}`;
  const states = STATUSES.map((s) => [s.name, box.counts[graph.statuses.indexOf(s.name)] ?? 0]).filter(([, n]) => n)
    .map(([name, n]) => `${n.toLocaleString('en')} ${name}`);
  return [`${box.kind}: ${box.total.toLocaleString('en')} tasks`, layers, ...states];
}
