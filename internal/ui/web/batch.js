// @ts-check
// The page of a batch: loads its graph, keeps it up to date, and shows it as a picture, a table or a time line.

import { stopBatch } from './actions.js';
import { ApiError, follow, get, isAbort, pause } from './api.js';
import { batchHead } from './batch-head.js';
import { detailsPanel } from './details.js';
import { errorBox, putErrors } from './dialog.js';
import { button, el, setText } from './dom.js';
import { Graph } from './model.js';
import { keepAges, repeat, setConnection } from './poll.js';
import { address, navigate } from './route.js';
import { countsBy, countsText, isTerminal, progressBar } from './status.js';
import { toolbar } from './toolbar.js';

/** @typedef {'graph'|'table'|'timeline'} Tab */

/**
 * @param {HTMLElement} main @param {string} batch @param {URLSearchParams} params @param {AbortSignal} signal
 * @returns {import('./main.js').Page}
 */
export function showBatch(main, batch, params, signal) {
  document.title = 'Batch · Task Runner';
  main.classList.add('wide');
  const loading = el('div', { class: 'dim', text: 'Loading the batch …' });
  main.append(loading);
  keepAges(signal);
  /** @type {ReturnType<typeof page>|null} */
  let shown = null;
  let wanted = params;

  (async () => {
    try {
      const answer = await firstAnswer(batch, signal, (e) => putErrors(loading, e));
      loading.remove();
      shown = page(main, new Graph(answer), answer.created_at, wanted, signal);
    } catch (e) {
      if (isAbort(e) || signal.aborted) return;
      loading.replaceWith(el('h1', { text: 'Batch' }), errorBox(e, 'It cannot be shown.'), el('p', {}, el('a', { href: 'view', text: 'All batches' })),
        e instanceof ApiError && e.status === 409 ? undrawn(batch, signal) : '');
    }
  })();
  signal.addEventListener('abort', () => {
    shown?.destroy();
    main.classList.remove('wide');
  });
  return {
    update(p) {
      wanted = p;
      shown?.update(p);
    },
  };
}

/** What can be done with a batch that is too large to be drawn. @param {string} batch @param {AbortSignal} signal */
function undrawn(batch, signal) {
  const bar = progressBar();
  const counted = el('p', {});
  const errors = el('div', {});
  /** @type {import('./status.js').Counts} */
  let counts = [];
  const stop = button('Stop batch', () => stopBatch(batch, counts).catch((e) => putErrors(errors, e)), { class: 'outline-danger', disabled: true, data: { test: 'stop-batch' } });
  repeat(5000, async () => {
    const b = await get(`batch/${batch}`, { signal });
    counts = countsBy((s) => b.status_counts[s.key]);
    bar.update(counts);
    setText(counted, `${b.batch_name ?? batch}: ${countsText(counts)}`);
    stop.disabled = counts.every((c) => isTerminal(c.name));
    putErrors(errors);
  }, (e) => putErrors(errors, e), signal);
  return el('div', {}, counted, bar.element, el('p', { class: 'row' }, el('a', { href: `task?batch_id=${encodeURIComponent(batch)}&status=Failure`, text: 'Its failed tasks as JSON' }),
    el('a', { href: `task?batch_id=${encodeURIComponent(batch)}`, text: 'Its tasks as JSON' }), stop), errors);
}

/**
 * Asks for the graph until there is an answer.
 *
 * @param {string} batch @param {AbortSignal} signal @param {(e: unknown) => void} onWait
 */
async function firstAnswer(batch, signal, onWait) {
  for (;;) {
    try {
      return await get(`view/graph/${encodeURIComponent(batch)}`, { signal });
    } catch (e) {
      if (!(e instanceof ApiError) || (e.status !== 0 && e.status !== 503)) throw e;
      onWait(e);
      await pause(3000, signal);
      signal.throwIfAborted();
    }
  }
}

/** @param {HTMLElement} main @param {Graph} graph @param {string} createdAt @param {URLSearchParams} params @param {AbortSignal} signal */
function page(main, graph, createdAt, params, signal) {
  /** @type {Tab|''} */
  let tab = '';
  /** @type {any} */
  let view = null;
  let turn = 0; // tabs are loaded when they are wanted; of those only the last counts

  const head = batchHead(graph, createdAt, { onOpen: open });
  const bar = toolbar(graph, { onTab: (t) => go({ tab: t }), onReveal: (i) => view?.reveal(i), view: () => view });
  const area = el('div', { class: 'view', id: 'view', role: 'tabpanel' });
  const body = el('div', { class: 'body' }, area);
  const details = detailsPanel(body, { onClose: () => go({ task: null }) });
  const notes = el('div', {});
  main.append(head.element, bar.element, notes, body);

  /** @param {Record<string, string|null>} change @param {{replace?: boolean}} [o] */
  function go(change, o) {
    const now = new URLSearchParams(location.search);
    navigate(address({ batch: graph.batchId, tab: now.get('tab'), task: now.get('task'), ...change }), o);
  }

  /** @param {number} i */
  function open(i) {
    if (i < 0) return go({ task: null });
    graph.select(i);
    go({ task: graph.ids[i] });
  }

  /** @param {Tab} wanted */
  async function show(wanted) {
    if (wanted === tab) return;
    tab = wanted;
    const mine = ++turn;
    view?.destroy();
    view = null;
    area.replaceChildren();
    area.dataset.tab = tab;
    bar.tab(tab);
    try {
      const made = await load(tab);
      if (mine !== turn || signal.aborted) return;
      view = new made(area, graph, { onOpen: open });
      bar.tab(tab);
      expose();
    } catch (e) {
      if (mine === turn) area.replaceChildren(errorBox(e, 'This view cannot be shown.'));
    }
  }

  function expose() {
    /** @type {any} */ (window).__view = { graph, view };
  }

  function focusView() {
    const target = /** @type {HTMLElement|null} */ (area.querySelector('[tabindex="0"]'));
    if (target) target.focus({ preventScroll: true });
    else bar.focus();
  }

  /** @param {URLSearchParams} p */
  function update(p) {
    const wantedTab = p.get('tab');
    show(wantedTab === 'table' || wantedTab === 'timeline' ? wantedTab : 'graph');
    const task = p.get('task');
    if (!task) {
      const had = details.task;
      const inside = details.element.contains(document.activeElement);
      details.close();
      if (had && inside) focusView();
      return;
    }
    graph.select(graph.indexOf(task));
    if (details.task !== task) details.open(task, { focus: true });
  }

  graph.addEventListener('change', (e) => {
    const { indices } = /** @type {CustomEvent} */ (e).detail;
    const i = graph.indexOf(details.task);
    if (i >= 0 && (indices === null || indices.includes(i))) details.refresh();
  }, { signal });
  keys(bar, signal, { isOpen: () => details.task !== '', close: () => go({ task: null }) });
  live(graph, signal, notes);
  update(params);
  return {
    update,
    destroy() {
      view?.destroy();
      details.close();
      delete (/** @type {any} */ (window)).__view;
    },
  };
}

/** @param {Tab} tab */
async function load(tab) {
  if (tab === 'graph') return (await import('./graph.js')).GraphView;
  if (tab === 'timeline') return (await import('./timeline.js')).TimelineView;
  return (await import('./table.js')).TableView;
}

const reloadPause = 3000;

/** Keeps the graph up to date. @param {Graph} graph @param {AbortSignal} signal @param {HTMLElement} notes for what is wrong */
function live(graph, signal, notes) {
  let loading = false;
  let again = false;
  let later = 0;
  async function reload() {
    clearTimeout(later);
    if (signal.aborted) return;
    if (loading) {
      again = true;
      return;
    }
    loading = true;
    try {
      do {
        again = false;
        graph.replace(await get(`view/graph/${graph.batchId}`, { signal }));
      } while (again);
      putErrors(notes);
    } catch (e) {
      // Nothing more may change that would have it loaded again.
      if (e instanceof ApiError && (e.status === 0 || e.status === 503)) later = window.setTimeout(reload, reloadPause);
      if (!isAbort(e) && !signal.aborted && !(e instanceof ApiError && (e.status === 0 || e.status === 404))) putErrors(notes, e);
    } finally {
      loading = false;
    }
  }
  follow(graph.batchId, {
    signal,
    onState: (state) => { if (!signal.aborted) setConnection(state); },
    onEvent(type, data) {
      if (type === 'states' && !graph.apply(data)) reload();
      else if (type === 'graph' && data.revision !== graph.revision) reload();
      else if (type === 'large') {
        setConnection(null);
        putErrors(notes, data.error);
      } else if (type === 'gone') {
        setConnection(null);
        notes.replaceChildren(el('p', { class: 'callout', role: 'status', text: 'This batch has been removed. What is shown is how it was.' }));
      }
    },
  });
}

/** @param {ReturnType<typeof toolbar>} bar @param {AbortSignal} signal @param {{isOpen: () => boolean, close: () => void}} details */
function keys(bar, signal, details) {
  document.addEventListener('keydown', (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog')) return;
    const typing = e.target instanceof Element && e.target.matches('input, textarea, select');
    if (e.key === 'Escape') {
      if (bar.closeMenus()) return;
      if (typing && bar.clearSearch()) return;
      if (details.isOpen()) details.close();
      else bar.clearSearch();
      return;
    }
    if (!typing && bar.key(e.key)) e.preventDefault();
  }, { signal });
}
