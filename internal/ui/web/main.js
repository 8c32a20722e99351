// @ts-check
// What the address says is what is shown.

import { showBatch } from './batch.js';
import { showDeliveries } from './deliveries.js';
import { closeForms, openText } from './dialog.js';
import { helpText } from './help.js';
import { showHome } from './home.js';
import { setConnection } from './poll.js';
import { followLink } from './route.js';
import { otherToken, token } from './token.js';

/** @typedef {{update: (params: URLSearchParams) => void}} Page */

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
let key = '';
/** @type {Page|null} */
let page = null;
let leaving = new AbortController();

function route() {
  const params = new URLSearchParams(location.search);
  const batch = params.get('batch');
  const deliveries = params.get('deliveries');
  const wanted = batch !== null ? `batch ${batch}` : deliveries !== null ? 'deliveries' : 'home';
  if (page && wanted === key) {
    page.update(params);
    return;
  }
  leaving.abort();
  leaving = new AbortController();
  const first = page === null;
  key = wanted;
  main.replaceChildren();
  setConnection(null);
  if (batch !== null) page = showBatch(main, batch, params, leaving.signal);
  else if (deliveries !== null) page = showDeliveries(main, params, leaving.signal);
  else page = showHome(main, params, leaving.signal);
  if (!first) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

/** Shows the page anew, with other rights perhaps. */
function again() {
  byId('forget').hidden = token() === '';
  key = '';
  route();
}

function showHelp() {
  if (document.querySelector('dialog')) return;
  openText('Keys and signs', helpText(), { class: 'wide', data: { test: 'help-dialog' } });
}

/** @param {EventTarget|null} target Whether keys are text there. */
const typing = (target) => target instanceof Element && target.matches('input, textarea, select');

document.addEventListener('click', followLink);
document.addEventListener('keydown', (e) => {
  if (e.key !== '?' || e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
  e.preventDefault();
  showHelp();
});
byId('theme').addEventListener('click', () => window.dispatchEvent(new Event('toggletheme')));
byId('help').addEventListener('click', showHelp);
byId('forget').addEventListener('click', otherToken);
window.addEventListener('popstate', () => {
  closeForms(); // else it would be read as if it were about what is shown now
  route();
});
window.addEventListener('routechange', route);
window.addEventListener('tokenchange', () => { byId('forget').hidden = token() === ''; });
window.addEventListener('tokenwanted', again);
byId('forget').hidden = token() === '';
route();
