// @ts-check
// Times, lengths of time and numbers as people read them.

import { el } from './dom.js';
import { sum } from './exact.js';

/** @typedef {import('./exact.js').Whole} Whole */

const day = 86400;

/** @param {number} seconds @returns {string} 4 s, 12 min, 3 h 20 min, 5 d */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  const s = Math.max(0, seconds);
  if (s < 10 && !Number.isInteger(s)) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 2 * day) {
    const minutes = Math.floor(s / 60);
    return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }
  return `${Math.floor(s / day)} d`;
}

const trusted = 5000; // ms; a header tells whole seconds, and takes a while
let ahead = 0;

/** The clock of this machine may be off. @param {string|null} date what a header of the service says */
export function setClock(date) {
  const off = Date.parse(date ?? '') - Date.now();
  if (!Number.isNaN(off)) ahead = Math.abs(off) > trusted ? off : 0;
}

/** The time by the clock of the service, in milliseconds since the epoch. */
export const serviceNow = () => Date.now() + ahead;

/** @param {number} ms @returns {string} 12 s ago */
export function ago(ms) {
  const s = (serviceNow() - ms) / 1000;
  if (s < 0) return `in ${duration(-s)}`;
  return s < 2 ? 'just now' : `${duration(Math.round(s))} ago`;
}

/** @param {number|string|null|undefined} at @returns {string} 2026-11-28 18:50:31, in the time zone of the reader */
export function moment(at) {
  if (at === null || at === undefined) return '–';
  const d = new Date(at);
  if (Number.isNaN(d.getTime())) return String(at);
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** @param {number|null} at @returns {string} 18:50:31 of today, or 11-27 18:50 of another day */
export function clock(at) {
  if (at === null) return '–';
  const text = moment(at);
  return text.slice(0, 10) === moment(Date.now()).slice(0, 10) ? text.slice(11) : text.slice(5, 16);
}

/**
 * A sentence of the service with these moments as they are said elsewhere on the page. Other text that looks like one stays.
 *
 * @param {string} text @param {...(string|null|undefined)} moments
 */
export function inLocalTime(text, ...moments) {
  for (const at of moments) {
    const ms = Date.parse(at ?? '');
    if (!Number.isNaN(ms)) text = text.replace(new Date(ms).toISOString(), moment(ms));
  }
  return text;
}

/**
 * How long ago a moment was; keepAges keeps it true.
 *
 * @param {number|string} at
 */
export function age(at) {
  const d = new Date(at);
  return el('time', { datetime: d.toISOString(), title: moment(at), data: { age: String(d.getTime()) }, text: ago(d.getTime()) });
}

/** @param {ParentNode} root Brings the ages in it up to date. */
export function refreshAges(root) {
  for (const e of root.querySelectorAll('[data-age]')) {
    const text = ago(Number(/** @type {HTMLElement} */ (e).dataset.age));
    if (e.textContent !== text) e.textContent = text;
  }
}

const numbers = new Intl.NumberFormat('en');

/** @param {Whole} n */
export const number = (n) => numbers.format(n);

/** @param {number} n @param {string} one @param {string} [many] */
export const plural = (n, one, many = one + 's') => `${number(n)} ${n === 1 ? one : many}`;

/**
 * Progress of a task: 3 of 10, 1 failed.
 *
 * @param {Whole} success @param {Whole} failures @param {Whole|null} expected
 */
export function progress(success, failures, expected) {
  if (!success && !failures && expected === null) return '–';
  const counted = number(sum(success, failures));
  const done = expected === null ? counted : `${counted} of ${number(expected)}`;
  return failures ? `${done}, ${number(failures)} failed` : done;
}

/** @param {string} id The first part of a UUID, which tells no v7 from another, and the last. */
export const shortId = (id) => `${id.slice(0, 8)}…${id.slice(-4)}`;
