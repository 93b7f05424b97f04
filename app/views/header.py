"""The line on top: which scene, whether it is simulated, light or dark."""

from html import escape

import panel as pn
from fluxlens.app.state.selection import State

_BAR = """
:host { display: flex !important; align-items: center; gap: 14px; padding: 8px 18px;
  background: var(--card);
  border-bottom: 1px solid var(--line); box-sizing: border-box; min-height: 48px; flex-wrap: wrap; }
"""
_TEXT = """
.mark { font: 650 17px/1 var(--font); letter-spacing: -.02em; color: var(--ink); }
.mark i { color: var(--accent); font-style: normal; }
.scene { display: flex; align-items: center; gap: 10px; flex-wrap: wrap; color: var(--muted); }
.scene b { color: var(--ink); font-weight: 600; }
.badge { background: var(--warn-bg); color: var(--warn); border: 1px solid var(--warn-line);
  border-radius: 4px;
  padding: 2px 7px; font: 650 11px/1.4 var(--font); letter-spacing: .04em; text-transform: uppercase; }
"""


def scene_line(data) -> str:
    """HTML of title, period and model of ``data``; the badge where its numbers are simulated."""
    badge = (
        '<span class="badge" title="These numbers were made by a simulator, not measured.">Simulated</span>'
    )
    period = f"{data.first:%Y-%m-%d} to {data.last:%Y-%m-%d}"
    size = f"{data.grid.nx} × {data.grid.ny} px of {data.grid.size_m:g} m"
    model = f" · model {escape(str(data.attrs['model']))}" if data.attrs.get("model") else ""
    return (
        f'<div class="scene"><b>{escape(data.title)}</b>{badge if data.simulated else ""}'
        f"<span>{period} · {size}{model}</span></div>"
    )


class Header:
    """Wordmark, scene, badge, choice of entry, theme.

    Parameters
    ----------
    state : State
        ``entry`` and ``dark``.
    entries : list of str
        Entries of the catalog that hold embeddings.
    """

    def __init__(self, state: State, entries: list[str]):
        mark = pn.pane.HTML('<span class="mark">flux<i>lens</i></span>', align="center", stylesheets=[_TEXT])
        self._scene = pn.pane.HTML("", align="center", stylesheets=[_TEXT, ":host { flex: 1 1 260px; }"])
        self.entry = pn.widgets.Select(
            options={entry: entry for entry in entries},
            value=state.entry if state.entry in entries else None,
            width=200,
            align="center",
            visible=len(entries) > 1,
        )
        self.theme = pn.widgets.Button(label="Dark", width=58, align="center")
        self.view = pn.Row(
            mark,
            self._scene,
            self.entry,
            self.theme,
            sizing_mode="stretch_width",
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
            self.entry.options = self.entry.options | {label: entry}
            self.entry.visible = len(self.entry.options) > 1

    def show(self, data) -> None:
        """Show title, period and model of ``data``, a store; None for no store."""
        self._scene.object = scene_line(data) if data is not None else ""
