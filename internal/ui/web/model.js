// @ts-check
// The graph of one batch as all views see it: columns by task, as GET /view/graph answers them, brought up to date by the
// events of GET /view/events, and what people chose: filter and selection. Whoever shows it listens to its events:
//
//   change   states of tasks: detail.indices are the tasks, or null for all
//   filter   other tasks match the filter, or the filter is another one
//   select   another task is selected, or none
//   replace  tasks or links came or went: indices are new, everything has to be looked at again

import { criticalPath } from './critical.js';
import { whole } from './exact.js';
import { Ways } from './ways.js';

/**
 * @typedef {{text?: string, statuses?: Set<string>|null, kinds?: Set<string>|null}} Filter
 *   Part of a name or of an id; names of statuses; names of kinds. What is left out or null lets all pass.
 * @typedef {import('./exact.js').Whole} Whole
 * @typedef {number|string} Number64 a text if a JavaScript number could not hold it
 * @typedef {{index: number, required: boolean, link: number}} Link
 * @typedef {{parent_id: string, child_id: string, requires_success: boolean}} ExternalLink
 * @typedef {{revision: string, index: number[], status: number[], priority: number[], success: Number64[], failures: Number64[],
 *   expected_count: (Number64|null)[], started_at: (number|null)[], ended_at: (number|null)[], now?: number}} States
 * @typedef {{id: string[], name: string[], kind: number[], status: number[], priority: number[], success: Number64[],
 *   failures: Number64[], expected_count: (Number64|null)[], created_at: number[], started_at: (number|null)[],
 *   ended_at: (number|null)[], layer: number[], x: number[], y: number[]}} TaskColumns
 * @typedef {{batch_id: string, batch_name: string|null, created_at: string, revision: string, statuses: string[],
 *   kinds: string[], tasks: TaskColumns, links: {parent: number[], child: number[], required: number[], bends: (number|null)[]},
 *   bends: {x: number[], y: number[]}, external_links?: ExternalLink[], width: number, height: number, now?: number}} Answer
 */

// While tasks run, the critical path changes with time alone.
const PATH_AGE_MS = 5000;

export class Graph extends EventTarget {
  /** @type {string} */ batchId;
  /** @type {string|null} */ batchName;
  /** @type {string} */ revision;
  /** @type {string[]} */ statuses; // names; a status is an index
  /** @type {string[]} */ kinds; // names; a kind is an index
  /** @type {number} */ width;
  /** @type {number} */ height;
  /** @type {ExternalLink[]} */ externalLinks;

  // By task.
  /** @type {number} */ count;
  /** @type {string[]} */ ids;
  /** @type {string[]} */ names;
  /** @type {Int32Array} */ kind;
  /** @type {Uint8Array} */ status;
  /** @type {Int32Array} */ priority;
  /** @type {Whole[]} */ success;
  /** @type {Whole[]} */ failures;
  /** @type {(Whole|null)[]} */ expected;
  /** @type {Float64Array} */ createdAt; // milliseconds since the epoch, as all times here
  /** @type {(number|null)[]} */ startedAt;
  /** @type {(number|null)[]} */ endedAt;
  /** @type {Int32Array} */ layer;
  /** @type {Float64Array} */ x;
  /** @type {Float64Array} */ y;

  // By link.
  /** @type {Int32Array} */ linkParent;
  /** @type {Int32Array} */ linkChild;
  /** @type {Uint8Array} */ linkRequired;
  /** @type {Ways} */ ways;

  /** All tasks, parents before their children. @type {Int32Array} */
  order;
  /** How many tasks match the filter. @type {number} */
  matchCount;

  /** @param {Answer} answer of GET /view/graph/{batch_id} */
  constructor(answer) {
    super();
    /** @type {Filter} */
    this.filter = {};
    this.selected = -1;
    this.#load(answer);
  }

  /**
   * Takes another structure of the same batch. The filter stays, and the selection if its task is still there.
   * @param {Answer} answer
   */
  replace(answer) {
    const id = this.selected < 0 ? '' : this.ids[this.selected];
    this.#load(answer);
    this.selected = this.indexOf(id);
    this.dispatchEvent(new Event('replace'));
  }

  /**
   * Takes states of tasks. False if they are of another structure: then the graph has to be loaded again.
   * @param {States} states
   */
  apply(states) {
    if (states.revision !== this.revision) return false;
    this.#clock(states.now);
    const changed = [];
    let filtered = false;
    for (let k = 0; k < states.index.length; k++) {
      const i = states.index[k];
      if (!this.#take(i, states, k)) continue;
      changed.push(i);
      filtered = this.#match(i) || filtered;
    }
    if (changed.length > 0) {
      this.#path = null;
      this.dispatchEvent(new CustomEvent('change', { detail: { indices: Int32Array.from(changed) } }));
    }
    if (filtered) this.dispatchEvent(new Event('filter'));
    return true;
  }

  /** The index of a task, -1 if it is not in the graph. @param {string} id */
  indexOf(id) {
    return this.#index.get(id) ?? -1;
  }

  /** @param {number} i @returns {Link[]} */
  parents(i) {
    /** @type {Link[]} */
    const links = [];
    this.eachParent(i, (index, required, link) => links.push({ index, required, link }));
    return links;
  }

  /** @param {number} i @returns {Link[]} */
  children(i) {
    /** @type {Link[]} */
    const links = [];
    this.eachChild(i, (index, required, link) => links.push({ index, required, link }));
    return links;
  }

  /** @param {number} i @param {(parent: number, required: boolean, link: number) => void} visit */
  eachParent(i, visit) {
    for (let k = this.#parents.start[i]; k < this.#parents.start[i + 1]; k++) {
      const link = this.#parents.link[k];
      visit(this.linkParent[link], this.linkRequired[link] !== 0, link);
    }
  }

  /** @param {number} i @param {(child: number, required: boolean, link: number) => void} visit */
  eachChild(i, visit) {
    for (let k = this.#children.start[i]; k < this.#children.start[i + 1]; k++) {
      const link = this.#children.link[k];
      visit(this.linkChild[link], this.linkRequired[link] !== 0, link);
    }
  }

  /** The way from one task to another: that of their link, if there is one. @param {number} a @param {number} b @param {import('./ways.js').Visit} visit */
  eachCurveBetween(a, b, visit) {
    let between = -1;
    this.eachParent(b, (parent, _, link) => { if (parent === a) between = link; });
    if (between >= 0) this.ways.eachCurve(between, visit);
    else this.ways.direct(a, b, visit);
  }

  /** @param {number} i */
  kindName(i) {
    return this.kinds[this.kind[i]] ?? '';
  }

  /** @param {number} i */
  statusName(i) {
    return this.statuses[this.status[i]] ?? '';
  }

  /** How many tasks have each status, in the order of statuses. */
  counts() {
    const counts = new Int32Array(this.statuses.length);
    for (const status of this.status) counts[status]++;
    return counts;
  }

  /** The time by the clock of the service, in milliseconds since the epoch. */
  now() {
    return Date.now() + this.#ahead;
  }

  /** Milliseconds that a task took or has taken so far; 0 if it has not started. @param {number} i */
  elapsed(i, now = this.now()) {
    const start = this.startedAt[i];
    return start === null ? 0 : Math.max(0, (this.endedAt[i] ?? now) - start);
  }

  /** @param {Filter} filter */
  setFilter(filter) {
    this.filter = { ...filter, text: (filter.text ?? '').trim() };
    this.#matchAll();
    this.dispatchEvent(new Event('filter'));
  }

  /** Whether something is filtered at all. */
  get filtering() {
    return Boolean(this.filter.text || this.filter.statuses || this.filter.kinds);
  }

  /** @param {number} i */
  matches(i) {
    return this.#matching[i] === 1;
  }

  /** @param {number} i -1: none */
  select(i) {
    const next = i >= 0 && i < this.count ? i : -1;
    if (next === this.selected) return;
    this.selected = next;
    this.dispatchEvent(new CustomEvent('select', { detail: { index: next } }));
  }

  /** The tasks of the critical path in order; see critical.js. @returns {number[]} */
  criticalPath() {
    const now = this.now();
    if (!this.#path || (this.#path.running && now - this.#path.at > PATH_AGE_MS)) {
      const tasks = criticalPath(this, now);
      this.#path = { tasks, at: now, running: this.running };
    }
    return this.#path.tasks;
  }

  /** Whether a task has started and not ended, so that the picture changes with time alone. */
  get running() {
    for (let i = 0; i < this.count; i++) if (this.startedAt[i] !== null && this.endedAt[i] === null) return true;
    return false;
  }

  /** @type {Map<string, number>} */
  #index = new Map();
  #ahead = 0;
  /** @type {{tasks: number[], at: number, running: boolean}|null} */
  #path = null;

  /** @param {Answer} answer */
  #load(answer) {
    const { tasks, links } = answer;
    this.batchId = answer.batch_id;
    this.batchName = answer.batch_name;
    this.revision = answer.revision;
    this.statuses = answer.statuses;
    this.kinds = answer.kinds;
    this.width = answer.width;
    this.height = answer.height;
    this.externalLinks = answer.external_links ?? [];

    this.count = tasks.id.length;
    this.ids = tasks.id;
    this.names = tasks.name;
    this.kind = Int32Array.from(tasks.kind);
    this.status = Uint8Array.from(tasks.status);
    this.priority = Int32Array.from(tasks.priority);
    this.success = tasks.success.map(whole);
    this.failures = tasks.failures.map(whole);
    this.expected = tasks.expected_count.map(wholeOrNull);
    this.createdAt = Float64Array.from(tasks.created_at);
    this.startedAt = tasks.started_at.slice();
    this.endedAt = tasks.ended_at.slice();
    this.layer = Int32Array.from(tasks.layer);
    this.x = Float64Array.from(tasks.x);
    this.y = Float64Array.from(tasks.y);

    this.linkParent = Int32Array.from(links.parent);
    this.linkChild = Int32Array.from(links.child);
    this.linkRequired = Uint8Array.from(links.required);
    this.ways = new Ways(this, links.bends, answer.bends);
    this.#parents = byTask(this.linkChild, this.count);
    this.#children = byTask(this.linkParent, this.count);
    this.order = this.#sort();

    this.#index = new Map(this.ids.map((id, i) => [id, i]));
    this.#path = null;
    this.#clock(answer.now);
    this.#matching = new Uint8Array(this.count);
    this.matchCount = 0;
    this.#matchAll();
  }

  #sort() {
    const order = new Int32Array(this.count);
    const missing = new Int32Array(this.count);
    for (const child of this.linkChild) missing[child]++;
    let end = 0;
    for (let i = 0; i < this.count; i++) if (missing[i] === 0) order[end++] = i;
    for (let at = 0; at < end; at++) {
      this.eachChild(order[at], (child) => {
        if (--missing[child] === 0) order[end++] = child;
      });
    }
    return order.subarray(0, end);
  }

  /** The clock of this machine may be off. @param {number|undefined} now by that of the service, if it says so */
  #clock(now) {
    if (now !== undefined) this.#ahead = now - Date.now();
  }

  /** @param {number} i @param {States} states @param {number} k @returns {boolean} whether something changed */
  #take(i, states, k) {
    const success = whole(states.success[k]);
    const failures = whole(states.failures[k]);
    const expected = wholeOrNull(states.expected_count[k]);
    if (
      this.status[i] === states.status[k] && this.priority[i] === states.priority[k] &&
      this.success[i] === success && this.failures[i] === failures &&
      this.expected[i] === expected && this.startedAt[i] === states.started_at[k] &&
      this.endedAt[i] === states.ended_at[k]
    ) return false;
    this.status[i] = states.status[k];
    this.priority[i] = states.priority[k];
    this.success[i] = success;
    this.failures[i] = failures;
    this.expected[i] = expected;
    this.startedAt[i] = states.started_at[k];
    this.endedAt[i] = states.ended_at[k];
    return true;
  }

  #matchAll() {
    for (let i = 0; i < this.count; i++) this.#match(i);
  }

  /** Whether it matches otherwise than before. @param {number} i */
  #match(i) {
    const { statuses, kinds } = this.filter;
    const text = (this.filter.text ?? '').toLowerCase();
    const is = (!statuses || statuses.has(this.statusName(i))) && (!kinds || kinds.has(this.kindName(i))) &&
      (!text || (this.names[i] ?? '').toLowerCase().includes(text) || this.ids[i].startsWith(text));
    if (is === this.matches(i)) return false;
    this.#matching[i] = is ? 1 : 0;
    this.matchCount += is ? 1 : -1;
    return true;
  }

  /** @type {ByTask} */ #parents;
  /** @type {ByTask} */ #children;
  /** @type {Uint8Array} */ #matching;
}

/** @param {Number64|null} n @returns {Whole|null} */
const wholeOrNull = (n) => (n === null ? null : whole(n));

/** @typedef {{start: Int32Array, link: Int32Array}} ByTask the links of task i are link[start[i]] to link[start[i+1]-1] */

/** @param {Int32Array} tasks one for each link @param {number} count of tasks @returns {ByTask} */
function byTask(tasks, count) {
  const start = new Int32Array(count + 1);
  for (const i of tasks) start[i + 1]++;
  for (let i = 0; i < count; i++) start[i + 1] += start[i];
  const next = start.slice();
  const link = new Int32Array(tasks.length);
  tasks.forEach((i, k) => (link[next[i]++] = k));
  return { start, link };
}
