"""Where the user uploads a tower file: the file, the tower's location, and what came of it."""

import asyncio
from collections.abc import Callable
from functools import partial

import panel as pn
from fluxlens.app.data.data_warnings import collect_data_warnings
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.towers.upload import UPLOAD_BYTES, UploadedTower, parse_location, read_tower_file
from fluxlens.app.data.uploaded_file import TOWER_ENDINGS
from fluxlens.app.state.selection import State
from fluxlens.app.views.file_upload import FileUpload
from fluxlens.app.views.html import HTML
from fluxlens.models.errors import InputError

HELP = (
    "<p><b>Your own tower.</b> A FLUXNET, AmeriFlux or ICOS file with GPP (.csv, .xlsx, .zip, .gz, .nc); a half-hourly "
    "file with wind gives the footprint too. It stands at the latitude and longitude that you type or, where nothing "
    "is given, at the chosen pixel; it is read into memory for this visit alone.</p>"
)
_TEXT = "p { color: var(--muted); font-size: 12px; line-height: 1.5; margin: 0 0 6px; } p b { color: var(--ink); }"


class TowerUpload:
    """A location, a file button, and a button to remove the tower.

    Parameters
    ----------
    state : State
        Gets messages; its pixel is the default location.
    data : ExplorerData
        The store on screen.
    on_tower : callable
        Called with the UploadedTower once its file is read.
    on_remove : callable, optional
        Called to remove the uploaded tower; None where there is none.
    """

    def __init__(
        self,
        state: State,
        data: ExplorerData,
        on_tower: Callable[[UploadedTower], None],
        on_remove: Callable[[], None] | None = None,
    ):
        self.state, self.data, self.on_tower = state, data, on_tower
        self.location = pn.widgets.TextInput(
            width=230,
            label="Latitude, longitude of the tower (WGS 84)",
            css_classes=["no-label", "text-field"],
        )
        self.file = FileUpload(
            state,
            self._start_reading,
            UPLOAD_BYTES,
            "load the daily (DD) file or the SUBSET zip",
            text="Tower file",
            accept=",".join(TOWER_ENDINGS),
        )
        self.remove = pn.widgets.Button(label="Take it away", visible=on_remove is not None)
        self.remove.on_click(lambda _: on_remove())
        state.watch(self._update, ["places", "current"])
        self._update()
        row = pn.Row(
            self.location,
            self.file,
            self.remove,
            sizing_mode="stretch_width",
            css_classes=["wrap", "gap-6", "middle"],
        )
        text = HTML(HELP, sizing_mode="stretch_width", stylesheets=[_TEXT])
        self.view = pn.Column(text, row, sizing_mode="stretch_width", margin=(12, 0, 8, 0))

    def _update(self, *_) -> None:
        if self.state.pixel is not None:
            row, col = self.state.pixel
            self.location.placeholder = f"Lat, lon (empty: pixel {row}, {col})"

    def _start_reading(self, name: str, content: bytes) -> None:
        try:
            # What is typed and not yet confirmed with Enter counts too: the file is often chosen straight after typing.
            text = self.location.value_input or self.location.value
            lon, lat = parse_location(self.data.scene, text, self.state.pixel)
        except InputError as error:
            self.state.message = str(error)
            return
        # Scheduled, since the upload's handler cannot wait: the page shows that the file is being read.
        pn.state.execute(partial(self._read, name, content, lon, lat))

    async def _read(self, name: str, content: bytes, lon: float, lat: float) -> None:
        self.file.text = "Reading"
        notes: list[str] = []

        def read() -> UploadedTower:
            with collect_data_warnings(notes):
                return read_tower_file(self.data.scene, name, content, lon, lat)

        try:
            # In a thread: a table of half-hours takes seconds, in which no other session may wait.
            uploaded = await asyncio.to_thread(read)
        except InputError as error:
            self.state.message = str(error)
        except Exception as error:  # whatever a file does, the page says it and lives
            self.state.message = (
                f"Got a tower file that cannot be read ({str(error)[:80]}); load another one."
            )
        else:
            self.on_tower(uploaded)
            self.state.notes = notes
        self.file.text = "Tower file"
