// The entries of the catalog: a button that says which is on screen, and a list that can be searched.

export function render({ model }) {
  const button = make("button", { class: "entry", title: "Choose what is on screen" });
  const search = make("input", {
    type: "search", role: "combobox", placeholder: "Search", autocomplete: "off", "aria-label": "Search the entries",
    "aria-controls": "entries", "aria-expanded": "true", "aria-autocomplete": "list",
  });
  const list = make("ul", { id: "entries", role: "listbox", "aria-label": "Entries" });
  const none = make("p", { role: "status" });
  const panel = make("div", { role: "dialog", "aria-label": "Entries of the catalog" }, search, list, none);
  let active = 0;

  const shown = () => [...list.children];
  const activate = (index) => {
    const options = shown();
    active = Math.max(0, Math.min(index, options.length - 1));
    options.forEach((option, i) => option.classList.toggle("active", i === active));
    if (options.length) {
      search.setAttribute("aria-activedescendant", options[active].id);
      options[active].scrollIntoView({ block: "nearest" });
    } else search.removeAttribute("aria-activedescendant");
  };
  const choose = (entry) => { model.value = entry; popover.close(); };
  const fill = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = Object.entries(model.options).filter(([label, entry]) => {
      const text = `${label} ${entry} ${model.descriptions[entry] ?? ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    list.replaceChildren(...found.map(([label, entry], i) => make(
      "li", {
        role: "option", id: `entry-${i}`, "aria-selected": String(entry === model.value),
        onclick: () => choose(entry), onpointermove: () => activate(i),
      },
      make("b", {}, label), make("span", {}, model.descriptions[entry] ?? ""),
    )));
    none.textContent = found.length ? "" : `No entry has “${search.value}” in its name or description.`;
    activate(words.length ? 0 : Math.max(0, found.findIndex(([, entry]) => entry === model.value)));
  };
  const name = () => {
    const label = Object.entries(model.options).find(([, entry]) => entry === model.value)?.[0];
    button.textContent = label ?? "Choose an entry";
    button.setAttribute("aria-label", `Entry: ${button.textContent}`);
  };
  search.addEventListener("input", fill);
  search.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { activate(active + step); event.preventDefault(); }
    if (event.key === "Enter") {
      event.preventDefault();  // else the button, which gets the focus, takes the key as its own
      shown()[active]?.click();
    }
  });
  const popover = makePopover(button, panel, () => { search.value = ""; fill(); search.focus(); });
  model.on("value", name);
  model.on("options", () => { name(); fill(); });
  name();
  return make("div", {}, button, panel);
}
