"""Where a visitor gives a tower file: the file, the tower's place, and what came of it."""

import asyncio
from collections.abc import Callable
from functools import partial

import panel as pn

from app import visiting
from app.data import Data
from app.state import State
from app.views.style import sheets
from app.views.upload import Upload
from models.errors import InputError

HELP = (
    "<p><b>Your own tower.</b> A FLUXNET, AmeriFlux or ICOS file with GPP, .csv or .zip; half-hours with wind tell the "
    "footprint too. It stands at LON, LAT or, where nothing is given, at the chosen pixel; it is read in memory for "
    "this visit alone.</p>"
)
_TEXT = "p { color: var(--muted); font-size: 12px; line-height: 1.5; margin: 0 0 6px; } p b { color: var(--ink); }"


class VisitorForm:
    """``on_tower`` gets the Visitor once its file is read, in a thread so that no other visitor waits."""

    def __init__(
        self,
        state: State,
        data: Data,
        on_tower: Callable[[visiting.Visitor], None],
        on_leave: Callable[[], None] | None = None,
    ):
        self.state, self.data, self.on_tower = state, data, on_tower
        self.place = pn.widgets.TextInput(
            width=230, margin=0, stylesheets=sheets("input.bk-input { padding-right: 9px !important; }")
        )
        self.file = Upload(
            state,
            self._take,
            visiting.UPLOAD_BYTES,
            "load the daily (DD) file or the SUBSET zip",
            words="Tower file",
            accept=".csv,.zip,.txt",
        )
        self.leave = pn.widgets.Button(
            label="Take it away", margin=0, visible=on_leave is not None, stylesheets=sheets()
        )
        self.leave.on_click(lambda _: on_leave())
        state.watch(self._update, ["places", "current"])
        self._update()
        row = pn.Row(
            self.place,
            self.file,
            self.leave,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { gap: 6px; flex-wrap: wrap; align-items: center; }"],
        )
        text = pn.pane.HTML(HELP, sizing_mode="stretch_width", margin=0, stylesheets=sheets(_TEXT))
        self.view = pn.Column(text, row, sizing_mode="stretch_width", margin=(12, 0, 8, 0))

    def _update(self, *_) -> None:
        if self.state.pixel is not None:
            row, col = self.state.pixel
            self.place.placeholder = f"LON, LAT (empty: pixel {row}, {col})"

    def _take(self, name: str, content: bytes) -> None:
        try:
            place = visiting.place(self.data, self.place.value_input or self.place.value, self.state.pixel)
        except InputError as error:
            self.state.message = str(error)
            return
        pn.state.execute(partial(self._read, name, content, *place))

    async def _read(self, name: str, content: bytes, lon: float, lat: float) -> None:
        self.file.words = "Reading"
        try:
            found = await asyncio.to_thread(visiting.read, self.data, name, content, lon, lat)
        except InputError as error:
            self.state.message = str(error)
        except Exception as error:  # whatever a file does, the page says it and lives
            self.state.message = (
                f"Got a tower file that cannot be read ({str(error)[:80]}); load another one."
            )
        else:
            self.on_tower(found)
        self.file.words = "Tower file"
