// Records what a reader does, by this tab's monotonic clock, and keeps it until acknowledged.

import { Refused, tell } from "../../../viewer/static/server.js";

const FLUSH_MS = 4000;
const MOST = 500;

export class Recorder {
  constructor(store, { idleS }) {
    this.store = store;
    this.tab = crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.count = 0;
    this.case = null;
    this.writes = Promise.resolve();
    this.idle = false;
    this.idleMs = 1000 * idleS;
    this.lastInput = performance.now();
    this.flushing = null;
    for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
      addEventListener(kind, () => this.#input(), { capture: true, passive: true });
    }
    setInterval(() => this.#watch(), 1000);
    setInterval(() => { this.flush().catch(() => {}); }, FLUSH_MS);
    document.addEventListener("visibilitychange", () => {
      this.record(document.hidden ? "hidden" : "visible");
    });
  }

  #input() {
    this.lastInput = performance.now();
    if (this.idle) { this.idle = false; this.record("back"); }
  }

  #watch() {
    if (!this.idle && performance.now() - this.lastInput >= this.idleMs) {
      this.idle = true;
      this.record("idle");
    }
  }

  /** Note an event; it is kept in the browser until the server has it. */
  record(kind, body = {}) {
    this.count += 1;
    const event = {
      key: `${this.tab.slice(0, 36)}.${this.count}`,
      kind,
      tab: this.tab,
      case: this.case,
      t_ms: performance.now(),
      client_s: Date.now() / 1000,
      body,
    };
    this.writes = this.writes.then(() => this.store.put("events", event.key, event)).catch(() => {});
    return event;
  }

  /** Events that the server does not have yet. */
  async pending() {
    await this.writes;
    return this.store.all("events", MOST);
  }

  async acknowledged(events) {
    await this.store.drop("events", events.map((event) => event.key));
  }

  /** Send what is pending; one at a time. */
  async flush() {
    this.flushing ??= this.#flush().finally(() => { this.flushing = null; });
    return this.flushing;
  }

  async #flush() {
    const events = await this.pending();
    if (events.length === 0) return;
    try {
      await tell("/api/events", { events });
      await this.acknowledged(events);
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 422) throw error;
      // One that cannot be stored must not hold up the others.
      for (const event of events) {
        try { await tell("/api/events", { events: [event] }); } catch (one) {
          if (!(one instanceof Refused) || one.status !== 422) throw one;
        }
        await this.acknowledged([event]);
      }
    }
  }
}
