// @ts-check
// Which part of the graph is seen, and how large: a point (x, y) of the graph is at (x * scale + left, y * scale + top) of
// the view, in CSS pixels.

const MARGIN = 24;
const LARGEST = 2.5;
const FIT_LARGEST = 1.2; // a graph of three tasks does not fill the wall

export class Camera {
  scale = 1;
  left = 0;
  top = 0;
  width = 0; // of the view
  height = 0;
  #world = { width: 0, height: 0 };

  /** @param {number} width @param {number} height */
  setWorld(width, height) {
    this.#world = { width, height };
  }

  /** The middle stays in the middle. @param {number} width @param {number} height */
  setView(width, height) {
    this.left += (width - this.width) / 2;
    this.top += (height - this.height) / 2;
    this.width = width;
    this.height = height;
  }

  /** @param {number} x of the graph */
  viewX(x) {
    return x * this.scale + this.left;
  }

  /** @param {number} y of the graph */
  viewY(y) {
    return y * this.scale + this.top;
  }

  /** @param {number} x of the view */
  worldX(x) {
    return (x - this.left) / this.scale;
  }

  /** @param {number} y of the view */
  worldY(y) {
    return (y - this.top) / this.scale;
  }

  /** @param {number} dx @param {number} dy */
  panBy(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.#hold();
  }

  /** The point under (x, y) of the view stays there. @param {number} factor @param {number} x @param {number} y */
  zoomAt(factor, x, y) {
    const scale = this.#limit(this.scale * factor);
    this.left = x - (x - this.left) * (scale / this.scale);
    this.top = y - (y - this.top) * (scale / this.scale);
    this.scale = scale;
    this.#hold();
  }

  /** Point (x, y) of the graph comes into the middle. @param {number} x @param {number} y @param {number} [scale] */
  centerOn(x, y, scale = this.scale) {
    this.scale = this.#limit(scale);
    this.left = this.width / 2 - x * this.scale;
    this.top = this.height / 2 - y * this.scale;
  }

  fit() {
    this.centerOn(this.#world.width / 2, this.#world.height / 2, this.#fitScale());
  }

  /** @returns {{scale: number, left: number, top: number}} */
  get place() {
    return { scale: this.scale, left: this.left, top: this.top };
  }

  /** @param {{scale: number, left: number, top: number}} place */
  set place({ scale, left, top }) {
    this.scale = scale;
    this.left = left;
    this.top = top;
  }

  #fitScale() {
    const { width, height } = this.#world;
    if (width <= 0 || height <= 0 || this.width <= 0 || this.height <= 0) return 1;
    const room = (/** @type {number} */ n) => Math.max(1, n - 2 * Math.min(MARGIN, n / 8));
    return Math.min(FIT_LARGEST, room(this.width) / width, room(this.height) / height);
  }

  /** @param {number} scale */
  #limit(scale) {
    return Math.min(LARGEST, Math.max(this.#fitScale() / 2, scale));
  }

  /** Something of the graph is always in sight. */
  #hold() {
    const edge = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ view) =>
      Math.max(Math.min(at, view * 0.8), view * 0.2 - size);
    this.left = edge(this.left, this.#world.width * this.scale, this.width);
    this.top = edge(this.top, this.#world.height * this.scale, this.height);
  }
}

/**
 * The place a part (0 to 1) of the way from one to another; the scale grows evenly to the eye.
 * @param {{scale: number, left: number, top: number}} from
 * @param {{scale: number, left: number, top: number}} to
 * @param {number} part
 */
export function between(from, to, part) {
  const scale = from.scale * (to.scale / from.scale) ** part;
  const grown = to.scale === from.scale ? part : (scale - from.scale) / (to.scale - from.scale);
  return { scale, left: from.left + (to.left - from.left) * grown, top: from.top + (to.top - from.top) * grown };
}
