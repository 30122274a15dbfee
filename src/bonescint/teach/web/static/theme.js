// Light room or dark room: as the system says, until somebody chooses.

const root = document.documentElement;
const button = document.querySelector("#theme");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("theme"); } catch { /* no storage */ }

function show() {
  const now = chosen ?? (dark.matches ? "dark" : "light");
  root.dataset.theme = now;
  button.setAttribute("aria-pressed", String(now === "dark"));
}

button.addEventListener("click", () => {
  chosen = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", chosen); } catch { /* no storage */ }
  show();
});
dark.addEventListener("change", show);
show();
