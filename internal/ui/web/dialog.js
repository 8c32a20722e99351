// @ts-check
// Questions, in the browser's own modal dialog: it keeps the focus inside and gives it back.

import { button, el } from './dom.js';
import { ApiError } from './api.js';
import { otherToken } from './token.js';

/**
 * An error for people, in the words of the API.
 *
 * @param {unknown} e @param {string} [what] what did not work
 */
export function errorBox(e, what = '') {
  const error = e instanceof Error ? e : new Error(String(e));
  const details = error instanceof ApiError ? error.details : [];
  return el('div', { class: 'error', role: 'alert', data: { test: 'error' } },
    el('p', {}, what ? el('strong', { text: what + ' ' }) : null, error.message,
      error instanceof ApiError && error.status ? el('span', { class: 'dim', text: ` (${error.status})` }) : null),
    details.length ? el('ul', {}, ...details.map((d) => el('li', { text: d }))) : null,
    error instanceof ApiError && error.status === 401 ? button('Enter a token', otherToken) : null,
    error instanceof ApiError && error.status === 403 ? button('Use another token', otherToken) : null);
}

/**
 * Shows an error, or takes it away. One that is there already stays as it is, with the focus that may be in it, and is not
 * read out again.
 *
 * @param {Element} into @param {unknown[]} errors none: all is well
 */
export function putErrors(into, ...errors) {
  const boxes = errors.map((e) => errorBox(e));
  if (into.textContent !== boxes.map((b) => b.textContent).join('')) into.replaceChildren(...boxes);
}

/** Calls off what is asked about a page that is left; a token is wanted by the next one as well. */
export function closeForms() {
  for (const dialog of document.querySelectorAll('dialog')) if (!dialog.querySelector('#token')) dialog.close();
}

/**
 * A dialog with a form. submit makes the result; if it throws, the error is shown and the dialog stays.
 *
 * @template T
 * @param {{title: string, body: (Node|null)[], ok: string, submit: () => Promise<T>, danger?: boolean, okTest?: string, wide?: boolean}} o
 * @returns {Promise<T|null>} null if it was called off
 */
export function openForm({ title, body, ok, submit, danger = false, okTest = 'confirm-ok', wide = false }) {
  return new Promise((resolve) => {
    /** @type {T|null} */
    let result = null;
    const heading = el('h2', { id: 'dialog-title', text: title });
    const errors = el('div', {});
    const okButton = el('button', { type: 'submit', class: danger ? 'danger' : 'primary', data: { test: okTest } }, ok);
    const cancel = button('Back', () => dialog.close(), { data: { test: 'confirm-cancel' } });
    const form = el('form', { method: 'dialog', noValidate: true }, heading, ...body, errors, el('div', { class: 'buttons' }, cancel, okButton));
    const dialog = el('dialog', { class: wide ? 'wide' : '', 'aria-labelledby': 'dialog-title' }, form);
    form.addEventListener('submit', async (e) => {
      e.preventDefault();
      const empty = [...form.querySelectorAll('input, textarea')].find((f) => !(/** @type {HTMLInputElement} */ (f).checkValidity()));
      if (empty) {
        /** @type {HTMLInputElement} */ (empty).focus();
        errors.replaceChildren(errorBox(new Error(/** @type {HTMLInputElement} */ (empty).validationMessage)));
        return;
      }
      okButton.disabled = true;
      try {
        result = await submit();
        dialog.close();
      } catch (error) {
        errors.replaceChildren(errorBox(error));
      } finally {
        okButton.disabled = false;
      }
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (danger) cancel.focus(); // Enter alone destroys nothing
    else /** @type {HTMLElement|null} */ (form.querySelector('input, textarea, select') ?? okButton)?.focus();
  });
}

/**
 * Something to read.
 *
 * @param {string} title @param {Node[]} body @param {Record<string, any>} [props]
 */
export function openText(title, body, props = {}) {
  const dialog = el('dialog', { 'aria-labelledby': 'dialog-title', ...props },
    el('h2', { id: 'dialog-title', text: title }), ...body,
    el('div', { class: 'buttons' }, button('Close', () => dialog.close(), { class: 'primary' })));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
