// Both views of a case with their window, zoom, map and marks.

import { greyTable, presetWindow } from "./grey.js";
import { Camera, Pane } from "./pane.js";
import { camera } from "./pointing.js";

const find = (id) => document.querySelector(`#${id}`);

/** The bytes of a text in base64. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** A value of a window in the scan's own unit, with as many digits as matter. */
export function windowText(value, scale) {
  const own = value / scale;
  return String(Number(own.toPrecision(own < 10 ? 2 : 3)));
}

export class Viewer {
  /** @param {(kind: string, body?: object) => void} note records what the reader does */
  constructor(note) {
    this.note = note;
    this.camera = new Camera();
    this.panes = [...document.querySelectorAll(".pane")].map((holder) => new Pane(holder, this.camera));
    this.windows = {};
    this.picture = { windows: {} };
    this.ready = false;
    this.mapOn = false;
    for (const pane of this.panes) pane.canvas.addEventListener("blur", () => pane.draw());
    for (const button of document.querySelectorAll("[data-preset]")) {
      button.addEventListener("click", () => this.preset(button.dataset.preset));
    }
    find("reset").addEventListener("click", () => this.reset());
    find("smoothing").addEventListener("click", () => this.toggleSmoothing());
    find("map").addEventListener("click", () => this.toggleMap());
    find("opacity").addEventListener("change", () => this.#opacity("map-opacity"));
  }

  /** Show a case: its picture's facts, and its pixels as they come from the server. */
  show(picture, buffer) {
    this.picture = picture;
    const size = picture.rows * picture.columns;
    for (const pane of this.panes) {
      const place = picture.views.indexOf(pane.view);
      pane.show(place < 0 ? null : new Uint16Array(buffer, 2 * place * size, size), picture);
    }
    this.camera.reset();
    this.ready = true;
    this.#use("percentile");
    this.#zoomText();
    this.showModel(null);
  }

  /** Lay the model's map over the views, or none. */
  showModel(output) {
    const box = find("model"); // where a page says the probability in words
    if (box) box.hidden = !output;
    find("map-tools").hidden = !output;
    if (!output) return;
    const colours = bytesOf(output.colours);
    for (const pane of this.panes) {
      const map = output.maps[pane.view];
      if (map && pane.holder.dataset.shows !== "truth") pane.overlay(bytesOf(map), output.rows, output.columns, colours);
    }
    this.mapOn = true;
    find("map").setAttribute("aria-pressed", "true");
    this.note("map-shown", { opacity: this.panes[0].opacity, probability: output.mbd_probability });
  }

  /** Show the marks of an answer. */
  showMarks(answer) {
    for (const pane of this.panes) {
      pane.marks = answer.marksOf(pane.view);
      pane.chosen = answer.chosen;
      pane.draw();
    }
  }

  /** Show where the metastases of a training case are. */
  showTruth(foci) {
    for (const pane of this.panes) {
      pane.truths = foci.filter((focus) => focus.view === pane.view);
      pane.draw();
    }
  }

  /** Show what is known of places on the scan; see `Pane`. */
  showFindings(findings) {
    for (const pane of this.panes) {
      pane.findings = pane.holder.dataset.shows === "map" ? []
        : findings.filter((finding) => finding.view === pane.view);
      pane.draw();
    }
  }

  draw() { for (const pane of this.panes) pane.draw(); }

  // --- window -------------------------------------------------------------------------------

  windowOf(view) { return this.windows[view]; }

  #use(preset) {
    for (const [view, figures] of Object.entries(this.picture.windows)) {
      this.windows[view] = presetWindow(preset, figures);
    }
    this.#pressed(preset);
    this.#recolour();
  }

  preset(preset) {
    if (!this.ready) return;
    this.#use(preset);
    this.note("preset", { preset });
  }

  #pressed(preset) {
    for (const button of document.querySelectorAll("[data-preset]")) {
      button.setAttribute("aria-pressed", String(button.dataset.preset === preset));
    }
  }

  /** Change both views' windows from where they were when the drag began. */
  dragWindow(change) {
    if (!this.ready) return;
    this.dragFrom ??= { ...this.windows };
    for (const view of Object.keys(this.windows)) {
      this.windows[view] = change(view, this.picture.windows[view], this.dragFrom[view]);
    }
    this.#pressed("");
    this.#recolour();
  }

  endDrag() { this.dragFrom = null; }

  noteWindow(kind) {
    const body = {};
    for (const [view, { low, high, curve }] of Object.entries(this.windows)) {
      Object.assign(body, { [`${view}_low`]: low, [`${view}_high`]: high, curve });
    }
    this.note(kind, body);
  }

  #recolour() {
    const said = [];
    const { scale, unit, windows } = this.picture;
    for (const pane of this.panes) {
      const used = this.windows[pane.view];
      const figures = windows[pane.view];
      if (!used || !figures) continue;
      pane.grey(greyTable(used.low, used.high, used.curve, figures.max));
      if (pane.holder.dataset.shows === "map") continue; // the same window as beside it
      const name = pane.view === "anterior" ? "AP" : "PA";
      said.push(`${name} ${windowText(used.low, scale)}–${windowText(used.high, scale)}`);
    }
    find("window").textContent = said.join(" · ") + (unit === "counts" ? " counts" : "");
  }

  // --- zoom, smoothing, map -----------------------------------------------------------------

  zoomed() {
    this.#zoomText();
    this.note("zoom", camera(this.panes[0]));
    this.draw();
  }

  zoomMiddle(factor) {
    const pane = this.panes.find((one) => one.values !== null);
    if (!pane) return;
    const box = pane.canvas.getBoundingClientRect();
    pane.zoomAt(factor, box.left + box.width / 2, box.top + box.height / 2);
    this.zoomed();
  }

  #zoomText() { find("zoom").textContent = `${Math.round(100 * this.camera.zoom)} %`; }

  reset() {
    if (!this.ready) return;
    this.camera.reset();
    this.#use("percentile");
    this.#zoomText();
    this.note("reset");
  }

  toggleSmoothing() {
    const smooth = !this.panes[0].smooth;
    for (const pane of this.panes) pane.smooth = smooth;
    find("smoothing").setAttribute("aria-pressed", String(smooth));
    this.note("smoothing", { smooth });
    this.draw();
  }

  toggleMap() {
    if (find("map-tools").hidden) return;
    this.mapOn = !this.mapOn;
    find("map").setAttribute("aria-pressed", String(this.mapOn));
    this.#opacity(this.mapOn ? "map-shown" : "map-hidden");
  }

  #opacity(kind) {
    const opacity = this.mapOn ? Number(find("opacity").value) / 100 : 0;
    for (const pane of this.panes) { pane.opacity = opacity; pane.draw(); }
    this.note(kind, { opacity });
  }

  /** Move the keyboard to a view, or from one view to the other. */
  toScan() {
    const pane = this.panes.find((one) => one.values !== null);
    if (!pane) return;
    const other = this.panes.find((one) => one !== pane && one.values !== null);
    const next = document.activeElement === pane.canvas && other ? other : pane;
    const { rows, columns } = next.facts;
    next.cross ??= { row: Math.round(rows / 2), column: Math.round(columns / 2) };
    next.canvas.focus();
    this.draw();
  }
}
