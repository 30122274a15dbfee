import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { install, el } from "./dom.js";

install(el("meta", { name: "csrf" }));
document.querySelector("meta").content = "a token";
const { Recorder } = await import("../../src/bonescint/study/web/static/recorder.js");
const { ask, Refused, tell } = await import("../../src/bonescint/viewer/static/server.js");

let events;
let ticks;
let requests;
let answers;
let now;
const real = { setInterval: globalThis.setInterval, fetch: globalThis.fetch, performance: globalThis.performance };

beforeEach(() => {
  install();
  events = new Map();
  ticks = [];
  requests = [];
  answers = () => ({});
  now = 0;
  globalThis.setInterval = (act) => { ticks.push(act); };
  Object.defineProperty(globalThis, "performance", { value: { now: () => now }, configurable: true, writable: true });
  globalThis.fetch = async (path, options) => {
    const content = options.body ? JSON.parse(options.body) : null;
    requests.push({ path, content, headers: options.headers });
    const { status = 200, ...body } = await answers(content);
    return { ok: status < 400, status, json: async () => body };
  };
});
afterEach(() => { Object.assign(globalThis, real); });

const store = {
  put: async (_, key, value) => { events.set(key, value); },
  all: async (_, most) => [...events.values()].slice(0, most),
  drop: async (_, keys) => { keys.forEach((key) => events.delete(key)); },
};
const made = () => new Recorder(store, { idleS: 60 });

test("events are kept with the tab's clock and a key of their own", async () => {
  const recorder = made();
  recorder.case = "case-1";
  now = 12.5;
  recorder.record("zoom", { zoom: 2 });
  recorder.record("pan");
  const pending = await recorder.pending();
  assert.deepEqual(pending.map((one) => [one.kind, one.case, one.t_ms]), [["zoom", "case-1", 12.5], ["pan", "case-1", 12.5]]);
  assert.notEqual(pending[0].key, pending[1].key);
  assert.ok(pending.every((one) => one.tab === recorder.tab && one.key.length <= 64));
});

test("idle time starts after a minute without input and ends with the next", async () => {
  const recorder = made();
  const [watch] = ticks;
  now = 59_999;
  watch();
  now = 60_000;
  watch();
  watch();
  happen("pointermove");
  assert.deepEqual((await recorder.pending()).map((one) => one.kind), ["idle", "back"]);
});

test("a hidden tab is recorded", async () => {
  const recorder = made();
  document.hidden = true;
  document.happen("visibilitychange");
  document.hidden = false;
  document.happen("visibilitychange");
  assert.deepEqual((await recorder.pending()).map((one) => one.kind), ["hidden", "visible"]);
});

test("what is sent is kept until it is acknowledged, and sent once at a time", async () => {
  const recorder = made();
  recorder.record("zoom");
  let release;
  answers = () => new Promise((resolve) => { release = () => resolve({ stored: 1 }); });
  const both = [recorder.flush(), recorder.flush()];
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.equal(events.size, 1);
  release();
  await Promise.all(both);
  assert.equal(requests.length, 1);
  assert.equal(requests[0].headers["x-csrf-token"], "a token");
  assert.equal(events.size, 0);
  await recorder.flush();
  assert.equal(requests.length, 1); // nothing is left to send
});

test("with the server away everything stays", async () => {
  const recorder = made();
  recorder.record("zoom");
  answers = () => ({ status: 503, problem: "store", message: "no" });
  await assert.rejects(recorder.flush(), Refused);
  assert.equal(events.size, 1);
});

test("an event that cannot be stored does not hold up the others", async () => {
  const recorder = made();
  for (const kind of ["zoom", "nonsense", "pan"]) recorder.record(kind);
  const stored = [];
  answers = ({ events: sent }) => {
    if (sent.some((one) => one.kind === "nonsense")) return { status: 422, problem: "malformed" };
    stored.push(...sent.map((one) => one.kind));
    return {};
  };
  await recorder.flush();
  assert.deepEqual(stored, ["zoom", "pan"]);
  assert.equal(events.size, 0);
});

test("a refusal says what and why, also if a proxy answered", async () => {
  answers = () => ({ status: 409, problem: "other-tab", message: "Reading continues elsewhere." });
  await assert.rejects(ask("/api/state"), { status: 409, problem: "other-tab", message: /elsewhere/ });
  globalThis.fetch = async () => ({ ok: false, status: 502, json: async () => { throw new SyntaxError("<html>"); } });
  await assert.rejects(tell("/api/events", {}), { status: 502, problem: "server" });
});
