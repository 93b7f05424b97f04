"""The line on top: which scene, whether it is simulated, light or dark."""

from html import escape

import panel as pn
from fluxlens.app.state.selection import State
from fluxlens.app.views.entry_picker import EntryPicker
from fluxlens.app.views.help import HelpPanel
from fluxlens.app.views.html import HTML
from fluxlens.app.views.page_behaviour import PageBehaviour

_BAR = """
:host { display: flex !important; align-items: center; gap: 8px 14px; padding: 8px 18px;
  background: var(--card);
  border-bottom: 1px solid var(--line); box-sizing: border-box; min-height: 48px; flex-wrap: wrap; }
@media (max-width: 520px) { :host { padding: 8px 10px; } }
"""
_TEXT = """
.mark { font: 650 17px/1 var(--font); letter-spacing: -.02em; color: var(--ink); margin: 0; }
.mark i { color: var(--accent); font-style: normal; }
.scene { display: flex; align-items: center; gap: 2px 10px; flex-wrap: wrap; color: var(--muted); line-height: 1.35; }
.scene b { color: var(--ink); font-weight: 600; }
.badge { background: var(--warn-bg); color: var(--warn); border: 1px solid var(--warn-line);
  border-radius: 4px;
  padding: 2px 7px; font: 650 11px/1.4 var(--font); letter-spacing: .04em; text-transform: uppercase; }
"""
_SCENE = """
:host { flex: 1 1 300px !important; min-width: 0; }
@media (max-width: 780px) { :host { order: 9; flex-basis: 100% !important; } }
"""
_TOOLS = ":host { flex: none !important; gap: 8px; margin-left: auto !important; align-items: center; }"


def scene_line(data) -> str:
    """HTML of title, period and model of ``data``; the badge where its numbers are simulated."""
    badge = (
        '<span class="badge" title="These numbers were made by a simulator, not measured.">Simulated</span>'
    )
    period = f"{data.first:%Y-%m-%d} to {data.last:%Y-%m-%d}"
    # Scenes of files are called by their name and period, which stands beside it.
    title = data.title.removesuffix(f", {period}")
    size = f"{data.grid.nx} × {data.grid.ny} px of {data.grid.size_m:g} m"
    model = f" · model {escape(str(data.attrs['model']))}" if data.attrs.get("model") else ""
    return (
        f'<div class="scene"><b>{escape(title)}</b>{badge if data.simulated else ""}'
        f"<span>{period} · {size}{model}</span></div>"
    )


class Header:
    """Wordmark, scene, badge, choice of entry, help, theme.

    Parameters
    ----------
    state : State
        ``entry`` and ``dark``.
    entries : dict
        Descriptions of the catalog's entries that hold embeddings, by their names.
    """

    def __init__(self, state: State, entries: dict[str, str]):
        # A heading and not only text: it is how screen readers find the beginning of the page.
        mark = HTML('<h1 class="mark">flux<i>lens</i></h1>', align="center", stylesheets=[_TEXT])
        self._scene = HTML("", align="center", stylesheets=[_TEXT, _SCENE])
        self.entry = EntryPicker(
            options={entry: entry for entry in entries},
            descriptions=entries,
            value=state.entry if state.entry in entries else "",
            visible=len(entries) > 1,
        )
        self.theme = pn.widgets.Button(label="Light" if state.dark else "Dark", width=58)
        self.behaviour = PageBehaviour(
            width=0, height=0, stylesheets=[":host { position: absolute !important; }"]
        )
        self.view = pn.Row(
            mark,
            self._scene,
            pn.Row(self.entry, HelpPanel(), self.theme, stylesheets=[_TOOLS]),
            # Here since every page has a header; it takes no room.
            self.behaviour,
            sizing_mode="stretch_width",
            css_classes=["role-banner"],
            stylesheets=[_BAR],
        )
        # These live as long as the session, as the header does; see ``Explorer._wire``.
        self.entry.param.watch(lambda event: setattr(state, "entry", event.new), "value")
        self.theme.on_click(lambda _: setattr(state, "dark", not state.dark))
        state.param.watch(lambda event: self._show_entry(event.new), "entry")
        state.param.watch(
            lambda event: setattr(self.theme, "label", "Light" if event.new else "Dark"), "dark"
        )

    def _show_entry(self, entry: str) -> None:
        if entry in self.entry.options.values():
            self.entry.value = entry

    def add(self, entry: str, label: str) -> None:
        """Add an entry to the list, under a label."""
        if entry not in self.entry.options.values():
            # A new dict: a change in place would not be sent to the browser.
            self.entry.param.update(
                options=self.entry.options | {label: entry},
                descriptions=self.entry.descriptions | {entry: "Computed here."},
            )
            self.entry.visible = len(self.entry.options) > 1

    def show(self, data) -> None:
        """Show title, period and model of ``data``, a store; None for no store."""
        # Never an empty text: the browser's part of the pane keeps the words before it then.
        self._scene.object = scene_line(data) if data is not None else '<div class="scene"></div>'
