// @ts-check
// What hands do to a picture: drag with mouse, pen or finger, pinch with two fingers, turn a wheel, stroke a trackpad.

const DRAG_FROM = 5; // pixels; less is a click that trembled
const WHEEL_STEP = 40; // pixels; a wheel turns in larger steps than a trackpad

/**
 * @typedef {object} Handlers
 * @property {(dx: number, dy: number) => void} pan
 * @property {(factor: number, x: number, y: number) => void} zoom
 * @property {(x: number, y: number) => void} tap
 * @property {(x: number, y: number) => void} hover
 * @property {() => void} leave
 * @property {(dragging: boolean) => void} drag
 */

/**
 * Listens until the signal. Places are relative to the element.
 * @param {HTMLElement} element @param {Handlers} on @param {AbortSignal} signal
 */
export function listen(element, on, signal) {
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let moved = false;
  let start = { x: 0, y: 0 };

  const place = (/** @type {MouseEvent} */ e) => {
    const box = element.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top };
  };
  const middle = () => {
    const all = [...down.values()];
    return { x: all.reduce((n, p) => n + p.x, 0) / all.length, y: all.reduce((n, p) => n + p.y, 0) / all.length };
  };
  const spread = () => {
    const [a, b] = [...down.values()];
    return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  };

  element.addEventListener('pointerdown', (e) => {
    if (e.button !== 0) return;
    element.setPointerCapture(e.pointerId);
    if (down.size === 0) {
      moved = false;
      start = place(e);
    } else {
      moved = true; // two fingers do not click
    }
    down.set(e.pointerId, place(e));
  }, { signal });

  element.addEventListener('pointermove', (e) => {
    const at = place(e);
    if (!down.has(e.pointerId)) {
      if (e.pointerType !== 'touch') on.hover(at.x, at.y);
      return;
    }
    if (!moved) {
      if (Math.hypot(at.x - start.x, at.y - start.y) < DRAG_FROM) return;
      moved = true;
      on.drag(true);
    }
    const before = middle();
    const apart = spread();
    down.set(e.pointerId, at);
    const after = middle();
    on.pan(after.x - before.x, after.y - before.y);
    if (apart > 0 && spread() > 0) on.zoom(spread() / apart, after.x, after.y);
  }, { signal });

  const up = (/** @type {PointerEvent} */ e) => {
    if (!down.delete(e.pointerId)) return;
    if (down.size > 0) return;
    if (moved) on.drag(false);
    else if (e.type === 'pointerup') on.tap(start.x, start.y);
  };
  element.addEventListener('pointerup', up, { signal });
  element.addEventListener('pointercancel', up, { signal });
  element.addEventListener('pointerleave', () => on.leave(), { signal });

  element.addEventListener('wheel', (e) => {
    e.preventDefault();
    const { x, y } = place(e);
    const unit = e.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 400;
    const [dx, dy] = [e.deltaX * unit, e.deltaY * unit];
    const stroke = e.deltaMode === WheelEvent.DOM_DELTA_PIXEL && (dx !== 0 || Math.abs(dy) < WHEEL_STEP);
    if (e.ctrlKey) on.zoom(2 ** (-dy / 100), x, y); // a pinch on a trackpad, too
    else if (e.shiftKey) on.pan(-dx - dy, 0);
    else if (stroke) on.pan(-dx, -dy);
    else on.zoom(2 ** (-Math.max(-240, Math.min(240, dy)) / 300), x, y);
  }, { signal, passive: false });
}
