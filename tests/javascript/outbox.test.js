import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { install } from "./dom.js";

install();
const { Outbox } = await import("../../src/bonescint/study/web/static/outbox.js");
const { Refused } = await import("../../src/bonescint/viewer/static/server.js");

const SENT = { key: "key-1", case: "case-1", stage: "unaided", answer: { positive: true } };
let kept;
let requests;
let replies;
let reasons;
let events;
let outbox;

beforeEach(() => {
  [kept, requests, replies, reasons, events] = [new Map(), [], [], [], [{ key: "e1" }]];
  const store = {
    put: async (_, key, value) => { kept.set(key, value); },
    get: async (_, key) => kept.get(key),
    drop: async (_, keys) => { keys.forEach((key) => kept.delete(key)); },
  };
  const recorder = {
    tab: "tab-2",
    pending: async () => [...events],
    acknowledged: async (some) => { events = events.filter((one) => !some.includes(one)); },
  };
  globalThis.fetch = async (path, options) => {
    requests.push({ path, ...JSON.parse(options.body) });
    const { status, problem, message } = replies.shift() ?? { status: 200 };
    if (status === undefined) throw new TypeError("Failed to fetch");
    return { ok: status < 400, status, json: async () => ({ stored: "key-1", problem, message }) };
  };
  outbox = new Outbox(store, recorder, (reason) => { reasons.push(reason); });
});

/** Wait for what happens, without its pauses. */
async function hurried(promise) {
  mock.timers.enable({ apis: ["setTimeout"] });
  const state = { done: false };
  const ended = promise.finally(() => { state.done = true; });
  ended.catch(() => {});
  while (!state.done) {
    await new Promise((resolve) => { setImmediate(resolve); });
    mock.timers.tick(3000);
  }
  mock.timers.reset();
  return ended;
}

test("an answer is sent with all pending events, by the tab that is open now", async () => {
  const receipts = [];
  await outbox.send({ ...SENT, tab: "tab-1" }, async (receipt) => { receipts.push(receipt.stored); });
  assert.deepEqual(requests, [{ path: "/api/submit", ...SENT, tab: "tab-2", events: [{ key: "e1" }] }]);
  assert.deepEqual(receipts, ["key-1"]);
  assert.deepEqual(events, []);
});

test("while the server is away it is sent again and again, with the same key", async () => {
  replies = [{}, { status: 503, problem: "store", message: "The disk is full." }, { status: 200 }];
  let stored = 0;
  await hurried(outbox.send(SENT, async () => { stored += 1; }));
  assert.deepEqual(requests.map((one) => one.key), ["key-1", "key-1", "key-1"]);
  assert.equal(stored, 1);
  assert.match(reasons[0], /does not answer.*kept in this browser/);
  assert.match(reasons[2], /disk is full/);
  assert.deepEqual([reasons[1], reasons[3]], ["", ""]);
});

test("events stay pending until the answer is acknowledged", async () => {
  replies = [{ status: 409, problem: "not-now", message: "no" }];
  await assert.rejects(outbox.send(SENT, async () => {}), Refused);
  assert.deepEqual(events, [{ key: "e1" }]);
});

test("if the server fails after storing, the answer is sent again: it stores nothing twice", async () => {
  let failures = 1;
  await hurried(outbox.send(SENT, async () => {
    if (failures > 0) { failures -= 1; throw new TypeError("Failed to fetch"); }
  }));
  assert.deepEqual(requests.map((one) => one.key), ["key-1", "key-1"]);
});

test("what is kept is found by the next page, and gone once discarded", async () => {
  await outbox.keep(SENT);
  assert.deepEqual(await outbox.left(), SENT);
  await outbox.discard();
  assert.equal(await outbox.left(), undefined);
});

test("an answer of an earlier page that can never be stored is given up", async () => {
  replies = [{}, { status: 409, problem: "answered", message: "final" }];
  await hurried(outbox.sendLeft(SENT));
  assert.equal(requests.length, 2);
});

test("an answer of an earlier page is not given up for want of access", async () => {
  for (const problem of ["other-tab", "signed-out", "csrf", "role"]) {
    replies = [{ status: 403, problem, message: "no" }];
    await assert.rejects(outbox.sendLeft(SENT), { problem });
  }
});
