// What the page as a whole does in the browser: gestures over figures, names for those who do not see, landmarks.
// Bokeh draws a figure into nested shadow roots and says little about it; here the parts are found by their views.

const MOVE_PX = 10;  // a finger that moved further did not tap
const CHART = "chart: ", MAP = "map", TEXT = "text: ", LABEL = "label: ";

const tagged = (view, prefix) => {
  const found = (view.model.tags || []).find((tag) => typeof tag === "string" && tag.startsWith(prefix));
  return found === undefined ? null : found.slice(prefix.length);
};
const isMap = (view) => (view.model.tags || []).includes(MAP);
const isDrawing = (view) => {
  const drag = view.model.toolbar.gestures.pan.active;
  return drag !== null && drag.type !== "PanTool";
};

function* below(view) {
  yield view;
  for (const child of view.children_views?.() ?? view.child_views ?? []) yield* below(child);
}

/** Moves and scales the ranges of a map: the data under `from` come under `to` (both in px of the canvas). */
function moveMap(view, ranges, from, to, scale) {
  const { x_range, y_range, bbox } = view.frame;
  const [x0, x1] = ranges.x, [y0, y1] = ranges.y;
  const width = (x1 - x0) * scale, height = (y1 - y0) * scale;
  const x = x0 + ((from.x - bbox.left) / bbox.width) * (x1 - x0);
  const y = y1 - ((from.y - bbox.top) / bbox.height) * (y1 - y0);
  const left = x - ((to.x - bbox.left) / bbox.width) * width;
  const top = y + ((to.y - bbox.top) / bbox.height) * height;
  const limits = [[x_range, left, left + width], [y_range, top - height, top]];
  // A map keeps its aspect: where one range is at its limit, the other stops with it.
  for (const [range, start, end] of limits) {
    if (end - start < (range.min_interval ?? 0) || end - start > (range.max_interval ?? Infinity)) return;
  }
  const set = (range, start, end) => {
    if (range.bounds !== null && range.bounds !== "auto") {
      const [low, high] = range.bounds, span = end - start;
      start = Math.min(Math.max(start, low ?? -Infinity), (high ?? Infinity) - span);
      end = start + span;
    }
    range.setv({ start, end });
  };
  for (const limit of limits) set(...limit);
  view.trigger_ranges_update_event();
}

/** Scales a map around its middle. */
function zoomMap(view, scale) {
  const { x_range, y_range, bbox } = view.frame;
  const middle = { x: bbox.left + bbox.width / 2, y: bbox.top + bbox.height / 2 };
  moveMap(view, { x: [x_range.start, x_range.end], y: [y_range.start, y_range.end] }, middle, middle, scale);
}

export function render({ model, el }) {
  const figures = new Map();  // the element that takes a figure's events -> its view
  const known = new WeakSet();
  const watched = new WeakSet();
  let root = null, pending = false;

  const touchedFigure = (event) => {
    const target = event.composedPath().find((node) => figures.has(node));
    return target === undefined ? null : figures.get(target);
  };

  // --- names ---

  const press = (view) => {
    const active = view.model.active;
    view.shadow_el.querySelectorAll("button.bk-btn").forEach((button, i) => {
      const on = Array.isArray(active) ? active.includes(i) : typeof active === "number" ? active === i : active;
      button.setAttribute("aria-pressed", String(Boolean(on)));
    });
  };
  const nameSlider = (view) => {
    for (const handle of view.shadow_el.querySelectorAll(".noUi-handle")) {
      handle.setAttribute("aria-label", view.model.title || "Slider");
      const { value, format } = view.model;
      const text = view.pretty ? view.pretty(value) : String(value);
      handle.setAttribute("aria-valuetext", text);
    }
  };
  const nameFigure = (view) => {
    const target = view.canvas_view.events_el;
    target.setAttribute("role", isMap(view) ? "application" : "img");
    target.setAttribute("aria-label", tagged(view, TEXT) ?? (isMap(view) ? "Map" : "Chart"));
    if (isMap(view)) target.setAttribute("aria-roledescription", "map");
  };
  const takeFigure = (view) => {
    const target = view.canvas_view.events_el;
    figures.set(target, view);
    nameFigure(view);
    view.model.properties.tags.change.connect(() => nameFigure(view));
    // A finger scrolls the page; two fingers are ours on a map. Else Bokeh takes every touch.
    target.style.touchAction = isMap(view) ? "pan-x pan-y" : "pan-y";
    if (!isMap(view)) return;
    // The buttons on a map let a line through that is drawn across them.
    const letThrough = () => {
      view.el.getRootNode().host?.style.setProperty("--map-buttons", isDrawing(view) ? "none" : "auto");
    };
    view.model.toolbar.active_changed.connect(letThrough);
    letThrough();
  };
  const take = (view) => {
    const { type } = view.model;
    const label = tagged(view, LABEL), single = /(^|\.)(Button|Toggle)$/.test(type);
    if (label !== null) {
      if (single) view.shadow_el.querySelector("button")?.setAttribute("aria-label", label);
      else if (view.el.getAttribute("aria-label") !== label) {
        view.el.setAttribute("role", "group");
        view.el.setAttribute("aria-label", label);
      }
    }
    for (const role of ["banner", "main", "region", "complementary"]) {
      if (view.el.classList.contains(`role-${role}`)) view.el.setAttribute("role", role);
    }
    if (view.model.active !== undefined && view.shadow_el?.querySelector("button.bk-btn")) {
      press(view);
    }
    if (view.shadow_el?.querySelector(".noUi-handle")) nameSlider(view);
    // flatpickr shows a field of its own in place of the one that the label is for.
    if (/DatePicker$/.test(type)) {
      view.shadow_el.querySelectorAll("input.bk-input").forEach((input) => input.setAttribute("aria-label", view.model.title));
    }
    if (view.canvas_view && view.model.toolbar && !figures.has(view.canvas_view.events_el)) takeFigure(view);
    if (known.has(view)) return;
    known.add(view);
    const { properties } = view.model;
    if (properties.active) properties.active.change.connect(() => queueMicrotask(() => press(view)));
    if (/Slider$/.test(type)) properties.value.change.connect(() => queueMicrotask(() => nameSlider(view)));
  };

  // --- room: the map is as large as the window leaves it with what is above it and the day below it ---

  const fitMaps = () => {
    const slider = root && [...below(root)].find((view) => view.model.type === "DateSlider" && view.el.isConnected);
    if (!slider) return;
    const maps = [...figures.values()].filter((view) => isMap(view) && view.el.getClientRects().length);
    // One card, and one height for both of its maps: each by itself would make room for what the other leaves.
    let card = maps[0]?.el.getRootNode().host, row = null;
    while (card && !card.classList.contains("follows")) [row, card] = [card, card.getRootNode().host];
    if (!card) return;
    const frames = maps.map((view) => view.el.getRootNode().host.getBoundingClientRect());
    // The card moves down the page as it is scrolled; where it began is where the column around it begins.
    const column = card.getRootNode().host.getBoundingClientRect(), rows = row.getBoundingClientRect().height;
    const rest = slider.el.getBoundingClientRect().bottom - card.getBoundingClientRect().top;
    const around = column.top + scrollY + rest - rows;
    const isStacked = frames.length > 1 && frames[0].bottom < frames[1].top;
    const heights = frames.map((frame) => frame.height);
    const captions = rows - (isStacked ? heights[0] + heights[1] : Math.max(...heights));
    // Without the captions, whose lines are more in a narrow half: what decides whether the maps stand side by side must
    // not depend on whether they do.
    card.style.setProperty("--around-maps", `${Math.ceil(around + 48)}px`);
    card.style.setProperty("--around-map", `${Math.ceil(around + captions + 8)}px`);
    card.style.setProperty("--map-rows", isStacked ? 2 : 1);
    setTimeout(layOutStale, 200);
  };
  // Bokeh (3.9) misses a change of size that comes while it draws: the canvas is then larger than its frame, and cut.
  const layOutStale = () => {
    for (const view of figures.values()) {
      const { width, height } = view.el.getBoundingClientRect();
      const { bbox } = view.canvas_view;
      if (width && (Math.abs(width - bbox.width) > 1 || Math.abs(height - bbox.height) > 1)) view.invalidate_layout();
    }
  };
  const sizes = new ResizeObserver(fitMaps);

  // --- views come and go ---

  const walk = () => {
    pending = false;
    if (root === null) return;
    for (const [target] of figures) if (!target.isConnected) figures.delete(target);
    for (const view of below(root)) {
      if (!view.el?.isConnected || !view.el.classList) continue;
      take(view);
      if (view.shadow_el && !watched.has(view.shadow_el)) {
        watched.add(view.shadow_el);
        observer.observe(view.shadow_el, { childList: true, subtree: true });
      }
    }
    fitMaps();
  };
  const schedule = () => {
    if (pending) return;
    pending = true;
    setTimeout(walk, 60);
  };
  const observer = new MutationObserver(schedule);
  const start = () => {
    if (!el.isConnected) { setTimeout(start, 30); return; }
    let top = el;
    while (top.getRootNode() !== document) top = top.getRootNode().host;
    root = window.Bokeh.index.roots.find((view) => view.el === top) ?? null;
    if (root === null) { setTimeout(start, 30); return; }
    sizes.observe(root.el);
    walk();
  };

  // Tooltips of figures are children of the body; the names in them have a colour too pale to be read.
  const pale = new CSSStyleSheet();
  pale.replaceSync(".bk-tooltip-row-label { color: var(--muted) !important; }");
  const tooltips = new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node.classList?.contains("bk-Tooltip") && node.shadowRoot && !watched.has(node)) {
        watched.add(node);
        node.shadowRoot.adoptedStyleSheets.push(pale);
      }
    }
  });
  if (!("jpThemeName" in document.body.dataset)) tooltips.observe(document.body, { childList: true });

  // --- gestures; in the capture phase of the window, so that Bokeh sees only what is left for it ---

  const on = (type, handler, passive = true) =>
    window.addEventListener(type, handler, { capture: true, passive, signal: ended.signal });
  const ended = new AbortController();

  // Over a chart the wheel scrolls the page, as everywhere else; with Ctrl it zooms the chart.
  on("wheel", (event) => {
    const view = touchedFigure(event);
    if (view && !isMap(view) && !event.ctrlKey) event.stopPropagation();
  });
  on("dblclick", (event) => {
    const view = touchedFigure(event);
    if (view && !isDrawing(view)) view.reset();
  });

  // The buttons and keys of a map ask for it by the element around both.
  on("map-zoom", (event) => {
    for (const [target, view] of figures) {
      let node = target;
      while (node && node !== event.detail.frame) node = node.parentNode ?? node.host;
      if (!node || !isMap(view)) continue;
      if (event.detail.scale) zoomMap(view, event.detail.scale);
      else view.reset();
    }
  });

  saveCharts(model, on, (key) => [...figures.values()].find((view) => tagged(view, CHART) === key));

  let gesture = null, down = null;
  const cancelTap = (target, id) =>
    target.dispatchEvent(new PointerEvent("pointercancel", { pointerId: id, pointerType: "touch" }));
  on("pointerdown", (event) => {
    const view = event.pointerType === "touch" ? touchedFigure(event) : null;
    if (!view || !isMap(view) || isDrawing(view)) return;
    if (event.isPrimary) down = { id: event.pointerId, x: event.clientX, y: event.clientY, view };
    else event.stopPropagation();
  });
  on("pointermove", (event) => {
    if (event.pointerType !== "touch" || down === null) return;
    event.stopPropagation();
    const far = Math.hypot(event.clientX - down.x, event.clientY - down.y) > MOVE_PX;
    if (event.pointerId === down.id && far) {
      cancelTap(down.view.canvas_view.events_el, down.id);
      down = { ...down, id: null };
    }
  });
  for (const type of ["pointerup", "pointercancel"]) {
    on(type, (event) => {
      if (event.isTrusted && event.pointerType === "touch" && event.isPrimary) down = null;
    });
  }

  const fingers = (event, target) => {
    const [a, b] = event.touches, box = target.getBoundingClientRect();
    return {
      x: (a.clientX + b.clientX) / 2 - box.left,
      y: (a.clientY + b.clientY) / 2 - box.top,
      apart: Math.max(Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), 1),
    };
  };
  on("touchstart", (event) => {
    const view = touchedFigure(event);
    if (!view) return;
    if (isDrawing(view)) { event.preventDefault(); return; }  // one finger draws, the page stands still
    if (!isMap(view) || event.touches.length !== 2) return;
    event.preventDefault();
    const { x_range, y_range } = view.frame;
    const target = view.canvas_view.events_el;
    if (down?.id != null) cancelTap(target, down.id);
    down = down && { ...down, id: null };
    gesture = {
      view, target, from: fingers(event, target),
      ranges: { x: [x_range.start, x_range.end], y: [y_range.start, y_range.end] },
    };
  }, false);
  on("touchmove", (event) => {
    if (gesture === null || event.touches.length !== 2) return;
    event.preventDefault();
    const to = fingers(event, gesture.target);
    moveMap(gesture.view, gesture.ranges, gesture.from, to, gesture.from.apart / to.apart);
  }, false);
  for (const type of ["touchend", "touchcancel"]) {
    on(type, (event) => { if (event.touches.length < 2) gesture = null; });
  }

  start();
  model.on("remove", () => { ended.abort(); observer.disconnect(); tooltips.disconnect(); sizes.disconnect(); });
  return document.createElement("span");
}
