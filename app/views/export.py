"""Export of the chosen pins, the chosen area, many points, the charts, or the map itself."""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import panel as pn
from fluxlens.app.data import chart_table
from fluxlens.app.data.data_warnings import collect_data_warnings
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.uploaded_file import PLACES_BYTES, PLACES_ENDINGS, uploaded_file
from fluxlens.app.places import to_geojson
from fluxlens.app.plots import map_sheet
from fluxlens.app.state.selection import State
from fluxlens.app.views.file_upload import FileUpload
from fluxlens.embeddings.export import extract, geometries, replay, writers
from fluxlens.models.errors import InputError

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
MAP_FORMATS = (".png", ".tif")
CHART_FORMATS = (".charts.csv", ".charts.nc")
"""What the charts show, with tower and weather; the other formats hold the embedding."""
ADVICE_OF_POLYGONS = ("give the file as --polygon", "load it as places, which are areas then")
"""Advice of the command line, and that of the screen in its place."""
MAX_ROWS = 500_000
"""Pixels x days of one export from the screen; the command line allows more."""


def file_name(
    state: State, data: ExplorerData, suffix: str, points: list[geometries.Point] | None = None
) -> str:
    """Name of the exported file, such as fluxlens_r20_c28_2020-03-01_2020-10-31_simulated.csv.

    Parameters
    ----------
    state : State
        Places, layer and day.
    data : ExplorerData
        The store on screen.
    suffix : str
        A value of ``FORMATS``.
    points : list of Point, optional
        Uploaded points, which are exported instead of the places.
    """
    place = state.place
    pins = [one for one in state.places if not one.area]
    what = f"r{place.row}_c{place.col}" if len(pins) < 2 else f"{len(pins)}_pins"
    if points:
        what = f"{len(points)}_points"
    elif suffix == ".geojson":
        what = f"{len(state.places)}_places"
    elif place.area:
        what = f"area_r{place.row}_c{place.col}"
    # In the name as well as inside: a file is passed on without the page that made it.
    made = "_simulated" if data.simulated else ""
    if suffix in MAP_FORMATS:
        return f"fluxlens_{state.layer}_{state.day}{made}{suffix}"
    return f"fluxlens_{what}_{data.first}_{data.last}{made}{suffix}"


def parse_points(data: ExplorerData, name: str, content: bytes) -> list[geometries.Point]:
    """Points of an uploaded file: a table, GeoJSON, KML, KMZ, GPX, a GeoPackage or a shapefile.

    Parameters
    ----------
    data : ExplorerData
        The store on screen.
    name : str
        The user's file name, of which only the suffix is used.
    content : bytes
        The file.

    Raises
    ------
    InputError
        The file is broken, a point is outside the scene, or there are too many.
    """
    with uploaded_file(name, content, "points.csv") as path:
        try:
            points = geometries.read_points(path)
        except InputError as error:
            raise InputError(str(error).replace(*ADVICE_OF_POLYGONS)) from error
    for point in points:
        # Raises outside the scene: better now than when the export is asked for.
        data.grid.pixel(point.lon, point.lat)
    _check_rows(len(points), data)
    return points


def _check_rows(pixels: int, data: ExplorerData) -> None:
    if pixels * len(data.days) > MAX_ROWS:
        raise InputError(
            f"Got {pixels:,} pixels x {len(data.days)} days, need at most {MAX_ROWS:,} here; use `fluxlens export`."
        )


def export_places(
    state: State, data: ExplorerData, points: list[geometries.Point] | None = None
) -> dict[str, Any]:
    """Points or polygon as ``export.collect`` takes them: those uploaded, the current area, or all pins.

    Parameters
    ----------
    state : State
        The places.
    data : ExplorerData
        The store on screen.
    points : list of Point, optional
        Uploaded points.
    """
    if points:
        return {"points": points}
    if state.place.area:
        _check_rows(int(geometries.pixels_inside(data.grid, [state.place.area]).sum()), data)
        return {"polygon": [state.place.area]}
    # Areas other than the current one are left out: a table holds one kind of place.
    pins = [place for place in state.places if not place.area]
    named = len(pins) > 1
    # Centres of pixels: the file says what was read, not where the map was tapped.
    return {
        "points": [
            geometries.Point(
                *(float(v) for v in data.grid.lonlat(*data.centre(pin.row, pin.col))),
                pin.label if named else "",
            )
            for pin in pins
        ]
    }


def file_content(
    state: State,
    data: ExplorerData,
    suffix: str,
    points: list[geometries.Point] | None = None,
    extent: tuple | None = None,
) -> io.BytesIO:
    """Bytes of the exported file.

    Parameters
    ----------
    state : State
        Places, layer and day.
    data : ExplorerData
        The store on screen.
    suffix : str
        A value of ``FORMATS``.
    points : list of Point, optional
        Uploaded points, which are exported instead of the places.
    extent : tuple of float, optional
        (left, bottom, right, top) of the map on screen, metres, for the PNG.
    """
    if suffix == ".png":
        return io.BytesIO(map_sheet.render_png(state, data, extent))
    if suffix == ".geojson":
        return io.BytesIO(to_geojson(state.places, data).encode())
    # What is written first: a zipped Zarr is a folder until the end, a replay file describes a table.
    written_suffix = {".zarr.zip": ".zarr", ".json": ".csv"}.get(suffix, Path(f"x{suffix}").suffix)
    if suffix == ".tif":
        result = map_sheet.layer_dataset(state, data)
    elif suffix in CHART_FORMATS:
        pins = [place for place in state.places if not place.area]
        places = [state.place] if state.place.area else pins
        make = chart_table.make_table if written_suffix == ".csv" else chart_table.make_cube
        result = make(data, places, [place.label for place in places])
    else:
        selection = export_places(state, data, points)
        result, _ = extract.collect(data.store, written_suffix, **selection)
    if suffix == ".json":
        recipe = replay.from_export(result, file_name(state, data, written_suffix, points), "", **selection)
        return io.BytesIO(replay.text(recipe).encode())
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        # Through a file even for a download: netCDF and Zarr cannot be written to memory.
        path = Path(folder) / f"places{written_suffix}"
        writers.write(result, path)
        # A Zarr is a folder, and a browser downloads one file.
        if suffix == ".zarr.zip":
            path = Path(shutil.make_archive(str(Path(folder) / "packed"), "zip", path))
        return io.BytesIO(path.read_bytes())


def csv_text(table: pd.DataFrame) -> str:
    """A ``table`` as the text of a CSV file, with its metadata as all exports have them."""
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / "chart.csv"
        writers.write(table, path)
        return path.read_text(encoding="utf-8")


class ExportView:
    """A choice of format, a button, and an upload of many points.

    Parameters
    ----------
    state : State
        Places, layer and day.
    data : ExplorerData
        The store on screen.
    figure : bokeh figure, optional
        The map, whose ranges the PNG shows; None: the whole scene.
    """

    def __init__(self, state: State, data: ExplorerData, figure=None):
        self.state, self.data, self.figure = state, data, figure
        self.points: list[geometries.Point] = []
        self.format = pn.widgets.Select(
            options=FORMATS, width=134, label="Format of the export", css_classes=["no-label"]
        )
        self.button = pn.widgets.FileDownload(
            callback=self.make_file,
            filename=file_name(state, data, ".csv"),
            label="Export pixel",
            # ``auto``: one click; ``embed=False``: the file is made when it is asked for, not with every page.
            auto=True,
            embed=False,
            width=122,
            css_classes=["primary"],
        )
        self.points_upload = FileUpload(
            state,
            self._set_points,
            PLACES_BYTES,
            "split the file",
            text="Many points",
            accept=",".join(PLACES_ENDINGS),
        )
        self.format.param.watch(self._update_button, "value")
        state.watch(self._drop_points, ["places", "current"])
        state.watch(self._update_button, ["layer", "day"])
        self._update_button()
        self.view = pn.Row(self.format, self.button, self.points_upload, css_classes=["wrap", "gap-4"])

    def _set_points(self, name: str, content: bytes) -> None:
        """Points of a file are exported until another place is chosen."""
        try:
            notes: list[str] = []
            with collect_data_warnings(notes):
                self.points = parse_points(self.data, name, content)
            self.state.param.update(message="", notes=notes)
        except InputError as error:
            self.state.message = str(error)
        self._update_button()

    def _drop_points(self, *_) -> None:
        self.points = []
        self._update_button()

    def _update_button(self, *_) -> None:
        place, suffix = self.state.place, self.format.value
        if place is None:
            return
        pins = sum(not one.area for one in self.state.places)
        one = "area" if place.area else f"{pins} pins" if pins > 1 else "pixel"
        points = [] if suffix in CHART_FORMATS else self.points  # the charts show only the chosen places
        what = "map" if suffix in MAP_FORMATS else f"{len(points)} points" if points else one
        # Of the widget, since what ``make_file`` returns has no name.
        self.button.filename = file_name(self.state, self.data, suffix, points)
        self.button.label = f"Export {what}"

    def _extent(self) -> tuple | None:
        """(left, bottom, right, top) of the map on screen, metres."""
        if self.figure is None:
            return None
        # What the user has zoomed to, as the browser last sent it.
        across, down = self.figure.x_range, self.figure.y_range
        return across.start, down.start, across.end, down.end

    def make_file(self) -> io.BytesIO | None:
        """The file of the current choices; None, and a message, where it cannot be made."""
        try:
            return file_content(self.state, self.data, self.format.value, self.points, self._extent())
        except InputError as error:
            self.state.message = str(error)
        except Exception as error:  # a full disk or a broken store: the page says it and lives
            self.state.message = f"Got no file ({error}); try another format."
        return None
