// @ts-check
// One webhook as people see it: where to, how it went, and again.

import { canReplay, replay } from './actions.js';
import { button, el } from './dom.js';
import { age, moment } from './format.js';

const looks = /** @type {Record<string, [string, string]>} */ ({ // a glyph, and the state of a task that looks alike
  Delivered: ['✓', 'success'], Failed: ['✗', 'failure'], Pending: ['○', 'pending'], Sending: ['●', 'running'], Canceled: ['⊘', 'canceled'],
});

/** @param {string} status */
export function deliveryBadge(status) {
  const [glyph, key] = looks[status] ?? ['?', 'waiting'];
  return el('span', { class: `badge status-${key}` }, el('span', { class: 'glyph', 'aria-hidden': 'true', text: glyph }), status);
}

/** @param {any} d What fires it: Start, End (Success), Cancel. */
export const triggerText = (d) => (d.condition ? `${d.trigger} (${d.condition})` : d.trigger);

/**
 * @param {any} d a delivery
 * @param {() => void} onReplayed
 * @returns {HTMLElement|null}
 */
export function replayButton(d, onReplayed) {
  if (!canReplay(d)) return null;
  return button('Send again', async () => { if (await replay(d)) onReplayed(); }, { data: { test: `replay-${d.id}` } });
}

/**
 * A delivery with its tries, for the panel of a task.
 *
 * @param {any} d @param {() => void} onReplayed
 */
export function deliveryItem(d, onReplayed) {
  const tries = d.attempts ?? [];
  return el('li', { class: 'delivery', data: { delivery: d.id } },
    el('div', { class: 'row' }, deliveryBadge(d.status), el('strong', { text: triggerText(d) }),
      el('span', { class: 'dim', text: `try ${d.tries} of ${d.max_tries}` + (d.task_attempt > 1 ? `, attempt ${d.task_attempt}` : '') }),
      el('span', { class: 'grow' }), replayButton(d, onReplayed)),
    el('div', { class: 'mono wrap', text: `${d.verb.toUpperCase()} ${d.url}` }),
    d.status === 'Pending' && d.next_try_at ? el('div', {}, 'Next try ', age(d.next_try_at)) : null,
    d.last_error && tries.length === 0 ? el('div', { class: 'bad', text: d.last_error }) : null,
    tries.length ? el('table', { class: 'tries', 'aria-label': 'Tries' },
      el('thead', {}, el('tr', {}, ...['When', 'Answer', 'Took'].map((h) => el('th', { scope: 'col', text: h })))),
      el('tbody', {}, ...tries.map(tryRow))) : null);
}

/** @param {any} t a try */
function tryRow(t) {
  const answer = el('td', { class: 'wrap' }, t.status_code ? String(t.status_code) : null, t.status_code && t.error ? ' · ' : null,
    t.error ? el('span', { class: 'bad', text: t.error }) : null);
  if (t.response) answer.append(el('details', {}, el('summary', { text: 'what it said' }), el('pre', { text: t.response })));
  return el('tr', {}, el('td', { title: moment(t.at) }, moment(t.at).slice(11)), answer,
    el('td', { class: 'number', text: `${t.latency_ms} ms` }));
}
