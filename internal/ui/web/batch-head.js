// @ts-check
// The head of a batch's page: what it is, how far it is, what is wrong, and what can be done with it as a whole.

import { editRules, stopBatch } from './actions.js';
import { errorBox } from './dialog.js';
import { button, el, setText } from './dom.js';
import { age, duration, number } from './format.js';
import { countsBy, countsText, isTerminal, progressBar, sign, statusOf } from './status.js';

/** @typedef {import('./model.js').Graph} Graph */

const shownProblems = 3;
const patience = 30000; // ms without any work, after which a batch looks stuck
const sayEvery = 10000;
const pauseBetween = 150; // ms; changes may come faster

/** @param {Graph} graph @param {string} createdAt @param {{onOpen: (i: number) => void}} o */
export function batchHead(graph, createdAt, { onOpen }) {
  const title = el('h1', {});
  const bar = progressBar();
  const share = el('span', { class: 'dim' });
  const spoken = el('span', { class: 'hidden', role: 'status' });
  const problems = el('div', { class: 'row', data: { test: 'problems' } });
  const errors = el('div', {});
  const rules = button('Edit rules', act(() => editRules(graph)), { data: { test: 'edit-rules' } });
  const stop = button('Stop batch', act(() => stopBatch(graph.batchId, counts())), { class: 'outline-danger', data: { test: 'stop-batch' } });
  const element = el('div', { class: 'batch-head' },
    el('div', { class: 'row' }, title, el('span', { class: 'mono dim folds', text: graph.batchId, title: 'The id of the batch' }),
      el('span', { class: 'dim folds' }, 'created ', age(createdAt)), el('span', { class: 'grow' }), el('span', { class: 'row folds' }, rules, stop)),
    bar.element, el('div', { class: 'row problems' }, share, spoken, problems), errors);
  let said = 0;
  let seen = '';

  /** @param {() => Promise<boolean>} f */
  function act(f) {
    return async () => {
      try {
        await f();
        errors.replaceChildren();
      } catch (e) {
        errors.replaceChildren(errorBox(e));
      }
    };
  }

  function counts() {
    const by = graph.counts();
    return countsBy((s) => by[graph.statuses.indexOf(s.name)]);
  }

  function update() {
    const now = counts();
    const of = (/** @type {string} */ name) => now.find((c) => c.name === name)?.count ?? 0;
    const ended = now.filter((c) => isTerminal(c.name)).reduce((sum, c) => sum + c.count, 0);
    const failed = of('Failure');
    const name = graph.batchName ?? `Batch ${graph.batchId.slice(0, 8)}`;
    setText(title, name);
    bar.update(now);
    setText(share, `${number(ended)} of ${number(graph.count)} ended${failed ? `, ${number(failed)} failed` : ''}`);
    document.title = `${failed ? `${statusOf('Failure').glyph}${failed} ` : ended === graph.count ? `${statusOf('Success').glyph} ` : ''}${ended}/${graph.count} ${name} · Task Runner`;
    if (Date.now() - said > sayEvery || ended === graph.count) {
      said = Date.now();
      setText(spoken, `${ended} of ${graph.count} tasks have ended: ${countsText(now)}`);
    }
    rules.disabled = stop.disabled = ended === graph.count;
    showProblems(graph, of);
  }

  /** @param {Graph} g @param {(name: string) => number} of */
  function showProblems(g, of) {
    /** @type {{text: string, tasks: number[]}[]} */
    const found = [];
    if (of('Failure')) found.push({ text: 'Failed by themselves', tasks: rootFailures(g) });
    if (of('Paused')) found.push({ text: 'Held by somebody', tasks: all(g, 'Paused') });
    const oldest = of('Running') + of('Claimed') === 0 ? longestPending(g) : -1;
    if (oldest >= 0) found.push({ text: `Nothing runs. Pending for ${duration(Math.round((g.now() - g.createdAt[oldest]) / 60000) * 60)}`, tasks: [oldest] });
    const now = g.revision + JSON.stringify(found.map((p) => [p.text, p.tasks.length, p.tasks.slice(0, shownProblems)]));
    if (now === seen) return;
    seen = now;
    problems.replaceChildren(...found.filter((p) => p.tasks.length > 0).map(({ text, tasks }) => el('span', {},
      sign(g.statusName(tasks[0])), ` ${text}: `,
      ...tasks.slice(0, shownProblems).flatMap((i, k) => [k ? ', ' : null, button(g.names[i], () => onOpen(i), { class: 'link', title: 'What it is, why, and what to do' })]),
      tasks.length > shownProblems ? ` and ${number(tasks.length - shownProblems)} more` : null)));
  }

  let timer = 0;
  for (const type of ['change', 'replace']) {
    graph.addEventListener(type, () => { // by a timer: the title is for those who look at another tab
      timer ||= window.setTimeout(() => {
        timer = 0;
        update();
      }, pauseBetween);
    });
  }
  update();
  return { element };
}

/** Failed tasks that did not fail because of another one that can be seen here. @param {Graph} g */
function rootFailures(g) {
  return all(g, 'Failure').filter((i) => !g.parents(i).some((p) => p.required && ['Failure', 'Canceled'].includes(g.statusName(p.index))));
}

/** @param {Graph} g @param {string} status */
function all(g, status) {
  const found = [];
  const wanted = g.statuses.indexOf(status);
  for (let i = 0; i < g.count; i++) if (g.status[i] === wanted) found.push(i);
  return found;
}

/** @param {Graph} g */
function longestPending(g) {
  const pending = all(g, 'Pending');
  return pending.length > 0 && g.now() - g.createdAt[pending[0]] > patience ? pending[0] : -1;
}
