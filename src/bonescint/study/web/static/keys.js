// Keys for everything.

import { draggedWindow } from "./grey.js";
import { camera } from "./pointing.js";

const find = (id) => document.querySelector(`#${id}`);
const PRESETS = { 1: "percentile", 2: "linear", 3: "root", 4: "logarithm" };
const STEP = 12;
const WINDOWS = { "[": [0, -STEP], "]": [0, STEP], "{": [-STEP, 0], "}": [STEP, 0] };
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

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
    if (pane && onPane(page, pane, event)) { event.preventDefault(); return; }
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
  if (PRESETS[key]) { page.viewer.preset(PRESETS[key]); return true; }
  if (WINDOWS[key]) {
    const [across, down] = WINDOWS[key];
    page.viewer.dragWindow((view, figures, from) => draggedWindow(from, across, down, figures));
    page.viewer.endDrag();
    page.viewer.noteWindow("window");
    return true;
  }
  switch (key) {
    case "0": page.viewer.reset(); return true;
    case "+": case "=": page.viewer.zoomMiddle(1.25); return true;
    case "-": case "_": page.viewer.zoomMiddle(0.8); return true;
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
    case "v": page.viewer.toScan(); return true;
    case "i": page.viewer.toggleSmoothing(); return true;
    case "a": page.viewer.toggleMap(); return true;
    case "p": page.pause(); return true;
    case "?": page.help(); return true;
    default: return false;
  }
}

function onPane(page, pane, event) {
  const arrow = ARROWS[event.key];
  if (!page.viewer.ready || pane.values === null) return false;
  if (arrow && event.shiftKey) {
    const part = (0.1 * pane.canvas.height) / pane.geometry().down;
    pane.moveBy(arrow[0] * part, arrow[1] * part);
    page.note("pan", camera(pane));
    page.viewer.draw();
    return true;
  }
  if (arrow) {
    const { rows, columns } = pane.facts;
    pane.cross ??= { row: Math.round(rows / 2), column: Math.round(columns / 2) };
    const step = event.altKey ? 1 : Math.max(1, Math.round(12 * devicePixelRatio / pane.geometry().down));
    pane.cross.row = Math.min(rows - 1, Math.max(0, pane.cross.row + arrow[0] * step));
    pane.cross.column = Math.min(columns - 1, Math.max(0, pane.cross.column + arrow[1] * step));
    keepInSight(pane);
    page.viewer.draw();
    return true;
  }
  if (event.key === "Enter") {
    if (pane.cross && !page.locked) page.addMark(pane.view, { ...pane.cross });
    return true;
  }
  return false;
}

/** Pan so that the cross can be seen. */
function keepInSight(pane) {
  const { x, y } = pane.toCanvas(pane.cross.row, pane.cross.column);
  const { width, height } = pane.canvas;
  const { down, across } = pane.geometry();
  const edge = 24 * devicePixelRatio;
  const outX = x < edge ? x - edge : Math.max(0, x - (width - edge));
  const outY = y < edge ? y - edge : Math.max(0, y - (height - edge));
  if (outX || outY) pane.moveBy(outY / down, outX / across);
}
