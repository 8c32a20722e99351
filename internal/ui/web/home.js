// @ts-check
import { showBatches } from './batches.js';
import { el } from './dom.js';
import { showOverview } from './overview.js';
import { keepAges } from './poll.js';

/**
 * The page without a batch: how the service is, and which batches there are.
 *
 * @param {HTMLElement} main @param {URLSearchParams} params @param {AbortSignal} signal
 */
export function showHome(main, params, signal) {
  document.title = 'Task Runner';
  main.append(el('h1', { class: 'hidden', text: 'Overview' }));
  keepAges(signal);
  showOverview(main, signal);
  return showBatches(main, params, signal);
}
