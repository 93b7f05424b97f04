// The colour bar of a layer: a button that opens its range and palette.

export function render({ model }) {
  const ramp = make("span", { class: "ramp" }), ticks = make("span", { class: "ticks" });
  const button = make("button", { class: "bar", title: "Choose range and palette" }, ramp, ticks);
  const number = (name) => make("input", { type: "number", step: "any", id: name });
  const low = number("low"), high = number("high"), wrong = make("p", { role: "alert" });
  const palettes = make("div", { class: "palettes", role: "group", "aria-label": "Palette" });
  const reset = make("button", { type: "button", class: "reset" }, "Back to its own");
  const panel = make("div", { role: "dialog", "aria-label": "Range and palette" },
    make("div", { class: "range" },
      make("div", {}, make("label", { for: "low" }, "Lowest"), low),
      make("div", {}, make("label", { for: "high" }, "Highest"), high)),
    wrong, palettes, reset);

  const choose = (palette) => {
    const [from, to] = [low, high].map((input) => input.valueAsNumber);
    if (!(from < to)) {
      wrong.textContent = `Got ${low.value || "nothing"} to ${high.value || "nothing"}, need a lowest below a highest value.`;
      return;
    }
    wrong.textContent = "";
    model.chosen = [from, to, palette];
  };
  const show = () => {
    const [from, to, palette] = model.shown;
    ramp.style.background = model.palettes[palette];
    ticks.replaceChildren(...model.ticks.map((tick) => make("span", {}, tick)));
    button.setAttribute("aria-label", `Colours from ${model.ticks.join(", ")}: choose range and palette`);
    low.value = from;
    high.value = to;
    palettes.replaceChildren(...Object.entries(model.palettes).map(([name, gradient]) => {
      const swatch = make("span", { class: "ramp" });
      swatch.style.background = gradient;
      return make("button", {
        type: "button", "aria-pressed": String(name === palette), onclick: () => choose(name),
      }, swatch, make("span", { class: "name" }, model.names[name] ?? "The layer's own"));
    }));
    allowReset();
  };
  const allowReset = () => { reset.disabled = model.chosen.length === 0; };
  for (const input of [low, high]) input.addEventListener("change", () => choose(model.shown[2]));
  reset.addEventListener("click", () => { wrong.textContent = ""; model.chosen = []; });
  makePopover(button, panel, () => { wrong.textContent = ""; show(); });
  // Changes of one message come one by one: the bar is drawn after each of them.
  for (const name of ["shown", "ticks", "palettes"]) model.on(name, show);
  model.on("chosen", allowReset);  // and no more: what is typed meanwhile must stay until the answer comes
  show();
  return make("div", {}, button, panel);
}
