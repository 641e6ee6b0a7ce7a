// Runs before anything is drawn, so that the page never flashes in the other colours.
// "system" follows the browser; else the choice is kept in this browser.
(() => {
  const names = ["system", "light", "dark"];
  let chosen = "system";
  try {
    chosen = localStorage.getItem("forebay-theme") || "system";
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
  if (!names.includes(chosen)) chosen = "system";

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const name = chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
    document.documentElement.dataset.theme = name;
    document.dispatchEvent(new CustomEvent("theme", { detail: chosen }));
  };
  apply();
  dark.addEventListener("change", apply);

  document.addEventListener("DOMContentLoaded", () => {
    const label = document.getElementById("theme-name");
    if (!label) return;
    label.textContent = chosen;
    document.getElementById("theme").addEventListener("click", () => {
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      try {
        localStorage.setItem("forebay-theme", chosen);
      } catch {
        // As above.
      }
      label.textContent = chosen;
      apply();
    });
  });
})();
