import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Feedback } from "../../src/bonescint/teach/web/static/feedback.js";
import { el, install } from "./dom.js";

const find = (id) => document.querySelector(`#${id}`);
const AREA = { top: 2, left: 3, rows: 1, columns: 1, bits: btoa("\x80") };
let shown;
let viewer;
let feedback;

function found(more = {}) {
  return {
    right: true, says: "This patient has metastatic bone disease.", you_said: "You said yes, 80 of 100.",
    marks: [{ number: 1, right: true, says: "AP: metastasis in ribs" }, { number: 2, right: false, says: "PA: facet or osteophyte" }],
    metastases: [{ label: "M1", name: "ribs", found: true, says: "AP" }, { label: "M2", name: "skull", found: false, says: "PA" },
      { label: "", name: "and 3 more" }],
    others: [{ label: "a", name: "facet or osteophyte", says: "you took it for a metastasis", text: "It lies beside the disc." }],
    findings: [{ view: "anterior", row: 2, column: 3, radius: 2, area: AREA, label: "M1", metastasis: true, missed: false },
      { view: "posterior", row: 9, column: 3, radius: 2, area: null, label: "a", metastasis: false, missed: false }],
    places: "You marked 1 of 2 metastases that can be seen.",
    ...more,
  };
}

beforeEach(() => {
  install(
    el("section", {}, el("div#feedback")), el("div#panes"), el("h2#verdict"), el("p#you-said"), el("p#places"), el("div#model-part"),
    el("p#model-says"), el("p#model-right"),
    ...["your-marks", "metastases", "others"].flatMap((id) => [el(`ul#${id}`), el(`div#${id}-part`)]),
  );
  find("panes").classList.toggle = (name, on) => find("panes").classList[on ? "add" : "remove"](name);
  shown = {};
  const pane = (shows) => ({ holder: el("div.pane", { "data-shows": shows }) });
  viewer = {
    panes: [pane("truth"), pane("map")],
    showFindings: (all) => { shown.findings = all; },
    showModel: (model) => { shown.model = model; },
    showMarks: (answer) => { shown.marks = answer.marks; },
  };
  feedback = new Feedback(viewer);
});

test("the truth is said and drawn, each mark is right or wrong", () => {
  feedback.show(found(), { marks: [{ row: 1 }, { row: 2 }], chosen: 1 });
  assert.match(find("verdict").textContent, /✓This patient has/);
  const marks = find("your-marks").querySelectorAll("li").map((one) => one.textContent);
  assert.match(marks[0], /✓right: 1 · AP: metastasis in ribs/);
  assert.match(marks[1], /✗wrong: 2 · PA: facet/);
  assert.deepEqual(shown.marks.map((mark) => mark.right), [true, false]);
  assert.match(find("metastases").textContent, /M1 ribsfound AP.*M2 skullmissed PA.*and 3 more/);
  assert.match(find("others").textContent, /a facet or osteophyte you took it for a metastasisIt lies beside the disc/);
  assert.equal(shown.findings[0].outline.length, 4);
  assert.ok(shown.findings[1].outline.length >= 12);
});

test("what the pointer or the keyboard is on stands out on the scan", () => {
  feedback.show(found(), { marks: [] });
  const row = find("others").querySelector("li");
  row.happen("mouseenter");
  assert.deepEqual(shown.findings.map((one) => one.chosen), [false, true]);
  row.happen("mouseleave");
  assert.deepEqual(shown.findings.map((one) => one.chosen), [false, false]);
});

test("the model's panes are there only where a model read the case", () => {
  feedback.show(found(), { marks: [] });
  assert.equal(viewer.panes[1].holder.hidden, true);
  feedback.showModel({ says: "Probability 0.83", right: true });
  assert.equal(viewer.panes[1].holder.hidden, false);
  assert.match(find("model-says").textContent, /0.83/);
  feedback.hide();
  assert.equal(viewer.panes[1].holder.hidden, true);
  assert.deepEqual(shown.findings, []);
  feedback.showModel(null);
  assert.equal(viewer.panes[1].holder.hidden, true);
  assert.equal(find("model-part").hidden, true);
});
