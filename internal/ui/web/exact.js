// @ts-check
// JSON as it was written: JavaScript rounds 12345678901234567890, and what people keep in metadata are often ids.

/**
 * Parses JSON so that JSON.stringify writes each number again as it came. A number that JavaScript would write otherwise is an
 * object that only JSON.stringify understands. Browsers that do not know of these yet round.
 *
 * @param {string} text @returns {any}
 */
export function parseExact(text) {
  const raw = /** @type {any} */ (JSON).rawJSON;
  /** @param {string} _ @param {any} value @param {{source?: string}} [context] */
  const keep = (_, value, context) =>
    (raw && typeof value === 'number' && context?.source && context.source !== String(value) ? raw(context.source) : value);
  return JSON.parse(text, /** @type {any} */ (keep));
}

/** @typedef {number|bigint} Whole */

/**
 * A whole number that may be beyond what a JavaScript number holds: then it comes as a text, or of parseExact.
 *
 * @param {any} value @returns {Whole}
 */
export function whole(value) {
  if (typeof value === 'number') return value;
  return BigInt(typeof value === 'string' ? value : JSON.stringify(value));
}

/** @param {Whole} a @param {Whole} b @returns {Whole} */
export function sum(a, b) {
  if (typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a + b)) return a + b;
  return BigInt(a) + BigInt(b);
}
