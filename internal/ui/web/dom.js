// @ts-check
// Elements are made here, and text gets into the page only as text: nothing that a task is called can become markup.

/**
 * Makes an element. Of props, `class`, `text`, `data` (data-…), `on` (listeners) and `style` (by CSSOM) have a meaning of
 * their own; functions and booleans are set as properties, everything else as attributes. null and undefined are left out.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name === 'class') e.className = value;
    else if (name === 'text') e.textContent = value;
    else if (name === 'data') Object.assign(e.dataset, value);
    else if (name === 'style') for (const [key, v] of Object.entries(value)) e.style.setProperty(key, v);
    else if (name === 'on') for (const [type, f] of Object.entries(value)) e.addEventListener(type, /** @type {any} */ (f));
    else if (typeof value === 'boolean') /** @type {any} */ (e)[name] = value;
    else e.setAttribute(name, String(value));
  }
  add(e, ...children);
  return e;
}

/**
 * @param {Element} parent
 * @param {...(Node|string|number|null|undefined|false)} children
 */
export function add(parent, ...children) {
  for (const c of children) {
    if (c === null || c === undefined || c === false) continue;
    parent.append(c instanceof Node ? c : String(c));
  }
}

/**
 * A button with a label and the name by which tests find it.
 *
 * @param {string} label
 * @param {(e: MouseEvent) => void} onClick
 * @param {Record<string, any>} [props]
 */
export function button(label, onClick, props = {}) {
  return el('button', { type: 'button', on: { click: onClick }, ...props }, label);
}

/**
 * Brings the children of parent to the wanted ones by moving as little as possible, so that focus and scrolling stay.
 *
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const c of [...parent.children]) if (!keep.has(c)) c.remove();
  wanted.forEach((c, i) => {
    if (parent.children[i] !== c) parent.insertBefore(c, parent.children[i] ?? null);
  });
}

/** @param {Node} e @param {string} text Sets it only if it is another, for live regions and the layout. */
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

let hush = 0;

/**
 * Says something to everybody, readers of screens included, for a while.
 *
 * @param {string} text
 */
export function announce(text) {
  const e = /** @type {HTMLElement} */ (document.getElementById('announce'));
  e.textContent = text;
  clearTimeout(hush);
  hush = window.setTimeout(() => { e.textContent = ''; }, 6000);
}
