import assert from "node:assert/strict";
import { test } from "node:test";

import { filesOf } from "../../src/bonescint/serve/static/dropped.js";
import { upload } from "../../src/bonescint/serve/static/requests.js";

const fileEntry = (fullPath) => ({
  isFile: true, name: fullPath.split("/").at(-1), fullPath,
  file(found) { found(new globalThis.File(["x"], this.name)); },
});

/** A folder that is listed in parts, as browsers do. */
const folderEntry = (fullPath, inner) => ({
  isFile: false, name: fullPath.split("/").at(-1), fullPath,
  createReader() {
    const left = [...inner];
    return { readEntries(found) { found(left.splice(0, 100)); } };
  },
});

const dropped = (...entries) => ({ items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })) });

test("files are sent by their places, by which the server tells patients apart", async () => {
  const files = await filesOf(dropped(
    folderEntry("/a", [fileEntry("/a/anterior.png"), fileEntry("/a/.hidden")]),
    folderEntry("/b", [fileEntry("/b/anterior.png")]),
  ));
  let sent = [];
  globalThis.sessionStorage = { getItem: () => null };
  globalThis.fetch = async (_path, { body }) => {
    sent = body.getAll("files").map((file) => file.name);
    return { ok: true, json: async () => ({}) };
  };
  await upload([...files, new globalThis.File(["x"], "chosen.dcm")]);
  assert.deepEqual(sent, ["/a/anterior.png", "/b/anterior.png", "chosen.dcm"]);
});

test("more files than the server takes are sent to it, so that it refuses them", async () => {
  const many = Array.from({ length: 3000 }, (_, number) => fileEntry(`/a/${number}.dcm`));
  assert.equal((await filesOf(dropped(folderEntry("/a", many)))).length, 1001);
});
