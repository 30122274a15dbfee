import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { listen } from "../../src/bonescint/teach/web/static/keys.js";
import { el, install } from "./dom.js";

let calls;
let page;
const find = (id) => document.querySelector(`#${id}`);
const press = (key, details = {}) => {
  const event = { key, target: document.documentElement, preventDefault() { event.prevented = true; }, ...details };
  happen("keydown", event);
  return event;
};

beforeEach(() => {
  install(
    el("input#single-keys", { type: "checkbox" }), el("input#confidence"), el("select#named"), el("div#feedback"),
    el("input#yes", { type: "radio" }), el("input#no", { type: "radio" }), el("input#no-focus", { type: "checkbox" }),
  );
  find("feedback").hidden = true;
  globalThis.localStorage = { getItem: () => null, setItem: () => {} };
  calls = [];
  const note = (name) => (...given) => { calls.push([name, ...given]); };
  page = { locked: false, viewer: { panes: [], ready: true }, answer: { chosen: 2, remove: note("remove"), next: note("next mark") } };
  for (const name of ["submit", "next", "help"]) page[name] = note(name);
  for (const name of ["preset", "toggleMap"]) page.viewer[name] = note(name);
  for (const id of ["yes", "no", "no-focus"]) find(id).addEventListener("click", note(id));
  listen(page);
});

test("a case is answered with keys", () => {
  for (const [key, call] of [["y", "yes"], ["n", "no"], ["f", "no-focus"], ["m", "next mark"], ["1", "preset"], ["?", "help"]]) {
    calls.length = 0;
    assert.ok(press(key).prevented, key);
    assert.equal(calls[0][0], call);
  }
  calls.length = 0;
  press("Delete");
  press("Enter", { ctrlKey: true });
  assert.deepEqual(calls, [["remove", 2], ["submit"]]);
});

test("after the answer a key leads to the next case, and nothing can be changed", () => {
  page.locked = true;
  find("feedback").hidden = false;
  for (const key of ["y", "f", "Delete", "m"]) press(key);
  assert.deepEqual(calls, []);
  press("n");
  press("Enter", { ctrlKey: true });
  press("a");
  assert.deepEqual(calls, [["next"], ["next"], ["toggleMap"]]);
});

test("letters typed to choose a name are no keys of the page", () => {
  press("f", { target: find("named") });
  press("y", { target: find("named") });
  assert.deepEqual(calls, []);
});
