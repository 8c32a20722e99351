// @ts-check
// What people can do: each asks what it has to know, confirms what cannot be undone, and shows what the API says to it.

import { get, send } from './api.js';
import { openForm } from './dialog.js';
import { announce, el } from './dom.js';
import { parseExact } from './exact.js';
import { number, plural } from './format.js';
import { isTerminal } from './status.js';

/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {{id: string, name: string, status: string, attempt: number, started_at: string|null, priority: number}} Task */
/** @typedef {{id: string, trigger: string, status: string, task_attempt: number, tries: number, url: string, verb: string, idempotency_key: string}} Delivery */
/** @typedef {{test: string, label: string, danger?: boolean, run: (task: Task) => Promise<boolean>}} Action run: whether it was done */

const name = (/** @type {Task} */ task) => `“${task.name}”`;

/** @param {string} text @param {Promise<any>} answer */
async function done(text, answer) {
  await answer;
  announce(text);
  return true;
}

/** @type {Action} */
const pause = { test: 'action-pause', label: 'Pause',
  run: (task) => done(`${task.name} is paused.`, send('PATCH', `task/pause/${task.id}`)) };

/** @type {Action} */
const resume = { test: 'action-resume', label: 'Resume',
  run: (task) => done(`${task.name} goes on.`, send('PATCH', `task/resume/${task.id}`)) };

/** @type {Action} */
const cancel = { test: 'action-cancel', label: 'Cancel task', danger: true,
  run: async (task) => await openForm({
    title: `Cancel ${name(task)}?`,
    body: [el('p', { text: 'It cannot be undone. Tasks that require it fail; its cancel actions are called if its program was.' })],
    ok: 'Cancel the task', danger: true,
    submit: () => done(`${task.name} is canceled.`, send('DELETE', `task/${task.id}`)),
  }) ?? false };

/** @type {Action} */
const succeed = { test: 'action-succeed', label: 'Set to Success', run: (task) => report(task, 'Success') };
/** @type {Action} */
const fail = { test: 'action-fail', label: 'Set to Failure', danger: true, run: (task) => report(task, 'Failure') };

/** @param {Task} task @param {'Success'|'Failure'} status */
async function report(task, status) {
  const failed = status === 'Failure';
  const reason = el('input', { id: 'reason', required: failed, autocomplete: 'off', data: { test: 'reason' } });
  return await openForm({
    title: failed ? `Set ${name(task)} to Failure?` : `Set ${name(task)} to Success?`,
    body: [
      el('p', { text: failed
        ? 'It fails as if its program had said so: if it has attempts left, it is tried again; else tasks that require it fail.'
        : 'It ends as if its program had said so, and what waits for it goes on. It cannot be undone; the program itself is not stopped.' }),
      el('label', { for: 'reason', text: failed ? 'Why' : 'Why (may be empty)' }), reason,
    ],
    ok: `Set to ${status}`, danger: failed,
    submit: () => done(`${task.name} is reported as ${status}.`, send('PATCH', `task/${task.id}`,
      { status, ...(reason.value.trim() ? { failure_reason: reason.value.trim() } : {}) })),
  }) ?? false;
}

/** @type {Action} */
const priority = { test: 'action-priority', label: 'Priority',
  run: async (task) => {
    const field = el('input', { type: 'number', id: 'priority', min: -1000, max: 1000, step: 1, required: true, value: task.priority, data: { test: 'priority' } });
    return await openForm({
      title: `Priority of ${name(task)}`,
      body: [el('label', { for: 'priority', text: 'From -1000 to 1000; the highest is started first' }), field],
      ok: 'Set the priority',
      submit: () => done(`${task.name} has priority ${field.value}.`, send('PATCH', `task/${task.id}`, { priority: Number(field.value) })),
    }) ?? false;
  } };

/**
 * What the API would allow.
 *
 * @param {Task} task @param {Delivery[]} deliveries
 * @returns {Action[]}
 */
export function actionsOf(task, deliveries) {
  if (isTerminal(task.status)) return [];
  const contacted = task.started_at !== null ||
    deliveries.some((d) => d.trigger === 'Start' && d.task_attempt === task.attempt && d.tries > 0);
  const reports = ['Claimed', 'Running'].includes(task.status) || (['Pending', 'Paused'].includes(task.status) && contacted);
  return [task.status === 'Paused' ? resume : pause, ...(reports ? [succeed, fail] : []), priority, cancel];
}

/** @param {Delivery} d Start is never replayed: a task is retried instead. */
export const canReplay = (d) => d.trigger !== 'Start' && d.status !== 'Sending';

/** @param {Delivery} d @returns {Promise<boolean>} */
export async function replay(d) {
  return await openForm({
    title: 'Send this webhook again?',
    body: [
      el('p', { class: 'mono', text: `${d.verb.toUpperCase()} ${d.url}` }),
      el('p', { text: d.status === 'Delivered' ? 'It was delivered already. The receiver can tell by the idempotency key, which stays the same.'
        : 'It is due at once, with as many tries as at first and the same idempotency key.' }),
    ],
    ok: 'Send it again',
    submit: () => done('The webhook is sent again.', send('POST', `delivery/${d.id}/replay`)),
  }) ?? false;
}

/** @param {string} batch @param {import('./status.js').Counts} counts @returns {Promise<boolean>} */
export async function stopBatch(batch, counts) {
  const open = counts.filter((c) => !isTerminal(c.name));
  return await openForm({
    title: 'Stop this batch?',
    body: [
      el('p', { text: `Every task that has not ended is canceled: ${open.map((c) => `${number(c.count)} ${c.name}`).join(', ') || 'none at the moment'}.` }),
      el('p', { text: 'It cannot be undone. Cancel actions of tasks whose program was called are called.' }),
    ],
    ok: 'Stop the batch', danger: true,
    submit: async () => {
      const a = await send('DELETE', `batch/${batch}`);
      const n = a.canceled_waiting + a.canceled_pending + a.canceled_claimed + a.canceled_running + a.canceled_paused;
      announce(`The batch is stopped: ${plural(n, 'task was', 'tasks were')} canceled.`);
      return true;
    },
  }) ?? false;
}

const example = '[{"type": "Concurency", "max_concurency": 2, "matcher": {"status": "Running", "kind": "…", "fields": []}}]';

/** @param {Graph} graph @returns {Promise<boolean>} */
export async function editRules(graph) {
  const kind = el('select', { id: 'rules-kind', data: { test: 'rules-kind' } }, ...[...graph.kinds].sort().map((k) => el('option', { value: k, text: k })));
  const rules = el('textarea', { id: 'rules', class: 'mono', spellcheck: 'false', data: { test: 'rules' } });
  const note = el('p', { class: 'dim', role: 'status' });
  async function present() {
    const wanted = kind.value;
    const i = openTask(graph, wanted);
    note.textContent = i < 0 ? 'No task of this kind is left that has not ended.' : 'The rules of one of its tasks; those of the others may differ.';
    rules.value = '[]';
    if (i < 0) return;
    try {
      const task = await get(`task/${graph.ids[i]}`, { exact: ['rules'] });
      if (kind.value === wanted && rules.value === '[]') rules.value = JSON.stringify(task.rules, null, 2);
    } catch {
      note.textContent = 'The present rules could not be read.';
    }
  }
  kind.addEventListener('change', present);
  present();
  return await openForm({
    title: 'Rules of the batch', wide: true,
    body: [
      el('p', { text: 'They replace the rules of every task of a kind that has not ended. Queued tasks obey at once, started ones are not stopped. [] removes them.' }),
      el('label', { for: 'rules-kind', text: 'Kind' }), kind,
      el('label', { for: 'rules', text: 'Rules, as JSON' }), rules, note,
      el('p', { class: 'dim' }, 'For example ', el('code', { text: example })),
    ],
    ok: 'Replace the rules',
    submit: async () => {
      let parsed;
      try {
        parsed = parseExact(rules.value);
      } catch (e) {
        rules.focus();
        throw new Error(`This is no JSON: ${e instanceof Error ? e.message : e}`);
      }
      const a = await send('PATCH', `batch/${graph.batchId}/rules`, { kind: kind.value, rules: parsed });
      announce(`${plural(a.updated_count, 'task has', 'tasks have')} the new rules.`);
      return true;
    },
  }) ?? false;
}

/** @param {Graph} graph @param {string} kind @returns {number} a task of that kind that has not ended, else -1 */
function openTask(graph, kind) {
  for (let i = 0; i < graph.count; i++) if (graph.kindName(i) === kind && !isTerminal(graph.statusName(i))) return i;
  return -1;
}
