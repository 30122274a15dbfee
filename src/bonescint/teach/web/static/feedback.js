// What is shown at once after an answer: the truth on the scan, in words, and the model beside it.

import { outlineOf } from "../../../viewer/static/outline.js";

const CORNERS = 24;
const find = (id) => document.querySelector(`#${id}`);

function element(tag, content, className) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...[content].flat());
  return made;
}

/** A sign that does not depend on colour. */
function sign(right) {
  const made = element("span", right ? "✓" : "✗", right ? "sign right" : "sign wrong");
  made.setAttribute("aria-hidden", "true");
  return made;
}

/** The sign with a word for those who do not see it. */
function verdict(right) {
  return [sign(right), element("span", right ? "right:" : "wrong:", "unseen")];
}

/** The outline of a finding: of its pixels, or a circle where only its centre is known. */
function outlineAround({ area, row, column, radius }) {
  if (area) return outlineOf(area);
  const corner = (number) => {
    const angle = (2 * Math.PI * number) / CORNERS;
    return [row + radius * Math.sin(angle), column + radius * Math.cos(angle)];
  };
  return Array.from({ length: CORNERS }, (_, number) => [...corner(number), ...corner(number + 1)]);
}

export class Feedback {
  constructor(viewer) {
    this.viewer = viewer;
    this.box = find("feedback");
    this.findings = [];
  }

  hide() {
    this.box.hidden = true;
    this.findings = [];
    for (const pane of this.#maps()) pane.holder.hidden = true;
    find("panes").classList.remove("with-model");
    this.viewer.showFindings([]);
  }

  /** The panes on which the model's map lies, beside those with the truth. */
  #maps() { return this.viewer.panes.filter((pane) => pane.holder.dataset.shows === "map"); }

  show(found, answer) {
    find("verdict").replaceChildren(sign(found.right), found.says);
    find("verdict").className = found.right ? "right" : "wrong";
    find("you-said").textContent = found.you_said;
    find("places").textContent = found.places;
    this.#list("your-marks", found.marks, (one) => this.#mark(one));
    this.#list("metastases", found.metastases, (one) => this.#named(one));
    this.#list("others", found.others, (one) => this.#named(one));
    this.showModel(null);
    this.findings = found.findings.map((one) => ({ ...one, outline: outlineAround(one) }));
    this.viewer.showFindings(this.findings);
    for (const [place, mark] of answer.marks.entries()) mark.right = found.marks[place]?.right;
    answer.chosen = -1;
    this.viewer.showMarks(answer);
    this.box.hidden = false;
    this.box.parentElement.scrollTop = 0;
  }

  #list(id, entries, row) {
    find(id).replaceChildren(...entries.map(row));
    find(`${id}-part`).hidden = entries.length === 0;
  }

  #mark({ number, right, says }) {
    return element("li", [...verdict(right), ` ${number} · ${says}`]);
  }

  /** A finding with its label on the scan; it stands out there while the pointer or the keyboard is on it. */
  #named({ label, name, says, found, text }) {
    const row = element("li", []);
    if (!label) { row.append(name); return row; }
    const button = element("button", [element("b", label, "label"), ` ${name}`], "plain");
    button.type = "button";
    const part = [button];
    if (found !== undefined) part.push(element("span", found ? "found" : "missed", found ? "tag found" : "tag missed"));
    if (says) part.push(element("span", ` ${says}`, "quiet"));
    row.append(...part);
    if (text) row.append(element("p", text));
    const choose = (on) => this.#choose(on ? label : "");
    for (const kind of ["mouseenter", "focusin"]) row.addEventListener(kind, () => choose(true));
    for (const kind of ["mouseleave", "focusout"]) row.addEventListener(kind, () => choose(false));
    return row;
  }

  #choose(label) {
    this.viewer.showFindings(this.findings.map((one) => ({ ...one, chosen: one.label === label })));
  }

  /** Show the model's map beside the truth, and what it says; none without an output. */
  showModel(output) {
    find("model-part").hidden = !output;
    find("panes").classList.toggle("with-model", Boolean(output));
    for (const pane of this.#maps()) pane.holder.hidden = !output;
    this.viewer.showModel(output);
    if (!output) return;
    find("model-says").textContent = output.says;
    find("model-right").replaceChildren(...(output.right === null ? [] : verdict(output.right)));
  }
}
