// @ts-check
// The picture of the graph on a canvas. It draws when something has changed and not otherwise; what it costs is bounded by
// what is in sight: many tasks become groups, what is dragged is copied (raster.js).

import { BoxPainter, describeBox } from './boxes.js';
import { Camera, between } from './camera.js';
import { el, setText } from './dom.js';
import { listen } from './gestures.js';
import { Groups } from './groups.js';
import { paintMarks } from './marks.js';
import { readPalette } from './palette.js';
import { graphPNG, graphSVG } from './picture.js';
import { Raster } from './raster.js';
import { TaskPainter } from './tasks.js';
import { describe, tip } from './tip.js';
import { step } from './walk.js';

/** @typedef {import('./model.js').Graph} Graph */

const GROUP_ABOVE = 2500; // tasks in sight
const UNGROUP_BELOW = 2000;
const REST_MS = 120;
const GLIDE_MS = 180;
const READABLE = 0.8;
const PAN_STEP = 60;

export class GraphView {
  #graph;
  #onOpen;
  #camera = new Camera();
  #raster = new Raster();
  #canvas = el('canvas', { class: 'graph-canvas', tabindex: '0', role: 'application', 'data-test': 'graph' });
  #ctx = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d', { alpha: false }));
  #says = el('p', { class: 'hidden', role: 'status', 'aria-live': 'polite' });
  #tip = tip();
  #stop = new AbortController();
  #resizing = new ResizeObserver(() => this.#resize());
  #calm = matchMedia('(prefers-reduced-motion: reduce)');

  #fitted = true; // nobody has moved it: another size or graph is fitted again
  #grouped = false;
  #critical = false;
  #hovered = -1;
  #moving = false;
  #frame = 0;
  #rest = 0;
  /** @type {{from: Place, to: Place, start: number}|null} */
  #glide = null;
  #stats = { frames: 0, lastFrameMs: 0 };

  /** @typedef {{scale: number, left: number, top: number}} Place */

  /** @param {HTMLElement} container @param {Graph} graph @param {{onOpen: (i: number) => void}} options */
  constructor(container, graph, { onOpen }) {
    this.#graph = graph;
    this.#onOpen = onOpen;
    this.root = el('div', { class: 'graph' }, this.#canvas, this.#tip.element, this.#says);
    container.append(this.root);
    this.#load();

    const { signal } = this.#stop;
    graph.addEventListener('change', (e) => this.#changed(/** @type {CustomEvent} */ (e).detail.indices), { signal });
    graph.addEventListener('filter', () => this.#redraw(), { signal });
    graph.addEventListener('select', () => this.#selected(), { signal });
    graph.addEventListener('replace', () => this.#replaced(), { signal });
    window.addEventListener('themechange', () => this.#recolour(), { signal });
    listen(this.#canvas, {
      pan: (dx, dy) => this.#move(() => this.#camera.panBy(dx, dy)),
      zoom: (factor, x, y) => this.#move(() => this.#camera.zoomAt(factor, x, y)),
      tap: (x, y) => this.#tap(x, y),
      hover: (x, y) => this.#hover(x, y),
      leave: () => this.#hover(-1, -1),
      drag: (dragging) => this.root.classList.toggle('dragging', dragging),
    }, signal);
    this.#canvas.addEventListener('keydown', (e) => this.#key(e), { signal });
    for (const type of ['focus', 'blur']) this.#canvas.addEventListener(type, () => this.#draw(), { signal });
    this.#resizing.observe(this.root);
    this.#resize();
  }

  destroy() {
    this.#stop.abort();
    this.#resizing.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#rest);
    this.root.remove();
  }

  /** All of the graph into sight. */
  fit() {
    this.#fitted = true;
    this.#glideTo((camera) => camera.fit());
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.#fitted = false;
    this.#glideTo((camera) => camera.zoomAt(factor, camera.width / 2, camera.height / 2));
  }

  /** A task into the middle, large enough to be read. @param {number} i */
  reveal(i) {
    if (i < 0 || i >= this.#graph.count) return;
    this.#fitted = false;
    this.#glideTo((camera) => camera.centerOn(this.#graph.x[i], this.#graph.y[i], Math.max(camera.scale, READABLE)));
  }

  /** Whether the critical path is marked. @param {boolean} on */
  setCritical(on) {
    this.#critical = on;
    this.#draw();
  }

  exportSVG() {
    return graphSVG(this.#graph, this.#palette, { critical: this.#critical });
  }

  exportPNG() {
    return graphPNG(this.#graph, this.#palette, { critical: this.#critical });
  }

  /** Frames drawn so far, how long the last one took, whether tasks are shown in groups, and where the camera is. */
  stats() {
    return { ...this.#stats, grouped: this.#grouped, ...this.#camera.place };
  }

  #load() {
    this.#palette = readPalette(this.root, this.#graph.statuses);
    this.#tasks = new TaskPainter(this.#graph, this.#palette);
    this.#groups = new Groups(this.#graph);
    this.#boxes = new BoxPainter(this.#graph, this.#groups, this.#palette);
    this.#camera.setWorld(this.#graph.width, this.#graph.height);
    this.#canvas.setAttribute('aria-label', `Graph of ${this.#graph.count} tasks. Arrow keys lead to parents, children and ` +
      'neighbours, Enter opens a task, plus and minus zoom, 0 shows all.');
  }

  #recolour() {
    this.#load();
    this.#redraw();
  }

  #replaced() {
    this.#hovered = -1;
    this.#load();
    if (this.#fitted) this.#camera.fit();
    this.#redraw();
  }

  /** @param {Int32Array|null} indices */
  #changed(indices) {
    if (!indices || this.#grouped) {
      this.#redraw();
    } else {
      this.#raster.patch((ctx, camera) => this.#tasks.paintTasks(ctx, camera, [...indices].filter((i) => this.#inSight(camera, i))));
      this.#draw();
    }
    this.#groupsStale = true;
    if (this.#hovered >= 0) this.#tip.text(describe(this.#graph, this.#hovered));
  }

  /** @param {Camera} camera @param {number} i */
  #inSight(camera, i) {
    const [x, y, far] = [camera.viewX(this.#graph.x[i]), camera.viewY(this.#graph.y[i]), 200 * camera.scale];
    return x > -far && y > -far && x < camera.width + far && y < camera.height + far;
  }

  #selected() {
    const i = this.#graph.selected;
    setText(this.#says, i < 0 ? 'No task is selected.' : describe(this.#graph, i).join(', '));
    this.#draw();
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.root;
    if (width === 0 || height === 0) return; // hidden
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#ratio = ratio;
    this.#raster.resize(width, height, ratio);
    this.#camera.setView(width, height);
    if (this.#fitted) this.#camera.fit();
    this.#paint(performance.now()); // at once: a canvas of another size is empty
  }

  // Moving.

  /** @param {() => void} change */
  #move(change) {
    this.#glide = null;
    this.#fitted = false;
    this.#tip.hide();
    change();
    this.#busy();
    this.#draw();
  }

  #busy() {
    this.#moving = true;
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => {
      this.#moving = false;
      this.#draw();
    }, REST_MS);
  }

  /** @param {(camera: Camera) => void} change */
  #glideTo(change) {
    this.#tip.hide(); // what it tells of moves away
    const from = this.#camera.place;
    if (this.#glide) this.#camera.place = this.#glide.to; // the next step starts where the last one leads
    change(this.#camera);
    if (!this.#calm.matches) {
      this.#glide = { from, to: this.#camera.place, start: performance.now() };
      this.#camera.place = from;
      this.#busy();
    }
    this.#draw();
  }

  // Pointing.

  /** @param {number} x @param {number} y */
  #tap(x, y) {
    this.#canvas.focus({ preventScroll: true });
    if (this.#grouped) {
      if (this.#boxes.at(this.#camera, x, y)) this.reveal(this.#tasks.nearest(this.#camera, x, y));
      return;
    }
    const i = this.#tasks.at(this.#camera, x, y);
    this.#graph.select(i);
    if (i >= 0) this.#onOpen(i);
  }

  /** @param {number} x @param {number} y */
  #hover(x, y) {
    const outside = x < 0 || this.#moving;
    const box = this.#grouped && !outside ? this.#boxes.at(this.#camera, x, y) : null;
    const i = outside || this.#grouped ? -1 : this.#tasks.at(this.#camera, x, y);
    if (box) this.#tip.show(describeBox(this.#graph, box), x, y, this.root);
    else if (i >= 0) this.#tip.show(describe(this.#graph, i), x, y, this.root);
    else this.#tip.hide();
    this.root.classList.toggle('pointing', i >= 0 || box !== null);
    if (i === this.#hovered) return;
    this.#hovered = i;
    this.#draw();
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const { selected } = this.#graph;
    if (e.key.startsWith('Arrow') && e.shiftKey) {
      const dx = e.key === 'ArrowLeft' ? PAN_STEP : e.key === 'ArrowRight' ? -PAN_STEP : 0;
      const dy = e.key === 'ArrowUp' ? PAN_STEP : e.key === 'ArrowDown' ? -PAN_STEP : 0;
      this.#move(() => this.#camera.panBy(dx, dy));
    } else if (e.key.startsWith('Arrow')) {
      const next = step(this.#graph, selected, /** @type {any} */ (e.key));
      this.#graph.select(next);
      if (next >= 0 && !this.#comfortable(next)) this.reveal(next);
    } else if (e.key === 'Enter' && selected >= 0) this.#onOpen(selected);
    else if (e.key === '+' || e.key === '=') this.zoomBy(1.4);
    else if (e.key === '-') this.zoomBy(1 / 1.4);
    else if (e.key === '0' || e.key === 'Home') this.fit();
    else return;
    e.preventDefault();
  }

  /** Whether a task is well in sight. @param {number} i */
  #comfortable(i) {
    const camera = this.#camera;
    const [x, y] = [camera.viewX(this.#graph.x[i]), camera.viewY(this.#graph.y[i])];
    const room = 100 * camera.scale;
    return !this.#grouped && camera.scale > 0.3 && x > room && y > room && x < camera.width - room && y < camera.height - room;
  }

  // Drawing.

  #redraw() {
    this.#groupsStale = true;
    this.#raster.invalidate();
    this.#draw();
  }

  #draw() {
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#paint(now));
  }

  /** @param {number} now */
  #paint(now) {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.root.clientWidth === 0) return;
    const before = performance.now();
    const camera = this.#camera;
    if (this.#glide) {
      const part = Math.min(1, Math.max(0, (now - this.#glide.start) / GLIDE_MS));
      camera.place = between(this.#glide.from, this.#glide.to, 1 - (1 - part) ** 3);
      if (part === 1) this.#glide = null;
      else this.#draw();
      this.#busy();
    }
    this.#group();
    const painter = this.#grouped ? this.#boxes : this.#tasks;
    const crisp = this.#raster.show(this.#ctx, camera, !this.#moving, (ctx, at, region) => painter.paint(ctx, at, region),
      this.#palette.background);
    this.#ctx.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    if (crisp || !this.#grouped) {
      paintMarks(this.#ctx, camera, this.#graph, this.#palette,
        { critical: this.#critical, selected: this.#graph.selected, hovered: this.#hovered, focused: document.activeElement === this.#canvas });
    }
    this.#stats.frames++;
    this.#stats.lastFrameMs = performance.now() - before;
  }

  /** Whether the tasks in sight are too many to be shown one by one. */
  #group() {
    const grouped = this.#graph.count > UNGROUP_BELOW &&
      this.#tasks.visible(this.#camera) > (this.#grouped ? UNGROUP_BELOW : GROUP_ABOVE);
    if (this.#groupsStale && grouped) {
      this.#groups.recount();
      this.#groupsStale = false;
    }
    if (grouped === this.#grouped) return;
    this.#grouped = grouped;
    this.#hovered = -1;
    this.#raster.invalidate();
  }

  #ratio = 1;
  #groupsStale = true;
  /** @type {import('./palette.js').Palette} */ #palette;
  /** @type {TaskPainter} */ #tasks;
  /** @type {Groups} */ #groups;
  /** @type {BoxPainter} */ #boxes;
}
