// @ts-check
// Calls of the API: its errors as they are, the token if it needs one, and live events.

import { parseExact } from './exact.js';
import { setClock } from './format.js';
import { askToken, isDeclined, token } from './token.js';

const base = new URL('./', document.baseURI); // the page may be served below another path

/** What the API refused, in its own words. */
export class ApiError extends Error {
  /** @param {number} status @param {{error?: string, details?: string[], current_status?: string}} body */
  constructor(status, body) {
    super(body.error ?? `HTTP ${status}`);
    this.name = 'ApiError';
    this.status = status; // 0: there was no answer
    this.error = this.message;
    /** @type {string[]} */
    this.details = body.details ?? [];
    this.currentStatus = body.current_status;
  }
}

/** @param {unknown} e Whether it only says that nobody waits for the answer any more. */
export const isAbort = (e) => e instanceof DOMException && e.name === 'AbortError';

/**
 * Asks for a token and tries again, as often as the API wants one and somebody gives one.
 *
 * @param {string} path @param {RequestInit} [init] @returns {Promise<Response>}
 */
async function call(path, init = {}) {
  for (;;) {
    const used = token();
    if (refused && isDeclined()) throw refused; // the service need not say it every few seconds
    const headers = new Headers(init.headers);
    if (used) headers.set('Authorization', `Bearer ${used}`);
    let answer;
    try {
      answer = await fetch(new URL(path, base), { ...init, headers, cache: 'no-store', redirect: 'error' });
    } catch (e) {
      if (isAbort(e)) throw e;
      throw new ApiError(0, { error: 'The service does not answer.' });
    }
    setClock(answer.headers.get('Date'));
    if (answer.status === 401 && await askToken(used)) continue;
    if (answer.ok) return answer;
    const error = new ApiError(answer.status, await readError(answer));
    if (answer.status === 401) refused = error;
    throw error;
  }
}

/** @type {ApiError|null} What was said to the last request without a token that is known. */
let refused = null;

/** @param {Response} answer */
async function readError(answer) {
  try {
    const body = await answer.json();
    if (typeof body?.error === 'string') return body;
  } catch {
    // something before the service answered, with a page of its own
  }
  return { error: `The answer was ${answer.status} ${answer.statusText}.` };
}

/**
 * @param {string} path Relative, without a slash in front.
 * @param {{signal?: AbortSignal, exact?: string[]}} [options] exact: fields of which each number is to be shown as it is (exact.js)
 * @returns {Promise<any>}
 */
export async function get(path, { signal, exact = [] } = {}) {
  const text = await (await call(path, { signal })).text();
  const answer = JSON.parse(text);
  if (exact.length > 0) {
    const parsed = parseExact(text);
    for (const name of exact) answer[name] = parsed[name];
  }
  return answer;
}

/**
 * A page of a list, and the cursor of the next one, null if there is none.
 *
 * @param {string} path @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<{rows: any[], next: string|null}>}
 */
export async function getPage(path, { signal } = {}) {
  const answer = await call(path, { signal });
  return { rows: await answer.json(), next: answer.headers.get('X-Next-Cursor') };
}

/**
 * @param {'POST'|'PATCH'|'DELETE'} method @param {string} path @param {object} [body]
 * @returns {Promise<any>}
 */
export async function send(method, path, body) {
  const init = body === undefined ? { method }
    : { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
  return (await call(path, init)).json();
}

/** @typedef {'live'|'polling'|'offline'|'refused'} Connection */

const pollPause = 2000;
const silence = 40000; // the service says something every 15 s
const longestPause = 30000;
const unseenPause = 10000;

/**
 * Follows a batch until signal is aborted: by events, and while these cannot be had, by asking every two seconds. A browser
 * allows a service six connections, for all its tabs: a page that nobody sees gives that of its stream back, and asks now and
 * then, for the sake of its title.
 *
 * @param {string} batch
 * @param {{onEvent: (type: string, data: any) => void, onState: (state: Connection) => void, signal: AbortSignal}} to
 */
export async function follow(batch, { onEvent, onState, signal }) {
  let failures = 0;
  while (!signal.aborted) {
    if (document.hidden) {
      const seen = nextChange('visibilitychange');
      if (await pollFor(1)) return;
      await pause(unseenPause, seen);
      continue;
    }
    const from = Date.now();
    const unseen = AbortSignal.any([nextChange('visibilitychange'), nextChange('pagehide')]);
    let ended = false;
    try {
      ended = await readEvents(`view/events?batch=${batch}`, (type, data) => {
        failures = 0;
        onState('live');
        onEvent(type, data);
      }, AbortSignal.any([signal, unseen]));
    } catch {
      // as an end of the stream
    }
    if (ended || signal.aborted) return;
    if (unseen.aborted) {
      failures = 0;
      await pause(0); // a page that is left is hidden after it has heard of it
      continue;
    }
    // A stream that held on for long was ended by a deployment or a proxy: it comes back at once.
    failures = Date.now() - from > 60000 ? 0 : failures + 1;
    if (await pollFor(Math.min(longestPause, 1000 * 2 ** failures))) return;
  }

  /** @param {number} ms @returns {Promise<boolean>} whether the batch is gone */
  async function pollFor(ms) {
    for (const until = Date.now() + ms; Date.now() < until && !signal.aborted;) {
      try {
        onEvent('states', await get(`view/states/${batch}`, { signal }));
        onState('polling');
      } catch (e) {
        if (signal.aborted) return false;
        if (e instanceof ApiError && e.status === 404) {
          onEvent('gone', {});
          return true;
        }
        if (e instanceof ApiError && e.status === 409) { // it grew too large to be drawn, and does not shrink
          onEvent('large', { error: e });
          return true;
        }
        onState(e instanceof ApiError && (e.status === 401 || e.status === 403) ? 'refused' : 'offline');
      }
      await pause(Math.min(pollPause, Math.max(0, until - Date.now())), signal);
    }
    return false;
  }
}

/** @param {'visibilitychange'|'pagehide'} type @returns {AbortSignal} that is aborted by the next event of the type */
function nextChange(type) {
  const heard = new AbortController();
  (type === 'pagehide' ? window : document).addEventListener(type, () => heard.abort(), { once: true });
  return heard.signal;
}

/**
 * Reads a stream of server-sent events; EventSource could not send the token.
 *
 * @param {string} path @param {(type: string, data: any) => void} onEvent @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether there is nothing more to come
 */
async function readEvents(path, onEvent, signal) {
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), silence);
  try {
    const answer = await call(path, { signal: AbortSignal.any([signal, quiet.signal]), headers: { Accept: 'text/event-stream' } });
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
    const decoder = new TextDecoder();
    let text = '';
    let gone = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return gone;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), silence);
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const event = readEvent(text.slice(0, end));
        text = text.slice(end + 2);
        if (!event) continue;
        gone ||= event.type === 'gone';
        onEvent(event.type, event.data);
      }
    }
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
}

/** @param {string} block */
function readEvent(block) {
  let type = 'message';
  let data = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) type = line.slice(6).trim();
    else if (line.startsWith('data:')) data += line.slice(5);
  }
  return data === '' && type === 'message' ? null : { type, data: data ? JSON.parse(data) : {} };
}

/** @param {number} ms @param {AbortSignal} [signal] Ends earlier if it is aborted. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve(undefined);
    }
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });
}

