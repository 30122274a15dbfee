import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { el, install } from "./dom.js";

const SCANS = [
  ["s10", "positive", 0.9, "spine"], ["s9", "negative", 0.2, "skull"], ["s2", "uncertain", 0.5, "ribs"],
  ["s1", "negative", 0.1, "pelvis"],
];
const FILTERS = ["all", "positive", "negative", "uncertain", "no-call", "unlike", "warned"];
let rows;
let round = 0;
const find = (id) => document.getElementById(id);
const shown = () => rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent).sort();
const chosen = () => find("viewer").querySelector(".shown").id;

/** The page of four scans, with its script. */
async function load(hash = "") {
  rows = SCANS.map(([name, call, probability]) => el(
    "tr", { "data-call": call, "data-said": `${name}, ${call}`, "data-unlike": name === "s2" ? "1" : "0" },
    el("td", {}, el("a", { href: `#${name}` }, name)), el("td", { "data-value": probability }, `${probability}`),
  ));
  const head = el("tr", {}, el("th", {}, "Scan"), el("th", { "data-kind": "number" }, "Probability"));
  install(
    el("table#scans", {}, el("thead", {}, head), el("tbody", {}, ...rows)),
    el("div#tools"), el("div#steps"), el("div#list-scroll"), el("p#said"), el("p#shown"), el("p#position"),
    el("button#previous"), el("button#next"), el("input#filter"), el("input#opacity", { value: 60 }), el("p#opacity-said"),
    el("div#filters", {}, ...FILTERS.map((value) => el("label", {}, el("input", { value })))),
    el("div#viewer", {}, ...SCANS.map(([name, , , text]) => el(`article#${name}`, {}, text, el("img")))),
  );
  document.querySelector("#filters input").checked = true;
  globalThis.history = { replaceState: (_, __, to) => { location.hash = to; } };
  globalThis.location = { hash };
  round += 1;
  await import(`../../src/bonescint/report/templates/results.js?${round}`);
}
beforeEach(() => load());

function choose(value) {
  for (const input of document.querySelectorAll("#filters input")) input.checked = input.value === value;
  document.querySelectorAll("#filters input").find((input) => input.checked).happen("change");
}

test("the first scan is shown, and filters have their counts", () => {
  assert.equal(chosen(), "s10");
  const labels = document.querySelectorAll("#filters label").map((label) => [label.textContent.trim(), label.hidden]);
  assert.deepEqual(labels, [["4", false], ["1", false], ["2", false], ["1", false], ["0", true], ["1", false], ["0", true]]);
});

test("a filter shows its scans and chooses one of them", () => {
  choose("negative");
  assert.deepEqual(shown(), ["s1", "s9"]);
  assert.equal(find("shown").textContent, "2 of 4 scans");
  assert.equal(chosen(), "s9");
  choose("unlike");
  assert.deepEqual(shown(), ["s2"]);
});

test("text is looked for in what is said of a scan, in any case", () => {
  find("filter").value = " SPINE ";
  find("filter").happen("input");
  assert.deepEqual(shown(), ["s10"]);
  find("filter").value = "nowhere";
  find("filter").happen("input");
  assert.deepEqual(shown(), []);
  assert.equal(find("position").textContent, "Not among those shown");
});

test("next and previous follow the order, and stop at its ends", () => {
  assert.equal(find("previous").disabled, true);
  find("next").click();
  assert.equal(chosen(), "s9");
  assert.equal(location.hash, "#s9");
  assert.equal(find("said").textContent, "Scan 2 of 4: s9, negative");
  for (let count = 0; count < 5; count += 1) find("next").click();
  assert.equal(chosen(), "s1");
  assert.equal(find("next").disabled, true);
});

test("arrow keys step, but not while one types or holds a modifier", () => {
  const press = (key, target, more = {}) => document.happen("keydown", { key, target, ...more });
  press("ArrowDown", find("said"));
  press("ArrowRight", find("filter"));
  press("ArrowRight", find("said"), { ctrlKey: true });
  assert.equal(chosen(), "s9");
});

test("a heading sorts: names with their numbers, probabilities as numbers; again, the other way", () => {
  const [name, probability] = document.querySelectorAll("th");
  const order = () => find("scans").tBodies[0].children.map((row) => row.cells[0].textContent);
  name.querySelector("button").click();
  assert.deepEqual(order(), ["s1", "s2", "s9", "s10"]);
  assert.equal(name.getAttribute("aria-sort"), "ascending");
  probability.querySelector("button").click();
  probability.querySelector("button").click();
  assert.deepEqual(order(), ["s10", "s2", "s9", "s1"]);
  assert.equal(name.getAttribute("aria-sort"), null);
});

test("a click on a row shows its scan; with Ctrl the browser opens a tab", () => {
  const cell = rows[2].cells[1];
  assert.equal(cell.happen("click", { ctrlKey: true }).defaultPrevented, false);
  assert.equal(chosen(), "s10");
  cell.happen("click");
  assert.equal(chosen(), "s2");
  assert.equal(document.activeElement, rows[2].querySelector("a"));
});

test("an address with a scan shows that scan", async () => {
  await load("#s1");
  assert.equal(chosen(), "s1");
});

test("the map's opacity is shown", () => {
  find("opacity").value = 35;
  find("opacity").happen("input");
  assert.equal(find("opacity-said").textContent, "35 %");
  assert.equal(find("viewer").style["--map"], 0.35);
});
