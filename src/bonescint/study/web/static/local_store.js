// Keeps what the server has not acknowledged yet in IndexedDB, so that it survives a killed browser.

const STORES = ["drafts", "events", "submissions"];

function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** What one reader has in this browser. */
export class LocalStore {
  static async open(name) {
    const made = new LocalStore();
    made.spare = new Map(STORES.map((store) => [store, new Map()]));
    try {
      const opening = indexedDB.open(`bonescint-${name}`, 1);
      opening.onupgradeneeded = () => {
        for (const store of STORES) opening.result.createObjectStore(store);
      };
      made.base = await asked(opening);
    } catch {
      made.base = null; // private windows of some browsers: memory is better than nothing
    }
    return made;
  }

  /** Whether the content survives this tab. */
  get lasting() { return this.base !== null && !this.full; }

  #in(store, mode) {
    const work = this.base.transaction(store, mode, { durability: "strict" });
    const done = new Promise((resolve, reject) => {
      work.oncomplete = () => resolve();
      work.onerror = () => reject(work.error);
      work.onabort = () => reject(work.error);
    });
    return [work.objectStore(store), done];
  }

  /** Keep something; in this tab's memory where the browser's disk is full. */
  async put(store, key, value) {
    const spare = this.spare.get(store);
    if (this.base) {
      try {
        const [objects, done] = this.#in(store, "readwrite");
        objects.put(value, key);
        await done;
        spare.delete(key);
        this.full = false;
        return;
      } catch { this.full = true; }
    }
    spare.set(key, value);
  }

  async get(store, key) {
    const spare = this.spare.get(store).get(key);
    if (spare !== undefined || !this.base) return spare;
    return asked(this.#in(store, "readonly")[0].get(key));
  }

  async all(store, most) {
    const spare = [...this.spare.get(store).values()].slice(0, most);
    if (!this.base || spare.length === most) return spare;
    return [...spare, ...await asked(this.#in(store, "readonly")[0].getAll(null, most - spare.length))];
  }

  /** Delete what the server has. What stays by mistake is sent again, and stored once. */
  async drop(store, keys) {
    keys.forEach((key) => this.spare.get(store).delete(key));
    if (!this.base) return;
    try {
      const [objects, done] = this.#in(store, "readwrite");
      keys.forEach((key) => objects.delete(key));
      await done;
    } catch { this.full = true; }
  }
}
