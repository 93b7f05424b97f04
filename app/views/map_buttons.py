"""Zoom and home buttons on a map, and the arrow keys that move the chosen pixel while the map has the focus."""

from collections.abc import Callable
from typing import ClassVar

import panel as pn
import param
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.state.selection import State
from fluxlens.app.views.style import read_css, read_js
from fluxlens.models.errors import InputError
from panel.custom import JSComponent


class MapButtons(JSComponent):
    """Buttons in the corner of a map; counts the pixels that keys move.

    Parameters
    ----------
    on_move : callable, optional
        ``on_move(rows, cols)``: the arrow keys moved the pixel by so many rows (down) and columns (right).
    """

    # Counters: see ``views.browser.Browser``.
    rows = param.Integer(default=0, doc="Net rows that keys moved the pixel since the page opened.")
    cols = param.Integer(default=0, doc="Net columns that keys moved the pixel since the page opened.")

    _esm: ClassVar[str] = read_js("map_buttons.js")

    def __init__(self, on_move: Callable[[int, int], None] | None = None, **params):
        super().__init__(stylesheets=[read_css("map_buttons.css")], **params)
        if on_move is not None:
            self.param.watch(lambda event: on_move(event.new - event.old, 0), "rows")
            self.param.watch(lambda event: on_move(0, event.new - event.old), "cols")


def move_pixel(state: State, data: ExplorerData, rows: int, cols: int) -> None:
    """Move the current pixel inside the scene; the charts follow.

    Parameters
    ----------
    state : State
        Its current place moves; where that is an area, a pixel in its middle begins.
    data : ExplorerData
        The store on screen.
    rows, cols : int
        Pixels down and to the right; negative: up and to the left.
    """
    if state.pixel is None:
        return
    # Held at the edges: a key that is held down stops there and does not come back on the other side.
    row, col = (
        min(max(at + by, 0), size - 1)
        for at, by, size in zip(state.pixel, (rows, cols), data.grid.shape, strict=True)
    )
    try:
        # Sent part by part, as after a tap: with a key held down the ring must not wait for the charts.
        with pn.io.unlocked():
            state.pin(row, col)
    except InputError as error:  # such as of a damaged store
        state.message = str(error)
