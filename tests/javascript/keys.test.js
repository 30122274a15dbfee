import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { listen } from "../../src/bonescint/study/web/static/keys.js";
import { el, install } from "./dom.js";

let calls;
let page;
let pane;
const find = (id) => document.querySelector(`#${id}`);
const press = (key, details = {}) => {
  const event = { key, target: document.documentElement, preventDefault() { event.prevented = true; }, ...details };
  happen("keydown", event);
  return event;
};

beforeEach(() => {
  install(
    el("input#single-keys", { type: "checkbox" }), el("textarea#comment"), el("input#confidence"),
    el("input#yes", { type: "radio" }), el("input#no", { type: "radio" }), el("input#no-focus", { type: "checkbox" }),
    el("canvas#front"), el("dialog#help"),
  );
  globalThis.localStorage = { getItem: () => null, setItem: (_, value) => calls.push(["kept", value]) };
  calls = [];
  const note = (name) => (...given) => { calls.push([name, ...given]); };
  find("front").width = 200;
  find("front").height = 400;
  pane = {
    canvas: find("front"), view: "anterior", values: [1], facts: { rows: 100, columns: 40 }, cross: null,
    camera: { zoom: 1, row: null, column: null },
    geometry: () => ({ down: 4, across: 4, left: 0, top: 0 }),
    toCanvas: (row, column) => ({ x: 4 * column, y: 4 * row }),
    moveBy: note("moveBy"),
  };
  page = { locked: false, viewer: { panes: [pane], ready: true }, answer: { chosen: 1, remove: note("remove"), next: note("next") } };
  for (const name of ["submit", "pause", "help", "note", "addMark"]) page[name] = note(name);
  for (const name of ["preset", "dragWindow", "endDrag", "noteWindow", "reset", "zoomMiddle", "toScan", "toggleSmoothing",
    "toggleMap", "draw"]) page.viewer[name] = note(name);
  listen(page);
});

test("digits choose a preset, letters what they stand for", () => {
  for (const [key, call] of [["1", ["preset", "percentile"]], ["4", ["preset", "logarithm"]], ["0", ["reset"]],
    ["+", ["zoomMiddle", 1.25]], ["M", ["next"]], ["v", ["toScan"]], ["p", ["pause"]], ["?", ["help"]],
    ["Delete", ["remove", 1]]]) {
    calls.length = 0;
    assert.ok(press(key).prevented, key);
    assert.deepEqual(calls[0], call);
  }
  calls.length = 0;
  assert.ok(!press("q").prevented);
  assert.deepEqual(calls, []);
});

test("yes and no are clicked, unless the case is locked", () => {
  let clicked = 0;
  find("yes").addEventListener("click", () => { clicked += 1; });
  press("y");
  page.locked = true;
  press("y");
  press("Backspace");
  assert.equal(clicked, 1);
  assert.deepEqual(calls, []);
});

test("c goes to the confidence", () => {
  press("c");
  assert.equal(document.activeElement, find("confidence"));
  assert.ok(find("confidence").selected);
});

test("Ctrl with Enter submits, wherever one types", () => {
  assert.ok(press("Enter", { ctrlKey: true, target: find("comment") }).prevented);
  assert.deepEqual(calls, [["submit"]]);
});

test("a letter typed into a field is a letter", () => {
  press("y", { target: find("comment") });
  press("5", { target: find("confidence") });
  press("1", { ctrlKey: true });
  press("1", { isComposing: true });
  assert.deepEqual(calls, []);
});

test("nothing happens behind an open dialog", () => {
  find("help").showModal();
  press("1");
  press("Enter", { ctrlKey: true });
  assert.deepEqual(calls, []);
});

test("single keys can be switched off, and that is remembered", () => {
  find("single-keys").checked = false;
  find("single-keys").happen("change");
  assert.deepEqual(calls, [["kept", "off"], ["note", "key-shortcuts", { on: false }]]);
  calls.length = 0;
  press("1");
  assert.deepEqual(calls, []);
});

test("arrows move the cross, which stays inside the picture; Enter marks", () => {
  const target = pane.canvas;
  press("ArrowUp", { target });
  assert.deepEqual(pane.cross, { row: 47, column: 20 });
  press("ArrowLeft", { target, altKey: true });
  assert.deepEqual(pane.cross, { row: 47, column: 19 });
  for (let count = 0; count < 99; count += 1) press("ArrowDown", { target });
  assert.equal(pane.cross.row, 99);
  press("Enter", { target });
  assert.deepEqual(calls.filter(([name]) => name === "addMark"), [["addMark", "anterior", { row: 99, column: 19 }]]);
  page.locked = true;
  press("Enter", { target });
  assert.equal(calls.filter(([name]) => name === "addMark").length, 1);
});

test("Shift with an arrow pans, and a cross out of sight pulls the picture along", () => {
  const target = pane.canvas;
  press("ArrowRight", { target, shiftKey: true });
  assert.deepEqual(calls[0], ["moveBy", 0, 10]);
  calls.length = 0;
  pane.cross = { row: 99, column: 20 };
  press("ArrowRight", { target });
  assert.deepEqual(calls[0], ["moveBy", 5, 0]); // 396 of 400 device pixels, the edge is 24
});
