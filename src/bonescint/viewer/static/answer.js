// The answer that is being entered: marks with ratings or kinds, yes or no, confidence, comment.

const NAMES = { anterior: "AP", posterior: "PA" };
const find = (id) => document.querySelector(`#${id}`);

/** A whole number from 0 to 100 out of a field, or null. */
function percent(text) {
  const plain = text.trim();
  return /^\d{1,3}$/.test(plain) && Number(plain) <= 100 ? Number(plain) : null;
}

export class AnswerForm {
  /**
   * @param {(kind: string, body?: object) => void} changed called after every change
   * @param {{kinds?: {label: string, kinds: string[]}[]}} options kinds, in groups, by one of
   *   which a mark can be named in the place of its rating
   */
  constructor(changed, { kinds = null } = {}) {
    this.changed = changed;
    this.kinds = kinds;
    this.list = find("marks");
    this.chosen = -1;
    this.clear();
    find("no-focus").addEventListener("change", (event) => this.#noFocus(event.target.checked));
    for (const id of ["yes", "no"]) {
      find(id).addEventListener("change", () => this.changed("decision", { positive: id === "yes" }));
    }
    const confidence = find("confidence");
    confidence.addEventListener("input", () => { this.#thumb(); this.changed("confidence", this.#entered()); });
    const track = find("track");
    const pull = (event) => {
      const box = track.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      confidence.value = String(Math.round(100 * share));
      this.#thumb();
    };
    track.addEventListener("pointerdown", (event) => { track.setPointerCapture(event.pointerId); pull(event); });
    track.addEventListener("pointermove", (event) => { if (track.hasPointerCapture(event.pointerId)) pull(event); });
    track.addEventListener("pointerup", () => this.changed("confidence", this.#entered()));
    find("comment")?.addEventListener("input", (event) => {
      this.changed("comment", { length: event.target.value.length });
    });
  }

  #entered() { return { confidence: percent(find("confidence").value) }; }

  #thumb() {
    const value = percent(find("confidence").value);
    const thumb = find("thumb");
    thumb.hidden = value === null;
    if (value !== null) thumb.style.left = `${value}%`;
  }

  clear() {
    this.fill({});
  }

  /** Show what was entered before. */
  fill({ positive = null, confidence = null, no_focus: noFocus = false, marks = [], comment = "" }) {
    find("yes").checked = positive === true;
    find("no").checked = positive === false;
    find("confidence").value = confidence ?? "";
    if (find("comment")) find("comment").value = comment;
    find("no-focus").checked = noFocus;
    this.marks = marks.map((mark) => ({ ...mark }));
    this.chosen = -1;
    this.#thumb();
    this.#rows();
  }

  /** What is entered; nulls where something is missing. */
  entered() {
    const decision = find("yes").checked ? true : find("no").checked ? false : null;
    return {
      positive: decision,
      confidence: percent(find("confidence").value),
      no_focus: find("no-focus").checked,
      marks: this.marks.map((mark) => this.#entry(mark)),
      comment: find("comment")?.value ?? "",
    };
  }

  #entry({ view, row, column, rating, kind }) {
    const place = { view, row, column };
    return this.kinds ? { ...place, kind: kind || null } : { ...place, rating: rating ?? null };
  }

  /** What is still missing, in words, with the field to go to; null if nothing. */
  missing() {
    const now = this.entered();
    if (!now.no_focus && now.marks.length === 0) return ["Mark the foci, or tick “No focus”.", find("no-focus")];
    const unrated = this.kinds ? -1 : now.marks.findIndex((mark) => mark.rating === null);
    if (unrated >= 0) return [`Rate focus ${unrated + 1}: 0 to 100.`, this.#field(unrated)];
    if (now.positive === null) return ["Answer yes or no.", find("yes")];
    if (now.confidence === null) return ["Enter how sure you are: 0 to 100.", find("confidence")];
    return null;
  }

  #field(place) { return this.list.children[place]?.querySelector(this.kinds ? "select" : "input"); }

  /** Marks as panes draw them. */
  marksOf(view) {
    return this.marks
      .map((mark, place) => ({ ...mark, number: place + 1 }))
      .filter((mark) => mark.view === view);
  }

  add(view, { row, column }) {
    this.marks.push({ view, row, column, rating: null });
    find("no-focus").checked = false;
    this.chosen = this.marks.length;
    this.#rows();
    this.changed("mark-added", { view, row, column, number: this.marks.length });
    if (!this.kinds) this.#field(this.marks.length - 1)?.focus(); // a mark need not be named
  }

  move(number, { row, column }) {
    Object.assign(this.marks[number - 1], { row, column });
    this.chosen = number;
    this.#current();
    this.changed(null);
  }

  moved(number) {
    const { row, column } = this.marks[number - 1];
    this.changed("mark-moved", { number, row, column });
  }

  choose(number, { rate = false } = {}) {
    this.chosen = number;
    this.#current();
    this.changed(null);
    const field = rate ? this.#field(number - 1) : null;
    if (this.kinds) field?.focus();
    else field?.select();
  }

  /** Go on to the next mark's rating. */
  next() {
    if (this.marks.length === 0) return;
    this.choose((Math.max(this.chosen, 0) % this.marks.length) + 1, { rate: true });
  }

  remove(number) {
    if (!this.marks[number - 1]) return;
    this.marks.splice(number - 1, 1);
    this.chosen = -1;
    this.#rows();
    this.changed("mark-removed", { number });
  }

  #noFocus(ticked) {
    if (ticked && this.marks.length > 0) {
      this.marks = [];
      this.chosen = -1;
      this.#rows();
    }
    this.changed("no-focus", { no_focus: ticked });
  }

  #rows() {
    find("foci-hint").hidden = this.marks.length > 0;
    this.list.replaceChildren(...this.marks.map((mark, place) => this.#row(mark, place + 1)));
    this.#current();
  }

  #current() {
    [...this.list.children].forEach((row, place) => {
      row.setAttribute("aria-current", String(place + 1 === this.chosen));
    });
  }

  #row(mark, number) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = `${number} · ${NAMES[mark.view]}`;
    const field = this.kinds ? this.#kindField(mark, number) : this.#ratingField(mark, number);
    field.addEventListener("focus", () => { this.chosen = number; this.#current(); this.changed(null); });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "plain";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove focus ${number}`);
    remove.addEventListener("click", () => this.remove(number));
    row.append(name, field, remove);
    return row;
  }

  #ratingField(mark, number) {
    const field = document.createElement("input");
    field.inputMode = "numeric";
    field.maxLength = 3;
    field.placeholder = "0–100";
    field.value = mark.rating ?? "";
    field.setAttribute("aria-label", `Rating of focus ${number}, ${mark.view}, 0 to 100`);
    field.addEventListener("input", () => {
      mark.rating = percent(field.value);
      this.changed("mark-rated", { number, rating: mark.rating });
    });
    return field;
  }

  #kindField(mark, number) {
    const field = document.createElement("select");
    field.append(option("", "metastasis"));
    for (const { label, kinds } of this.kinds) {
      const group = document.createElement("optgroup");
      group.setAttribute("label", label);
      group.append(...kinds.map((kind) => option(kind, kind)));
      field.append(group);
    }
    field.value = mark.kind ?? "";
    field.setAttribute("aria-label", `What mark ${number}, ${mark.view}, is`);
    field.addEventListener("change", () => {
      mark.kind = field.value;
      this.changed("mark-named", { number, kind: mark.kind });
    });
    return field;
  }
}

function option(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}
