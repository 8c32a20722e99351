// @ts-check
// The list of batches: filters, pages, and a look every few seconds.

import { getPage } from './api.js';
import { putErrors } from './dialog.js';
import { arrange, button, el, setText } from './dom.js';
import { age, number, serviceNow, shortId } from './format.js';
import { repeat } from './poll.js';
import { address, navigate } from './route.js';
import { countsBy, progressBar, sign, STATUSES } from './status.js';

const every = 3000;
const periods = { '': 'Any time', 3600: 'Last hour', 86400: 'Last 24 hours', 604800: 'Last 7 days', between: 'Between …' };
const filterNames = ['name', 'kind', 'status', 'since', 'from', 'to'];

/**
 * @param {HTMLElement} root @param {URLSearchParams} params @param {AbortSignal} signal
 * @returns {{update: (params: URLSearchParams) => void}}
 */
export function showBatches(root, params, signal) {
  let filters = params;
  /** @type {(string|null)[]} */
  let cursors = [null]; // of the pages up to the one that is shown
  /** @type {string|null} */
  let next = null;
  /** @type {Map<string, ReturnType<typeof row>>} */
  let rows = new Map();
  let asking = new AbortController();

  const errors = el('div', {});
  const body = el('tbody', {});
  const empty = el('p', { class: 'dim', hidden: true });
  const table = el('table', { class: 'list batches', data: { test: 'batches-table' }, 'aria-label': 'Batches, the newest first' },
    el('thead', {}, el('tr', {}, ...['Batch', 'Kinds', 'Progress', 'Created'].map((h) => el('th', { scope: 'col', text: h })))),
    body);
  const previousButton = button('Newer', () => { cursors.pop(); turn(); heading.scrollIntoView({ block: 'nearest' }); }, { data: { test: 'previous-page' } });
  const nextButton = button('Older', () => { cursors.push(next); turn(); heading.scrollIntoView({ block: 'nearest' }); }, { data: { test: 'next-page' } });
  const form = filterForm(change);
  form.set(filters);
  const heading = el('h2', { id: 'batches-title', text: 'Batches' });
  root.append(el('section', { 'aria-labelledby': 'batches-title' }, heading, form.element, errors, table, empty,
    el('div', { class: 'pages' }, previousButton, nextButton)));

  const now = repeat(every, load, (e) => putErrors(errors, e), signal);

  async function load() {
    asking = new AbortController();
    const q = query(filters);
    const cursor = cursors.at(-1);
    if (cursor) q.set('cursor', cursor);
    const answer = await getPage(`batches?${q}`, { signal: AbortSignal.any([signal, asking.signal]) });
    putErrors(errors);
    next = answer.next;
    const fresh = new Map();
    for (const b of answer.rows) {
      const r = rows.get(b.batch_id) ?? row(b.batch_id);
      r.update(b);
      fresh.set(b.batch_id, r);
    }
    rows = fresh;
    arrange(body, [...rows.values()].map((r) => r.element));
    table.hidden = rows.size === 0;
    empty.hidden = rows.size > 0;
    setText(empty, filterNames.some((n) => filters.get(n)) ? 'No batch has a task like that.'
      : cursors.length > 1 ? 'There are no older batches.' : 'There are no batches yet: POST /task creates one.');
    previousButton.hidden = cursors.length === 1;
    nextButton.hidden = next === null;
  }

  function turn() {
    asking.abort();
    now();
  }

  /** @param {Record<string, string>} values */
  function change(values) {
    navigate(address(values), { replace: true });
  }

  return {
    update(p) {
      const same = filterNames.every((n) => (p.get(n) ?? '') === (filters.get(n) ?? ''));
      filters = p;
      if (same) return;
      form.set(p);
      cursors = [null];
      turn();
    },
  };
}

/** @param {URLSearchParams} filters @returns {URLSearchParams} as the API wants them */
function query(filters) {
  const q = new URLSearchParams();
  for (const name of ['name', 'kind', 'status']) {
    const value = filters.get(name);
    if (value) q.set(name, value);
  }
  const since = filters.get('since') ?? '';
  if (since === 'between') {
    for (const [from, to] of [['from', 'created_after'], ['to', 'created_before']]) {
      const at = new Date(filters.get(from) ?? '');
      if (!Number.isNaN(at.getTime())) q.set(to, at.toISOString());
    }
  } else if (Number(since) > 0) {
    q.set('created_after', new Date(serviceNow() - Number(since) * 1000).toISOString());
  }
  return q;
}

/** @param {(values: Record<string, string>) => void} onChange */
function filterForm(onChange) {
  const name = el('input', { type: 'search', id: 'f-name', maxlength: 255, data: { test: 'filter-name' } });
  const kind = el('input', { type: 'search', id: 'f-kind', maxlength: 100, data: { test: 'filter-kind' } });
  const status = el('select', { id: 'f-status', data: { test: 'filter-status' } }, el('option', { value: '', text: 'Any' }),
    ...STATUSES.map((s) => el('option', { value: s.name, text: `${s.glyph} ${s.name}` })));
  const since = el('select', { id: 'f-since', data: { test: 'filter-since' } },
    ...Object.entries(periods).sort(([a], [b]) => order(a) - order(b)).map(([value, text]) => el('option', { value, text })));
  const from = el('input', { type: 'datetime-local', id: 'f-from', data: { test: 'filter-from' } });
  const to = el('input', { type: 'datetime-local', id: 'f-to', data: { test: 'filter-to' } });
  const between = el('div', { class: 'filters' }, field('From', from), field('To', to));
  /** @type {Record<string, HTMLInputElement|HTMLSelectElement>} */
  const fields = { name, kind, status, since, from, to };
  let timer = 0;
  const element = el('form', { class: 'filters', role: 'search', 'aria-label': 'Filter the batches' },
    field('With a task named', name), field('of the kind', kind), field('in the state', status), field('Created', since), between);
  element.addEventListener('submit', (e) => e.preventDefault());
  element.addEventListener('input', (e) => {
    between.hidden = since.value !== 'between';
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      const values = Object.fromEntries(Object.entries(fields).map(([n, f]) => [n, f.value]));
      onChange(values.since === 'between' ? values : { ...values, from: '', to: '' });
    }, e.target instanceof HTMLInputElement ? 300 : 0);
  });
  return {
    element,
    /** @param {URLSearchParams} p */
    set(p) {
      for (const [n, f] of Object.entries(fields)) if (f.value !== (p.get(n) ?? '')) f.value = p.get(n) ?? '';
      between.hidden = since.value !== 'between';
    },
  };
}

/** @param {string} value */
const order = (value) => (value === '' ? 0 : Number(value) || Infinity);

/** @param {string} label @param {HTMLElement} control */
const field = (label, control) => el('div', { class: 'field' }, el('label', { for: control.id, text: label }), control);

const shownKinds = 4;

/** @param {string} id */
function row(id) {
  const link = el('a', { href: address({ batch: id }) });
  const kinds = el('td', { class: 'kinds' });
  const bar = progressBar();
  const signs = el('div', { class: 'signs' });
  const created = el('td', { class: 'when' });
  let seen = '';
  const element = el('tr', { data: { test: 'batch-row', batch: id } },
    el('th', { scope: 'row' }, link), kinds, el('td', { class: 'progress' }, bar.element, signs), created);
  return {
    element,
    /** @param {any} b */
    update(b) {
      const text = JSON.stringify(b);
      if (text === seen) return;
      seen = text;
      setText(link, b.batch_name ?? shortId(id));
      link.title = id;
      const more = b.kinds.length - shownKinds;
      kinds.replaceChildren(...b.kinds.slice(0, shownKinds).map((/** @type {string} */ k) => el('span', { class: 'chip', text: k })));
      if (more > 0) kinds.append(el('span', { class: 'chip', title: b.kinds.slice(shownKinds).join(', '), text: `+${more}` }));
      const counts = countsBy((s) => b.status_counts[s.key]);
      bar.update(counts);
      signs.replaceChildren(...counts.map((c) => el('span', { class: 'count' }, sign(c.name), number(c.count))));
      created.replaceChildren(age(b.first_created_at));
    },
  };
}
