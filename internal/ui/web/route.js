// @ts-check
// Addresses: /view is the overview, /view?batch=… a batch, /view?deliveries=… a list of deliveries.

/**
 * @param {Record<string, string|null|undefined>} params Empty ones are left out.
 * @returns {string}
 */
export function address(params = {}) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) q.set(name, value);
  const text = q.toString();
  return text ? `view?${text}` : 'view';
}

/** @param {string} href @param {{replace?: boolean}} [o] replace: no step to come back to */
export function navigate(href, { replace = false } = {}) {
  if (new URL(href, document.baseURI).href === location.href) return;
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  window.dispatchEvent(new Event('routechange'));
}

/** Links within the page do not load it again. @param {MouseEvent} e */
export function followLink(e) {
  const link = e.target instanceof Element ? e.target.closest('a') : null;
  if (!link || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  if (link.target || link.origin !== location.origin || link.pathname !== location.pathname || link.hash) return;
  e.preventDefault();
  navigate(link.href);
}
