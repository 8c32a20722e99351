// @ts-check
// How tasks and the links between them are drawn: with name, kind and progress from near, with the name from farther away,
// as coloured boxes from far away. Everything drawn is opaque, so that a task can be drawn over its former state.

/** @typedef {import('./camera.js').Camera} Camera */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./palette.js').Palette} Palette */
/** @typedef {import('./palette.js').Colours} Colours */
/** @typedef {import('./raster.js').Region} Region */

export const NODE = { width: 160, height: 40, radius: 7, sign: 28 };

const NEAR = 0.7; // from this scale on all is written
const NAMED = 0.34; // from this scale on names are; below it links are hairlines
const DASHED = 2000; // so many optional hairlines are dashed; more take too long to draw

// From far away the long links that are cut from near are lines again, so that one sees how much is linked: so many of them.
const FAR_LINKS = 5000;

/** Sizes of letters in units of the graph, and what fits beside them. */
export const FONTS = {
  near: { size: 13, room: NODE.width - NODE.sign - 16 }, far: { size: 19, room: NODE.width - 20 },
  kind: { size: 10, room: NODE.width - NODE.sign - 16 }, kindCounted: { size: 10, room: 56 },
};

export class TaskPainter {
  #graph;
  #colours;
  /** Texts that fit, by what they are cut from. @type {Record<keyof FONTS, Map<string, string>>} */
  #short = { near: new Map(), far: new Map(), kind: new Map(), kindCounted: new Map() };

  /** @param {Graph} graph @param {Palette} palette */
  constructor(graph, palette) {
    this.#graph = graph;
    this.#colours = palette;
  }

  /** How many tasks are in sight. @param {Camera} camera */
  visible(camera) {
    const { count, x, y } = this.#graph;
    const box = worldBox(camera, { x: 0, y: 0, width: camera.width, height: camera.height });
    let n = 0;
    for (let i = 0; i < count; i++) if (x[i] > box.x0 && x[i] < box.x1 && y[i] > box.y0 && y[i] < box.y1) n++;
    return n;
  }

  /** The task that is nearest to a place of the view. @param {Camera} camera @param {number} vx @param {number} vy */
  nearest(camera, vx, vy) {
    const { count, x, y } = this.#graph;
    const [wx, wy] = [camera.worldX(vx), camera.worldY(vy)];
    let [best, least] = [-1, Infinity];
    for (let i = 0; i < count; i++) {
      const far = Math.hypot(x[i] - wx, y[i] - wy);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  /** The task at a place of the view, or -1. @param {Camera} camera @param {number} vx @param {number} vy */
  at(camera, vx, vy) {
    const { count, x, y } = this.#graph;
    const [wx, wy] = [camera.worldX(vx), camera.worldY(vy)];
    const slack = 3 / camera.scale; // small boxes are hard to hit
    for (let i = count - 1; i >= 0; i--) {
      if (Math.abs(x[i] - wx) <= NODE.width / 2 + slack && Math.abs(y[i] - wy) <= NODE.height / 2 + slack) return i;
    }
    return -1;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {Region} region */
  paint(ctx, camera, region) {
    ctx.fillStyle = this.#colours.background;
    ctx.fillRect(region.x, region.y, region.width, region.height);
    const box = worldBox(camera, region);
    this.#paintLinks(ctx, camera, box);
    const { count, x, y } = this.#graph;
    const inSight = [];
    for (let i = 0; i < count; i++) if (x[i] > box.x0 && x[i] < box.x1 && y[i] > box.y0 && y[i] < box.y1) inSight.push(i);
    this.paintTasks(ctx, camera, inSight);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {Iterable<number>} tasks */
  paintTasks(ctx, camera, tasks) {
    if (camera.scale >= NAMED) {
      for (const i of tasks) this.#paintTask(ctx, camera, i);
      return;
    }
    const { status, statuses } = this.#graph;
    /** @type {number[][]} by status, then the faded ones by status */
    const alike = Array.from({ length: 2 * statuses.length }, () => []);
    for (const i of tasks) alike[status[i] + (this.#graph.matches(i) ? 0 : statuses.length)].push(i);
    const { x, y } = this.#graph;
    const width = NODE.width * camera.scale;
    const height = Math.max(1.5, NODE.height * camera.scale);
    alike.forEach((some, k) => {
      const colours = this.#colours.status[k % statuses.length];
      ctx.fillStyle = (k < statuses.length ? colours : colours.faded).fill;
      for (const i of some) ctx.fillRect(camera.viewX(x[i]) - width / 2, camera.viewY(y[i]) - height / 2, width, height);
    });
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {WorldBox} box */
  #paintLinks(ctx, camera, box) {
    const { linkParent, linkChild, linkRequired, x, ways } = this.#graph;
    const thin = camera.scale < NAMED;
    const step = Math.ceil(ways.cuts / FAR_LINKS);
    let far = 0;
    /** @type {number[][]} optional and faded, required and faded, optional, required */
    const alike = [[], [], [], []];
    for (let k = 0; k < linkParent.length; k++) {
      const [a, b] = [linkParent[k], linkChild[k]];
      if (thin && ways.cut[k] && far++ % step > 0) continue;
      if (x[b] < box.x0 || x[a] > box.x1 || ways.bottom[k] < box.y0 || ways.top[k] > box.y1) continue;
      alike[linkRequired[k] + (this.#graph.matches(a) && this.#graph.matches(b) ? 2 : 0)].push(k);
    }
    alike.forEach((some, style) => {
      if (some.length === 0) return;
      ctx.strokeStyle = style < 2 ? this.#colours.linkFaded : thin ? this.#colours.linkThin : this.#colours.link;
      ctx.lineWidth = thin ? 1 / ctx.getTransform().a : Math.max(1, 1.5 * camera.scale);
      const dashed = style % 2 === 0 && (!thin || some.length <= DASHED);
      ctx.setLineDash(dashed ? [Math.max(3, 6 * camera.scale), Math.max(2.5, 5 * camera.scale)] : []);
      ctx.beginPath();
      const trace = tracer(ctx, camera);
      for (const k of some) {
        if (!ways.cut[k]) ways.eachCurve(k, trace);
        else if (thin) this.#traceStraight(ctx, camera, k);
        else this.#traceEnds(ctx, camera, k, box);
      }
      ctx.stroke();
    });
    ctx.setLineDash([]);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {number} link */
  #traceStraight(ctx, camera, link) {
    const { linkParent, linkChild, x, y } = this.#graph;
    const [a, b] = [linkParent[link], linkChild[link]];
    ctx.moveTo(camera.viewX(x[a] + NODE.width / 2), camera.viewY(y[a]));
    ctx.lineTo(camera.viewX(x[b] - NODE.width / 2), camera.viewY(y[b]));
  }

  /** How a link leaves its parent and reaches its child. @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {number} link @param {WorldBox} box */
  #traceEnds(ctx, camera, link, box) {
    this.#graph.ways.eachEnd(link, (x0, y0, x1, y1) => {
      if (x0 < box.x0 || x0 > box.x1 || y0 < box.y0 || y0 > box.y1) return;
      ctx.moveTo(camera.viewX(x0), camera.viewY(y0));
      ctx.quadraticCurveTo(camera.viewX((x0 + x1) / 2), camera.viewY(y0), camera.viewX(x1), camera.viewY(y1));
    });
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {number} i */
  #paintTask(ctx, camera, i) {
    const graph = this.#graph;
    const s = camera.scale;
    const near = s >= NEAR;
    const status = this.#colours.status[graph.status[i]];
    const shown = graph.matches(i);
    const colours = shown ? status : status.faded;
    const [left, top] = [camera.viewX(graph.x[i] - NODE.width / 2), camera.viewY(graph.y[i] - NODE.height / 2)];
    const [width, height] = [NODE.width * s, NODE.height * s];
    const sign = near ? NODE.sign * s : width;

    ctx.beginPath();
    ctx.roundRect(left, top, width, height, NODE.radius * s);
    ctx.fillStyle = near ? this.#colours.panel : colours.fill;
    ctx.fill();
    if (near) {
      ctx.fillStyle = colours.fill;
      ctx.beginPath();
      ctx.roundRect(left, top, sign, height, [NODE.radius * s, 0, 0, NODE.radius * s]);
      ctx.fill();
    }
    ctx.strokeStyle = colours.edge;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.roundRect(left, top, width, height, NODE.radius * s);
    ctx.stroke();

    ctx.textBaseline = 'middle';
    const name = this.#shorten(ctx, graph.names[i], near ? 'near' : 'far');
    if (!near) {
      ctx.textAlign = 'center';
      ctx.fillStyle = colours.ink;
      ctx.font = `${FONTS.far.size * s}px ${this.#colours.font}`;
      ctx.fillText(name, left + width / 2, top + height / 2);
      return;
    }
    ctx.textAlign = 'center';
    ctx.fillStyle = colours.ink;
    ctx.font = `bold ${15 * s}px ${this.#colours.font}`;
    ctx.fillText(status.glyph, left + sign / 2, top + height / 2);
    ctx.textAlign = 'left';
    ctx.fillStyle = shown ? this.#colours.text : this.#colours.textFaded;
    ctx.font = `${FONTS.near.size * s}px ${this.#colours.font}`;
    ctx.fillText(name, left + sign + 8 * s, top + 14 * s);
    ctx.fillStyle = shown ? this.#colours.dim : this.#colours.dimFaded;
    ctx.font = `${10 * s}px ${this.#colours.font}`;
    const counted = this.#counted(i);
    ctx.fillText(this.#shorten(ctx, graph.kindName(i), counted ? 'kindCounted' : 'kind'), left + sign + 8 * s, top + 27.5 * s);
    if (counted) {
      ctx.textAlign = 'right';
      ctx.fillText(counted, left + width - 8 * s, top + 27.5 * s);
    }
    this.#paintProgress(ctx, i, left + sign + 8 * s, top + 34 * s, width - sign - 16 * s, 3 * s);
  }

  /** Progress as text, where it is counted. @param {number} i */
  #counted(i) {
    const { success, failures, expected } = this.#graph;
    const done = Number(success[i]) + Number(failures[i]);
    if (expected[i] === null) return done > 0 ? brief(done) : '';
    return `${brief(done)} / ${brief(Number(expected[i]))}`;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} i @param {number} x @param {number} y @param {number} width @param {number} height */
  #paintProgress(ctx, i, x, y, width, height) {
    const graph = this.#graph;
    const expected = Number(graph.expected[i]);
    if (!expected || !graph.matches(i)) return;
    const failed = Math.min(1, Number(graph.failures[i]) / expected);
    const done = Math.min(1 - failed, Number(graph.success[i]) / expected);
    ctx.fillStyle = this.#colours.line;
    ctx.fillRect(x, y, width, height);
    ctx.fillStyle = this.#colour('Success').edge;
    ctx.fillRect(x, y, width * done, height);
    ctx.fillStyle = this.#colour('Failure').edge;
    ctx.fillRect(x + width * done, y, width * failed, height);
  }

  /** @param {string} status */
  #colour(status) {
    return this.#colours.status[Math.max(0, this.#graph.statuses.indexOf(status))];
  }

  /** A text that fits, measured once. @param {CanvasRenderingContext2D} ctx @param {string} text @param {keyof FONTS} where */
  #shorten(ctx, text, where) {
    let short = this.#short[where].get(text);
    if (short === undefined) {
      const before = ctx.font;
      ctx.font = `${FONTS[where].size}px ${this.#colours.font}`;
      short = fitting(ctx, text, FONTS[where].room);
      ctx.font = before;
      this.#short[where].set(text, short);
    }
    return short;
  }
}

/** Traces curves of links; one that begins where the last one ended goes on. @param {CanvasRenderingContext2D} ctx @param {Camera} camera */
export function tracer(ctx, camera) {
  let [x, y] = [NaN, NaN];
  return (/** @type {number} */ x0, /** @type {number} */ y0, /** @type {number} */ x1, /** @type {number} */ y1) => {
    const [ax, ay, bx, by] = [camera.viewX(x0), camera.viewY(y0), camera.viewX(x1), camera.viewY(y1)];
    if (x0 !== x || y0 !== y) ctx.moveTo(ax, ay);
    if (y0 === y1) ctx.lineTo(bx, by);
    else ctx.bezierCurveTo((ax + bx) / 2, ay, (ax + bx) / 2, by, bx, by);
    [x, y] = [x1, y1];
  };
}

const numbers = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** @param {number} n */
function brief(n) {
  return n < 10000 ? String(n) : numbers.format(n);
}

/** The beginning of a text that fits into a width, with an ellipsis. @param {CanvasRenderingContext2D} ctx @param {string} text @param {number} width */
export function fitting(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  const letters = Array.from(text);
  let [fits, not] = [0, letters.length];
  while (not - fits > 1) {
    const half = (fits + not) >> 1;
    if (ctx.measureText(letters.slice(0, half).join('') + '…').width <= width) fits = half;
    else not = half;
  }
  return letters.slice(0, fits).join('').trimEnd() + '…';
}

/** @typedef {{x0: number, y0: number, x1: number, y1: number}} WorldBox */

/** The part of the graph of which something is in a region. @param {Camera} camera @param {Region} region @returns {WorldBox} */
function worldBox(camera, region) {
  const [mx, my] = [NODE.width / 2 + 4 / camera.scale, NODE.height / 2 + 4 / camera.scale];
  return {
    x0: camera.worldX(region.x) - mx, x1: camera.worldX(region.x + region.width) + mx,
    y0: camera.worldY(region.y) - my, y1: camera.worldY(region.y + region.height) + my,
  };
}
