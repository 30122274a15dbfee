// Keys that every page with the pane has: windows, zoom, map, the cross.

import { draggedWindow } from "./grey.js";
import { camera } from "./pointing.js";

const PRESETS = { 1: "percentile", 2: "linear", 3: "root", 4: "logarithm" };
const STEP = 12;
const WINDOWS = { "[": [0, -STEP], "]": [0, STEP], "{": [-STEP, 0], "}": [STEP, 0] };
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** What a key does to both views; whether it does anything. */
export function viewerKey(viewer, key) {
  if (PRESETS[key]) { viewer.preset(PRESETS[key]); return true; }
  if (WINDOWS[key]) {
    const [across, down] = WINDOWS[key];
    viewer.dragWindow((view, figures, from) => draggedWindow(from, across, down, figures));
    viewer.endDrag();
    viewer.noteWindow("window");
    return true;
  }
  switch (key.toLowerCase()) {
    case "0": viewer.reset(); return true;
    case "+": case "=": viewer.zoomMiddle(1.25); return true;
    case "-": case "_": viewer.zoomMiddle(0.8); return true;
    case "v": viewer.toScan(); return true;
    case "i": viewer.toggleSmoothing(); return true;
    case "a": viewer.toggleMap(); return true;
    default: return false;
  }
}

/** What a key does to the view that has the keyboard: the cross, a mark, pan. */
export function paneKey(page, pane, event) {
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
