// @ts-check
// How the service is: what is wrong first, then how much there is to do and how fast it gets done.

import { get } from './api.js';
import { putErrors } from './dialog.js';
import { arrange, el, setText } from './dom.js';
import { duration, number, plural } from './format.js';
import { repeat } from './poll.js';
import { address } from './route.js';
import { sign, STATUSES } from './status.js';

const every = 3000;
const oldPending = 60; // seconds that a task may be pending before somebody should know
const deadReplica = 5; // seconds without a heartbeat after which the others take a replica for dead

/**
 * @typedef {{tasks: Record<string, number>, running_by_kind: {kind: string, count: number}[], oldest_pending_age_seconds: number,
 *   deliveries: {pending: number, sending: number, failed: number, oldest_due_age_seconds: number},
 *   replicas: {id: string, name?: string, heartbeat_age_seconds: number, version?: string}[],
 *   ended_per_minute: {minute: string, count: number}[], parked: {limit: string, rule?: any, count: number}[]}} Overview
 */

/** @param {HTMLElement} root @param {AbortSignal} signal */
export function showOverview(root, signal) {
  const problems = el('ul', { class: 'plain alerts', data: { test: 'alerts' } });
  const errors = el('div', {});
  const chart = throughput();
  const tiles = el('dl', { class: 'tiles' });
  const running = block('Running by kind');
  const parked = block('Held back by a limit');
  const element = el('section', { 'aria-labelledby': 'overview-title', data: { test: 'overview' } },
    el('h2', { id: 'overview-title', text: 'Now' }), errors, problems, tiles,
    el('div', { class: 'blocks' }, chart.element, running.element, parked.element));
  root.append(element);
  /** @type {Map<string, ReturnType<typeof tile>>} */
  const made = new Map();

  repeat(every, async () => {
    const o = await get('view/overview', { signal });
    putErrors(errors);
    show(o);
  }, (e) => putErrors(errors, e), signal);

  /** @param {Overview} o */
  function show(o) {
    const alive = o.replicas.filter((r) => r.heartbeat_age_seconds <= deadReplica);
    const found = whatIsWrong(o, alive.length);
    if (problems.textContent !== found.map((p) => p.textContent).join('')) problems.replaceChildren(...found);
    const ended = o.ended_per_minute.reduce((sum, m) => sum + m.count, 0);
    /** @type {[string, string, string, Node|null][]} name, value, what it means, sign */
    const wanted = [
      ...STATUSES.filter((s) => !s.terminal).map((s) => /** @type {[string, string, string, Node|null]} */ ([s.name, number(o.tasks[s.name] ?? 0), s.says, sign(s.name)])),
      ['Oldest pending', o.oldest_pending_age_seconds > 0 ? duration(Math.round(o.oldest_pending_age_seconds)) : '–', 'How long the oldest task waits that could start now.', null],
      ['Webhooks to send', number(o.deliveries.pending + o.deliveries.sending), 'Deliveries that are due, or will be after a pause.', null],
      ['Dead letters', number(o.deliveries.failed), 'Webhooks of tasks that had ended or were canceled, and that were given up. They can be sent again.', null],
      ['Replicas alive', number(alive.length), alive.map((r) => [r.name ?? r.id, r.version].filter(Boolean).join(' ')).join('\n'), null],
      ['Ended per minute', o.ended_per_minute.length ? (ended / o.ended_per_minute.length).toFixed(1) : '–', `${plural(ended, 'task')} in the last ${o.ended_per_minute.length} minutes.`, null],
    ];
    arrange(tiles, wanted.map(([name, value, says, mark]) => {
      const t = made.get(name) ?? tile(name, mark, name === 'Dead letters' ? address({ deliveries: 'Failed' }) : null);
      made.set(name, t);
      t.update(value, says);
      return t.element;
    }));
    chart.update(o.ended_per_minute);
    running.update(o.running_by_kind.map((r) => [r.kind, r.count]), 'Nothing runs.');
    parked.update(o.parked.map((p) => [p.limit, p.count]), 'Nothing is held back.');
  }
}

/** @param {Overview} o @param {number} alive @returns {HTMLElement[]} */
function whatIsWrong(o, alive) {
  /** @type {HTMLElement[]} */
  const found = [];
  const say = (/** @type {(Node|string)[]} */ ...what) => { found.push(el('li', {}, el('span', { class: 'sign status-failure', 'aria-hidden': 'true', text: '!' }), ' ', ...what)); };
  if (alive === 0) say('No replica is alive: nobody starts tasks or sends webhooks. Start one, or look at its log.');
  if (o.deliveries.failed > 0) {
    say(`${plural(o.deliveries.failed, 'webhook was', 'webhooks were')} given up. `,
      el('a', { href: address({ deliveries: 'Failed' }), text: 'Look at them' }));
  }
  if (o.tasks.Pending > 0 && o.oldest_pending_age_seconds > oldPending) {
    say(`A task could start but has been pending for ${duration(Math.floor(o.oldest_pending_age_seconds / 60) * 60)}. `,
      el('a', { href: address({ status: 'Pending' }), text: 'Batches with pending tasks' }));
  }
  if (o.deliveries.oldest_due_age_seconds > oldPending) say(`A webhook is due since ${duration(Math.floor(o.deliveries.oldest_due_age_seconds / 60) * 60)} and has not been sent.`);
  if (o.tasks.Paused > 0) {
    found.push(el('li', { class: 'mild' }, sign('Paused'), ` ${plural(o.tasks.Paused, 'task is', 'tasks are')} held until somebody resumes ${o.tasks.Paused === 1 ? 'it' : 'them'}. `,
      el('a', { href: address({ status: 'Paused' }), text: 'Batches with paused tasks' })));
  }
  return found;
}

/** @param {string} name @param {Node|null} mark @param {string|null} href */
function tile(name, mark, href) {
  const value = href ? el('a', { href }) : el('span', {});
  const element = el('div', { class: 'tile', data: { tile: name } }, el('dt', {}, mark, ' ', name), el('dd', {}, value));
  element.querySelector('.sign')?.setAttribute('aria-hidden', 'true');
  return {
    element,
    /** @param {string} text @param {string} says */
    update(text, says) {
      setText(value, text);
      if (element.title !== says) element.title = says;
    },
  };
}

/** A list of names with numbers. @param {string} title */
function block(title) {
  const list = el('tbody', {});
  const none = el('p', { class: 'dim' });
  const table = el('table', { class: 'list small', 'aria-label': title }, list);
  let seen = '';
  return {
    element: el('div', { class: 'block' }, el('h3', { text: title }), table, none),
    /** @param {[string, number][]} rows @param {string} empty */
    update(rows, empty) {
      const text = JSON.stringify(rows);
      if (text === seen) return;
      seen = text;
      table.hidden = rows.length === 0;
      setText(none, rows.length ? '' : empty);
      list.replaceChildren(...rows.map(([name, n]) => el('tr', {}, el('th', { scope: 'row', text: name }), el('td', { class: 'number', text: number(n) }))));
    },
  };
}

const svg = 'http://www.w3.org/2000/svg';

/** @param {string} tag @param {Record<string, string|number>} attributes */
function shape(tag, attributes) {
  const e = document.createElementNS(svg, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, String(value));
  return e;
}

/** Ended tasks of the last minutes as columns. */
function throughput() {
  const width = 300;
  const height = 80;
  const picture = /** @type {SVGElement} */ (shape('svg', { viewBox: `0 0 ${width} ${height}`, class: 'chart', role: 'img', 'aria-label': 'Tasks ended, by minute', preserveAspectRatio: 'none' }));
  const most = el('p', { class: 'dim' });
  let seen = '';
  return {
    element: el('div', { class: 'block' }, el('h3', { text: 'Tasks ended, by minute' }), picture, most),
    /** @param {{minute: string, count: number}[]} minutes */
    update(minutes) {
      const text = JSON.stringify(minutes);
      if (text === seen) return;
      seen = text;
      const top = Math.max(1, ...minutes.map((m) => m.count));
      const step = width / Math.max(1, minutes.length);
      picture.setAttribute('aria-label', `Tasks that ended in each of the last ${minutes.length} minutes, the oldest first: ${minutes.map((m) => m.count).join(', ')}`);
      picture.replaceChildren(shape('line', { x1: 0, x2: width, y1: height - .5, y2: height - .5, class: 'axis' }), ...minutes.map((m, i) => {
        const tall = (m.count / top) * (height - 4);
        const column = shape('rect', { x: i * step + 1, width: Math.max(1, step - 2), y: height - tall, height: tall });
        const title = shape('title', {});
        title.textContent = `${new Date(m.minute).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}: ${number(m.count)}`;
        column.append(title);
        return column;
      }));
      setText(most, minutes.some((m) => m.count) ? `At most ${number(top)} in a minute.` : `None in the last ${minutes.length} minutes.`);
    },
  };
}
