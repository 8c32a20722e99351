// @ts-check
// The theme, set before anything is drawn so that nothing flashes, which is why this is no module: what somebody chose, else
// that of the system.
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  /** @type {string|null} */
  let chosen = null;
  try {
    chosen = localStorage.getItem('taskrunner-theme');
  } catch {
    // without storage a choice lasts as long as the page
  }
  function apply() {
    const theme = chosen === 'light' || chosen === 'dark' ? chosen : dark.matches ? 'dark' : 'light';
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    window.dispatchEvent(new Event('themechange'));
  }
  apply();
  dark.addEventListener('change', apply);
  window.addEventListener('toggletheme', () => {
    chosen = root.dataset.theme === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem('taskrunner-theme', chosen);
    } catch {
      // as above
    }
    apply();
  });
})();
