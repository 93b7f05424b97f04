"""The day on screen: typed, or picked from a calendar that marks the clear days; N and P jump between them."""

import datetime as dt
from typing import ClassVar

import param
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.state.selection import State
from fluxlens.app.views.style import read_css, read_js
from panel.custom import JSComponent

# Not ``pn.widgets.DatePicker``: flatpickr can offer and refuse days, not mark them.


class DayPicker(JSComponent):
    """A button with the day; it opens the calendar.

    Parameters
    ----------
    state : State
        Its ``day`` is shown and set.
    data : ExplorerData
        The store on screen: its period and its clear days.
    """

    value = param.String(doc="The day, YYYY-MM-DD.")
    first = param.String(constant=True, doc="First day of the store, YYYY-MM-DD.")
    last = param.String(constant=True, doc="Last day of the store, YYYY-MM-DD.")
    clear = param.List(
        default=[], constant=True, doc="Days with a clear Sentinel-2 view, YYYY-MM-DD, in order."
    )

    _esm: ClassVar[str] = read_js("popover.js", "day_picker.js")

    def __init__(self, state: State, data: ExplorerData, **params):
        # The scene may have images from before and after the store.
        clear = [day for day in data.imagery.clear_days if data.first <= day <= data.last]
        super().__init__(
            value=state.day.isoformat(),
            first=data.first.isoformat(),
            last=data.last.isoformat(),
            clear=[day.isoformat() for day in clear],
            stylesheets=[read_css("popover.css"), read_css("day_picker.css")],
            **params,
        )
        self._state, self._data = state, data
        state.watch(lambda event: setattr(self, "value", event.new.isoformat()), "day")
        self.param.watch(self._take, "value")

    def _take(self, event) -> None:
        # Kept inside the period here too: what a browser sends may be anything.
        self._state.day = min(max(dt.date.fromisoformat(event.new), self._data.first), self._data.last)
