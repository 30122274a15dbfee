// What is not acknowledged by the server yet, kept in IndexedDB: it outlives a killed browser.

const STORES = ["drafts", "events", "submissions"];

function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The drawer of one reader in this browser. */
export class Drawer {
  static async open(name) {
    const drawer = new Drawer();
    drawer.spare = new Map(STORES.map((store) => [store, new Map()]));
    try {
      const opening = indexedDB.open(`bonescint-${name}`, 1);
      opening.onupgradeneeded = () => {
        for (const store of STORES) opening.result.createObjectStore(store);
      };
      drawer.base = await asked(opening);
    } catch {
      drawer.base = null; // private windows of some browsers: memory is better than nothing
    }
    return drawer;
  }

  get lasting() { return this.base !== null; }

  #in(store, mode) {
    const work = this.base.transaction(store, mode, { durability: "strict" });
    const done = new Promise((resolve, reject) => {
      work.oncomplete = () => resolve();
      work.onerror = () => reject(work.error);
      work.onabort = () => reject(work.error);
    });
    return [work.objectStore(store), done];
  }

  async put(store, key, value) {
    if (!this.base) { this.spare.get(store).set(key, value); return; }
    const [objects, done] = this.#in(store, "readwrite");
    objects.put(value, key);
    await done;
  }

  async get(store, key) {
    if (!this.base) return this.spare.get(store).get(key);
    return asked(this.#in(store, "readonly")[0].get(key));
  }

  async all(store, most) {
    if (!this.base) return [...this.spare.get(store).values()].slice(0, most);
    return asked(this.#in(store, "readonly")[0].getAll(null, most));
  }

  async drop(store, keys) {
    if (!this.base) { keys.forEach((key) => this.spare.get(store).delete(key)); return; }
    const [objects, done] = this.#in(store, "readwrite");
    keys.forEach((key) => objects.delete(key));
    await done;
  }
}
