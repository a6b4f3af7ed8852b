// Before anything is painted: the theme the reader chose, or the system's.
(() => {
  const stored = localStorage.getItem("fusebox-theme");
  const dark = stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
})();
