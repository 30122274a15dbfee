// Keys for everything.

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
    page.note("key-shortcuts", { on: single });
  });

  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      page.submit();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    const target = event.target;
    const pane = page.viewer.panes.find((one) => one.canvas === target);
    if (pane && paneKey(page, pane, event)) { event.preventDefault(); return; }
    if (target.id === "comment") {
      if (event.key === "Escape") target.blur();
      return;
    }
    const typing = target.matches?.("input:not([type]), select");
    if (event.key === "Escape") { target.blur?.(); return; }
    if (typing && (/^[0-9]$/.test(event.key) || event.key.length > 1)) {
      if (event.key === "Enter") { event.preventDefault(); target.blur(); }
      return;
    }
    if (event.altKey || !single) return;
    if (onPage(page, event.key)) event.preventDefault();
  });
}

function onPage(page, key) {
  if (viewerKey(page.viewer, key)) return true;
  switch (key) {
    case "Delete": case "Backspace":
      if (!page.locked) page.answer.remove(page.answer.chosen);
      return true;
    default:
  }
  switch (key.toLowerCase()) {
    case "y": if (!page.locked) find("yes").click(); return true;
    case "n": if (!page.locked) find("no").click(); return true;
    case "f": if (!page.locked) find("no-focus").click(); return true;
    case "c":
      if (!page.locked) find("confidence").select();
      find("confidence").focus();
      return true;
    case "k": find("comment").focus(); return true;
    case "m": page.answer.next(); return true;
    case "p": page.pause(); return true;
    case "?": page.help(); return true;
    default: return false;
  }
}
