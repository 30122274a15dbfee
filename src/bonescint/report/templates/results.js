"use strict";
(() => {
  const table = document.getElementById("scans");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows).filter((row) => row.hasAttribute("data-positive"));
  if (!rows.length) return;
  document.getElementById("tools").hidden = false;
  const filter = document.getElementById("filter");
  const only = document.getElementById("only-positive");
  const unsure = document.getElementById("only-uncertain");
  const shown = document.getElementById("shown");
  const cards = new Map(rows.map((row) =>
    [row, document.getElementById(row.cells[0].querySelector("a").hash.slice(1))]));
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const hide = (only.checked && row.dataset.positive !== "1") ||
        (unsure.checked && row.dataset.uncertain !== "1") ||
        (wanted !== "" && !row.textContent.toLowerCase().includes(wanted));
      row.hidden = hide;
      const card = cards.get(row);
      if (card) card.hidden = hide;
      if (!hide) count += 1;
    }
    shown.textContent = count + " of " + rows.length + " scans";
  };
  const value = (row, column, kind) => {
    const cell = row.cells[column];
    return kind === "number" ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const kind = head.dataset.kind;
      const order = (a, b) => {
        const left = value(a, column, kind), right = value(b, column, kind);
        const by = kind === "number" ? left - right : left.localeCompare(right);
        return up ? by : -by;
      };
      body.append(...rows.slice().sort(order));
    });
  });
  filter.addEventListener("input", apply);
  only.addEventListener("change", apply);
  unsure.addEventListener("change", apply);
  apply();
})();
