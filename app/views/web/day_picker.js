// The day on screen as a button; it opens a field to type a date into and a calendar that marks clear days.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;
const toIso = (ms) => new Date(ms).toISOString().slice(0, 10);
const toMs = (iso) => Date.parse(`${iso}T00:00:00Z`);
const format = (iso) => `${Number(iso.slice(8))} ${MONTHS[Number(iso.slice(5, 7)) - 1]} ${iso.slice(0, 4)}`;

/** The ISO date that was typed as 2020-07-01, 1 Jul 2020 or 1.7.2020; null for anything else. */
export function parseDate(text) {
  const trimmed = text.trim();
  let parts = trimmed.match(/^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$/)?.slice(1);
  if (!parts) {
    const found = trimmed.match(/^(\d{1,2})[. ]+(?:(\d{1,2})\.|([a-z]{3})[a-z]*)[., ]*(\d{4})$/i);
    if (!found) return null;
    const month = found[2] ?? MONTHS.findIndex((name) => name.toLowerCase() === found[3].toLowerCase()) + 1;
    parts = [found[4], month, found[1]];
  }
  const [year, month, day] = parts.map(Number);
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? toIso(date.getTime()) : null;
}

export function render({ model }) {
  const clear = new Set(model.clear);
  const button = make("button", { class: "day", title: "Choose a date (N, P: next, previous clear day)" });
  const field = make("input", { type: "text", id: "date", autocomplete: "off", "aria-describedby": "wrong" });
  const wrong = make("p", { id: "wrong", role: "alert" });
  const grid = make("table", { role: "grid" });
  const months = [];
  for (let at = model.first.slice(0, 7); at <= model.last.slice(0, 7);) {
    months.push(at);
    const [year, month] = at.split("-").map(Number);
    at = toIso(Date.UTC(year, month, 1)).slice(0, 7);
  }
  const month = make("select", { "aria-label": "Month" },
    ...months.map((at) => make("option", { value: at }, format(`${at}-01`).slice(2))));
  const turn = (by) => {
    const index = Math.max(0, Math.min(months.indexOf(month.value) + by, months.length - 1));
    month.value = months[index];
    draw();
  };
  const step = (name, sign, act) => make("button", { type: "button", "aria-label": name, title: name, onclick: act }, sign);
  const head = make("div", { class: "row" }, step("Earlier month", "‹", () => turn(-1)), month,
    step("Later month", "›", () => turn(1)));
  const jump = make("div", { class: "row" },
    make("button", { type: "button", onclick: () => toClear(-1) }, "‹ Clear day"),
    make("button", { type: "button", onclick: () => toClear(1) }, "Clear day ›"));
  const note = make("p", { class: "note" }, make("i", {}), "clear Sentinel-2 view");
  const panel = make("div", { role: "dialog", "aria-label": "Day of the map" },
    make("label", { for: "date" }, "Date"), field, wrong, head, grid, ...(clear.size ? [note, jump] : []));

  const toClear = (direction) => {
    const days = direction > 0 ? model.clear : [...model.clear].reverse();
    const found = days.find((day) => (direction > 0 ? day > model.value : day < model.value));
    if (found) model.value = found;
  };
  let focused = model.value;
  const inside = (iso) => iso >= model.first && iso <= model.last;
  const choose = (iso) => { model.value = iso; popover.close(); };
  const draw = () => {
    const [year, at] = month.value.split("-").map(Number);
    const first = Date.UTC(year, at - 1, 1), days = new Date(Date.UTC(year, at, 0)).getUTCDate();
    const before = (new Date(first).getUTCDay() + 6) % 7;
    const rows = [make("tr", {}, ...["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"].map((n) => make("th", { scope: "col" }, n)))];
    if (focused.slice(0, 7) !== month.value) focused = `${month.value}-01`;
    focused = focused < model.first ? model.first : focused > model.last ? model.last : focused;
    for (let cell = -before; cell < days; cell += 7) {
      const cells = [];
      for (let i = cell; i < cell + 7; i++) {
        if (i < 0 || i >= days) { cells.push(make("td")); continue; }
        const iso = toIso(first + i * DAY_MS), isClear = clear.has(iso);
        const day = make("button", {
          type: "button", "data-day": iso, disabled: !inside(iso), tabindex: iso === focused ? "0" : "-1",
          class: isClear ? "clear" : null, "aria-label": format(iso) + (isClear ? ", clear" : ""),
          "aria-current": iso === model.value ? "date" : null, onclick: () => choose(iso),
        }, String(i + 1));
        cells.push(make("td", {}, day));
      }
      rows.push(make("tr", {}, ...cells));
    }
    grid.replaceChildren(make("tbody", {}, ...rows));
  };
  grid.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7, PageUp: -30, PageDown: 30 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = toIso(toMs(focused) + by * DAY_MS);
    focused = next < model.first ? model.first : next > model.last ? model.last : next;
    month.value = focused.slice(0, 7);
    draw();
    grid.querySelector(`[data-day="${focused}"]`).focus();
  });
  month.addEventListener("change", draw);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();  // else the button, which gets the focus, takes the key as its own
    const iso = parseDate(field.value);
    if (iso !== null && inside(iso)) { choose(iso); return; }
    wrong.textContent = `Got “${field.value}”, need a date from ${model.first} to ${model.last}; `
      + "type it as 2020-07-01 or 1 Jul 2020.";
  });

  const show = () => {
    button.textContent = format(model.value);
    button.setAttribute("aria-label", `Day: ${button.textContent}${clear.has(model.value) ? ", clear" : ""}`);
    button.classList.toggle("clear", clear.has(model.value));
    focused = model.value;
    month.value = model.value.slice(0, 7);
    if (panel.matches(":popover-open")) { draw(); field.value = model.value; }
  };
  const popover = makePopover(button, panel, () => {
    wrong.textContent = "";
    field.value = model.value;
    show();
    field.select();
  });
  model.on("value", show);
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || "jpThemeName" in document.body.dataset) return;
    if (event.composedPath().some((el) => ["INPUT", "SELECT", "TEXTAREA"].includes(el.tagName))) return;
    const direction = { n: 1, p: -1 }[event.key.toLowerCase()];
    if (direction) toClear(direction);
  };
  window.addEventListener("keydown", keys);
  model.on("remove", () => window.removeEventListener("keydown", keys));
  show();
  return make("div", {}, button, panel);
}
