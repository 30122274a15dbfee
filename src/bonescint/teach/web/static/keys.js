// Keys of the case page.

import { paneKey, viewerKey } from "../../../viewer/static/viewer_keys.js";

const find = (id) => document.querySelector(`#${id}`);

/** Connect the keyboard to the page. */
export function listen(page) {
  let single = true;
  try { single = localStorage.getItem("single-keys") !== "off"; } catch { /* no storage */ }
  find("single-keys").checked = single;
  find("single-keys").addEventListener("change", (event) => {
    single = event.target.checked;
    try { localStorage.setItem("single-keys", single ? "on" : "off"); } catch { /* no storage */ }
  });

  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (find("feedback").hidden) page.submit();
      else page.next();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    const { target } = event;
    const pane = page.viewer.panes.find((one) => one.canvas === target);
    if (pane && paneKey(page, pane, event)) { event.preventDefault(); return; }
    if (event.key === "Escape") { target.blur?.(); return; }
    const typing = target.matches?.("input:not([type]), select");
    if (typing && (target.matches("select") || /^[0-9]$/.test(event.key) || event.key.length > 1)) {
      if (event.key === "Enter") { event.preventDefault(); target.blur(); }
      return;
    }
    if (event.altKey || !single) return;
    if (onPage(page, event.key)) event.preventDefault();
  });
}

function onPage(page, key) {
  if (viewerKey(page.viewer, key)) return true;
  if (key === "?") { page.help(); return true; }
  if (page.locked) {
    if (key.toLowerCase() !== "n" || find("feedback").hidden) return false;
    page.next();
    return true;
  }
  switch (key.toLowerCase()) {
    case "delete": case "backspace": page.answer.remove(page.answer.chosen); return true;
    case "y": find("yes").click(); return true;
    case "n": find("no").click(); return true;
    case "f": find("no-focus").click(); return true;
    case "c": find("confidence").select(); find("confidence").focus(); return true;
    case "m": page.answer.next(); return true;
    default: return false;
  }
}
