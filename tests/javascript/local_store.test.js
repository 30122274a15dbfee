import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LocalStore } from "../../src/bonescint/study/web/static/local_store.js";

/** IndexedDB in memory; `disk.full` makes every write fail. */
function fakeIndexedDb() {
  const disk = { full: false, stores: new Map() };
  const later = (request, act) => setTimeout(() => { request.result = act(); request.onsuccess?.(); }, 0);
  const objects = (kept, mode, work) => {
    const write = (act) => {
      if (mode !== "readwrite") throw new Error("read only");
      setTimeout(() => {
        if (disk.full) { work.error = new Error("QuotaExceededError"); work.onabort?.(); return; }
        act();
        work.oncomplete?.();
      }, 0);
    };
    const read = (act) => { const request = {}; later(request, act); return request; };
    return {
      put: (value, key) => write(() => kept.set(key, structuredClone(value))),
      delete: (key) => write(() => kept.delete(key)),
      get: (key) => read(() => kept.get(key)),
      getAll: (_, most) => read(() => [...kept.values()].slice(0, most)),
    };
  };
  const base = {
    createObjectStore: (name) => disk.stores.set(name, new Map()),
    transaction: (name, mode) => {
      const work = {};
      work.objectStore = () => objects(disk.stores.get(name), mode, work);
      return work;
    },
  };
  globalThis.indexedDB = {
    open: () => {
      const opening = { result: base };
      setTimeout(() => { if (disk.stores.size === 0) opening.onupgradeneeded(); opening.onsuccess(); }, 0);
      return opening;
    },
  };
  return disk;
}

let disk;
beforeEach(() => { disk = fakeIndexedDb(); });

test("what is put survives the tab", async () => {
  const first = await LocalStore.open("r1");
  await first.put("drafts", "case/unaided", { positive: true });
  assert.ok(first.lasting);
  const second = await LocalStore.open("r1");
  assert.deepEqual(await second.get("drafts", "case/unaided"), { positive: true });
  await second.drop("drafts", ["case/unaided"]);
  assert.equal(await first.get("drafts", "case/unaided"), undefined);
});

test("all returns no more than asked for", async () => {
  const store = await LocalStore.open("r1");
  for (const key of ["a", "b", "c"]) await store.put("events", key, { key });
  assert.deepEqual((await store.all("events", 2)).map((one) => one.key), ["a", "b"]);
  assert.equal((await store.all("events", 9)).length, 3);
});

test("with a full disk everything stays in memory, and is written once there is space", async () => {
  const store = await LocalStore.open("r1");
  await store.put("events", "a", { key: "a" });
  disk.full = true;
  await store.put("events", "b", { key: "b" });
  assert.ok(!store.lasting);
  assert.deepEqual((await store.all("events", 9)).map((one) => one.key).sort(), ["a", "b"]);
  assert.deepEqual(await store.get("events", "b"), { key: "b" });
  disk.full = false;
  await store.put("events", "b", { key: "b", again: true });
  assert.ok(store.lasting);
  assert.equal(disk.stores.get("events").size, 2);
  assert.equal(store.spare.get("events").size, 0);
});

test("without IndexedDB it works in memory and says so", async () => {
  globalThis.indexedDB = { open: () => { throw new Error("SecurityError"); } };
  const store = await LocalStore.open("r1");
  assert.ok(!store.lasting);
  await store.put("submissions", "next", { key: "k" });
  assert.deepEqual(await store.get("submissions", "next"), { key: "k" });
  await store.drop("submissions", ["next"]);
  assert.deepEqual(await store.all("submissions", 5), []);
});
