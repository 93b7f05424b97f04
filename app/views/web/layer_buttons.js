// The layers in groups; what a layer shows stands above them while its button is pointed at or has the focus.

export function render({ model }) {
  const bar = make("div", { class: "layers", role: "group", "aria-label": "Layer of the map" });
  const buttons = new Map();
  for (const [group, layers] of model.groups) {
    const parts = make("span", { class: "buttons" });
    for (const [key, label, text] of layers) {
      const tip = `tip-${key}`;
      const button = make("button", {
        type: "button", "aria-describedby": tip, onclick: () => { model.value = key; },
      }, label);
      buttons.set(key, button);
      parts.append(button, make("span", { class: "tip", id: tip, role: "tooltip" }, text));
    }
    bar.append(make("div", { class: "group", role: "group", "aria-label": group },
      make("span", { class: "title", "aria-hidden": "true" }, group), parts));
  }
  // Below they would cover the controls of the layer; only where the bar is at the top of the window is no room above.
  const place = (event) => {
    const tip = event.target.nextElementSibling;
    if (tip?.className === "tip") {
      bar.classList.toggle("below", bar.getBoundingClientRect().top < tip.offsetHeight + 8);
    }
  };
  bar.addEventListener("pointerover", place);
  bar.addEventListener("focusin", place);
  const show = () => buttons.forEach((button, key) => {
    button.setAttribute("aria-pressed", String(key === model.value));
  });
  model.on("value", show);
  show();
  return bar;
}
