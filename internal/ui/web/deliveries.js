// @ts-check
// Webhooks that were given up, or any others: what is behind the dead letters of the overview.

import { getPage } from './api.js';
import { deliveryBadge, replayButton, triggerText } from './delivery.js';
import { putErrors } from './dialog.js';
import { button, el, setText } from './dom.js';
import { age } from './format.js';
import { keepAges, repeat } from './poll.js';
import { address, navigate } from './route.js';

const statuses = ['Failed', 'Pending', 'Sending', 'Delivered', 'Canceled'];
const triggers = ['Start', 'End', 'Cancel'];

/** @param {HTMLElement} main @param {URLSearchParams} params @param {AbortSignal} signal @returns {import('./main.js').Page} */
export function showDeliveries(main, params, signal) {
  document.title = 'Webhooks · Task Runner';
  keepAges(signal);
  let status = params.get('deliveries') || 'Failed';
  /** @type {(string|null)[]} */
  let cursors = [null];
  /** @type {string|null} */
  let next = null;
  let seen = '';
  const choice = el('select', { id: 'd-status', data: { test: 'filter-deliveries' } }, ...statuses.map((s) => el('option', { value: s, text: s })));
  const errors = el('div', {});
  const body = el('tbody', {});
  const table = el('table', { class: 'list deliveries', 'aria-label': 'Webhooks', data: { test: 'deliveries-table' } },
    el('thead', {}, el('tr', {}, ...['State', 'Webhook', 'What it said', 'Created', 'Act'].map((h) => el('th', { scope: 'col', text: h })))), body);
  const empty = el('p', { class: 'dim', hidden: true });
  const newer = button('Newer', () => { cursors.pop(); now(); });
  const older = button('Older', () => { cursors.push(next); now(); });
  const trigger = el('select', { id: 'd-trigger', data: { test: 'filter-trigger' } }, el('option', { value: '', text: 'Any' }),
    ...triggers.map((t) => el('option', { value: t, text: t })));
  choice.value = status;
  trigger.value = params.get('trigger') ?? '';
  for (const c of [choice, trigger]) c.addEventListener('change', () => navigate(address({ deliveries: choice.value, trigger: trigger.value }), { replace: true }));
  main.append(el('p', {}, el('a', { href: 'view', text: 'Overview' })), el('h1', { text: 'Webhooks' }),
    el('div', { class: 'filters' }, el('div', { class: 'field' }, el('label', { for: 'd-status', text: 'in the state' }), choice),
      el('div', { class: 'field' }, el('label', { for: 'd-trigger', text: 'sent at' }), trigger)),
    errors, table, empty, el('div', { class: 'pages' }, newer, older));

  const now = repeat(5000, load, (e) => putErrors(errors, e), signal);

  async function load() {
    const q = new URLSearchParams({ status });
    if (trigger.value) q.set('trigger', trigger.value);
    const cursor = cursors.at(-1);
    if (cursor) q.set('cursor', cursor);
    const answer = await getPage(`deliveries?${q}`, { signal });
    putErrors(errors);
    next = answer.next;
    newer.hidden = cursors.length === 1;
    older.hidden = next === null;
    table.hidden = answer.rows.length === 0;
    empty.hidden = answer.rows.length > 0;
    setText(empty, status === 'Failed' ? 'No webhook was given up.' : 'There are none.');
    const text = JSON.stringify(answer.rows);
    if (text === seen) return;
    seen = text;
    body.replaceChildren(...answer.rows.map((d) => el('tr', {},
      el('td', {}, deliveryBadge(d.status)),
      el('td', {}, el('div', { class: 'mono', text: `${d.verb.toUpperCase()} ${d.url}` }),
        el('span', { class: 'dim' }, `${triggerText(d)} of `, d.batch_id ? el('a', { href: address({ batch: d.batch_id, task: d.task_id }), text: 'its task' }) : d.task_id)),
      el('td', {}, d.last_error ?? (d.last_status_code ? String(d.last_status_code) : '–'), el('div', { class: 'dim', text: `${d.tries} of ${d.max_tries} tries` })),
      el('td', { class: 'when' }, age(d.created_at)),
      el('td', {}, replayButton(d, () => now()) ?? (d.trigger === 'Start' ? el('span', { class: 'dim', text: 'A start is not sent again' }) : null)))));
  }

  return {
    update(p) {
      status = p.get('deliveries') || 'Failed';
      choice.value = status;
      trigger.value = p.get('trigger') ?? '';
      cursors = [null];
      now();
    },
  };
}
