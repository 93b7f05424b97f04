"""What only the browser knows: keys pressed, the page's address and theme, whether this is a first visit."""

import param
from panel.custom import JSComponent


class Browser(JSComponent):
    """An invisible part; counts steps asked for by the arrow keys and paints the page light or dark."""

    steps = param.Integer(default=0, doc="Net days asked for by the arrow keys since the page opened.")
    scrubs = param.Integer(default=0, doc="Net features asked for by the up and down keys.")
    scrub = param.Boolean(default=False, doc="Whether up and down are for features, not for scrolling.")
    dark = param.Boolean(default=False)
    returning = param.Boolean(default=False, doc="Whether the explanation was closed on an earlier visit.")
    link = param.String(
        default="", doc="Query of the page's address; no step of its own for the back button."
    )
    explained = param.Boolean(default=False, doc="Set when the visitor closes the explanation.")

    _esm = """
    export function render({ model }) {
      const root = document.documentElement;
      const paint = () => { root.dataset.theme = model.dark ? "dark" : "light"; };
      // Without storage (private mode) the page only forgets.
      const remember = (key, value) => { try { localStorage.setItem(key, value); } catch {} };
      const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
      if (recall("fluxlens-theme") === "dark") { model.dark = true; }
      if (recall("fluxlens-explained")) { model.returning = true; }
      paint();
      model.on("dark", () => { paint(); remember("fluxlens-theme", model.dark ? "dark" : "light"); });
      const address = () => { if (model.link) history.replaceState(null, "", model.link); };
      address();
      model.on("link", address);
      model.on("explained", () => remember("fluxlens-explained", "yes"));
      window.addEventListener("keydown", (event) => {
        const path = event.composedPath();
        const typing = path.some((el) => ["INPUT", "SELECT", "TEXTAREA"].includes(el.tagName)
          || (el.classList && el.classList.contains("noUi-handle")));
        const elsewhere = "jpThemeName" in document.body.dataset;  // JupyterLab: the keys are its own
        if (typing || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
        const size = event.shiftKey ? 7 : 1;
        if (event.key === "ArrowRight") { model.steps += size; event.preventDefault(); }
        if (event.key === "ArrowLeft") { model.steps -= size; event.preventDefault(); }
        if (model.scrub && event.key === "ArrowDown") { model.scrubs += 1; event.preventDefault(); }
        if (model.scrub && event.key === "ArrowUp") { model.scrubs -= 1; event.preventDefault(); }
      });
      return document.createElement("span");
    }
    """
