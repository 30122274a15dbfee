// The reading page: one case after another, without loading the page again.

import { AnswerForm } from "../../../viewer/static/answer.js";
import { LocalStore } from "./local_store.js";
import { listen } from "./keys.js";
import { ACCESS, Outbox, pauseBeforeRetry } from "./outbox.js";
import { pointAt } from "../../../viewer/static/pointing.js";
import { Recorder } from "./recorder.js";
import { ask, fetchPixels, Refused, tell } from "../../../viewer/static/server.js";
import { Viewer } from "../../../viewer/static/viewer.js";

const find = (id) => document.querySelector(`#${id}`);
const main = find("reading");
const KEEPS_NOTHING = "This browser cannot save drafts: do not close it while reading";
const PAUSED = "Everything is saved. The clock is stopped.";

class ReadingPage {
  constructor(store, recorder) {
    this.store = store;
    this.recorder = recorder;
    this.outbox = new Outbox(store, recorder, (reason) => this.#waits(reason));
    this.viewer = new Viewer((kind, body) => this.note(kind, body));
    this.answer = new AnswerForm((kind, body) => this.#changed(kind, body));
    this.pictures = new Map();
    this.locked = true;
    this.revising = false;
    this.lastBreak = performance.now();
    for (const pane of this.viewer.panes) pointAt(pane, this);
    this.#buttons();
    listen(this);
  }

  note(kind, body) { this.recorder.record(kind, body); }

  // --- one case -----------------------------------------------------------------------------

  /** Show what the server says comes next. */
  async open(state) {
    this.state = state;
    if (state.phase === "review") { this.#review(); return; }
    if (state.phase !== "reading") { location.assign("/"); return; }
    this.revising = false;
    const { case: entry } = state;
    const kept = await this.store.get("drafts", `${entry.token}/${entry.stage}`);
    const stored = state.draft;
    const newest = kept && (!stored || kept.saved_ms >= stored.saved_ms) ? kept : stored;
    await this.#show(entry, newest ?? this.#copied(state.before));
    if (newest) this.note("draft-restored");
    this.#fetchAhead(state.next);
  }

  /** The aided answer starts with the marks of the unaided one; the decision is made again. */
  #copied(before) {
    if (!before) return {};
    return { marks: before.marks, comment: before.comment, no_focus: before.no_focus };
  }

  async #show(entry, draft) {
    this.#lock(); // what is on the page belongs to another case until this one is shown
    this.entry = entry;
    this.recorder.case = entry.token;
    this.#heading();
    this.#problem("");
    find("feedback").hidden = true;
    find("form").hidden = false;
    const buffer = await this.#picture(entry.token);
    const output = entry.stage === "aided" ? await ask(`/api/model/${entry.token}`) : null;
    if (this.entry !== entry) return; // another one was chosen meanwhile
    this.viewer.show(entry.picture, buffer);
    if (output) this.#showModel(output);
    this.answer.fill(draft);
    this.viewer.showMarks(this.answer);
    this.#unlock("");
    const readyMs = this.submittedAt ? performance.now() - this.submittedAt : null;
    this.submittedAt = null;
    this.note("shown", { position: entry.position, stage: entry.stage, ready_ms: readyMs });
    delete main.dataset.phase;
    main.dataset.case = entry.token;
    main.dataset.position = entry.position;
    main.dataset.stage = entry.stage;
    main.dataset.readyMs = readyMs === null ? "" : readyMs.toFixed(1);
  }

  #heading() {
    const { state, entry } = this;
    const count = entry.training ? state.training : state.total - state.training;
    const number = entry.training ? entry.position + 1 : entry.position - state.training + 1;
    const second = state.session > 1 ? `Session ${state.session} · ` : "";
    const place = entry.training ? `Training ${number} of ${count}` : `Case ${number} of ${count}`;
    find("where").textContent = `${second}${place}${this.revising ? " · changing your answer" : ""}`;
    find("training").hidden = !entry.training;
    find("progress").max = Math.max(1, state.total - state.training);
    find("progress").value = Math.max(0, state.answered - state.training);
    const list = state.answered_cases ?? [];
    find("earlier").hidden = list.length === 0;
    find("finish").hidden = state.phase !== "review" || this.revising;
    find("review-says").hidden = find("finish").hidden;
    const options = list.map((one) => {
      const option = document.createElement("option");
      option.value = one.token;
      option.textContent = `Case ${one.position - state.training + 1}`;
      return option;
    });
    const first = document.createElement("option");
    first.value = "";
    const back = state.phase === "review" ? "Leave it as it is" : "Back to the current case";
    first.textContent = this.revising ? back : "Select a case";
    find("earlier-case").replaceChildren(first, ...options);
    if (this.revising) find("earlier-case").value = entry.token;
  }

  async #picture(token) {
    if (!this.pictures.has(token)) this.pictures.set(token, fetchPixels(token));
    for (;;) {
      try { return await this.pictures.get(token); } catch (error) {
        this.pictures.delete(token);
        if (error instanceof Refused) throw error;
        this.#problem("The server does not answer. Trying again.");
        await pauseBeforeRetry();
        this.pictures.set(token, fetchPixels(token));
        this.#problem("");
      }
    }
  }

  #fetchAhead(next) {
    const wanted = new Set([this.entry.token, next?.token]);
    for (const token of this.pictures.keys()) if (!wanted.has(token)) this.pictures.delete(token);
    if (next && !this.pictures.has(next.token)) {
      const coming = fetchPixels(next.token);
      coming.catch(() => this.pictures.delete(next.token));
      this.pictures.set(next.token, coming);
    }
  }

  #showModel(output) {
    const side = output.positive ? "at or above" : "below";
    const call = output.positive === null
      ? "no call: this scan is unlike the scans that the model knows"
      : `${side} its threshold of ${output.operating_point.toFixed(2)}`;
    find("model-says").textContent = `Probability of metastatic bone disease ${output.mbd_probability.toFixed(2)}, `
      + `${call}. Your first answer is stored; `
      + "now answer knowing this.";
    this.viewer.showModel(output);
  }

  // --- what is entered ----------------------------------------------------------------------

  addMark(view, place) {
    if (this.locked || !this.viewer.ready) return;
    this.answer.add(view, place);
  }

  #changed(kind, body) {
    this.viewer.showMarks(this.answer);
    if (kind === null) return;
    this.note(kind, body);
    this.#problem("");
    this.#keepDraft();
  }

  #keepDraft() {
    if (this.locked) return;
    const { token, stage } = this.entry;
    const draft = { ...this.answer.entered(), saved_ms: Date.now() };
    this.drafting = this.store.put("drafts", this.#draftName(), draft);
    clearTimeout(this.draftTimer);
    // The server keeps no draft of a case that is answered; this browser does.
    if (this.revising) { this.#kept(this.store.lasting ? "Draft kept in this browser" : KEEPS_NOTHING); return; }
    this.draftTimer = setTimeout(() => this.#sendDraft(token, stage, draft), 1500);
  }

  #draftName() { return `${this.entry.token}/${this.revising ? "revision" : this.entry.stage}`; }

  async #sendDraft(token, stage, draft) {
    if (this.locked || this.entry.token !== token) return;
    try {
      const events = await this.recorder.pending();
      if (this.locked || this.entry.token !== token) return;
      await tell("/api/draft", { case: token, stage, tab: this.recorder.tab, draft, events });
      await this.recorder.acknowledged(events);
      this.#kept("Draft kept");
    } catch (error) { this.#draftFailed(error); }
  }

  #draftFailed(error) {
    if (error instanceof Refused && ["other-tab", "signed-out"].includes(error.problem)) this.#stop(error);
    else this.#kept(this.store.lasting ? "Draft kept in this browser" : KEEPS_NOTHING);
  }

  #kept(text) { find("kept").textContent = text; }

  // --- submitting ---------------------------------------------------------------------------

  async submit() {
    if (this.locked || !this.viewer.ready) return;
    const missing = this.answer.missing();
    if (missing) {
      this.#problem(missing[0]);
      missing[1]?.focus();
      return;
    }
    this.#lock();
    this.submittedAt = performance.now();
    const { token, stage } = this.entry;
    const event = this.note_submit();
    const sent = {
      key: crypto.randomUUID?.() ?? `${this.recorder.tab}.${event.key}`.slice(0, 64),
      case: token,
      stage,
      tab: this.recorder.tab,
      t_ms: event.t_ms,
      client_s: event.client_s,
      answer: this.answer.entered(),
    };
    await this.outbox.keep(sent);
    await this.#send(sent);
  }

  note_submit() { return this.recorder.record("submit", { stage: this.entry.stage }); }

  #lock() {
    this.locked = true;
    find("submit").disabled = true;
    clearTimeout(this.draftTimer);
  }

  #unlock(text) {
    this.locked = false;
    find("submit").disabled = false;
    this.#problem(text);
  }

  async #send(sent) {
    try {
      await this.outbox.send(sent, (receipt) => this.#acknowledged(sent, receipt));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await this.#refused(sent, error);
    }
  }

  #waits(reason) {
    if (reason) { main.dataset.waiting = "1"; this.#problem(reason); } else delete main.dataset.waiting;
  }

  async #forget(sent) {
    await this.drafting;
    await this.outbox.discard();
    await this.store.drop("drafts", [`${sent.case}/${sent.stage}`, `${sent.case}/revision`]);
  }

  async #acknowledged(sent, receipt) {
    this.#problem("");
    this.#kept(receipt.replayed ? "Stored before" : "Stored");
    await this.#forget(sent);
    const again = receipt.state.case?.token === sent.case;
    if (receipt.training && !again) { await this.#feedback(sent, receipt.state); return; }
    await this.open(receipt.state);
    this.#suggestBreak(); // the pause is of the case that is shown now
  }

  async #refused(sent, error) {
    if (["answered", "key-used"].includes(error.problem)) {
      await this.#forget(sent);
      await this.open(await ask("/api/state"));
      this.#problem(error.message);
      return;
    }
    if (ACCESS.includes(error.problem)) { this.#stop(error); return; }
    await this.outbox.discard();
    if (["not-now", "not-found", "environment"].includes(error.problem)) { location.assign("/"); return; }
    this.#unlock(error.message);
  }

  // --- training, review, breaks -------------------------------------------------------------

  async #feedback(sent, state) {
    const truth = await ask(`/api/feedback/${sent.case}`);
    this.viewer.showTruth(truth.foci);
    const shown = truth.foci.length ? " The squares show where the metastases are." : "";
    const word = (positive) => (positive ? "yes" : "no");
    find("feedback-says").textContent = `Metastatic bone disease: ${word(truth.positive)}.${shown}\n`
      + `You answered ${word(sent.answer.positive)}, ${sent.answer.confidence} of 100. `
      + "Training cases do not count.";
    find("form").hidden = true;
    find("feedback").hidden = false;
    find("continue").onclick = () => { this.open(state).catch((error) => this.#stop(error)); };
    find("continue").focus();
    this.note("feedback-shown");
    main.dataset.feedback = sent.case;
  }

  #review() {
    this.revising = false;
    this.viewer.ready = false;
    this.#lock();
    this.entry ??= { token: "", training: false, position: this.state.total - 1, picture: { windows: {} } };
    this.#heading();
    find("where").textContent = "All cases are answered";
    find("form").hidden = true;
    find("earlier").hidden = false;
    main.dataset.phase = "review";
  }

  async #revise(token) {
    this.#lock();
    if (token === "") {
      await this.store.drop("drafts", [`${this.entry.token}/revision`]);
      await this.open(await ask("/api/state"));
      return;
    }
    const { case: entry, answer } = await ask(`/api/answers/${token}`);
    const kept = await this.store.get("drafts", `${token}/revision`);
    this.revising = true;
    this.submittedAt = performance.now();
    await this.#show(entry, kept ?? answer);
    if (kept) this.note("draft-restored");
  }

  #suggestBreak() {
    const minutes = (performance.now() - this.lastBreak) / 60000;
    if (minutes < Number(main.dataset.breakMin)) return;
    this.lastBreak = performance.now();
    this.note("break-suggested", { minutes });
    this.pause("Time for a break?", `You have been reading for ${Math.round(minutes)} minutes. ${PAUSED}`);
  }

  pause(title = "Paused", text = PAUSED) {
    const dialog = find("paused");
    if (dialog.open) return;
    find("paused-title").textContent = title;
    dialog.querySelector("p").textContent = text;
    this.note("pause");
    dialog.showModal();
  }

  help() { this.note("help"); find("keys").showModal(); }

  // --- what stops reading -------------------------------------------------------------------

  #stop(error) {
    const known = {
      "other-tab": ["Reading continues elsewhere", "This study is open in another tab or window. What you "
        + "entered here is kept.", "Read here", () => this.#takeOver()],
      "signed-out": ["Signed out", "Your sign-in has ended. What you entered is kept in this browser; sign in "
        + "again to continue.", "Sign in", () => location.assign("/sign-in")],
    };
    const plain = ["Reading stopped", `${error.message} What you entered is kept.`, "Load again",
      () => location.reload()];
    const [title, text, label, act] = known[error.problem] ?? plain;
    find("stopped-title").textContent = title;
    find("stopped-text").textContent = text;
    find("stopped-do").textContent = label;
    find("stopped-do").onclick = act;
    if (!find("stopped").open) find("stopped").showModal();
    main.dataset.stopped = error.problem ?? "error";
  }

  async #takeOver() {
    await tell("/api/tab", { tab: this.recorder.tab, take: true });
    sessionStorage.setItem("reading", "1"); // so that this tab, loaded again, goes on
    location.reload();
  }

  #problem(text) {
    find("problem").textContent = text;
    find("problem").hidden = text === "";
  }

  #sizes() {
    const small = innerWidth < Number(main.dataset.leastWidth) || innerHeight < Number(main.dataset.leastHeight);
    if (small) {
      const need = `${main.dataset.leastWidth} × ${main.dataset.leastHeight}`;
      find("stopped-title").textContent = "The window is too small";
      find("stopped-text").textContent = `It has ${innerWidth} × ${innerHeight} pixels; reading needs ${need}.`;
      find("stopped-do").textContent = "Check again";
      find("stopped-do").onclick = () => this.#sizes();
      if (!find("stopped").open) { find("stopped").showModal(); this.note("pause", { why: "small window" }); }
      this.small = true;
    } else if (this.small) {
      this.small = false;
      find("stopped").close();
      this.note("resume");
    }
  }

  #buttons() {
    const act = (id, what) => find(id).addEventListener("click", what);
    act("pause", () => this.pause());
    act("help", () => this.help());
    act("resume", () => find("paused").close());
    act("keys-close", () => find("keys").close());
    find("paused").addEventListener("close", () => { this.lastBreak = performance.now(); this.note("resume"); });
    find("stopped").addEventListener("cancel", (event) => event.preventDefault());
    find("form").addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    find("earlier-case").addEventListener("change", (event) => {
      this.#revise(event.target.value).catch((error) => this.#stop(error));
    });
    act("finish", async () => {
      try { await tell("/api/finish", {}); location.assign("/"); } catch (error) { this.#stop(error); }
    });
    addEventListener("resize", () => { this.note("resized", { width: innerWidth, height: innerHeight }); this.#sizes(); });
    this.#sizes();
  }

  // --- beginning ----------------------------------------------------------------------------

  /** Claim reading for this tab, send what an earlier one could not, then show the case. */
  async begin() {
    const { active } = await tell("/api/tab", { tab: this.recorder.tab, take: false });
    if (!active) {
      if (document.visibilityState === "visible" && sessionStorage.getItem("reading")) {
        await tell("/api/tab", { tab: this.recorder.tab, take: true }); // this very tab, loaded again
      } else { this.#stop(new Refused(409, "other-tab", "")); return; }
    }
    sessionStorage.setItem("reading", "1");
    this.note("tab-opened", { width: innerWidth, height: innerHeight, ratio: devicePixelRatio });
    const left = await this.outbox.left();
    if (left) {
      const state = await ask("/api/state");
      if (state.phase === "reading" && state.case.token === left.case && state.case.stage === left.stage) {
        this.state = state;
        this.entry = state.case;
        this.#heading();
        await this.#send(left);
        return;
      }
      await this.outbox.sendLeft(left);
      await this.#forget(left);
    }
    await this.open(await ask("/api/state"));
  }
}

const store = await LocalStore.open(main.dataset.store);
const recorder = new Recorder(store, { idleS: Number(main.dataset.idleS) });
const page = new ReadingPage(store, recorder);
if (!store.lasting) find("kept").textContent = KEEPS_NOTHING;
page.begin().catch((error) => {
  page.note("error", { message: String(error.message).slice(0, 200) });
  if (error instanceof Refused && error.problem === "signed-out") location.assign("/sign-in");
  else {
    find("stopped-title").textContent = "Reading stopped";
    find("stopped-text").textContent = `${error.message} What you entered is kept.`;
    find("stopped-do").textContent = "Load again";
    find("stopped-do").onclick = () => location.reload();
    find("stopped").showModal();
  }
});
export { page };
