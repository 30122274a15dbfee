"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const table = find("scans");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows).filter((row) => row.hasAttribute("data-call"));
  if (!rows.length) return;
  document.documentElement.classList.add("js");
  find("tools").hidden = find("steps").hidden = false;
  const link = (row) => row.querySelector("a");
  const article = new Map(rows.map((row) => [row, find(link(row).hash.slice(1))]));
  const words = new Map(rows.map((row) => [row, article.get(row).textContent.toLowerCase()]));

  // Which rows a filter shows; the counts beside the filters come from the same rule.
  const rules = {
    all: () => true,
    positive: (row) => row.dataset.call === "positive",
    negative: (row) => row.dataset.call === "negative",
    uncertain: (row) => row.dataset.call === "uncertain",
    "no-call": (row) => row.dataset.call === "no-call",
    unlike: (row) => row.dataset.unlike === "1",
    warned: (row) => row.dataset.warned === "1",
  };
  const choices = Array.from(document.querySelectorAll("#filters input"));
  for (const choice of choices) {
    const count = rows.filter(rules[choice.value]).length;
    choice.parentElement.append(" " + count);
    choice.parentElement.hidden = count === 0 && ["no-call", "unlike", "warned"].includes(choice.value);
  }
  let order = rows.slice();
  let seen = order;
  let chosen = null;

  const preload = (row) => {
    if (row) for (const image of article.get(row).querySelectorAll("img")) image.loading = "eager";
  };
  const place = () => {
    const at = seen.indexOf(chosen);
    find("previous").disabled = at <= 0;
    find("next").disabled = at < 0 || at === seen.length - 1;
    const where = at < 0 ? "Not among those shown" : "Scan " + (at + 1) + " of " + seen.length;
    find("position").textContent = where;
    preload(seen[at - 1]);
    preload(seen[at + 1]);
  };
  const choose = (row, { quietly = false } = {}) => {
    if (chosen) {
      chosen.classList.remove("chosen");
      link(chosen).removeAttribute("aria-current");
      article.get(chosen).classList.remove("shown");
    }
    chosen = row;
    row.classList.add("chosen");
    link(row).setAttribute("aria-current", "true");
    article.get(row).classList.add("shown");
    preload(row);
    place();
    if (quietly) return;
    history.replaceState(null, "", link(row).hash);
    const list = find("list-scroll"), high = row.offsetHeight, head = table.tHead.offsetHeight;
    const top = row.offsetTop - head;
    if (top < list.scrollTop) list.scrollTop = top;
    const bottom = row.offsetTop + high - list.clientHeight;
    if (bottom > list.scrollTop) list.scrollTop = bottom;
    find("said").textContent = find("position").textContent + ": " + row.dataset.said;
  };
  const step = (by) => {
    const at = seen.indexOf(chosen);
    const next = at < 0 ? seen[0] : seen[at + by];
    if (!next) return;
    const inList = body.contains(document.activeElement);
    choose(next);
    if (inList) link(next).focus({ preventScroll: true });
  };
  const apply = () => {
    const wanted = find("filter").value.trim().toLowerCase();
    const rule = rules[choices.find((choice) => choice.checked).value];
    for (const row of rows) {
      const hide = !rule(row) || (wanted !== "" && !words.get(row).includes(wanted));
      row.hidden = article.get(row).hidden = hide;
    }
    seen = order.filter((row) => !row.hidden);
    find("shown").textContent = seen.length + " of " + rows.length + " scans";
    if (seen.length && !seen.includes(chosen)) choose(seen[0], { quietly: true });
    else place();
  };

  const collator = new Intl.Collator("en", { numeric: true });
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numbers = head.dataset.kind === "number";
      const keys = new Map(rows.map((row) => [row, value(row, column)]));
      order = rows.slice().sort((a, b) => {
        const left = keys.get(a), right = keys.get(b);
        const by = numbers ? left - right : collator.compare(left, right);
        return up ? by : -by;
      });
      body.append(...order);
      apply();
    });
  });

  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!article.has(row) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(row);
    link(row).focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.matches("input, select, textarea")) return;
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  const opacity = find("opacity");
  const fade = () => {
    find("viewer").style.setProperty("--map", opacity.value / 100);
    find("opacity-said").textContent = opacity.value + " %";
  };
  opacity.addEventListener("input", fade);
  find("filter").addEventListener("input", apply);
  for (const choice of choices) choice.addEventListener("change", apply);
  window.addEventListener("beforeprint", () => seen.forEach(preload));
  const named = () => rows.find((row) => link(row).hash === location.hash);
  window.addEventListener("hashchange", () => named() && choose(named(), { quietly: true }));
  fade();
  apply();
  if (named()) choose(named(), { quietly: true });
})();
