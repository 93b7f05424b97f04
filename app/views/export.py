"""The export of the chosen pins, of the chosen area, of many points, or of the map itself."""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn

from app import charted, export, files, replay, sheet
from app.data import Data
from app.state import State
from app.views.places import UPLOAD_BYTES, geojson, label
from app.views.style import sheets
from app.views.upload import Upload
from models.errors import InputError

FORMATS = {
    "CSV": ".csv",
    "Parquet": ".parquet",
    "NetCDF": ".nc",
    "Zarr": ".zarr.zip",
    "Charts: CSV": ".charts.csv",
    "Charts: NetCDF": ".charts.nc",
    "GeoJSON": ".geojson",
    "Replay file": ".json",
    "Map: PNG": ".png",
    "Map: GeoTIFF": ".tif",
}
MAPS = (".png", ".tif")
CHARTS = (".charts.csv", ".charts.nc")
"""What the charts show, the tower and the weather beside it; the others hold the embedding."""
ROWS_AT_MOST = 500_000
"""Pixels times days that one visitor may ask for; the command line gives more."""


def file_name(state: State, data: Data, suffix: str, points: list[export.Point] | None = None) -> str:
    """Such as fluxlens_r20_c28_2020-03-01_2020-10-31_simulated.csv."""
    place = state.place
    pins = [held for held in state.places if not held.area]
    what = f"r{place.row}_c{place.col}" if len(pins) < 2 else f"{len(pins)}_pins"
    if points:
        what = f"{len(points)}_points"
    elif suffix == ".geojson":
        what = f"{len(state.places)}_places"
    elif place.area:
        what = f"area_r{place.row}_c{place.col}"
    made = "_simulated" if data.simulated else ""
    if suffix in MAPS:
        return f"fluxlens_{state.layer}_{state.day}{made}{suffix}"
    return f"fluxlens_{what}_{data.first}_{data.last}{made}{suffix}"


def uploaded(data: Data, name: str, content: bytes) -> list[export.Point]:
    """The points of an uploaded CSV or GeoJSON, all in the scene; of its name only the ending is looked at."""
    suffix = ".geojson" if name.lower().endswith((".geojson", ".json")) else ".csv"
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / f"points{suffix}"
        path.write_bytes(content)
        try:
            points = export.read_points(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), "the file")) from error
    for point in points:
        data.grid.pixel(point.lon, point.lat)
    _bounded(len(points), data)
    return points


def _bounded(pixels: int, data: Data) -> None:
    if pixels * len(data.days) > ROWS_AT_MOST:
        raise InputError(
            f"Got {pixels:,} pixels x {len(data.days)} days, need at most {ROWS_AT_MOST:,} here; use `fluxlens export`."
        )


def asked(state: State, data: Data, points: list[export.Point] | None = None) -> dict[str, Any]:
    """Points or polygon as ``export.answer`` takes them: those uploaded, the current area, or all pins."""
    if points:
        return {"points": points}
    if state.place.area:
        polygon = [[np.asarray(ring) for ring in rings] for rings in state.place.area]
        _bounded(int(export.pixels_inside(data.grid, polygon).sum()), data)
        return {"polygon": polygon}
    pins = [place for place in state.places if not place.area]
    named = len(pins) > 1
    return {
        "points": [
            export.Point(
                *(float(v) for v in data.grid.lonlat(*data.centre(pin.row, pin.col))),
                label(pin) if named else "",
            )
            for pin in pins
        ]
    }


def content(
    state: State,
    data: Data,
    suffix: str,
    points: list[export.Point] | None = None,
    sight: tuple | None = None,
) -> io.BytesIO:
    """The bytes of a file: the map, the places themselves, what was asked, or the values of every day."""
    if suffix == ".png":
        return io.BytesIO(sheet.png(state, data, sight))
    if suffix == ".geojson":
        return io.BytesIO(geojson(state.places, data).encode())
    form = {".zarr.zip": ".zarr", ".json": ".csv"}.get(suffix, Path(f"x{suffix}").suffix)
    if suffix == ".tif":
        found = sheet.bands(state, data)
    elif suffix in CHARTS:
        pins = [place for place in state.places if not place.area]
        places = [state.place] if state.place.area else pins
        make = charted.table if form == ".csv" else charted.cube
        found = make(data, places, [label(place) for place in places])
    else:
        place = asked(state, data, points)
        found, _ = export.answer(data.store, form, **place)
    if suffix == ".json":
        told = replay.of(found, file_name(state, data, form, points), "", **place)
        return io.BytesIO(replay.text(told).encode())
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / f"places{form}"
        files.write(found, path)
        if suffix == ".zarr.zip":
            path = Path(shutil.make_archive(str(Path(folder) / "packed"), "zip", path))
        return io.BytesIO(path.read_bytes())


class ExportView:
    """A choice of format, a button, and a file of many points."""

    def __init__(self, state: State, data: Data, figure=None):
        self.state, self.data, self.figure = state, data, figure
        self.points: list[export.Point] = []
        self.format = pn.widgets.Select(options=FORMATS, width=134, margin=0, stylesheets=sheets())
        self.button = pn.widgets.FileDownload(
            callback=self._file,
            filename=file_name(state, data, ".csv"),
            label="Export pixel",
            auto=True,
            embed=False,
            width=122,
            margin=0,
            css_classes=["primary"],
            stylesheets=sheets(),
        )
        self.many = Upload(
            state,
            self._take,
            UPLOAD_BYTES,
            "split the file",
            words="Many points",
            accept=".csv,.geojson,.json",
        )
        self.format.param.watch(self._rename, "value")
        state.watch(self._forget, ["places", "current"])
        state.watch(self._rename, ["layer", "day"])
        self._rename()
        self.view = pn.Row(self.format, self.button, self.many, margin=0, stylesheets=[":host { gap: 4px; }"])

    def _take(self, name: str, content: bytes) -> None:
        """Points of a file are what is exported until another place is chosen."""
        try:
            self.points = uploaded(self.data, name, content)
            self.state.message = ""
        except InputError as error:
            self.state.message = str(error)
        self._rename()

    def _forget(self, *_) -> None:
        self.points = []
        self._rename()

    def _rename(self, *_) -> None:
        place, suffix = self.state.place, self.format.value
        if place is None:
            return
        pins = sum(not held.area for held in self.state.places)
        one = "area" if place.area else f"{pins} pins" if pins > 1 else "pixel"
        points = [] if suffix in CHARTS else self.points  # the charts show the chosen places alone
        what = "map" if suffix in MAPS else f"{len(points)} points" if points else one
        self.button.filename = file_name(self.state, self.data, suffix, points)
        self.button.label = f"Export {what}"

    def _sight(self) -> tuple | None:
        """What of the map is on screen, metres."""
        if self.figure is None:
            return None
        across, down = self.figure.x_range, self.figure.y_range
        return across.start, down.start, across.end, down.end

    def _file(self) -> io.BytesIO | None:
        try:
            return content(self.state, self.data, self.format.value, self.points, self._sight())
        except InputError as error:
            self.state.message = str(error)
        except Exception as error:  # a full disk or a broken store: the page says it and lives
            self.state.message = f"Got no file ({error}); try another format."
        return None
