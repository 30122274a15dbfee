// The files of a drop, those in folders too.

const MOST = 1000;

/** All files of what was dropped. */
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
  if (files.length >= MOST || entry.name.startsWith(".")) return;
  if (entry.isFile) {
    files.push(await new Promise((found, failed) => { entry.file(found, failed); }));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((found, failed) => { reader.readEntries(found, failed); });
    if (some.length === 0) return;
    for (const inner of some) await collect(inner, files);
  }
}
