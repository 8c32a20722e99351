// @ts-check
// The whole graph as a file: SVG with its own colours and texts, which needs nothing beside it, and PNG.

import { Camera } from './camera.js';
import { announce } from './dom.js';
import { paintMarks } from './marks.js';
import { FONTS, NODE, TaskPainter, fitting } from './tasks.js';

/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./palette.js').Palette} Palette */

const MARGIN = 24;
const SIDE = 16000; // pixels; browsers draw nothing at all beyond their limits,
const AREA = 40e6; // and a picture of this size takes 160 MB
const SHARPER = 2; // than the screen, while it fits

/**
 * @param {Graph} graph @param {Palette} colours
 * @param {{critical: boolean, shorten?: (text: string, where: keyof FONTS) => string}} options
 */
export function graphSVG(graph, colours, { critical, shorten = measured(colours) }) {
  const [width, height] = [graph.width + 2 * MARGIN, graph.height + 2 * MARGIN];
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-MARGIN} ${-MARGIN} ${width} ${height}" width="${width}" height="${height}" ` +
      `font-family="${escape(colours.font)}" font-size="${FONTS.near.size}">`,
    `<title>${escape(graph.batchName ?? graph.batchId)}</title>`,
    `<rect x="${-MARGIN}" y="${-MARGIN}" width="${width}" height="${height}" fill="${colours.background}"/>`,
    `<g fill="none" stroke="${colours.link}" stroke-width="1.5">`,
  ];
  for (let k = 0; k < graph.linkParent.length; k++) {
    const dash = graph.linkRequired[k] ? '' : ' stroke-dasharray="6 5"';
    if (graph.ways.cut[k]) {
      out.push(endsSVG(graph, k, dash));
    } else {
      const way = pathData();
      graph.ways.eachCurve(k, way.trace);
      out.push(`<path d="${way.d}"${dash}/>`);
    }
  }
  out.push('</g>');
  const path = critical ? graph.criticalPath() : [];
  if (path.length > 1) {
    const way = pathData();
    for (let k = 1; k < path.length; k++) graph.eachCurveBetween(path[k - 1], path[k], way.trace);
    out.push(`<path d="${way.d}" fill="none" stroke="${colours.text}" stroke-width="3.5"/>`);
  }
  const marked = new Set(path);
  for (let i = 0; i < graph.count; i++) out.push(taskSVG(graph, colours, i, marked.has(i), shorten));
  out.push('</svg>');
  return out.join('\n');
}

/** @param {Graph} graph @param {Palette} colours @param {number} i @param {boolean} marked @param {(text: string, where: keyof FONTS) => string} shorten */
function taskSVG(graph, colours, i, marked, shorten) {
  const status = colours.status[graph.status[i]];
  const { width, height, radius, sign } = NODE;
  const [x, y] = [graph.x[i] - width / 2, graph.y[i] - height / 2];
  const text = (/** @type {number} */ tx, /** @type {number} */ ty, /** @type {string} */ attributes, /** @type {string} */ content) =>
    `<text x="${tx}" y="${ty}" ${attributes}>${escape(content)}</text>`;
  return `<g transform="translate(${x} ${y})"><title>${escape(`${graph.names[i]}: ${graph.statusName(i)}`)}</title>` +
    `<rect width="${width}" height="${height}" rx="${radius}" fill="${colours.panel}"/>` +
    `<path d="M${sign} 0V${height}H${radius}A${radius} ${radius} 0 0 1 0 ${height - radius}V${radius}A${radius} ${radius} 0 0 1 ${radius} 0Z" fill="${status.fill}"/>` +
    `<rect width="${width}" height="${height}" rx="${radius}" fill="none" stroke="${marked ? colours.text : status.edge}" stroke-width="${marked ? 3.5 : 1}"/>` +
    text(sign / 2, 25, `text-anchor="middle" font-weight="bold" font-size="15" fill="${status.ink}"`, status.glyph) +
    text(sign + 8, 18.5, `fill="${colours.text}"`, shorten(graph.names[i], 'near')) +
    text(sign + 8, 31, `font-size="${FONTS.kind.size}" fill="${colours.dim}"`, shorten(graph.kindName(i), 'kind')) + '</g>';
}

/** The data of a path: what trace() of it was called with. */
function pathData() {
  let [d, x, y] = ['', NaN, NaN];
  return {
    trace(/** @type {number} */ x0, /** @type {number} */ y0, /** @type {number} */ x1, /** @type {number} */ y1) {
      const middle = (x0 + x1) / 2;
      if (x0 !== x || y0 !== y) d += `M${x0} ${y0}`;
      d += y0 === y1 ? `H${x1}` : `C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`;
      [x, y] = [x1, y1];
    },
    get d() { return d; },
  };
}

/** The ends of a link, which tell whose they are when a pointer rests there. @param {Graph} graph @param {number} link @param {string} dash */
function endsSVG(graph, link, dash) {
  let d = '';
  graph.ways.eachEnd(link, (x0, y0, x1, y1) => { d += `M${x0} ${y0}Q${(x0 + x1) / 2} ${y0} ${x1} ${y1}`; });
  const [a, b] = [graph.names[graph.linkParent[link]], graph.names[graph.linkChild[link]]];
  return `<path d="${d}"${dash}><title>${escape(`${a} → ${b}`)}</title></path>`;
}

/** Text for XML, which has no place for most control characters and for halves of characters. @param {string} text */
function escape(text) {
  const names = /** @type {Record<string, string>} */ ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' });
  return text.replace(/[&<>"']/g, (c) => names[c])
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '\ufffd');
}

/** @param {Palette} colours */
function measured(colours) {
  const ctx = context(1, 1);
  return (/** @type {string} */ text, /** @type {keyof FONTS} */ where) => {
    ctx.font = `${FONTS[where].size}px ${colours.font}`;
    return fitting(ctx, text, FONTS[where].room);
  };
}

/** Smaller than it could be read if the graph is too large, which it says. @param {Graph} graph @param {Palette} colours @param {{critical: boolean}} options @returns {Promise<Blob>} */
export async function graphPNG(graph, colours, { critical }) {
  const [width, height] = [graph.width + 2 * MARGIN, graph.height + 2 * MARGIN];
  const scale = Math.min(SHARPER, SIDE / width, SIDE / height, Math.sqrt(AREA / (width * height)));
  const ctx = context(Math.ceil(width * scale), Math.ceil(height * scale));
  const camera = new Camera();
  camera.setView(ctx.canvas.width, ctx.canvas.height);
  camera.place = { scale, left: MARGIN * scale, top: MARGIN * scale };
  const tasks = new TaskPainter(graph, colours);
  tasks.paint(ctx, camera, { x: 0, y: 0, width: camera.width, height: camera.height });
  paintMarks(ctx, camera, graph, colours, { critical, selected: -1, hovered: -1, focused: false });
  const blob = await new Promise((done) => ctx.canvas.toBlob(done, 'image/png'));
  if (!blob) throw new Error('The browser could not make a picture of this size. The SVG has all of it.');
  if (scale < 1) {
    announce(`The graph is too large for a PNG in full size: this one is at ${Math.max(1, Math.round(scale * 100))} %. The SVG has all of it.`);
  }
  return blob;
}

/** @param {number} width @param {number} height */
function context(width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
}
