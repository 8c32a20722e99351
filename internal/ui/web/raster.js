// @ts-check
// A picture that is drawn once and moved often. What is dragged is copied, and only the strips that come into sight are drawn;
// while a large picture is zoomed, its last state is stretched until the hand rests.

import { Camera } from './camera.js';

/** @typedef {{x: number, y: number, width: number, height: number}} Region in CSS pixels of the view */
/** @typedef {(ctx: CanvasRenderingContext2D, camera: Camera, region: Region) => void} Paint */

const SLOW_MS = 14; // a picture that takes longer than this is stretched rather than drawn in each frame of a zoom

export class Raster {
  #canvas = document.createElement('canvas');
  #ctx = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d', { alpha: false }));
  #ratio = 1;
  #camera = new Camera(); // of the picture, on whole device pixels
  #drawn = false;
  #valid = false;
  #cost = 0;

  /** @param {number} width @param {number} height in CSS pixels @param {number} ratio of device pixels to them */
  resize(width, height, ratio) {
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = Math.max(1, Math.round(height * ratio));
    this.#ratio = ratio;
    this.#valid = this.#drawn = false;
    this.#camera.setView(width, height);
  }

  /** All of it has to be drawn again. */
  invalidate() {
    this.#valid = false;
  }

  /**
   * Brings the picture to the camera and copies it to target. False if it is only a stretched one.
   * @param {CanvasRenderingContext2D} target @param {Camera} camera @param {boolean} resting no hand moves it
   * @param {Paint} paint @param {string} background
   */
  show(target, camera, resting, paint, background) {
    const snap = (/** @type {number} */ n) => Math.round(n * this.#ratio) / this.#ratio;
    const place = { scale: camera.scale, left: snap(camera.left), top: snap(camera.top) };
    const zoomed = place.scale !== this.#camera.scale;
    if (zoomed && !resting && this.#cost > SLOW_MS && this.#drawn) {
      this.#stretch(target, place, background);
      return false;
    }
    if (!this.#valid || zoomed) this.#drawAll(place, paint);
    else this.#scroll(place, paint);
    target.setTransform(1, 0, 0, 1, 0, 0);
    target.drawImage(this.#canvas, 0, 0);
    return true;
  }

  /** Draws something over the picture, if there is one. @param {Paint} paint */
  patch(paint) {
    if (this.#valid) this.#with({ x: 0, y: 0, ...this.#size() }, paint);
  }

  /** @typedef {{scale: number, left: number, top: number}} Place */

  /** @param {Place} place @param {Paint} paint */
  #drawAll(place, paint) {
    const before = performance.now();
    this.#camera.place = place;
    this.#valid = this.#drawn = true;
    this.#with({ x: 0, y: 0, ...this.#size() }, paint);
    this.#cost = performance.now() - before;
  }

  /** @param {Place} place @param {Paint} paint */
  #scroll(place, paint) {
    const dx = place.left - this.#camera.left;
    const dy = place.top - this.#camera.top;
    if (dx === 0 && dy === 0) return;
    const { width, height } = this.#size();
    if (Math.abs(dx) >= width || Math.abs(dy) >= height) {
      this.#drawAll(place, paint);
      return;
    }
    this.#camera.place = place;
    this.#ctx.setTransform(1, 0, 0, 1, 0, 0);
    this.#ctx.drawImage(this.#canvas, Math.round(dx * this.#ratio), Math.round(dy * this.#ratio));
    if (dx !== 0) this.#with({ x: dx > 0 ? 0 : width + dx, y: 0, width: Math.abs(dx), height }, paint);
    if (dy !== 0) this.#with({ x: 0, y: dy > 0 ? 0 : height + dy, width, height: Math.abs(dy) }, paint);
  }

  /** @param {CanvasRenderingContext2D} target @param {Place} place @param {string} background */
  #stretch(target, place, background) {
    const { width, height } = this.#size();
    const grown = place.scale / this.#camera.scale;
    target.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    target.fillStyle = background;
    target.fillRect(0, 0, width, height);
    target.drawImage(this.#canvas, place.left - this.#camera.left * grown, place.top - this.#camera.top * grown,
      width * grown, height * grown);
  }

  #size() {
    return { width: this.#canvas.width / this.#ratio, height: this.#canvas.height / this.#ratio };
  }

  /** @param {Region} region @param {Paint} paint */
  #with(region, paint) {
    const ctx = this.#ctx;
    ctx.save();
    ctx.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    ctx.beginPath();
    ctx.rect(region.x, region.y, region.width, region.height);
    ctx.clip();
    paint(ctx, this.#camera, region);
    ctx.restore();
  }
}
