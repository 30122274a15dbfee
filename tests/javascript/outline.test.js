import assert from "node:assert/strict";
import { test } from "node:test";

import { outlineOf } from "../../src/bonescint/viewer/static/outline.js";

const bits = (...bytes) => btoa(String.fromCharCode(...bytes));

test("one pixel has four sides", () => {
  const lines = outlineOf({ top: 5, left: 7, rows: 1, columns: 1, bits: bits(0x80) });
  assert.deepEqual(lines, [
    [4.5, 6.5, 4.5, 7.5], [5.5, 6.5, 5.5, 7.5], [4.5, 6.5, 5.5, 6.5], [4.5, 7.5, 5.5, 7.5],
  ]);
});

test("sides in a row are one line, and there is none between two pixels of the mask", () => {
  // .X
  // XX, which numpy packs as 0111 0000
  const lines = outlineOf({ top: 0, left: 0, rows: 2, columns: 2, bits: bits(0x70) });
  const length = lines.reduce((sum, [a, b, c, d]) => sum + Math.abs(c - a) + Math.abs(d - b), 0);
  assert.equal(length, 8);
  assert.ok(lines.some((line) => line.join() === "1.5,-0.5,1.5,1.5"));
  assert.equal(lines.length, 6);
});

test("the ninth pixel is in the second byte", () => {
  const lines = outlineOf({ top: 0, left: 0, rows: 3, columns: 3, bits: bits(0x00, 0x80) });
  assert.deepEqual(lines[0], [1.5, 1.5, 1.5, 2.5]);
});
