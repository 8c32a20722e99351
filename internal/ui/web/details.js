// @ts-check
// The panel of a task: how it is, why it does not run, what can be done, and everything that is known about it.

import { actionsOf } from './actions.js';
import { ApiError, get } from './api.js';
import { deliveryItem } from './delivery.js';
import { putErrors } from './dialog.js';
import { add, button, el, setText } from './dom.js';
import { whole } from './exact.js';
import { age, clock, duration, inLocalTime, moment, number, plural, progress } from './format.js';
import { repeat } from './poll.js';
import { address } from './route.js';
import { badge, isTerminal, sign } from './status.js';

const every = 3000;

/**
 * @param {HTMLElement} container
 * @param {{onClose: () => void}} options
 */
export function detailsPanel(container, { onClose }) {
  const title = el('h2', { id: 'details-title', tabindex: -1 });
  const state = el('div', { class: 'row', 'aria-live': 'polite' });
  const reason = el('div', { class: 'reason' });
  const acts = el('div', { class: 'acts', role: 'group', 'aria-label': 'Actions' });
  const errors = el('div', {});
  const sections = el('div', {});
  const close = button('✕', onClose, { class: 'quiet', 'aria-label': 'Close the details (Esc)', data: { test: 'details-close' } });
  const panel = el('aside', { class: 'details', 'aria-labelledby': 'details-title', hidden: true, data: { test: 'details' } },
    el('div', { class: 'head' }, title, close), state, acts, errors, reason, sections);
  container.append(panel);

  let id = '';
  let leaving = new AbortController();
  let now = () => {};
  /** @type {Map<string, {seen: string, element: HTMLElement}>} what is shown, by section, with the data it was made of */
  let shown = new Map();

  /** @param {string} taskId @param {{focus?: boolean}} [o] */
  function open(taskId, { focus = true } = {}) {
    panel.hidden = false;
    if (taskId !== id) {
      leaving.abort();
      leaving = new AbortController();
      id = taskId;
      shown = new Map();
      title.textContent = 'Task';
      for (const e of [state, reason, acts, errors, sections]) e.replaceChildren();
      panel.dataset.task = id;
      delete panel.dataset.loaded;
      panel.scrollTop = 0;
      let settled = false; // nothing changes any more by itself
      let due = true;
      const soon = repeat(every, async () => {
        if (settled && !due) return;
        due = false;
        try {
          settled = await load(taskId);
        } catch (e) {
          settled = e instanceof ApiError && e.status === 404; // it does not come back
          throw e;
        }
      }, fail, leaving.signal, { quiet: true });
      now = () => {
        due = true;
        soon();
      };
    }
    if (focus) title.focus({ preventScroll: true });
  }

  function shut() {
    leaving.abort();
    id = '';
    panel.hidden = true;
  }

  /** @param {unknown} e */
  function fail(e) {
    putErrors(errors, e);
  }

  /** @param {string} taskId @returns {Promise<boolean>} whether the task and its webhooks are through */
  async function load(taskId) {
    const signal = leaving.signal;
    const path = encodeURIComponent(taskId); // the address may say anything
    /** @type {unknown[]} */
    const failures = [];
    /** What else is known is shown even if a part of it cannot be had. @template T @param {T} none */
    const without = (none) => (/** @type {unknown} */ e) => {
      failures.push(e);
      return none;
    };
    const [task, view, deliveries] = await Promise.all([
      get(`task/${path}`, { signal, exact: ['metadata', 'rules', 'blocked_by', 'actions', 'success', 'failures', 'expected_count'] }),
      get(`view/task/${path}`, { signal }).catch(without({ why: [], parents: [], children: [] })),
      get(`task/${path}/deliveries?page_size=100`, { signal }).catch(without([])),
    ]);
    if (id !== taskId || signal.aborted) return true;
    putErrors(errors, ...failures);
    show(task, view, deliveries);
    panel.dataset.loaded = task.status; // for tests: what is shown is of this task
    return failures.length === 0 && isTerminal(task.status) &&
      deliveries.every((/** @type {any} */ d) => d.status !== 'Pending' && d.status !== 'Sending');
  }

  /** @param {any} task @param {any} view @param {any[]} deliveries */
  function show(task, view, deliveries) {
    setText(title, task.name);
    part('state', [task.status, task.attempt, task.max_attempts, task.kind], state, () => [
      badge(task.status), el('span', { class: 'chip', text: task.kind }),
      task.max_attempts > 1 ? el('span', { class: 'dim', text: `attempt ${task.attempt} of ${task.max_attempts}` }) : null,
    ]);
    const why = view.why ?? [];
    part('reason', [task.status, task.failure_reason, why], reason, () => [
      task.failure_reason ? el('p', { class: task.status === 'Failure' ? 'callout bad' : 'callout' }, ...withLinks(task.failure_reason, view.parents)) : null,
      ...(isTerminal(task.status) || why.length === 0 ? []
        : [el('h3', { text: 'Why it does not run' }), el('ul', { class: 'why', data: { test: 'why' } }, ...why.map((/** @type {any} */ w) => whyItem(w, view.parents)))]),
    ]);
    part('acts', actionsOf(task, deliveries).map((a) => a.test).concat(task.priority), acts, () => actionsOf(task, deliveries).map((a) =>
      button(a.label, async (e) => act(a, task, /** @type {HTMLElement} */ (e.currentTarget)), { class: a.danger ? 'outline-danger' : '', data: { test: a.test } })));

    section('fields', task, sections, '', () => [fields(task)]);
    section('parents', [view.parents, view.more_parents], sections, `Parents (${count(view.parents, view.more_parents)})`,
      () => view.parents.length ? [relatives(view.parents, task.batch_id), more(view.more_parents)] : []);
    section('children', [view.children, view.more_children], sections, `Children (${count(view.children, view.more_children)})`,
      () => view.children.length ? [relatives(view.children, task.batch_id), more(view.more_children)] : []);
    section('deliveries', deliveries, sections, `Webhooks sent (${deliveries.length}${deliveries.length === 100 ? ' or more' : ''})`,
      () => deliveries.length ? [el('ul', { class: 'plain' }, ...deliveries.map((d) => deliveryItem(d, () => now())))] : []);
    section('rules', [task.rules, task.blocked_by], sections, 'Rules', () => [
      task.blocked_by?.length ? json(task.blocked_by, 'held by') : null,
      task.rules.length ? json(task.rules) : null,
    ]);
    section('metadata', task.metadata, sections, 'Metadata', () => (task.metadata === null ? [] : [json(task.metadata, '', 'metadata')]));
    section('actions', task.actions, sections, `Actions (${task.actions.length})`, () => task.actions.map(actionItem));
  }

  /** @param {import('./actions.js').Action} action @param {any} task @param {HTMLElement} from */
  async function act(action, task, from) {
    try {
      if (await action.run(task)) now();
    } catch (e) {
      fail(e); // in the words of the API, beside the button
    }
    if (!from.isConnected) title.focus();
  }

  /**
   * Makes a part anew only if what it says has changed, so that the focus, a selection and what is unfolded stay.
   *
   * @param {string} key @param {unknown} data @param {HTMLElement} element @param {() => (Node|null)[]} make
   */
  function part(key, data, element, make) {
    const seen = JSON.stringify(data);
    if (shown.get(key)?.seen === seen) return;
    shown.set(key, { seen, element });
    const unfolded = [...element.querySelectorAll('details')].map((d) => d.open);
    const hadFocus = element.contains(document.activeElement);
    element.replaceChildren();
    add(element, ...make());
    [...element.querySelectorAll('details')].forEach((d, k) => { d.open = unfolded[k] ?? d.open; });
    if (hadFocus) title.focus({ preventScroll: true });
  }

  /** @param {string} key @param {unknown} data @param {HTMLElement} into @param {string} heading @param {() => (Node|null)[]} make */
  function section(key, data, into, heading, make) {
    let e = shown.get(key)?.element;
    if (!e) {
      e = el('section', { data: { section: key } });
      into.append(e);
    }
    part(key, data ?? null, e, () => {
      const content = make().filter((n) => n !== null);
      return content.length && heading ? [el('h3', { text: heading }), ...content] : content;
    });
  }

  return { open, close: shut, refresh: () => now(), get task() { return id; }, element: panel };
}

/** @param {any[]} list @param {boolean} more */
const count = (list, more) => (more ? `more than ${number(list.length)}` : number(list.length));

/** @param {boolean} there */
const more = (there) => (there ? el('p', { class: 'dim', text: 'There are more.' }) : null);

/** @param {any} w a reason @param {any[]} parents */
function whyItem(w, parents) {
  const parent = parents.find((p) => p.id === w.detail?.parent_id);
  if (!parent) return el('li', { text: inLocalTime(w.reason, w.detail?.run_at, w.detail?.opens_at) });
  return el('li', {}, 'It waits for ', taskLink(parent), `, which is ${parent.status}${parent.requires_success ? ' and has to succeed' : ''}.`);
}

/** @param {string} text @param {any[]} parents Their names, as links, in place of their ids. @returns {(Node|string)[]} */
function withLinks(text, parents) {
  const parent = parents.find((p) => text.includes(p.id));
  if (!parent) return [text];
  return text.split(parent.id).flatMap((part, k) => (k ? [taskLink(parent), part] : [part]));
}

/** @param {any} t */
const taskLink = (t) => el('a', { href: address({ batch: t.batch_id, tab: new URLSearchParams(location.search).get('tab'), task: t.id }), text: t.name });

/** @param {any[]} list @param {string|null} batch */
function relatives(list, batch) {
  return el('ul', { class: 'plain relatives' }, ...list.map((t) => el('li', {}, sign(t.status), ' ',
    t.batch_id ? taskLink(t) : el('span', { text: t.name }),
    el('span', { class: 'dim', text: [` ${t.kind}`, t.requires_success ? 'required' : 'optional', t.batch_id === batch ? '' : 'of another batch'].filter(Boolean).join(' · ') }))));
}

/** @param {any} task */
function fields(task) {
  const started = task.started_at ? new Date(task.started_at).getTime() : null;
  const ended = task.ended_at ? new Date(task.ended_at).getTime() : null;
  /** @type {[string, Node|string|null][]} */
  const rows = [
    ['Id', el('span', { class: 'mono wrap', text: task.id })],
    ['Progress', progress(whole(task.success), whole(task.failures), task.expected_count === null ? null : whole(task.expected_count))],
    ['Priority', String(task.priority)],
    ['Created', when(task.created_at)],
    ['Started', started === null ? '–' : when(task.started_at)],
    ['Ended', ended === null ? '–' : when(task.ended_at)],
    ['Took', started !== null && ended !== null ? duration((ended - started) / 1000) : null],
    ['Not before', task.run_at ? when(task.run_at) : null],
    ['Last sign of life', when(task.last_updated)],
    ['Timeout', `${duration(task.timeout)} without a sign of life`],
    ['Waits for', task.wait_finished && !isTerminal(task.status) ? `${plural(task.wait_finished, 'task')} to end, ${number(task.wait_success)} of them with success` : null],
    ['Dead-end barrier', task.dead_end_barrier ? 'yes' : null],
  ];
  return el('dl', { class: 'fields' }, ...rows.filter(([, v]) => v !== null).flatMap(([k, v]) => [el('dt', { text: k }), el('dd', {}, v)]));
}

/** @param {string} at */
const when = (at) => el('span', { title: moment(at) }, clock(new Date(at).getTime()), ' ', el('span', { class: 'dim' }, '(', age(at), ')'));

/** @param {any} value @param {string} [title] @param {string} [test] */
function json(value, title = '', test = undefined) {
  return el('pre', { tabindex: 0, 'aria-label': title || 'JSON', data: test ? { test } : {} }, (title ? `${title}: ` : '') + JSON.stringify(value, null, 2));
}

/** @param {any} a an action */
function actionItem(a) {
  const { url, verb, ...rest } = a.params;
  const line = el('span', { class: 'mono wrap', text: `${String(verb).toUpperCase()} ${url}` });
  return Object.keys(rest).length
    ? el('details', { class: 'fold' }, el('summary', {}, el('strong', { text: a.trigger }), ' ', line), json(rest))
    : el('p', {}, el('strong', { text: a.trigger }), ' ', line);
}
