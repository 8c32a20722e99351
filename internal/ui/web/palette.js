// @ts-check
// The colours of app.css, for canvas and pictures: read from the page, so that there is one place where they are chosen.

import { statusOf } from './status.js';

/**
 * @typedef {{fill: string, ink: string, edge: string}} Colours
 * @typedef {Colours & {glyph: string, faded: Colours}} StatusColours
 * @typedef {{background: string, panel: string, line: string, control: string, text: string, dim: string, focus: string,
 *   link: string, linkThin: string, linkFaded: string, textFaded: string, dimFaded: string, font: string,
 *   status: StatusColours[]}} Palette
 */

const FADED = 0.22; // what is left of a colour where the filter does not match

/** @param {Element} element @param {string[]} statuses @returns {Palette} */
export function readPalette(element, statuses) {
  const style = getComputedStyle(element);
  const read = (/** @type {string} */ name) => toRGB(style.getPropertyValue(name).trim());
  const background = read('--bg');
  const faded = (/** @type {RGB} */ c) => css(mix(c, background, FADED));
  const [line, control, text, dim] = ['--line', '--control', '--text', '--dim'].map(read);
  return {
    background: css(background), panel: css(read('--panel')), line: css(line), control: css(control), text: css(text),
    dim: css(dim), focus: css(read('--focus')),
    link: css(mix(control, background, 0.75)), linkThin: css(mix(control, background, 0.45)), linkFaded: css(mix(line, background, 0.5)),
    textFaded: css(mix(text, background, 0.4)), dimFaded: faded(dim),
    font: style.fontFamily || 'sans-serif',
    status: statuses.map((name) => {
      const { cssVar, glyph } = statusOf(name);
      const [fill, ink, edge] = [cssVar, `${cssVar}-ink`, `${cssVar}-edge`].map(read);
      return {
        glyph, fill: css(fill), ink: css(ink), edge: css(edge),
        faded: { fill: faded(fill), ink: css(mix(ink, mix(fill, background, FADED), 0.4)), edge: faded(edge) },
      };
    }),
  };
}

/** @typedef {[number, number, number]} RGB */

/** @type {CanvasRenderingContext2D|null} */
let probe = null;

/** What the browser makes of a colour, however it is written. @param {string} colour @returns {RGB} */
function toRGB(colour) {
  if (!probe) {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    probe = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  }
  probe.fillStyle = '#808080'; // what cannot be read is grey
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}

/** @param {RGB} a @param {RGB} b @param {number} share of a @returns {RGB} */
function mix(a, b, share) {
  const part = (/** @type {number} */ k) => Math.round(a[k] * share + b[k] * (1 - share));
  return [part(0), part(1), part(2)];
}

/** @param {RGB} rgb */
function css(rgb) {
  return '#' + rgb.map((n) => n.toString(16).padStart(2, '0')).join('');
}
