// @ts-check
// The token of the API: asked for when it is needed, and known to this tab only.

import { el } from './dom.js';
import { openForm } from './dialog.js';

const key = 'taskrunner-token';
/** @type {Promise<boolean>|null} */
let asking = null;
let declined = false;

export const token = () => sessionStorage.getItem(key) ?? '';

/** Whether there is no token because nobody wanted to give one. */
export const isDeclined = () => declined && token() === '';

/** Forgets the token; the page is shown anew, and asks for another one if the API does. */
export function otherToken() {
  sessionStorage.removeItem(key);
  declined = false;
  changed();
  window.dispatchEvent(new Event('tokenwanted'));
}

function changed() {
  window.dispatchEvent(new Event('tokenchange'));
}

/**
 * Asks for a token in place of the one that was refused, once for all who wait for it.
 *
 * @param {string} refused "" if none was sent
 * @returns {Promise<boolean>} whether to try again
 */
export async function askToken(refused) {
  if (token() !== refused) return token() !== ''; // somebody gave another one meanwhile
  if (declined) return false;
  asking ??= ask(refused !== '').finally(() => { asking = null; });
  return asking;
}

/** @param {boolean} wrong */
async function ask(wrong) {
  const field = el('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', data: { test: 'token' }, required: true });
  const given = await openForm({
    title: 'A token is needed',
    body: [
      el('p', { text: wrong ? 'The API does not know this token. Is there another one?' : 'The API of this Task Runner answers only to those who have a token.' }),
      el('label', { for: 'token', text: 'Token' }), field,
      el('p', { class: 'dim', text: 'It is kept in this tab only, and forgotten with it.' }),
    ],
    ok: 'Use it', okTest: 'token-save',
    submit: async () => {
      const value = field.value.trim();
      if (!/^[\x20-\x7e]+$/.test(value)) throw new Error('A token has letters, digits and signs of ASCII only.');
      return value;
    },
  });
  if (!given) {
    declined = true;
    return false;
  }
  sessionStorage.setItem(key, given);
  changed();
  return true;
}
