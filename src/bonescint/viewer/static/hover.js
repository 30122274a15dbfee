// The place under the pointer, shown in every other pane.

/** Show in the other panes the place of the body that the pointer is over in one of them. */
export function showPositionEverywhere(panes) {
  const clear = () => { for (const pane of panes) pane.point(null); };
  for (const pane of panes) {
    pane.canvas.addEventListener("pointermove", (event) => {
      const place = pane.values === null ? null : pane.toImage(event.clientX, event.clientY);
      if (place === null || !pane.inside(place)) { clear(); return; }
      for (const other of panes) other.point(other === pane ? null : seenFrom(other, pane, place));
    });
    pane.canvas.addEventListener("pointerleave", clear);
  }
}

/** The same place of the body in another pane; the other view is seen from behind. */
export function seenFrom(other, pane, { row, column }) {
  return { row, column: other.view === pane.view ? column : pane.facts.columns - 1 - column };
}
