"""The tabs next to the map: series of places, the tower, computing."""

from collections.abc import Callable
from functools import cache

import panel as pn
from fluxlens.app.state.selection import State
from fluxlens.app.views.binding import bind_widget
from fluxlens.app.views.page_behaviour import group_label
from fluxlens.app.views.style import fluxlens_design

_TABS = """
.bk-btn-group { gap: 0 16px; border-bottom: 1px solid var(--line); width: 100%; }
.bk-btn-group > .bk-btn, .bk-btn-group > .bk-btn.bk-active { border: none !important; border-radius: 0 !important;
  background: none !important; color: var(--muted) !important; padding: 0 2px !important; height: 28px;
  font-weight: 600 !important; }
.bk-btn-group > .bk-btn.bk-active { color: var(--ink) !important; box-shadow: inset 0 -2px var(--accent) !important; }
/* On a phone one line, which scrolls sideways by itself where a tower has a long name. */
@media (max-width: 520px) {
  .bk-btn-group { flex-wrap: nowrap; gap: 0 6px; justify-content: space-between; overflow-x: auto;
    scrollbar-width: none; }
  .bk-btn-group > .bk-btn { white-space: nowrap; letter-spacing: -.02em; font-size: 11.5px !important; }
}
"""


class TabsView:
    """Tabs by name above the chosen page; a page is made when it is first shown.

    Parameters
    ----------
    state : State
        ``page`` chooses.
    pages : dict
        By key of ``page``: label of the tab, and the function that makes its content.
    """

    def __init__(self, state: State, pages: dict[str, tuple[str, Callable[[], pn.viewable.Viewable]]]):
        self.state = state
        # Cached: a tab that is shown again keeps its widgets and what was typed into them.
        self.pages = {name: cache(make) for name, (_, make) in pages.items()}
        self.tabs = pn.widgets.RadioButtonGroup(
            options={label: name for name, (label, _) in pages.items()},
            sizing_mode="stretch_width",
            margin=(-4, 0, 8, 0),
            visible=len(pages) > 1,
            **group_label("Pages"),
            stylesheets=[_TABS],
        )
        self._body = pn.Column(sizing_mode="stretch_width", css_classes=["grow"])
        bind_widget(state, "page", self.tabs)
        state.watch(self._update, "page")
        self._update()

    @fluxlens_design()  # pages are made when they are first shown
    def _update(self, *_) -> None:
        # a link may name a page that this store has not
        name = self.state.page if self.state.page in self.pages else next(iter(self.pages))
        self.tabs.value = name
        self._body[:] = [self.pages[name]()]

    @property
    def view(self) -> pn.Column:
        return pn.Column(
            self.tabs,
            self._body,
            sizing_mode="stretch_width",
            css_classes=["card", "role-region"],
            # As high as the map beside it; below it, on a phone, a page of few controls would be an empty card.
            stylesheets=[
                ":host { padding: 10px 14px 6px; min-height: 540px; min-width: 0; }"
                "@media (max-width: 780px) { :host { min-height: 0; } }"
            ],
            **group_label("Charts and scores"),
        )
