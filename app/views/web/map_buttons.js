// Buttons on a map, and the keys of a focused one; the view changes in the browser alone (page_behaviour.js).

const ZOOM = 1.5;
const STEPS = { ArrowUp: ["rows", -1], ArrowDown: ["rows", 1], ArrowLeft: ["cols", -1], ArrowRight: ["cols", 1] };

export function render({ model, el }) {
  const bar = document.createElement("div");
  bar.className = "map-buttons";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "View of the map");

  // The column that holds the figure and this component.
  const frame = () => el.getRootNode().host.getRootNode().host;
  const zoom = (scale) => window.dispatchEvent(new CustomEvent("map-zoom", { detail: { frame: frame(), scale } }));
  const actions = [["+", "Zoom in", 1 / ZOOM], ["−", "Zoom out", ZOOM], ["⌂", "Whole scene", 0]];
  for (const [sign, name, scale] of actions) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.title = name;
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => zoom(scale));
    bar.append(button);
  }

  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath();
    if (path[0].getAttribute?.("role") !== "application" || !path.includes(frame())) return;
    const step = STEPS[event.key];
    // Counters and not events: keys between two messages add up.
    if (step) model[step[0]] += step[1] * (event.shiftKey ? 10 : 1);
    else if (event.key === "+" || event.key === "=") zoom(1 / ZOOM);
    else if (event.key === "-") zoom(ZOOM);
    else if (event.key === "0" || event.key === "Home") zoom(0);
    else return;
    // In the capture phase and ended here: the keys of the page step the day.
    event.preventDefault();
    event.stopPropagation();
  };
  window.addEventListener("keydown", keys, { capture: true });
  model.on("remove", () => window.removeEventListener("keydown", keys, { capture: true }));
  return bar;
}
