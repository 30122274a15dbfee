// Mouse and pen on a pane: window by drag, pan, zoom, marks.

import { draggedWindow } from "./grey.js";

const STILL_PX = 4;

/** Connect a pane's canvas to the page that holds window, camera and marks. */
export function pointAt(pane, page) {
  const { canvas } = pane;
  let drag = null;

  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    if (drag || !page.viewer.ready || pane.values === null) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    const mark = event.button === 0 ? pane.markAt(event.clientX, event.clientY) : -1;
    drag = {
      pointer: event.pointerId,
      x: event.clientX, y: event.clientY, lastX: event.clientX, lastY: event.clientY,
      moved: false,
      what: event.button === 0 ? (mark > 0 ? "mark" : "window") : "pan",
      mark,
      window: page.viewer.windowOf(pane.view),
    };
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.pointer) return;
    const across = event.clientX - drag.x;
    const down = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(across, down) < STILL_PX) return;
    drag.moved = true;
    if (drag.what === "window") {
      page.viewer.dragWindow((view, figures, from) => draggedWindow(from, across, down, figures));
    } else if (drag.what === "pan") {
      panBy(pane, event.clientX - drag.lastX, event.clientY - drag.lastY);
      page.viewer.draw();
    } else if (!page.locked) {
      const place = pane.toImage(event.clientX, event.clientY);
      if (pane.inside(place)) page.answer.move(drag.mark, place);
    }
    drag.lastX = event.clientX;
    drag.lastY = event.clientY;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag || event.pointerId !== drag.pointer) return;
    const { what, moved, mark } = drag;
    drag = null;
    page.viewer.endDrag();
    if (moved) {
      if (what === "window") page.viewer.noteWindow("window");
      else if (what === "pan") page.note("pan", camera(pane));
      else page.answer.moved(mark);
      return;
    }
    if (what === "mark") page.answer.choose(mark, { rate: true });
    else if (what === "window") {
      const place = pane.toImage(event.clientX, event.clientY);
      if (pane.inside(place)) page.addMark(pane.view, place);
    }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; page.viewer.endDrag(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!page.viewer.ready) return;
    const notches = Math.max(-3, Math.min(3, event.deltaY / 100));
    pane.zoomAt(1.25 ** -notches, event.clientX, event.clientY);
    page.viewer.zoomed();
  }, { passive: false });
}

function panBy(pane, across, down) {
  const ratio = pane.canvas.width / pane.canvas.getBoundingClientRect().width;
  const place = pane.geometry();
  pane.moveBy((-down * ratio) / place.down, (-across * ratio) / place.across);
}

export function camera(pane) {
  const { zoom, row, column } = pane.camera;
  return { zoom, row: row ?? -1, column: column ?? -1 };
}
