// The case page: a case, its answer, the truth at once, the next case.

import { AnswerForm } from "../../../viewer/static/answer.js";
import { showPositionEverywhere } from "../../../viewer/static/hover.js";
import { pointAt } from "../../../viewer/static/pointing.js";
import { ask, fetchPixels, Refused, tell } from "../../../viewer/static/server.js";
import { Viewer } from "../../../viewer/static/viewer.js";
import { Feedback } from "./feedback.js";
import { listen } from "./keys.js";

const find = (id) => document.querySelector(`#${id}`);
const main = find("reading");
const AGAIN_MS = 400; // between two questions for a case that is still being simulated

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

class TeachingPage {
  constructor() {
    this.viewer = new Viewer(() => {});
    this.answer = new AnswerForm(() => this.#changed(), { kinds: kindsOnPage() });
    this.feedback = new Feedback(this.viewer);
    this.locked = true;
    this.coming = null;
    this.after = "";
    this.toReview = main.dataset.review.split(" ").filter(Boolean);
    for (const pane of this.viewer.panes) pointAt(pane, this);
    showPositionEverywhere(this.viewer.panes);
    const act = (id, what) => find(id).addEventListener("click", what);
    act("help", () => this.help());
    act("keys-close", () => find("keys").close());
    act("continue", () => this.next());
    find("form").addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    listen(this);
  }

  note() { /* nothing that a learner does on the way to an answer is kept */ }

  // --- one case -----------------------------------------------------------------------------

  /** The next case with its pixels, as soon as the server has it. */
  async #fetched() {
    for (;;) {
      const state = await ask(`/api/case?course=${encodeURIComponent(main.dataset.course)}`);
      if (state.case) return { ...state, buffer: await fetchPixels(state.case.token) };
      if (!state.preparing) return state;
      await pause(AGAIN_MS);
    }
  }

  async next() {
    const asked = performance.now();
    this.locked = true;
    if (this.after) { location.assign(this.after); return; }
    if (this.toReview.length > 0) {
      const token = this.toReview.shift();
      if (this.toReview.length === 0) this.after = "/";
      this.#review(token).catch((error) => this.#failed(error));
      return;
    }
    find("continue").disabled = true;
    this.coming ??= this.#fetched();
    try {
      const state = await this.coming;
      this.coming = null;
      if (!state.case) { location.assign(state.page); return; }
      this.#show(state);
      main.dataset.readyMs = (performance.now() - asked).toFixed(1);
    } catch (error) {
      this.coming = null;
      this.#failed(error);
    } finally { find("continue").disabled = false; }
  }

  #show({ case: entry, buffer }) {
    this.entry = entry;
    this.feedback.hide();
    find("form").hidden = false;
    find("where").textContent = entry.of
      ? `Case ${entry.number} of ${entry.of}` : `Case ${entry.number}`;
    find("progress").max = entry.of || 1;
    find("progress").value = entry.of ? entry.number - 1 : 0;
    find("progress").hidden = !entry.of;
    this.#problem("");
    this.viewer.show(entry.picture, buffer);
    this.answer.fill({});
    this.viewer.showMarks(this.answer);
    this.locked = false;
    find("submit").disabled = false;
    this.shownAt = performance.now();
    document.activeElement?.blur?.();
    delete main.dataset.feedback;
    main.dataset.case = entry.token;
    main.dataset.number = entry.number;
  }

  addMark(view, place) {
    if (this.locked || !this.viewer.ready) return;
    this.answer.add(view, place);
  }

  #changed() {
    this.viewer.showMarks(this.answer);
    this.#problem("");
  }

  // --- the answer ---------------------------------------------------------------------------

  async submit() {
    if (this.locked || !this.viewer.ready) return;
    const missing = this.answer.missing();
    if (missing) {
      this.#problem(missing[0]);
      missing[1]?.focus();
      return;
    }
    this.locked = true;
    find("submit").disabled = true;
    const began = performance.now();
    const entered = this.answer.entered();
    const seconds = (began - this.shownAt) / 1000;
    try {
      const found = await tell("/api/answer", { case: this.entry.token, answer: entered, seconds });
      main.dataset.answerMs = (performance.now() - began).toFixed(1);
      this.after = found.after;
      if (!this.after) {
        this.coming = this.#fetched();
        this.coming.catch(() => { /* said when the next case is asked for */ });
      }
      if (!found.feedback) { await this.next(); return; }
      this.#showFeedback(found.feedback);
    } catch (error) {
      if (error instanceof Refused && error.problem === "answered") { await this.next(); return; }
      this.locked = false;
      find("submit").disabled = false;
      this.#failed(error);
    }
  }

  #showFeedback(found) {
    find("form").hidden = true;
    this.feedback.show(found, this.answer);
    find("continue").focus({ preventScroll: true });
    main.dataset.feedback = this.entry.token;
    this.#showModel(this.entry.token).catch(() => { /* the truth is there without it */ });
  }

  async #showModel(token) {
    for (;;) {
      const found = await ask(`/api/model/${token}`);
      if (this.entry.token !== token || find("feedback").hidden) return;
      if (!found.preparing) { this.feedback.showModel(found.model); main.dataset.model = token; return; }
      await pause(AGAIN_MS);
    }
  }

  // --- looking at answers again -------------------------------------------------------------

  /** The next of the answered cases that are looked at again. */
  async #review(token) {
    let found = await ask(`/api/feedback/${token}`);
    while (found.preparing) { await pause(AGAIN_MS); found = await ask(`/api/feedback/${token}`); }
    const entry = { ...found.case, of: 0 };
    this.#show({ case: entry, buffer: await fetchPixels(token) });
    this.locked = true;
    this.answer.fill({ marks: found.marks });
    this.#showFeedback(found.feedback);
  }

  // --- what goes wrong ----------------------------------------------------------------------

  #failed(error) {
    if (error instanceof Refused && error.problem === "signed-out") location.assign("/sign-in");
    else if (error instanceof Refused) this.#problem(error.message);
    else this.#problem("The server does not answer. Is bonescint teach still running?");
  }

  #problem(text) {
    find("problem").textContent = text;
    find("problem").hidden = text === "";
  }

  help() { find("keys").showModal(); }
}

/** Kinds of finding by which a mark can be named, from the page: groups of names. */
function kindsOnPage() {
  return [...find("kinds").content.querySelectorAll("optgroup")].map((group) => (
    { label: group.label, kinds: [...group.children].map((one) => one.value) }));
}

const page = new TeachingPage();
page.next();
export { page };
