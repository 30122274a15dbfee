import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { bytesOf, Viewer, windowText } from "../../src/bonescint/viewer/static/viewer.js";
import { el, install } from "./dom.js";

const WINDOW = { low: 10, high: 60, min: 0, max: 900 };
const PICTURE = {
  rows: 4, columns: 2, row_mm: 2, column_mm: 2, scale: 2, unit: "counts", body: { top: 0, bottom: 4 },
  views: ["anterior", "posterior"], windows: { anterior: WINDOW, posterior: { ...WINDOW, high: 80 } },
};
let viewer;
let notes;
const find = (id) => document.querySelector(`#${id}`);
const pressed = () => document.querySelectorAll("[data-preset]")
  .filter((button) => button.getAttribute("aria-pressed") === "true").map((button) => button.dataset.preset);

function pane(view) {
  const canvas = el("canvas");
  canvas.getContext = () => new Proxy({}, { get: (_, name) => (name === "createImageData" ? (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }) : () => {}) });
  return el("div.pane", { "data-view": view }, canvas, el("p.absent"));
}

beforeEach(() => {
  const made = install(
    pane("anterior"), pane("posterior"), el("button#reset"), el("button#smoothing"), el("button#map"),
    el("input#opacity", { value: 70 }), el("p#model"), el("p#map-tools"), el("p#zoom"), el("p#window"),
    ...["percentile", "linear", "root", "logarithm"].map((name) => el("button", { "data-preset": name })),
  );
  made.createElement = (tag) => {
    const one = el(tag);
    one.getContext = pane("anterior").querySelector("canvas").getContext;
    return one;
  };
  globalThis.ResizeObserver = class { observe() {} };
  globalThis.requestAnimationFrame = () => {};
  notes = [];
  viewer = new Viewer((kind, body) => notes.push([kind, body]));
});

const show = (picture = PICTURE) => viewer.show(picture, new Uint16Array(16).map((_, place) => place).buffer);

test("each view gets its own pixels", () => {
  show();
  assert.deepEqual(viewer.panes.map((one) => [...one.values]), [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]]);
  show({ ...PICTURE, views: ["posterior"], windows: { posterior: WINDOW } });
  assert.equal(viewer.panes[0].values, null);
  assert.deepEqual([...viewer.panes[1].values], [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("a case starts with the percentile window, in the scan's own unit", () => {
  show();
  assert.deepEqual(pressed(), ["percentile"]);
  assert.equal(find("window").textContent, "AP 5–30 · PA 5–40 counts");
  assert.deepEqual(notes, []);
});

test("a preset is used for both views and noted", () => {
  show();
  document.querySelectorAll("[data-preset]")[2].click();
  assert.deepEqual(viewer.windowOf("posterior"), { low: 0, high: 900, curve: "root" });
  assert.deepEqual(pressed(), ["root"]);
  assert.deepEqual(notes, [["preset", { preset: "root" }]]);
});

test("a drag changes both windows from where it began, and presses no preset", () => {
  show();
  const change = (_, figures, from) => ({ ...from, high: from.high + figures.low });
  viewer.dragWindow(change);
  viewer.dragWindow(change);
  assert.deepEqual([viewer.windowOf("anterior").high, viewer.windowOf("posterior").high], [70, 90]);
  assert.deepEqual(pressed(), []);
  viewer.endDrag();
  viewer.dragWindow(change);
  assert.equal(viewer.windowOf("anterior").high, 80);
  viewer.noteWindow("window");
  assert.deepEqual(notes.at(-1)[1].anterior_high, 80);
});

test("before a case is shown nothing can be changed", () => {
  viewer.preset("linear");
  viewer.dragWindow(() => { throw new Error("no case"); });
  viewer.reset();
  assert.deepEqual(notes, []);
});

test("reset brings back window and zoom", () => {
  show();
  viewer.preset("linear");
  viewer.zoomMiddle(2);
  assert.equal(find("zoom").textContent, "200 %");
  find("reset").click();
  assert.deepEqual([find("zoom").textContent, pressed()[0], notes.at(-1)[0]], ["100 %", "percentile", "reset"]);
});

test("the map is shown with a prediction only, and can be hidden", () => {
  show();
  viewer.toggleMap();
  assert.deepEqual([find("map-tools").hidden, notes.length], [true, 0]);
  const maps = { anterior: btoa("\0\x01") };
  viewer.showModel({ maps, rows: 1, columns: 2, colours: btoa("\0".repeat(1024)), mbd_probability: 0.8 });
  assert.deepEqual(notes.at(-1), ["map-shown", { opacity: 0.7, probability: 0.8 }]);
  assert.ok(viewer.panes[0].map && !viewer.panes[1].map);
  find("map").click();
  assert.deepEqual([notes.at(-1), viewer.panes[0].opacity], [["map-hidden", { opacity: 0 }], 0]);
  find("map").click();
  assert.deepEqual(notes.at(-1), ["map-shown", { opacity: 0.7 }]);
  show(); // the next case begins without it
  assert.ok(find("map-tools").hidden);
});

test("the keyboard goes from one view to the other", () => {
  show();
  viewer.toScan();
  assert.equal(document.activeElement, viewer.panes[0].canvas);
  assert.deepEqual(viewer.panes[0].cross, { row: 2, column: 1 });
  viewer.toScan();
  assert.equal(document.activeElement, viewer.panes[1].canvas);
});

test("windows are written with as many digits as matter", () => {
  assert.deepEqual([windowText(0, 1), windowText(1.234, 1), windowText(123.4, 1), windowText(65535, 6553.5)], ["0", "1.2", "123", "10"]);
});

test("bytes come out of base64 as they went in", () => {
  assert.deepEqual([...bytesOf(btoa("\0\x7f\xff"))], [0, 127, 255]);
});

test("what is known of a place is shown in its view, and on no pane with the model's map", () => {
  viewer.panes[1].holder.dataset.shows = "map";
  viewer.showFindings([{ view: "anterior", label: "M1" }, { view: "posterior", label: "a" }]);
  assert.deepEqual(viewer.panes.map((one) => one.findings.map(({ label }) => label)), [["M1"], []]);
});
