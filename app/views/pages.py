"""The pages beside the map, one seen at a time: series of places, the tower, computing."""

from collections.abc import Callable
from functools import cache

import panel as pn

from app.state import State
from app.views.style import sheets

_TABS = """
.bk-btn-group { gap: 0 16px; border-bottom: 1px solid var(--line); width: 100%; }
.bk-btn-group > .bk-btn, .bk-btn-group > .bk-btn.bk-active { border: none !important; border-radius: 0 !important;
  background: none !important; color: var(--muted) !important; padding: 0 2px !important; height: 28px;
  font-weight: 600 !important; }
.bk-btn-group > .bk-btn.bk-active { color: var(--ink) !important; box-shadow: inset 0 -2px var(--accent) !important; }
"""


_BODY = ":host { flex: 1 0 auto !important; }"


class PagesView:
    """Tabs by name, above the page chosen; a page is made when first looked at."""

    def __init__(self, state: State, pages: dict[str, tuple[str, Callable[[], pn.viewable.Viewable]]]):
        self.state = state
        self.pages = {name: cache(make) for name, (_, make) in pages.items()}
        self.tabs = pn.widgets.RadioButtonGroup(
            options={words: name for name, (words, _) in pages.items()},
            sizing_mode="stretch_width",
            margin=(-4, 0, 8, 0),
            visible=len(pages) > 1,
            stylesheets=sheets(_TABS),
        )
        self._body = pn.Column(sizing_mode="stretch_width", margin=0, stylesheets=[_BODY])
        self.tabs.param.watch(lambda event: setattr(state, "page", event.new), "value")
        state.watch(self._update, "page")
        self._update()

    def _update(self, *_) -> None:
        name = self.state.page if self.state.page in self.pages else next(iter(self.pages))
        self.tabs.value = name
        self._body[:] = [self.pages[name]()]

    @property
    def view(self) -> pn.Column:
        return pn.Column(
            self.tabs,
            self._body,
            sizing_mode="stretch_width",
            margin=0,
            css_classes=["card"],
            stylesheets=sheets(":host { padding: 10px 14px 6px; min-height: 540px; min-width: 0; }"),
        )
