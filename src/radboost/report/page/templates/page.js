(() => {
  "use strict";
  const ROWS = 50, root = document.documentElement;
  // A page opened from a file may be refused storage: the switch then lasts as long as the page is open.
  const remembered = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("radboost-theme");
      localStorage.setItem("radboost-theme", value);
    } catch (error) { /* not allowed here */ }
    return null;
  };
  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (prefers.matches ? "dark" : "light")) === "dark";

  const say = (text) => { document.getElementById("status").textContent = text; };
  const words = new Intl.Collator("en", { numeric: true });

  const themeSwitch = () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
    button.hidden = false;
    label();
    prefers.addEventListener("change", label);
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      remembered(root.dataset.theme);
      label();
    });
  };

  // A cell is text, or text and the number that it is sorted by.
  const text = (cell) => (Array.isArray(cell) ? cell[0] : cell);
  const before = (a, b, column) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    if (!Array.isArray(x) && !Array.isArray(y)) {
      if (!x || !y) return { empty: (x ? 0 : 1) - (y ? 0 : 1), order: 0 };
      return { empty: 0, order: words.compare(x, y) };
    }
    const [u, v] = [x, y].map((cell) => (Array.isArray(cell) ? cell[1] : null));
    if (u === null || v === null) return { empty: (u === null ? 1 : 0) - (v === null ? 1 : 0), order: 0 };
    return { empty: 0, order: u - v };
  };
  const fromRow = (row) => ({
    row,
    cells: [...row.cells].map((cell) =>
      "key" in cell.dataset ? [cell.textContent, Number(cell.dataset.key)]
        : cell.classList.contains("num") ? [cell.textContent, null] : cell.textContent),
  });
  const toRow = (entry, numeric) => {
    if (entry.row) return entry.row;
    entry.row = document.createElement("tr");
    entry.cells.forEach((cell, column) => {
      const made = document.createElement(column ? "td" : "th"), inner = document.createElement("bdi");
      if (!column) made.scope = "row";
      if (numeric[column]) made.className = "num";
      // As text, never as markup.
      const [value, interval] = numeric[column] ? text(cell).split(" [") : [text(cell)];
      inner.textContent = value;
      if (interval) {
        const range = document.createElement("span");
        range.className = "ci";
        range.textContent = `[${interval}`;
        inner.append(" ", range);
      }
      made.append(inner);
      entry.row.append(made);
    });
    return entry.row;
  };

  const sortable = (box) => {
    const data = box.querySelector("script"), body = box.querySelector("tbody");
    const heads = [...box.querySelectorAll("thead th")], numeric = heads.map((head) => head.classList.contains("num"));
    const all = data ? JSON.parse(data.textContent).map((cells) => ({ cells })) : [...body.rows].map(fromRow);
    const original = all.slice();
    let rows = all, page = 0, pager = null;

    const pages = () => Math.max(1, Math.ceil(rows.length / ROWS));
    const show = () => {
      page = Math.min(page, pages() - 1);
      const seen = pager ? rows.slice(page * ROWS, (page + 1) * ROWS) : rows;
      body.replaceChildren(...seen.map((entry) => toRow(entry, numeric)));
      if (pager) pager.update();
    };
    if (data) {
      box.querySelector(".note").remove();
      pager = document.createElement("div");
      pager.className = "pager";
      const make = (tag, text) => { const made = document.createElement(tag); made.textContent = text || ""; return made; };
      const back = make("button", "Previous"), next = make("button", "Next"), place = make("span");
      const label = make("label", "Find "), find = make("input");
      find.type = "search";
      label.append(find);
      back.type = next.type = "button";
      back.addEventListener("click", () => { page -= 1; show(); say(place.textContent); });
      next.addEventListener("click", () => { page += 1; show(); say(place.textContent); });
      let waiting = 0;
      find.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => {
          const wanted = find.value.toLowerCase();
          rows = all.filter((entry) => entry.cells.some((cell) => text(cell).toLowerCase().includes(wanted)));
          page = 0;
          show();
          say(place.textContent);
        }, 150);
      });
      pager.append(back, place, next, label);
      pager.update = () => {
        const first = rows.length ? page * ROWS + 1 : 0, last = Math.min((page + 1) * ROWS, rows.length);
        place.textContent = `${first.toLocaleString("en")}–${last.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
        back.disabled = page === 0;
        next.disabled = page >= pages() - 1;
      };
      box.append(pager);
      pager.update();
    }
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === "ascending" ? "descending" : now === "descending" ? null : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        const order = next && original.slice().sort((a, b) => {
          const found = before(a, b, column);
          // What is empty stays at the end, either way round.
          return found.empty || (next === "ascending" ? found.order : -found.order);
        });
        all.splice(0, all.length, ...(order || original));
        const kept = new Set(rows);
        rows = rows.length === all.length ? all : all.filter((entry) => kept.has(entry));
        page = 0;
        show();
        say(next ? `Sorted by ${button.textContent}, ${next}` : "In the original order");
      });
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    themeSwitch();
    document.querySelectorAll(".table").forEach(sortable);
  });
})();
