"""The export of the tapped pixel: one file with values, coordinates, units and where they come from."""

import io
import tempfile
from pathlib import Path

import panel as pn

from app import export
from app.data import Data
from app.state import State
from app.views.style import sheets

FORMATS = {"CSV": ".csv", "Parquet": ".parquet", "NetCDF": ".nc"}


def file_name(state: State, data: Data, suffix: str) -> str:
    """Such as fluxlens_r20_c28_2020-03-01_2020-10-31_simulated.csv."""
    row, col = state.pixel
    made = "_simulated" if data.simulated else ""
    return f"fluxlens_r{row}_c{col}_{data.first}_{data.last}{made}{suffix}"


def pixel_file(state: State, data: Data, suffix: str) -> io.BytesIO:
    """The current pixel's days as the bytes of a file."""
    point = export.Point(*(float(v) for v in data.grid.lonlat(*data.centre(*state.pixel))))
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / f"pixel{suffix}"
        export.to_file(data.store, path, points=[point])
        return io.BytesIO(path.read_bytes())


class ExportView:
    """A choice of format and a button."""

    def __init__(self, state: State, data: Data):
        self.state, self.data = state, data
        self.format = pn.widgets.Select(options=FORMATS, width=92, margin=0, stylesheets=sheets())
        self.button = pn.widgets.FileDownload(
            callback=self._file,
            filename=file_name(state, data, ".csv"),
            label="Export pixel",
            auto=True,
            embed=False,
            width=96,
            margin=0,
            css_classes=["primary"],
            stylesheets=sheets(),
        )
        self.format.param.watch(self._rename, "value")
        state.param.watch(self._rename, "pins")
        self.view = pn.Row(self.format, self.button, margin=0, stylesheets=[":host { gap: 4px; }"])

    def _rename(self, *_) -> None:
        if self.state.pixel is not None:
            self.button.filename = file_name(self.state, self.data, self.format.value)
            self.button.label = "Export pixel"

    def _file(self) -> io.BytesIO | None:
        try:
            return pixel_file(self.state, self.data, self.format.value)
        except Exception as error:  # a full disk or a broken store: the page says it and lives
            self.state.message = f"Got no file ({error}); try another format."
            return None
