// The page of the service: drop a scan, see it with the model's answer, download.

import { pointAt } from "../../viewer/static/pointing.js";
import { Viewer } from "../../viewer/static/viewer.js";
import { paneKey, viewerKey } from "../../viewer/static/viewer_keys.js";
import { ask, keepToken, upload } from "./requests.js";
import { filesOf } from "./dropped.js";

const find = (id) => document.querySelector(`#${id}`);
const main = find("service");

/** A focus as the pane draws it: lines between its corners, in places of the image. */
export function findingOf(focus, number, chosen) {
  const corners = focus.outline.map(([row, column]) => [row - 0.5, column - 0.5]);
  const outline = corners.map((from, place) => [...from, ...corners[(place + 1) % corners.length]]);
  const right = corners.reduce((best, corner) => (corner[1] > best[1] ? corner : best));
  return {
    view: focus.view, outline, row: right[0], column: right[1],
    label: String(number), metastasis: true, missed: false, chosen,
  };
}

/** The call in words. */
export function callText({ call, uncertain, unlike, operating_point: point }) {
  if (call === "no call") return "No call: this scan is unlike the scans that the model knows";
  const side = call === "positive" ? "at or above" : "below";
  const more = `${uncertain ? ", uncertain" : ""}${unlike ? ", unlike" : ""}`;
  return `${call[0].toUpperCase()}${call.slice(1)}${more}: ${side} the operating point of ${point.toFixed(2)}`;
}

class ServicePage {
  constructor() {
    this.viewer = new Viewer(() => {});
    this.locked = true; // nothing is marked here
    this.answer = { choose() {}, move() {}, moved() {} };
    this.studies = [];
    this.study = null;
    this.chosen = -1;
    this.outlines = true;
    for (const pane of this.viewer.panes) {
      const name = pane.view === "anterior" ? "Anterior" : "Posterior";
      pane.canvas.setAttribute("aria-label", `${name} view. Arrow keys move the cross.`);
      pointAt(pane, this);
    }
    this.#buttons();
    this.#dropping();
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  note() {}
  addMark() {}

  // --- what the user does -------------------------------------------------------------------

  #buttons() {
    find("choose").addEventListener("click", () => find("files").click());
    find("another").addEventListener("click", () => find("files").click());
    find("files").addEventListener("change", () => {
      const files = [...find("files").files];
      find("files").value = "";
      this.send(files);
    });
    find("which").addEventListener("change", () => this.show(Number(find("which").value)));
    find("outlines").addEventListener("click", () => this.toggleOutlines());
    find("forget").addEventListener("click", () => this.#forget());
    find("help").addEventListener("click", () => find("keys").showModal());
    find("keys-close").addEventListener("click", () => find("keys").close());
    for (const button of document.querySelectorAll("[data-link]")) {
      button.addEventListener("click", () => this.#download(button.dataset.link));
    }
    find("sign-in")?.addEventListener("submit", (event) => {
      event.preventDefault();
      keepToken(find("token").value.trim());
      find("sign-in").hidden = true;
      this.#problem("");
      find("choose").focus();
    });
  }

  #dropping() {
    const over = (on) => document.body.classList.toggle("over", on);
    for (const kind of ["dragenter", "dragover"]) {
      document.addEventListener(kind, (event) => { event.preventDefault(); over(true); });
    }
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
    document.addEventListener("drop", async (event) => {
      event.preventDefault();
      over(false);
      this.send(await filesOf(event.dataTransfer));
    });
  }

  #key(event) {
    const { target, key } = event;
    if (find("keys").open || event.ctrlKey || event.metaKey || !find("single-keys").checked) return;
    if (target.closest("input:not([type=range]), select, textarea")) return;
    if (this.#done(target, key, event)) event.preventDefault();
  }

  #done(target, key, event) {
    const pane = this.viewer.panes.find((one) => one.canvas === target);
    if (pane && paneKey(this, pane, event)) return true;
    if (event.altKey) return false;
    if (key === "?") { find("keys").showModal(); return true; }
    if (key.toLowerCase() === "o") { find("files").click(); return true; }
    if (this.study && key.toLowerCase() === "u") { this.toggleOutlines(); return true; }
    return this.study !== null && viewerKey(this.viewer, key);
  }

  // --- sending ------------------------------------------------------------------------------

  async send(files) {
    if (files.length === 0 || main.dataset.phase === "busy") return;
    const before = main.dataset.phase;
    this.#phase("busy");
    this.#problem("");
    find("status").textContent = `Classifying ${files.length === 1 ? "a file" : `${files.length} files`}. This takes a few seconds.`;
    try {
      const { studies, refused } = await upload(files);
      this.#refusedFiles(refused, files);
      if (studies.length === 0) {
        this.#problem("None of these files is a bone scan that can be read.");
        this.#phase(before);
      } else {
        this.studies = studies;
        this.#choices(files);
        await this.show(0);
      }
    } catch (error) {
      this.#problem(error.message);
      this.#phase(before);
      if (error.status === 401 && find("sign-in")) { find("sign-in").hidden = false; find("token").focus(); }
    }
    find("status").textContent = "";
  }

  #refusedFiles(refused, files) {
    find("refused").hidden = refused.length === 0;
    find("reasons").replaceChildren(...refused.map((one) => {
      const item = document.createElement("li");
      const names = one.files.map((number) => files[number - 1]?.name ?? `file ${number}`);
      item.textContent = `${names.join(", ") || "A file"}: ${one.reason}`;
      return item;
    }));
  }

  #choices(files) {
    find("several").hidden = this.studies.length < 2;
    find("which").replaceChildren(...this.studies.map((study, place) => {
      const option = document.createElement("option");
      option.value = String(place);
      const name = files[(study.files[0] ?? 1) - 1]?.name ?? study.scan_id;
      option.textContent = `${place + 1}. ${name}`;
      return option;
    }));
  }

  // --- showing ------------------------------------------------------------------------------

  async show(place) {
    const study = this.studies[place];
    const [told, pixels] = await Promise.all([
      ask(study.links.view).then((response) => response.json()),
      ask(`${study.links.self}/pixels`).then((response) => response.arrayBuffer()),
    ]);
    this.study = study;
    this.chosen = -1;
    find("drop").hidden = true;
    find("shown").hidden = false;
    this.viewer.show(told.picture, pixels);
    this.viewer.showModel(told.output);
    this.#says(study);
    this.#findings();
    find("result").hidden = false;
    this.#phase("shown");
    main.dataset.scan = study.scan_id;
  }

  #says(study) {
    const { mbd_probability: probability, operating_point: point } = study;
    find("result").classList.toggle("positive", study.call === "positive");
    find("probability").textContent = probability.toFixed(2);
    find("gauge").style.width = `${100 * probability}%`;
    find("threshold").style.left = `${100 * point}%`;
    find("call").textContent = callText(study);
    find("warned").hidden = study.warnings.length === 0;
    find("warnings").replaceChildren(...study.warnings.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
    const none = study.call === "no call" ? "None are shown of a scan without a call." : "No focus above half of the scale.";
    find("no-foci").textContent = study.foci.length ? "" : none;
    find("foci").replaceChildren(...study.foci.map((focus, place) => this.#focusItem(focus, place)));
    for (const button of document.querySelectorAll("[data-link]")) {
      button.hidden = button.dataset.link !== "json" && !(button.dataset.link in study.links);
    }
    find("no-objects").textContent = study.no_objects;
  }

  #focusItem(focus, place) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = `${place + 1}. ${focus.view}`;
    const level = document.createElement("span");
    level.className = "quiet figures";
    level.textContent = `evidence ${Math.round(100 * focus.level)} %`;
    button.append(name, level);
    button.addEventListener("click", () => this.choose(this.chosen === place ? -1 : place));
    item.append(button);
    return item;
  }

  choose(place) {
    this.chosen = place;
    const buttons = find("foci").querySelectorAll("button");
    buttons.forEach((button, number) => button.setAttribute("aria-pressed", String(number === place)));
    this.#findings();
  }

  toggleOutlines() {
    this.outlines = !this.outlines;
    find("outlines").setAttribute("aria-pressed", String(this.outlines));
    this.#findings();
  }

  #findings() {
    const foci = this.outlines ? this.study.foci : [];
    this.viewer.showFindings(foci.map((focus, place) => findingOf(focus, place + 1, place === this.chosen)));
  }

  // --- downloads ----------------------------------------------------------------------------

  async #download(kind) {
    const { study } = this;
    try {
      const [blob, ending] = kind === "json"
        ? [new Blob([JSON.stringify(study, null, 2)], { type: "application/json" }), "json"]
        : [await (await ask(study.links[kind])).blob(), kind === "image" ? "png" : `${kind}.dcm`];
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${study.scan_id}.${ending}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    } catch (error) { this.#problem(error.message); }
  }

  async #forget() {
    try {
      await ask(this.study.links.self, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) { this.#problem(error.message); return; }
    }
    this.studies = [];
    this.study = null;
    find("result").hidden = true;
    find("refused").hidden = true;
    find("shown").hidden = true;
    find("drop").hidden = false;
    find("status").textContent = "The result is deleted.";
    this.#phase("empty");
    find("choose").focus();
  }

  #phase(phase) { main.dataset.phase = phase; }

  #problem(text) {
    find("problem").textContent = text;
    find("problem").hidden = !text;
  }
}

if (main) new ServicePage();
