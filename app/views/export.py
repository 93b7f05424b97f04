"""The export of the chosen pins, or of the chosen area: values, coordinates, units, where they come from."""

import io
import tempfile
from pathlib import Path

import numpy as np
import panel as pn

from app import export
from app.data import Data
from app.state import State
from app.views.places import geojson, label
from app.views.style import sheets

FORMATS = {"CSV": ".csv", "Parquet": ".parquet", "NetCDF": ".nc", "GeoJSON": ".geojson"}


def file_name(state: State, data: Data, suffix: str) -> str:
    """Such as fluxlens_r20_c28_2020-03-01_2020-10-31_simulated.csv."""
    place = state.place
    pins = [held for held in state.places if not held.area]
    what = f"r{place.row}_c{place.col}" if len(pins) < 2 else f"{len(pins)}_pins"
    if suffix == ".geojson":
        what = f"{len(state.places)}_places"
    elif place.area:
        what = f"area_r{place.row}_c{place.col}"
    made = "_simulated" if data.simulated else ""
    return f"fluxlens_{what}_{data.first}_{data.last}{made}{suffix}"


def places_file(state: State, data: Data, suffix: str) -> io.BytesIO:
    """The bytes of a file: of the current area every pixel, else of all pins, every day; or the places themselves."""
    if suffix == ".geojson":
        return io.BytesIO(geojson(state.places, data).encode())
    if state.place.area:
        asked = {"polygon": [[np.asarray(ring) for ring in rings] for rings in state.place.area]}
    else:
        pins = [place for place in state.places if not place.area]
        named = len(pins) > 1
        asked = {
            "points": [
                export.Point(
                    *(float(v) for v in data.grid.lonlat(*data.centre(pin.row, pin.col))),
                    label(pin) if named else "",
                )
                for pin in pins
            ]
        }
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / f"places{suffix}"
        export.to_file(data.store, path, **asked)
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
        state.watch(self._rename, ["places", "current"])
        self._rename()
        self.view = pn.Row(self.format, self.button, margin=0, stylesheets=[":host { gap: 4px; }"])

    def _rename(self, *_) -> None:
        place = self.state.place
        if place is None:
            return
        pins = sum(not held.area for held in self.state.places)
        self.button.filename = file_name(self.state, self.data, self.format.value)
        self.button.label = (
            "Export area" if place.area else f"Export {pins} pins" if pins > 1 else "Export pixel"
        )

    def _file(self) -> io.BytesIO | None:
        try:
            return places_file(self.state, self.data, self.format.value)
        except Exception as error:  # a full disk or a broken store: the page says it and lives
            self.state.message = f"Got no file ({error}); try another format."
            return None
