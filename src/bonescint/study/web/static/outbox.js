// Sends an answer until the server has stored it; until then it stays in the browser.

import { Refused, tell } from "../../../viewer/static/server.js";

const AGAIN_MS = 3000;
/** Why the server does not listen to this tab at all; the answer may still be stored later. */
export const ACCESS = ["other-tab", "signed-out", "csrf", "role"];

/** Wait until it is time to try again. */
export function pauseBeforeRetry() {
  return new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
}

export class Outbox {
  /**
   * @param {LocalStore} store keeps the answer
   * @param {Recorder} recorder has the events that are not stored yet
   * @param {(text: string) => void} waits called with the reason for each wait, and with "" after it
   */
  constructor(store, recorder, waits) {
    Object.assign(this, { store, recorder, waits });
  }

  /** The answer that an earlier page could not send. */
  left() { return this.store.get("submissions", "next"); }

  /** Keep an answer, so that it survives a killed browser. */
  keep(sent) { return this.store.put("submissions", "next", sent); }

  /** Let an answer go that the server will not store. */
  discard() { return this.store.drop("submissions", ["next"]); }

  /**
   * Send an answer with all pending events until the server has it.
   * @param {(receipt: object) => Promise} stored what follows; if the server fails meanwhile, the
   *   answer is sent again, which stores nothing twice
   * @throws {Refused} it cannot be stored now
   */
  send(sent, stored) {
    return this.#untilAnswered(async () => {
      const events = await this.recorder.pending();
      const receipt = await this.#tell(sent, events);
      await this.recorder.acknowledged(events);
      await stored(receipt);
    });
  }

  /**
   * Send an answer to another case than the one to read: it is stored already, changes an earlier
   * one, or can never be stored because the case has another answer.
   * @throws {Refused} this tab has no access
   */
  async sendLeft(sent) {
    try {
      await this.#untilAnswered(() => this.#tell(sent, []));
    } catch (error) {
      if (ACCESS.includes(error.problem)) throw error;
    }
  }

  #tell(sent, events) {
    return tell("/api/submit", { ...sent, tab: this.recorder.tab, events });
  }

  async #untilAnswered(act) {
    for (;;) {
      try { return await act(); } catch (error) {
        if (error instanceof Refused && error.status < 500) throw error;
        const reason = error instanceof Refused ? error.message : "The server does not answer.";
        this.waits(`${reason} Your answer is kept in this browser; trying again.`);
        await pauseBeforeRetry();
        this.waits("");
      }
    }
  }
}
