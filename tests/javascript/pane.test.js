import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Camera, Pane } from "../../src/bonescint/viewer/static/pane.js";
import { camera as cameraOf, pointAt } from "../../src/bonescint/viewer/static/pointing.js";
import { el, install } from "./dom.js";

const FACTS = { rows: 200, columns: 60, row_mm: 2, column_mm: 2, body: { top: 10, bottom: 190 } };
let camera;
let front;
let back;

/** A pane whose canvas has twice as many device pixels as the page has. */
function paneOf(view) {
  const canvas = el("canvas");
  canvas.rect = { left: 5, top: 7, width: 300, height: 400 };
  Object.assign(canvas, { width: 600, height: 800 });
  const context = new Proxy({}, { get: (_, name) => (name === "createImageData" ? (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }) : () => {}) });
  canvas.getContext = () => context;
  const pane = new Pane(el("div", { "data-view": view }, canvas, el("p.absent")), camera);
  pane.picture.getContext = () => context;
  pane.show(new Uint16Array(FACTS.rows * FACTS.columns), FACTS);
  return pane;
}

beforeEach(() => {
  install();
  globalThis.ResizeObserver = class { observe() {} };
  globalThis.requestAnimationFrame = () => {};
  camera = new Camera();
  front = paneOf("anterior");
  back = paneOf("posterior");
});

function near(found, wanted) {
  for (const [name, value] of Object.entries(wanted)) assert.ok(Math.abs(found[name] - value) < 1e-9, `${name}: ${found[name]}`);
}

test("a place in the image and a point of the page lead to each other", () => {
  for (const [zoom, row, column] of [[1, null, null], [3.5, 60, 12]]) {
    Object.assign(camera, { zoom, row, column });
    for (const pane of [front, back]) {
      const at = pane.toCanvas(33.25, 11.5);
      near(pane.toImage(at.x / 2 + 5, at.y / 2 + 7), { row: 33.25, column: 11.5 });
    }
  }
});

test("the whole body fits at first, in the middle", () => {
  const top = front.toCanvas(9.5, 0).y;
  const bottom = front.toCanvas(189.5, 0).y;
  assert.ok(Math.abs(top - 10) < 1e-9 && Math.abs(bottom - 790) < 1e-9);
});

test("pixels that are not square are shown in their shape", () => {
  back.facts = { ...FACTS, column_mm: 4 };
  const { down, across } = back.geometry();
  assert.equal(across, 2 * down);
});

test("zooming keeps the place under the pointer", () => {
  const before = front.toImage(140, 300);
  front.zoomAt(2.5, 140, 300);
  near(front.toImage(140, 300), before);
  assert.equal(camera.zoom, 2.5);
  front.zoomAt(1000, 140, 300);
  assert.equal(camera.zoom, 24);
});

test("both views show the same part of the body", () => {
  front.moveBy(20, 8); // to the right of the anterior image is to the left of the posterior one
  const middle = (pane) => pane.toImage(5 + 150, 7 + 200);
  near(middle(front), { row: 119.5, column: 37.5 });
  near(middle(back), { row: 119.5, column: 60 - 38 - 0.5 });
  back.moveBy(1e6, -1e6);
  assert.deepEqual([camera.row, camera.column], [200, 60]);
});

test("only pixels of the image are inside", () => {
  assert.ok(front.inside({ row: -0.5, column: 0 }) && front.inside({ row: 199.4, column: 59.4 }));
  assert.ok(!front.inside({ row: 199.5, column: 0 }) && !front.inside({ row: 0, column: -0.6 }));
});

test("a mark is found within its circle", () => {
  front.marks = [{ number: 1, row: 50, column: 20 }];
  const at = front.toCanvas(50, 20);
  assert.equal(front.markAt(at.x / 2 + 5 + 5, at.y / 2 + 7), 1);
  assert.equal(front.markAt(at.x / 2 + 5 + 6, at.y / 2 + 7), -1);
});

// --- the pointer ----------------------------------------------------------------------------

function pointed(locked = false) {
  const calls = [];
  const note = (name) => (...given) => { calls.push([name, ...given]); };
  const viewer = { ready: true, windowOf: () => ({}) };
  const page = { viewer, locked, answer: { move: note("move"), moved: note("moved"), choose: note("choose") } };
  for (const name of ["dragWindow", "endDrag", "noteWindow", "draw", "zoomed"]) viewer[name] = note(name);
  for (const name of ["note", "addMark"]) page[name] = note(name);
  pointAt(front, page);
  const at = (kind, clientX, clientY, button = 0) => front.canvas.happen(kind, { pointerId: 1, clientX, clientY, button });
  return { at, named: (name) => calls.filter(([one]) => one === name), calls };
}

test("a click marks a focus where it is", () => {
  const { at, named } = pointed();
  at("pointerdown", 155, 207);
  at("pointermove", 157, 208); // a hand that trembles
  at("pointerup", 157, 208);
  const [[, view, place]] = named("addMark");
  assert.equal(view, "anterior");
  near(place, front.toImage(157, 208));
  assert.equal(named("dragWindow").length, 0);
});

test("a click outside the image marks nothing", () => {
  const { at, named } = pointed();
  at("pointerdown", 6, 8);
  at("pointerup", 6, 8);
  assert.equal(named("addMark").length, 0);
});

test("a drag changes the window and is noted once", () => {
  const { at, named } = pointed();
  at("pointerdown", 100, 100);
  at("pointermove", 110, 100);
  at("pointermove", 120, 100);
  at("pointerup", 120, 100);
  assert.equal(named("dragWindow").length, 2);
  assert.deepEqual(named("noteWindow"), [["noteWindow", "window"]]);
  assert.equal(named("addMark").length, 0);
});

test("a drag with the other button pans by as much", () => {
  const { at, named } = pointed();
  const before = front.toImage(150, 200);
  at("pointerdown", 150, 200, 2);
  at("pointermove", 160, 230, 2);
  at("pointerup", 160, 230, 2);
  near(front.toImage(160, 230), before);
  assert.deepEqual(named("note"), [["note", "pan", cameraOf(front)]]);
});

test("a mark is chosen by a click and moved by a drag, unless the case is locked", () => {
  front.marks = [{ number: 1, row: 50, column: 20 }];
  const on = front.toCanvas(50, 20);
  const [x, y] = [on.x / 2 + 5, on.y / 2 + 7];
  const open = pointed();
  open.at("pointerdown", x, y);
  open.at("pointerup", x, y);
  assert.deepEqual(open.named("choose"), [["choose", 1, { rate: true }]]);
  open.at("pointerdown", x, y);
  open.at("pointermove", x + 10, y);
  open.at("pointerup", x + 10, y);
  near(open.named("move")[0][2], front.toImage(x + 10, y));
  assert.deepEqual(open.named("moved"), [["moved", 1]]);
  front.canvas.listeners.clear();
  const locked = pointed(true);
  locked.at("pointerdown", x, y);
  locked.at("pointermove", x + 10, y);
  assert.equal(locked.named("move").length, 0);
});

test("a drag that the system ends marks nothing", () => {
  const { at, named } = pointed();
  at("pointerdown", 155, 207);
  at("pointercancel", 155, 207);
  at("pointerup", 155, 207);
  assert.equal(named("addMark").length, 0);
});
