import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { AnswerForm } from "../../src/bonescint/viewer/static/answer.js";
import { el, install } from "./dom.js";

let form;
let changes;
const find = (id) => document.querySelector(`#${id}`);
beforeEach(() => {
  install(
    el("ul#marks"), el("p#foci-hint"), el("input#no-focus"), el("input#yes"), el("input#no"),
    el("input#confidence"), el("div#track", {}, el("div#thumb")), el("textarea#comment"),
  );
  changes = [];
  form = new AnswerForm((kind, body) => changes.push([kind, body]));
});

function complete() {
  find("no-focus").checked = true;
  find("yes").checked = true;
  find("confidence").value = "80";
}

test("an empty form has no answer and says first what is missing", () => {
  assert.deepEqual(form.entered(), { positive: null, confidence: null, no_focus: false, marks: [], comment: "" });
  assert.match(form.missing()[0], /Mark the foci/);
  find("no-focus").checked = true;
  assert.match(form.missing()[0], /yes or no/);
  find("no").checked = true;
  assert.match(form.missing()[0], /how sure/);
  find("confidence").value = "0";
  assert.equal(form.missing(), null);
});

test("every focus needs a rating", () => {
  complete();
  form.add("anterior", { row: 3, column: 4 });
  assert.equal(find("no-focus").checked, false);
  const [text, field] = form.missing();
  assert.match(text, /Rate focus 1/);
  field.value = "55";
  field.happen("input");
  assert.equal(form.missing(), null);
  assert.deepEqual(form.entered().marks, [{ view: "anterior", row: 3, column: 4, rating: 55 }]);
});

test("only whole numbers from 0 to 100 are confidences", () => {
  for (const [text, value] of [["0", 0], [" 100 ", 100], ["101", null], ["-1", null], ["5.5", null], ["1e1", null]]) {
    find("confidence").value = text;
    assert.equal(form.entered().confidence, value, text);
  }
});

test("foci are numbered anew when one is removed", () => {
  form.add("anterior", { row: 1, column: 1 });
  form.add("posterior", { row: 2, column: 2 });
  form.remove(1);
  assert.deepEqual(form.marksOf("posterior").map((mark) => mark.number), [1]);
  assert.deepEqual(form.marksOf("anterior"), []);
  assert.equal(find("marks").children.length, 1);
  form.remove(7); // no such focus
  assert.deepEqual(changes.map(([kind]) => kind).filter((kind) => kind === "mark-removed"), ["mark-removed"]);
});

test("stating that there is no focus removes the marks", () => {
  form.add("anterior", { row: 1, column: 1 });
  find("no-focus").checked = true;
  find("no-focus").happen("change");
  assert.deepEqual(form.entered().marks, []);
  assert.deepEqual(changes.at(-1), ["no-focus", { no_focus: true }]);
});

test("an earlier answer is filled in, without changing it", () => {
  const marks = [{ view: "anterior", row: 1, column: 2, rating: 40 }];
  form.fill({ positive: false, confidence: 12, marks, comment: "a note" });
  form.move(1, { row: 5, column: 6 });
  assert.deepEqual(marks[0], { view: "anterior", row: 1, column: 2, rating: 40 });
  const now = form.entered();
  assert.deepEqual([now.positive, now.confidence, now.comment, now.marks[0].row], [false, 12, "a note", 5]);
  assert.equal(find("thumb").style.left, "12%");
});

test("next goes round all foci", () => {
  form.next();
  assert.equal(form.chosen, -1);
  for (const row of [1, 2]) form.add("anterior", { row, column: 1 });
  const seen = [1, 2, 3].map(() => { form.next(); return form.chosen; });
  assert.deepEqual(seen, [1, 2, 1]);
});

test("dragging the track sets the confidence", () => {
  const track = find("track");
  track.happen("pointerdown", { pointerId: 1, clientX: 25 });
  track.happen("pointermove", { pointerId: 1, clientX: 400 });
  track.happen("pointerup", { pointerId: 1 });
  assert.equal(find("confidence").value, "100");
  assert.deepEqual(changes.at(-1), ["confidence", { confidence: 100 }]);
});

test("where marks are named, they need no rating, and a comment is not asked for", () => {
  install(
    el("ul#marks"), el("p#foci-hint"), el("input#no-focus"), el("input#yes"), el("input#no"),
    el("input#confidence"), el("div#track", {}, el("div#thumb")),
  );
  const named = new AnswerForm((kind, body) => changes.push([kind, body]), {
    kinds: [{ label: "fracture", kinds: ["rib fracture", "limb fracture"] }],
  });
  named.add("anterior", { row: 3, column: 4 });
  named.add("posterior", { row: 5, column: 6 });
  find("yes").checked = true;
  find("confidence").value = "80";
  assert.equal(named.missing(), null);
  const [, select] = find("marks").querySelectorAll("select");
  assert.deepEqual(select.querySelectorAll("option").map((one) => one.value), ["", "rib fracture", "limb fracture"]);
  select.value = "rib fracture";
  select.happen("change");
  assert.deepEqual(named.entered(), {
    positive: true, confidence: 80, no_focus: false, comment: "",
    marks: [{ view: "anterior", row: 3, column: 4, kind: null }, { view: "posterior", row: 5, column: 6, kind: "rib fracture" }],
  });
  named.remove(1);
  assert.equal(find("marks").querySelector("select").value, "rib fracture");
});
