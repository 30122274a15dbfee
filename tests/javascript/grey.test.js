import assert from "node:assert/strict";
import { test } from "node:test";

import { CURVES, draggedWindow, greyTable, presetWindow } from "../../src/bonescint/viewer/static/grey.js";

const FIGURES = { low: 10, high: 60, min: 0, max: 900 };

test("grey is inverted: white at the low end, black at the high end and beyond", () => {
  for (const curve of Object.keys(CURVES)) {
    const table = greyTable(10, 60, curve, 100);
    assert.equal(table.length, 101);
    assert.deepEqual([table[0], table[10], table[60], table[100]], [255, 255, 0, 0]);
    for (let value = 1; value <= 100; value += 1) assert.ok(table[value] <= table[value - 1]);
  }
});

test("the linear curve is linear, the others are darker at low counts", () => {
  assert.equal(greyTable(0, 100, "linear", 100)[25], Math.round(255 * 0.75));
  assert.equal(greyTable(0, 100, "root", 100)[25], Math.round(255 * 0.5));
  const [linear, root, logarithm] = ["linear", "root", "logarithm"].map((curve) => greyTable(0, 100, curve, 100)[9]);
  assert.ok(logarithm < root && root < linear);
});

test("an empty window divides by no zero", () => {
  assert.deepEqual([...greyTable(5, 5, "linear", 6)], [255, 255, 255, 255, 255, 255, 0]);
});

test("the percentile preset is the initial window, the others span all counts", () => {
  assert.deepEqual(presetWindow("percentile", FIGURES), { low: 10, high: 60, curve: "linear" });
  assert.deepEqual(presetWindow("root", FIGURES), { low: 0, high: 900, curve: "root" });
  assert.equal(presetWindow("linear", { ...FIGURES, min: 3, max: 3 }).high, 4);
});

test("a drag moves the ends, at a pace that follows the bone", () => {
  const from = presetWindow("percentile", FIGURES);
  assert.deepEqual(draggedWindow(from, 10, 20, FIGURES), { low: 12, high: 64, curve: "linear" });
  const wide = draggedWindow(presetWindow("linear", FIGURES), 0, 10, FIGURES);
  assert.ok(wide.high - 900 > 2); // a window far wider than the bone's keeps pace with itself
});

test("a drag keeps the window open and its low end at 0 or above", () => {
  const from = { low: 10, high: 60, curve: "linear" };
  assert.equal(draggedWindow(from, -1000, 0, FIGURES).low, 0);
  const shut = draggedWindow(from, 5000, -5000, FIGURES);
  assert.ok(shut.high > shut.low && shut.low >= 0);
});
