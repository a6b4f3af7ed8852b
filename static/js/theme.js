// Before anything is painted: the theme the reader chose, or the system's, also when that changes.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const stored = localStorage.getItem("fusebox-theme");
    const dark = stored ? stored === "dark" : system.matches;
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
})();
