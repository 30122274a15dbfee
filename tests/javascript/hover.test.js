import assert from "node:assert/strict";
import { test } from "node:test";

import { seenFrom, showPositionEverywhere } from "../../src/bonescint/viewer/static/hover.js";
import { Target } from "./dom.js";

const pane = (view) => ({
  view, canvas: new Target(), values: [1], facts: { rows: 100, columns: 40 }, shown: [],
  toImage: (x, y) => ({ row: y, column: x }),
  inside: ({ row, column }) => row >= 0 && row < 100 && column >= 0 && column < 40,
  point(place) { this.shown.push(place); },
});

test("the other view sees the same place from behind", () => {
  const [front, back] = [pane("anterior"), pane("posterior")];
  assert.deepEqual(seenFrom(back, front, { row: 3, column: 0 }), { row: 3, column: 39 });
  assert.deepEqual(seenFrom(pane("anterior"), front, { row: 3, column: 5 }), { row: 3, column: 5 });
});

test("the place under the pointer is shown everywhere but there, and goes with the pointer", () => {
  const panes = [pane("anterior"), pane("posterior"), pane("anterior")];
  showPositionEverywhere(panes);
  panes[0].canvas.happen("pointermove", { clientX: 10, clientY: 20 });
  assert.deepEqual(panes.map((one) => one.shown.at(-1)), [
    null, { row: 20, column: 29 }, { row: 20, column: 10 },
  ]);
  panes[0].canvas.happen("pointermove", { clientX: 60, clientY: 20 });
  assert.deepEqual(panes.map((one) => one.shown.at(-1)), [null, null, null]);
  panes[1].canvas.happen("pointermove", { clientX: 1, clientY: 1 });
  panes[1].canvas.happen("pointerleave");
  assert.deepEqual(panes.map((one) => one.shown.at(-1)), [null, null, null]);
});
