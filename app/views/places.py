"""The chosen places: a coloured button each, one more, one less, an area drawn or from a file."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import panel as pn

from app import areas, export
from app.data import Data
from app.state import COLOURS, Place, State
from app.views.style import sheets
from app.views.upload import Upload
from models.errors import InputError

UPLOAD_BYTES = 2**20
CORNERS = 200
"""A drawn outline keeps at most that many corners."""


def add_area(state: State, data: Data, polygons: list[list[np.ndarray]]) -> None:
    """A place of its own for polygons in lon, lat; a message where none of their pixels is in the scene."""
    area = tuple(tuple(tuple(map(tuple, np.round(ring, 7).tolist())) for ring in rings) for rings in polygons)
    try:
        rows, cols, _ = areas.members(data, area)
    except InputError as error:
        state.message = str(error)
        return
    middle = np.hypot(rows - rows.mean(), cols - cols.mean()).argmin()
    state.pin(int(rows[middle]), int(cols[middle]), area)


def outlined(state: State, data: Data, xs: list[float], ys: list[float]) -> None:
    """The area inside a line drawn on the map, metres."""
    step = max(1, len(xs) // CORNERS)
    lon, lat = data.grid.lonlat(np.array(xs[::step]), np.array(ys[::step]))
    ring = np.column_stack([lon, lat])
    if len(ring) < 3:
        state.message = "Got a line too short, need an outline; drag around the area."
        return
    add_area(state, data, [[np.concatenate([ring, ring[:1]])]])


def uploaded(state: State, data: Data, content: bytes) -> None:
    """The area of an uploaded GeoJSON."""
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / "the file"
        path.write_bytes(content)
        try:
            polygons = export.rings_of(export.read_polygon(path))
        except InputError as error:
            state.message = str(error).replace(f"{folder}{os.sep}", "")
            return
    add_area(state, data, polygons)


def geojson(places: list[Place], data: Data) -> str:
    """The places as GeoJSON features with their colours: what an upload or ``fluxlens export`` takes again."""
    features = []
    for place in places:
        lon, lat = data.grid.lonlat(*data.centre(place.row, place.col))
        shape = {"type": "Point", "coordinates": [float(lon), float(lat)]}
        if place.area:
            shape = {"type": "MultiPolygon", "coordinates": place.area}
        told = {"name": label(place), "row": place.row, "col": place.col, "colour": COLOURS[place.slot]}
        features.append({"type": "Feature", "properties": told, "geometry": shape})
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1)


def label(place: Place) -> str:
    return f"area {place.slot + 1}" if place.area else f"{place.row}, {place.col}"


class PlacesView:
    """Buttons of the places above the charts."""

    def __init__(self, state: State, data: Data, draw, last: list[pn.viewable.Viewable] = ()):
        self.state, self.data, self.last = state, data, last
        self.chips = pn.widgets.RadioButtonGroup(margin=0, css_classes=["quiet", "places"])
        self.more = pn.widgets.Toggle(label="+ Pin", margin=0, css_classes=["quiet"], stylesheets=sheets())
        self.draw = pn.widgets.Toggle(
            label="Draw area", margin=0, css_classes=["quiet"], stylesheets=sheets()
        )
        self.less = pn.widgets.Button(label="Remove", margin=0, stylesheets=sheets())
        self.file = Upload(
            state,
            lambda _, content: uploaded(state, data, content),
            UPLOAD_BYTES,
            "simplify the outline",
            words="Area from GeoJSON",
            accept=".geojson,.json",
        )
        self.draw.param.watch(lambda event: draw(event.new), "value")
        self.less.on_click(lambda _: state.remove())
        self.chips.param.watch(lambda event: setattr(state, "current", event.new), "value")
        state.watch(self._update, ["places", "current"])
        self._update()

    def _update(self, *_) -> None:
        places = self.state.places
        dots = "".join(
            f".bk-btn:nth-child({n})::before {{ content: ''; display: inline-block; width: 9px; height: 9px; "
            f"border-radius: 5px; margin-right: 6px; background: {COLOURS[place.slot]}; }}"
            for n, place in enumerate(places, 1)
        )
        options = {label(place): place.slot for place in places}
        with pn.io.hold():
            self.chips.param.update(options=options, value=self.state.current, stylesheets=sheets(dots))
        self.less.disabled = len(places) < 2

    @property
    def view(self) -> pn.Row:
        return pn.Row(
            self.chips,
            self.more,
            self.draw,
            self.less,
            self.file,
            *self.last,
            sizing_mode="stretch_width",
            margin=(0, 0, 6, 0),
            stylesheets=[":host { flex-wrap: wrap; gap: 6px; align-items: center; }"],
        )
