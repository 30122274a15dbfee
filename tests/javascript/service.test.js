import assert from "node:assert/strict";
import { test } from "node:test";

import { el, install } from "./dom.js";

install(el("main")); // a page without the service: nothing is begun
const { callText, findingOf } = await import("../../src/bonescint/serve/static/service.js");

test("the call in words says on which side of the operating point it is", () => {
  const said = { uncertain: false, unlike: false, operating_point: 0.5454 };
  assert.equal(callText({ ...said, call: "positive" }), "Positive: at or above the operating point of 0.55");
  assert.equal(callText({ ...said, call: "negative", uncertain: true }), "Negative, uncertain: below the operating point of 0.55");
  assert.equal(callText({ ...said, call: "positive", unlike: true }), "Positive, unlike: at or above the operating point of 0.55");
  assert.equal(callText({ ...said, call: "no call" }), "No call: this scan is unlike the scans that the model knows");
});

test("an outline is closed, in places where whole numbers are the middles of pixels", () => {
  const focus = { view: "anterior", outline: [[1, 1], [1, 3], [2, 3], [2, 1]] };
  const finding = findingOf(focus, 4, true);
  assert.deepEqual(finding.outline, [[0.5, 0.5, 0.5, 2.5], [0.5, 2.5, 1.5, 2.5], [1.5, 2.5, 1.5, 0.5], [1.5, 0.5, 0.5, 0.5]]);
  assert.deepEqual([finding.view, finding.label, finding.column, finding.chosen], ["anterior", "4", 2.5, true]);
});
