// The files of a drop, those in folders too.

const ENOUGH = 1001; // the server takes 1000 and refuses more

/** All files of what was dropped; those in folders know their place there as `droppedAs`. */
export async function filesOf(transfer) {
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry?.())
    .filter((entry) => entry);
  if (entries.length === 0) return [...transfer.files];
  const files = [];
  for (const entry of entries) await collect(entry, files);
  return files;
}

async function collect(entry, files) {
  if (files.length >= ENOUGH || entry.name.startsWith(".")) return;
  if (entry.isFile) {
    const file = await new Promise((found, failed) => { entry.file(found, failed); });
    files.push(Object.assign(file, { droppedAs: entry.fullPath }));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((found, failed) => { reader.readEntries(found, failed); });
    if (some.length === 0) return;
    for (const inner of some) await collect(inner, files);
  }
}
