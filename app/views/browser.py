"""What only the browser knows: keys pressed, the page's URL and theme, whether this is a first visit."""

import param
from bokeh.settings import settings
from panel.custom import JSComponent


class Browser(JSComponent):
    """An invisible component that counts arrow keys, writes the URL, and sets the theme of the page."""

    # Counters and not events: two keys between two messages add up instead of one being lost.
    day_steps = param.Integer(default=0, doc="Net days by the left and right keys since the page opened.")
    feature_steps = param.Integer(default=0, doc="Net features by the up and down keys.")
    feature_keys = param.Boolean(default=False, doc="Whether up and down step features instead of scrolling.")
    dark = param.Boolean(default=False)
    returning = param.Boolean(default=False, doc="Whether the explanation was closed on an earlier visit.")
    link = param.String(
        default="", doc="Query of the page's URL; written without an entry in the browser's history."
    )
    escapes = param.Integer(default=0, doc="Times that Escape was pressed.")
    explained = param.Boolean(default=False, doc="Set when the user closes the explanation.")

    _esm = """
    export function render({ model }) {
      const root = document.documentElement;
      const paint = () => {
        root.dataset.theme = model.dark ? "dark" : "light";
        document.cookie = `fluxlens-theme=${root.dataset.theme}; path=/; SameSite=Lax; max-age=31536000`;
      };
      // Storage throws in private mode; the page then forgets the theme.
      const remember = (key, value) => { try { localStorage.setItem(key, value); } catch {} };
      const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
      const forget = (key) => { try { localStorage.removeItem(key); } catch {} };
      // The system's theme, until another one is chosen; who chooses the system's follows it again.
      const system = matchMedia("(prefers-color-scheme: dark)");
      // A link keeps the theme in which it was made; JupyterLab has a theme of its own.
      const linked = new URLSearchParams(location.search).get("theme");
      const follow = () => {
        const chosen = linked ?? recall("fluxlens-theme");
        if (chosen !== null) model.dark = chosen === "dark";
        else if (!("jpThemeName" in document.body.dataset)) model.dark = system.matches;
      };
      follow();
      system.addEventListener("change", follow);
      model.on("remove", () => system.removeEventListener("change", follow));
      if (recall("fluxlens-explained")) { model.returning = true; }
      paint();
      model.on("dark", () => {
        paint();
        if (model.dark === system.matches) forget("fluxlens-theme");
        else remember("fluxlens-theme", model.dark ? "dark" : "light");
      });
      const writeUrl = () => { if (model.link) history.replaceState(null, "", model.link); };
      writeUrl();
      model.on("link", writeUrl);
      // JupyterLab says its theme on the body; it is followed, so that the explorer is dark in a dark Lab.
      if ("jpThemeLight" in document.body.dataset) {
        const follow_lab = () => { model.dark = document.body.dataset.jpThemeLight === "false"; };
        const observer = new MutationObserver(follow_lab);
        observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
        model.on("remove", () => observer.disconnect());
        follow_lab();
      }
      model.on("explained", () => remember("fluxlens-explained", "yes"));
      window.addEventListener("keydown", (event) => {
        if (event.key === "Escape") { model.escapes += 1; return; }
        const path = event.composedPath();
        const typing = path.some((el) => ["INPUT", "SELECT", "TEXTAREA"].includes(el.tagName)
          || (el.classList && el.classList.contains("noUi-handle")));
        const elsewhere = "jpThemeName" in document.body.dataset;  // JupyterLab: the keys are its own
        if (typing || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
        const size = event.shiftKey ? 7 : 1;
        if (event.key === "ArrowRight") { model.day_steps += size; event.preventDefault(); }
        if (event.key === "ArrowLeft") { model.day_steps -= size; event.preventDefault(); }
        if (model.feature_keys && event.key === "ArrowDown") { model.feature_steps += 1; event.preventDefault(); }
        if (model.feature_keys && event.key === "ArrowUp") { model.feature_steps -= 1; event.preventDefault(); }
      });
      return document.createElement("span");
    }
    """


def skip_document_validation() -> None:
    """Switch off Bokeh's check of every new document: a fifth of the time of a page. A test runs it instead."""
    settings.perform_document_validation = False
