// @ts-check
// Pages that ask again and again, and what is said about the connection.

import { ApiError, isAbort, pause } from './api.js';
import { setText } from './dom.js';
import { refreshAges } from './format.js';

const words = { live: 'Live', polling: 'Every 2 s', offline: 'No connection', refused: 'A token is needed' };
const signs = { live: '●', polling: '◌', offline: '✗', refused: '✗' };
const titles = {
  live: 'Changes are shown as they happen.',
  polling: 'The stream of changes cannot be had at the moment: the page asks every two seconds.',
  offline: 'The service cannot be reached. What is shown may be old; the page keeps trying.',
  refused: 'The service answers only to those who have a token that is good enough. What is shown may be old.',
};

/** @param {import('./api.js').Connection|null} state null: nothing to say */
export function setConnection(state) {
  const e = /** @type {HTMLElement} */ (document.getElementById('connection'));
  e.hidden = state === null;
  if (state === null || e.dataset.state === state) return;
  e.dataset.state = state;
  e.title = titles[state];
  setText(e, `${signs[state]} ${words[state]}`);
}

/**
 * Calls f now and every ms, while the page can be seen, until signal is aborted. The returned function calls it at once.
 *
 * @param {number} ms
 * @param {() => Promise<void>} f
 * @param {(e: unknown) => void} onError
 * @param {AbortSignal} signal
 * @param {{quiet?: boolean}} [o] quiet: somebody else says how the connection is
 */
export function repeat(ms, f, onError, signal, { quiet = false } = {}) {
  let hurry = new AbortController();
  const now = () => hurry.abort();
  const seen = () => { if (!document.hidden) now(); };
  document.addEventListener('visibilitychange', seen);
  signal.addEventListener('abort', () => {
    document.removeEventListener('visibilitychange', seen);
    now();
  });
  (async () => {
    while (!signal.aborted) {
      hurry = new AbortController();
      try {
        await f();
        if (!signal.aborted && !quiet) setConnection(null);
      } catch (e) {
        if (signal.aborted) return;
        if (!isAbort(e)) {
          if (!quiet && e instanceof ApiError && (e.status === 0 || e.status === 503)) setConnection('offline');
          onError(e);
        }
      }
      do await pause(ms, hurry.signal);
      while (document.hidden && !signal.aborted && !hurry.signal.aborted);
    }
  })();
  return now;
}

/** @param {AbortSignal} signal Keeps the ages on the page true. */
export function keepAges(signal) {
  const timer = setInterval(() => refreshAges(document), 5000);
  signal.addEventListener('abort', () => clearInterval(timer));
}
