import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { el, install } from "./dom.js";

const WINDOW = { low: 1, high: 6, min: 0, max: 9 };
const PICTURE = {
  rows: 2, columns: 2, row_mm: 2, column_mm: 2, scale: 1, unit: "counts", body: { top: 0, bottom: 2 },
  views: ["anterior", "posterior"], windows: { anterior: WINDOW, posterior: WINDOW },
};
const IDS = [
  "where", "progress", "training", "kept", "pause", "help", "model", "model-says", "feedback", "feedback-says",
  "continue", "form", "foci-hint", "marks", "no-focus", "yes", "no", "confidence", "track", "thumb", "comment",
  "problem", "submit", "earlier", "review-says", "earlier-case", "finish", "paused", "paused-title", "resume",
  "stopped", "stopped-title", "stopped-text", "stopped-do", "keys", "single-keys", "keys-close", "reset",
  "smoothing", "map", "opacity", "map-tools", "zoom", "window",
];
const ANSWER = { positive: false, confidence: 5, no_focus: true, marks: [], comment: "" };
const OUTPUT = {
  positive: true, operating_point: 0.5, mbd_probability: 0.9, rows: 1, columns: 1, colours: "", maps: {},
};
const real = { fetch: globalThis.fetch, setInterval: globalThis.setInterval };

let document;
let answers; // of the server, by path; a function is asked
let sent;
let count = 0;

const aCase = (token, stage = "unaided") => ({ token, position: 0, training: false, picture: PICTURE, stage });
const rest = () => new Promise((resolve) => { setTimeout(resolve, 5); });
const isLocked = (page) => page.locked && document.querySelector("#submit").disabled;

/** A promise that is kept from outside. */
function held(value) {
  let release;
  const promise = new Promise((resolve) => { release = () => resolve(value); });
  return { promise, release };
}

function canvas() {
  const context = new Proxy({}, {
    get: (_, name) => (name === "createImageData"
      ? (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) })
      : () => {}),
  });
  return Object.assign(el("canvas"), { getContext: () => context });
}

beforeEach(() => {
  sent = [];
  Object.assign(globalThis, {
    ResizeObserver: class { observe() {} },
    requestAnimationFrame: () => {},
    setInterval: () => 0,
    innerWidth: 2000,
    innerHeight: 1000,
    localStorage: { getItem: () => null, setItem() {} },
    sessionStorage: { getItem: () => null, setItem() {} },
    fetch: async (path, { body } = {}) => {
      if (body) sent.push([path, JSON.parse(body)]);
      const answer = answers[path] ?? {};
      const content = await (typeof answer === "function" ? answer() : answer);
      return { ok: true, json: async () => content, arrayBuffer: async () => new ArrayBuffer(16) };
    },
  });
  const settings = {
    "data-store": "s", "data-idle-s": "60", "data-break-min": "45", "data-least-width": "1", "data-least-height": "1",
  };
  const pane = (view) => el("div.pane", { "data-view": view }, canvas(), el("p.absent"));
  const inputs = IDS.map((id) => el(`input#${id}`));
  document = install(el("main#reading", settings), pane("anterior"), pane("posterior"), ...inputs);
  document.querySelector("#paused").append(el("p"));
  document.createElement = (tag) => (tag === "canvas" ? canvas() : el(tag));
});
afterEach(() => { Object.assign(globalThis, real); });

/** The page as it is after a reader has opened it; a module of its own for each test. */
async function opened(entry, more = {}) {
  const state = {
    phase: "reading", session: 1, answered: 1, total: 3, training: 0, case: entry, draft: null, next: null,
    answered_cases: [{ token: "EARLIER", position: 0 }],
  };
  answers = {
    "/api/tab": { active: true }, "/api/state": state,
    "/api/answers/EARLIER": { case: aCase("EARLIER"), answer: ANSWER }, ...more,
  };
  count += 1;
  const { page } = await import(`../../src/bonescint/study/web/static/reading.js?${count}`);
  await rest();
  return { page, state };
}

function choose(token) {
  const select = document.querySelector("#earlier-case");
  select.value = token;
  select.happen("change", { target: select });
}

test("nothing can be answered while an earlier case is still loading", async () => {
  const picture = held({});
  const { page } = await opened(aCase("CURRENT"), { "/api/images/EARLIER": picture.promise });
  page.answer.fill({ positive: true, confidence: 90, no_focus: true, comment: "the current case" });
  assert.equal(isLocked(page), false);
  choose("EARLIER");
  await rest();
  assert.equal(isLocked(page), true);
  await page.submit();
  assert.equal(sent.some(([path]) => path === "/api/submit"), false);
  picture.release();
  await rest();
  assert.equal(isLocked(page), false);
  assert.equal(document.querySelector("#reading").dataset.case, "EARLIER");
  assert.equal(page.answer.entered().comment, "");
});

test("a picture that comes late is not shown as the case that was chosen since", async () => {
  const picture = held({});
  const { page } = await opened(aCase("CURRENT"), { "/api/images/EARLIER": picture.promise });
  choose("EARLIER");
  await rest();
  choose("");
  await rest();
  picture.release();
  await rest();
  assert.equal(page.entry.token, "CURRENT");
  assert.equal(document.querySelector("#reading").dataset.case, "CURRENT");
});

test("an aided answer waits for the model", async () => {
  const output = held(OUTPUT);
  const { page } = await opened(aCase("CURRENT", "aided"), { "/api/model/CURRENT": output.promise });
  assert.equal(isLocked(page), true);
  output.release();
  await rest();
  assert.equal(isLocked(page), false);
  assert.match(document.querySelector("#model-says").textContent, /0\.90/);
});

test("a break is suggested once the next case is shown, whose clock it stops", async () => {
  const { page, state } = await opened(aCase("CURRENT"));
  const next = { ...state, case: aCase("NEXT") };
  answers["/api/submit"] = { stored: "k", revision: 1, replayed: false, training: false, state: next };
  const noted = [];
  const { record } = page.recorder;
  page.recorder.record = (kind, body) => {
    noted.push(`${kind} ${page.recorder.case}`);
    return record.call(page.recorder, kind, body);
  };
  page.answer.fill(ANSWER);
  page.lastBreak -= 46 * 60000;
  await page.submit();
  assert.deepEqual(noted, ["submit CURRENT", "shown NEXT", "break-suggested NEXT", "pause NEXT"]);
});
