// As much of a browser's document as the scripts of the pages use, for tests without a browser.

class ClassList {
  constructor(element) { this.element = element; }
  get names() { return (this.element.getAttribute("class") ?? "").split(" ").filter(Boolean); }
  contains(name) { return this.names.includes(name); }
  add(name) { if (!this.contains(name)) this.element.setAttribute("class", [...this.names, name].join(" ")); }
  remove(name) { this.element.setAttribute("class", this.names.filter((one) => one !== name).join(" ")); }
}

/** Something that events happen to. */
export class Target {
  constructor() { this.listeners = new Map(); }
  addEventListener(kind, listener) {
    this.listeners.set(kind, [...(this.listeners.get(kind) ?? []), listener]);
  }

  /** Let an event happen here, and then in everything around. */
  happen(kind, details = {}) {
    const event = {
      type: kind, target: this, defaultPrevented: false,
      preventDefault() { event.defaultPrevented = true; }, ...details,
    };
    for (let at = this; at; at = at.parent) for (const listener of at.listeners.get(kind) ?? []) listener(event);
    return event;
  }
}

const COMPOUND = /([a-z]+|[#.][\w-]+|\[[^\]]+\]|:not\(\[[^\]]+\]\))/gi;

export class Element extends Target {
  constructor(tag) {
    super();
    Object.assign(this, {
      tag, attributes: new Map(), children: [], parent: null, text: "", hidden: false, checked: false,
      disabled: false, style: {}, rect: { left: 0, top: 0, width: 100, height: 100 },
    });
    this.style.setProperty = (name, value) => { this.style[name] = value; };
    this.classList = new ClassList(this);
    this.dataset = new Proxy({}, {
      get: (_, name) => this.attributes.get(`data-${name.replace(/[A-Z]/g, (one) => `-${one.toLowerCase()}`)}`),
      set: (_, name, value) => { this.setAttribute(`data-${name}`, value); return true; },
      deleteProperty: (_, name) => { this.attributes.delete(`data-${name}`); return true; },
    });
  }

  get id() { return this.getAttribute("id"); }
  get hash() { return (this.getAttribute("href") ?? "").replace(/^[^#]*/, ""); }
  get value() { return this.attributes.get("value") ?? ""; }
  set value(value) { this.attributes.set("value", String(value)); }
  get className() { return this.getAttribute("class"); }
  set className(name) { this.setAttribute("class", name); }
  get parentElement() { return this.parent; }
  get tBodies() { return this.querySelectorAll("tbody"); }
  get tHead() { return this.querySelector("thead"); }
  get rows() { return this.querySelectorAll("tr"); }
  get cells() { return this.children; }
  get textContent() {
    return this.text + this.children.map((one) => (one instanceof Element ? one.textContent : one)).join("");
  }
  set textContent(text) { this.children = []; this.text = String(text); }

  getAttribute(name) { return this.attributes.get(name) ?? null; }
  setAttribute(name, value) { this.attributes.set(name, String(value)); }
  removeAttribute(name) { this.attributes.delete(name); }
  hasAttribute(name) { return this.attributes.has(name); }
  append(...added) {
    for (const one of added) {
      if (one instanceof Element) {
        if (one.parent) one.parent.children = one.parent.children.filter((other) => other !== one);
        one.parent = this;
      }
      this.children.push(one);
    }
  }
  replaceChildren(...added) { this.children = []; this.text = ""; this.append(...added); }
  contains(other) { return other === this || Boolean(other?.parent && this.contains(other.parent)); }
  getBoundingClientRect() { return this.rect; }
  setPointerCapture(id) { this.captured = id; }
  hasPointerCapture(id) { return this.captured === id; }
  focus() { document.activeElement = this; this.happen("focus"); }
  blur() { if (document.activeElement === this) document.activeElement = null; this.happen("blur"); }
  select() { this.selected = true; }
  click() { this.happen("click"); }
  showModal() { this.open = true; }
  close() { this.open = false; this.happen("close"); }

  matches(selector) {
    return selector.split(",").some((one) => this.#matchesPath(one.trim().split(/\s+/)));
  }
  #matchesPath(path) {
    if (!this.#matchesCompound(path.at(-1))) return false;
    if (path.length === 1) return true;
    for (let at = this.parent; at; at = at.parent) if (at.#matchesPath(path.slice(0, -1))) return true;
    return false;
  }
  #matchesCompound(selector) {
    return selector.match(COMPOUND).every((part) => {
      if (part.startsWith("#")) return this.id === part.slice(1);
      if (part.startsWith(".")) return this.classList.contains(part.slice(1));
      if (part.startsWith(":not(")) return !this.#matchesCompound(part.slice(5, -1));
      if (!part.startsWith("[")) return this.tag === part;
      const [name, value] = part.slice(1, -1).split("=");
      const own = name === "open" ? (this.open ? "" : undefined) : this.attributes.get(name);
      return own !== undefined && (value === undefined || own === value.replaceAll('"', ""));
    });
  }
  closest(selector) { return this.matches(selector) ? this : this.parent?.closest(selector) ?? null; }
  querySelectorAll(selector) {
    const below = this.children.filter((one) => one instanceof Element);
    return below.flatMap((one) => [...(one.matches(selector) ? [one] : []), ...one.querySelectorAll(selector)]);
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
}

/** An element with attributes and children: `el("a#first.big", { href: "#x" }, "text")`. */
export function el(name, attributes = {}, ...children) {
  const [tag, ...parts] = name.split(/(?=[#.])/);
  const made = new Element(tag);
  for (const part of parts) {
    if (part.startsWith("#")) made.setAttribute("id", part.slice(1));
    else made.classList.add(part.slice(1));
  }
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Put a document in place of the browser's; returns it. */
export function install(...children) {
  const made = new Element("document");
  made.documentElement = el("html", {}, ...children);
  made.append(made.documentElement);
  made.getElementById = (id) => made.querySelector(`#${id}`);
  made.createElement = (tag) => new Element(tag);
  Object.assign(made, { activeElement: null, hidden: false, visibilityState: "visible" });
  globalThis.document = made;
  const outside = new Target();
  globalThis.window = globalThis;
  globalThis.addEventListener = (kind, listener) => outside.addEventListener(kind, listener);
  globalThis.happen = (kind, details) => outside.happen(kind, details);
  globalThis.devicePixelRatio = 1;
  return made;
}
