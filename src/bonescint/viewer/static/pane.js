// One view on a canvas: pixels through a grey table, the model's map, marks. No WebGL.

/** The part of the body that both panes show, the posterior one from behind. */
export class Camera {
  constructor() { this.reset(); }
  reset() { this.zoom = 1; this.row = null; this.column = null; }
}

const MARK_RADIUS = 11;
const MARK = "#0063a3";
const TRUE = "#b34700";
const BENIGN = "#5b3f91";
const HALO = "#ffffffd0";

export class Pane {
  constructor(holder, camera) {
    this.holder = holder;
    this.canvas = holder.querySelector("canvas");
    this.view = holder.dataset.view;
    this.camera = camera;
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.picture = document.createElement("canvas");
    this.map = null;
    this.opacity = 0.7;
    this.smooth = true;
    this.marks = [];
    this.chosen = -1;
    this.truths = [];
    this.findings = [];
    this.cross = null;
    this.pointed = null;
    this.values = null;
    this.queued = false;
    new ResizeObserver((entries) => this.#resized(entries[0])).observe(this.canvas);
  }

  #resized(entry) {
    const exact = entry.devicePixelContentBoxSize?.[0];
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.max(1, exact?.inlineSize ?? Math.round(entry.contentRect.width * ratio));
    this.canvas.height = Math.max(1, exact?.blockSize ?? Math.round(entry.contentRect.height * ratio));
    this.paint();
  }

  /** Show a view: its stored values (Uint16Array), or none. */
  show(values, facts) {
    this.values = values;
    this.facts = facts;
    this.map = null;
    this.marks = [];
    this.truths = [];
    this.findings = [];
    this.cross = null;
    this.pointed = null;
    this.holder.querySelector(".absent").hidden = values !== null;
    if (values !== null) {
      this.picture.width = facts.columns;
      this.picture.height = facts.rows;
      this.pixels = this.picture.getContext("2d").createImageData(facts.columns, facts.rows);
      this.words = new Uint32Array(this.pixels.data.buffer);
    }
  }

  /** Colour the pixels by a grey table. */
  grey(table) {
    if (this.values === null) return;
    const { values, words } = this;
    for (let place = 0; place < values.length; place += 1) {
      words[place] = 0xff000000 | (table[values[place]] * 0x010101);
    }
    this.picture.getContext("2d").putImageData(this.pixels, 0, 0);
    this.draw();
  }

  /** Lay the model's map over the view: levels 0 to 255 and 256 colours with their opacity. */
  overlay(levels, rows, columns, colours) {
    const map = document.createElement("canvas");
    map.width = columns;
    map.height = rows;
    const image = map.getContext("2d").createImageData(columns, rows);
    for (let place = 0; place < levels.length; place += 1) {
      const from = 4 * levels[place];
      image.data.set(colours.subarray(from, from + 4), 4 * place);
    }
    map.getContext("2d").putImageData(image, 0, 0);
    this.map = map;
    this.draw();
  }

  /** The device pixels per image pixel, and the position of the image's corner. */
  geometry() {
    const { columns, row_mm: rowMm, column_mm: columnMm } = this.facts;
    const aspect = rowMm && columnMm ? columnMm / rowMm : 1;
    const { top: first, bottom: last } = this.facts.body;
    const margin = 10 * window.devicePixelRatio;
    const fit = Math.min(
      (this.canvas.height - 2 * margin) / (last - first),
      (this.canvas.width - 2 * margin) / (columns * aspect),
    );
    const down = Math.max(fit, 1e-3) * this.camera.zoom;
    const across = down * aspect;
    const row = this.camera.row ?? (first + last) / 2;
    const seen = this.camera.column ?? columns / 2;
    const column = this.view === "posterior" ? columns - seen : seen;
    return {
      down, across,
      left: this.canvas.width / 2 - column * across,
      top: this.canvas.height / 2 - row * down,
    };
  }

  /** The place in the image under a point of the page; a whole number is a pixel's middle. */
  toImage(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const x = (clientX - box.left) * (this.canvas.width / box.width);
    const y = (clientY - box.top) * (this.canvas.height / box.height);
    const { down, across, left, top } = this.geometry();
    return { row: (y - top) / down - 0.5, column: (x - left) / across - 0.5 };
  }

  /** The point of the canvas, in device pixels, over a place in the image. */
  toCanvas(row, column) {
    const { down, across, left, top } = this.geometry();
    return { x: left + (column + 0.5) * across, y: top + (row + 0.5) * down };
  }

  inside({ row, column }) {
    const { rows, columns } = this.facts;
    return row >= -0.5 && row < rows - 0.5 && column >= -0.5 && column < columns - 0.5;
  }

  /** Zoom by a factor, keeping what is under a point of the page where it is. */
  zoomAt(factor, clientX, clientY) {
    if (this.values === null) return;
    const { camera } = this;
    const zoom = Math.min(24, Math.max(0.5, camera.zoom * factor));
    const before = this.toImage(clientX, clientY);
    this.#settle();
    camera.zoom = zoom;
    const after = this.toImage(clientX, clientY);
    this.moveBy(before.row - after.row, before.column - after.column);
  }

  /** Move what is in the middle, in image pixels of this view. */
  moveBy(rows, columns) {
    if (this.values === null) return;
    this.#settle();
    const { camera, facts } = this;
    const away = this.view === "posterior" ? -columns : columns;
    camera.row = Math.min(facts.rows, Math.max(0, camera.row + rows));
    camera.column = Math.min(facts.columns, Math.max(0, camera.column + away));
  }

  #settle() {
    this.camera.row ??= (this.facts.body.top + this.facts.body.bottom) / 2;
    this.camera.column ??= this.facts.columns / 2;
  }

  /** The mark under a point of the page, or -1. */
  markAt(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    const reach = MARK_RADIUS * window.devicePixelRatio;
    const x = (clientX - box.left) * scale;
    const y = (clientY - box.top) * scale;
    for (const mark of this.marks) {
      const at = this.toCanvas(mark.row, mark.column);
      if (Math.hypot(at.x - x, at.y - y) <= reach) return mark.number;
    }
    return -1;
  }

  draw() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => { this.queued = false; this.paint(); });
  }

  paint() {
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (this.values === null || !this.facts) return;
    const { down, across, left, top } = this.geometry();
    context.imageSmoothingEnabled = this.smooth;
    context.imageSmoothingQuality = "high";
    context.setTransform(across, 0, 0, down, left, top);
    context.drawImage(this.picture, 0, 0);
    if (this.map && this.opacity > 0) {
      context.globalAlpha = this.opacity;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.map, 0, 0, this.facts.columns, this.facts.rows);
      context.globalAlpha = 1;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    for (const truth of this.truths) this.#drawTruth(truth);
    for (const finding of this.findings) this.#drawFinding(finding);
    for (const mark of this.marks) this.#drawMark(mark);
    if (this.cross && document.activeElement === canvas) this.#drawCross(this.cross);
    if (this.pointed) this.#drawCross(this.pointed);
  }

  #drawMark(mark) {
    const ratio = window.devicePixelRatio;
    const { context } = this;
    const { x, y } = this.toCanvas(mark.row, mark.column);
    const chosen = mark.number === this.chosen;
    for (const [width, colour] of [[chosen ? 6 : 4.5, "#ffffffd0"], [chosen ? 3 : 1.75, MARK]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, MARK_RADIUS * ratio, 0, 2 * Math.PI);
      context.stroke();
    }
    const verdict = { true: " ✓", false: " ✗" }[mark.right] ?? "";
    this.#write(`${mark.number}${verdict}`, x + (MARK_RADIUS + 4) * ratio, y - 7 * ratio, MARK);
  }

  #drawTruth({ row, column }) {
    const ratio = window.devicePixelRatio;
    const { context } = this;
    const { x, y } = this.toCanvas(row, column);
    const half = 15 * ratio;
    for (const [width, colour] of [[4.5, "#ffffffd0"], [2, TRUE]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.strokeRect(x - half, y - half, 2 * half, 2 * half);
    }
  }

  /** Show a place that the pointer is over in another pane, or none. */
  point(place) {
    if (this.pointed === place) return;
    this.pointed = place;
    this.draw();
  }

  /** What is known of a place: its outline, dashed if it was missed, and its label. */
  #drawFinding({ outline, row, column, label, metastasis, missed, chosen }) {
    const ratio = window.devicePixelRatio;
    const { context } = this;
    const colour = metastasis ? TRUE : BENIGN;
    const thick = (metastasis ? 2 : 1.25) + (chosen ? 1.5 : 0);
    context.beginPath();
    for (const [fromRow, fromColumn, toRow, toColumn] of outline) {
      const from = this.toCanvas(fromRow, fromColumn);
      const to = this.toCanvas(toRow, toColumn);
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
    }
    for (const [width, stroke] of [[thick + 2.5, HALO], [thick, colour]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = stroke;
      context.stroke();
    }
    const { x, y } = this.toCanvas(row, column);
    if (missed) this.#drawMissed(x, y, colour);
    const far = (missed ? 17 : 9) * ratio;
    this.#write(label, x + far, y + (missed ? 9 : 0) * ratio, colour);
  }

  #drawMissed(x, y, colour) {
    const ratio = window.devicePixelRatio;
    const { context } = this;
    const half = 15 * ratio;
    context.setLineDash([5 * ratio, 3 * ratio]);
    for (const [width, stroke] of [[4.5, HALO], [2, colour]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = stroke;
      context.strokeRect(x - half, y - half, 2 * half, 2 * half);
    }
    context.setLineDash([]);
  }

  #drawCross({ row, column }) {
    const ratio = window.devicePixelRatio;
    const { context } = this;
    const { x, y } = this.toCanvas(row, column);
    for (const [width, colour] of [[3.5, "#ffffffd0"], [1.25, MARK]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 5 * dx * ratio, y + 5 * dy * ratio);
        context.lineTo(x + 18 * dx * ratio, y + 18 * dy * ratio);
      }
      context.stroke();
    }
  }

  #write(text, x, y, colour) {
    const { context } = this;
    context.font = `600 ${13 * window.devicePixelRatio}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.lineWidth = 3 * window.devicePixelRatio;
    context.strokeStyle = "#ffffffd0";
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }
}
