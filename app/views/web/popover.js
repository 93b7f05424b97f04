/** A button and what it opens, in the browser's top layer: Esc and a click elsewhere close it. */
function makePopover(button, panel, onOpen) {
  panel.setAttribute("popover", "auto");
  button.type = "button";
  button.setAttribute("aria-haspopup", panel.getAttribute("role") || "dialog");
  button.setAttribute("aria-expanded", "false");
  const place = () => {
    const at = button.getBoundingClientRect(), size = panel.getBoundingClientRect(), gap = 6;
    const below = at.bottom + gap + size.height <= innerHeight || at.top - gap - size.height < 0;
    const top = below ? at.bottom + gap : at.top - gap - size.height;
    panel.style.left = `${Math.max(gap, Math.min(at.left, document.documentElement.clientWidth - size.width - gap))}px`;
    panel.style.top = `${Math.max(gap, Math.min(top, innerHeight - size.height - gap))}px`;
  };
  panel.addEventListener("toggle", (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
  });
  // A click on the button while it is open closes it: the light dismiss comes first, with the press.
  let wasOpen = false;
  button.addEventListener("pointerdown", () => { wasOpen = panel.matches(":popover-open"); });
  button.addEventListener("click", (event) => {
    if (event.detail === 0) wasOpen = panel.matches(":popover-open");  // by a key
    if (wasOpen) { panel.hidePopover(); wasOpen = false; return; }
    panel.showPopover();
    // At once and not on "toggle", which comes later: it would replace what was typed in the meantime.
    onOpen?.();
    place();
  });
  // Keys typed in it are not for the page (which steps the day) nor for the map.
  panel.addEventListener("keydown", (event) => { if (event.key !== "Escape") event.stopPropagation(); });
  return { place, close: () => { panel.hidePopover(); button.focus(); } };
}

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) found.setAttribute(name, value === true ? "" : value);
  }
  found.append(...children);
  return found;
}
