// @ts-check
// What is above the picture of a batch: tabs, search, filters, and what the view can do.

import { download, toCSV } from './csv.js';
import { errorBox, openText } from './dialog.js';
import { arrange, button, el, setText } from './dom.js';
import { number } from './format.js';
import { sign, STATUSES } from './status.js';

/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./batch.js').Tab} Tab */

/** @type {{tab: Tab, label: string}[]} */
const tabs = [{ tab: 'graph', label: 'Graph' }, { tab: 'table', label: 'Table' }, { tab: 'timeline', label: 'Timeline' }];

/**
 * @param {Graph} graph
 * @param {{onTab: (tab: Tab) => void, onReveal: (i: number) => void, view: () => any}} o
 */
export function toolbar(graph, { onTab, onReveal, view }) {
  const tabButtons = tabs.map(({ tab, label }, k) => button(label, () => onTab(tab), {
    role: 'tab', id: `tab-${tab}`, 'aria-controls': 'view', 'aria-selected': 'false', title: `${label} (${k + 1})`, data: { test: `tab-${tab}` },
  }));
  const tabList = el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Views of the batch' }, ...tabButtons);
  tabList.addEventListener('keydown', (e) => {
    const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    e.preventDefault();
    const at = tabButtons.findIndex((b) => b === document.activeElement);
    const to = (at + step + tabs.length) % tabs.length;
    tabButtons[to].focus();
    onTab(tabs[to].tab);
  });

  const search = el('input', { type: 'search', placeholder: 'Search (/)', 'aria-label': 'Search tasks by name or id', maxlength: 255, data: { test: 'search' } });
  const found = el('span', { class: 'dim found', role: 'status', data: { test: 'found' } });
  const kinds = kindMenu(graph, filter);
  const statuses = statusFilter(graph, filter);
  const critical = button('Critical path', () => setCritical(critical.getAttribute('aria-pressed') !== 'true'), { 'aria-pressed': 'false', title: 'The longest way through the graph by time (c)', data: { test: 'critical' } });
  const zoom = el('div', { class: 'row', role: 'group', 'aria-label': 'Picture' },
    button('Fit', () => view()?.fit?.(), { title: 'All of it (f)', data: { test: 'fit' } }),
    button('+', () => view()?.zoomBy?.(1.4), { 'aria-label': 'Nearer', title: 'Nearer (+)', data: { test: 'zoom-in' } }),
    button('−', () => view()?.zoomBy?.(1 / 1.4), { 'aria-label': 'Farther', title: 'Farther (−)', data: { test: 'zoom-out' } }), critical);
  const exports = exportMenu(graph, view);
  // On a narrow screen the picture has the room, and this unfolds what is not always needed, in the head of the batch too.
  const tools = button('Tools', () => fold(tools.ariaExpanded === 'true'), { class: 'tools', 'aria-expanded': 'false', title: 'Search, filters, and what can be done with the batch', data: { test: 'tools' } });
  for (const e of [search, kinds.element, zoom, exports.element, statuses.element]) e.classList.add('folds');
  const element = el('div', { class: 'toolbar' }, tabList, tools, search, found, kinds.element, el('span', { class: 'grow' }), zoom, exports.element, statuses.element);

  /** @param {boolean} away */
  function fold(away) {
    tools.ariaExpanded = String(!away);
    element.parentElement?.classList.toggle('unfolded', !away);
  }

  function filter() {
    graph.setFilter({ text: search.value, statuses: statuses.chosen(), kinds: kinds.chosen() });
  }
  function say() {
    setText(found, graph.filtering ? `${number(graph.matchCount)} of ${number(graph.count)}` : '');
  }
  let timer = 0;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = window.setTimeout(filter, 120);
  });
  search.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter') return;
    clearTimeout(timer);
    filter();
    const i = nextMatch(graph, e.shiftKey ? -1 : 1);
    if (i < 0) return;
    graph.select(i);
    onReveal(i);
  });
  graph.addEventListener('filter', say);
  graph.addEventListener('replace', () => { kinds.update(); say(); });

  /** @param {boolean} on */
  function setCritical(on) {
    critical.setAttribute('aria-pressed', String(on));
    view()?.setCritical?.(on);
  }

  return {
    element,
    focus: () => tabButtons.find((b) => b.tabIndex === 0)?.focus(),
    /** @param {Tab} tab */
    tab(tab) {
      tabs.forEach((t, k) => {
        tabButtons[k].setAttribute('aria-selected', String(t.tab === tab));
        tabButtons[k].tabIndex = t.tab === tab ? 0 : -1;
      });
      zoom.hidden = tab === 'table';
      critical.hidden = tab !== 'graph';
      exports.picture(tab === 'graph');
      if (critical.getAttribute('aria-pressed') === 'true') view()?.setCritical?.(true);
    },
    clearSearch() {
      if (search.value === '') return false;
      search.value = '';
      filter();
      return true;
    },
    closeMenus: () => kinds.close() || exports.close(),
    /** @param {string} key @returns {boolean} whether it means something */
    key(key) {
      const v = view();
      const known = /** @type {Record<string, (() => void)|undefined>} */ ({
        '/': () => { fold(false); search.focus(); search.select(); },
        1: () => onTab('graph'), 2: () => onTab('table'), 3: () => onTab('timeline'),
        f: v?.fit && (() => v.fit()), '+': v?.zoomBy && (() => v.zoomBy(1.4)), '-': v?.zoomBy && (() => v.zoomBy(1 / 1.4)),
        c: v?.setCritical && (() => setCritical(critical.getAttribute('aria-pressed') !== 'true')),
      })[key];
      known?.();
      return known !== undefined;
    },
  };
}

/** @param {Graph} graph @param {number} step @returns {number} the match after the selected task, around the end */
function nextMatch(graph, step) {
  const from = graph.selected < 0 && step < 0 ? 0 : graph.selected;
  for (let k = 1; k <= graph.count; k++) {
    const i = (((from + step * k) % graph.count) + graph.count) % graph.count;
    if (graph.matches(i)) return i;
  }
  return -1;
}

/** The states with their counts, which are the legend as well as the filter. @param {Graph} graph @param {() => void} onChange */
function statusFilter(graph, onChange) {
  /** @type {Set<string>} */
  const chosen = new Set();
  const chips = new Map(STATUSES.map((s) => {
    const count = el('span', { class: 'n' });
    const element = button('', () => {
      if (!chosen.delete(s.name)) chosen.add(s.name);
      element.setAttribute('aria-pressed', String(chosen.has(s.name)));
      onChange();
    }, { class: 'legend', 'aria-pressed': 'false', title: s.says, data: { status: s.name } });
    element.append(sign(s.name), s.name, count);
    element.firstElementChild?.setAttribute('aria-hidden', 'true');
    return [s.name, { element, count }];
  }));
  const element = el('div', { class: 'legends', role: 'group', 'aria-label': 'Filter by state', data: { test: 'filter-status' } });
  function update() {
    const counts = graph.counts();
    const there = STATUSES.filter((s) => counts[graph.statuses.indexOf(s.name)] > 0 || chosen.has(s.name));
    for (const s of there) setText(/** @type {any} */ (chips.get(s.name)).count, number(counts[graph.statuses.indexOf(s.name)]));
    arrange(element, there.map((s) => /** @type {any} */ (chips.get(s.name)).element));
  }
  graph.addEventListener('change', update);
  graph.addEventListener('replace', update);
  update();
  return { element, chosen: () => (chosen.size ? new Set(chosen) : null) };
}

/** @param {Graph} graph @param {() => void} onChange */
function kindMenu(graph, onChange) {
  /** @type {Set<string>} */
  const chosen = new Set();
  const summary = el('summary', { class: 'button' }, 'Kinds');
  const list = el('div', { class: 'items', role: 'group', 'aria-label': 'Kinds' });
  const element = el('details', { class: 'menu', data: { test: 'filter-kind' } }, summary, list);
  function update() {
    list.replaceChildren(...[...graph.kinds].sort().map((k) => {
      const box = el('input', { type: 'checkbox', value: k, checked: chosen.has(k) });
      box.addEventListener('change', () => {
        if (box.checked) chosen.add(k);
        else chosen.delete(k);
        setText(summary, chosen.size ? `Kinds (${chosen.size})` : 'Kinds');
        onChange();
      });
      return el('label', {}, box, ' ', k);
    }));
  }
  update();
  closeOutside(element);
  return { element, update, close: () => shut(element), chosen: () => (chosen.size ? new Set(chosen) : null) };
}

/** @param {Graph} graph @param {() => any} view */
function exportMenu(graph, view) {
  const name = (/** @type {string} */ ext) => `${(graph.batchName ?? graph.batchId).replace(/[^\p{L}\p{N}._-]+/gu, '-').slice(0, 80)}.${ext}`;
  const svg = item('Picture as SVG', 'export-svg', async () => download(new Blob([view().exportSVG()], { type: 'image/svg+xml' }), name('svg')));
  const png = item('Picture as PNG', 'export-png', async () => download(await view().exportPNG(), name('png')));
  const csv = item('Tasks as CSV', 'export-csv', async () => download(new Blob([toCSV(graph)], { type: 'text/csv' }), name('csv')));
  const element = el('details', { class: 'menu end' }, el('summary', { class: 'button', data: { test: 'export' } }, 'Export'),
    el('div', { class: 'items' }, png, svg, csv));
  /** @param {string} label @param {string} test @param {() => Promise<void>} run */
  function item(label, test, run) {
    return button(label, async () => {
      element.open = false;
      try {
        await run();
      } catch (e) {
        openText('Export', [errorBox(e, 'That did not work.')]);
      }
    }, { data: { test } });
  }
  closeOutside(element);
  return {
    element,
    close: () => shut(element),
    /** @param {boolean} there */
    picture(there) {
      svg.hidden = png.hidden = !there;
    },
  };
}

/** @param {HTMLDetailsElement} menu @returns {boolean} whether it was open */
function shut(menu) {
  const was = menu.open;
  if (was) /** @type {HTMLElement} */ (menu.querySelector('summary')).focus();
  menu.open = false;
  return was;
}

/** @param {HTMLDetailsElement} menu */
function closeOutside(menu) {
  const off = (/** @type {Event} */ e) => { if (!menu.contains(/** @type {Node} */ (e.target))) menu.open = false; };
  menu.addEventListener('toggle', () => {
    if (menu.open) document.addEventListener('pointerdown', off);
    else document.removeEventListener('pointerdown', off);
  });
}
