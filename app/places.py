"""Areas as places: drawn on the map, uploaded as GeoJSON, restored from a permalink; and places as GeoJSON."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import shapely
from fluxlens.app.data.areas import sample_members
from fluxlens.app.data.data_warnings import collect_data_warnings
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.state.place import Place
from fluxlens.app.state.selection import State
from fluxlens.embeddings.export import geometries
from fluxlens.embeddings.export.geometries import first_few
from fluxlens.models.errors import InputError

MAX_CORNERS = 200
"""A drawn outline keeps at most that many corners."""


def add_area(
    state: State,
    data: ExplorerData,
    area: shapely.Polygon | shapely.MultiPolygon,
    name: str = "",
    slot: int | None = None,
) -> None:
    """Add a place for an area; sets ``state.message`` where none of its pixels is in the scene.

    Parameters
    ----------
    state : State
        Gets the place.
    data : ExplorerData
        The store on screen.
    area : shapely.Polygon or shapely.MultiPolygon
        In lon, lat (degrees, WGS 84), valid or not.
    name : str
        Name of the place; empty: "Area 1" and so on.
    slot : int, optional
        As ``State.pin`` takes it.
    """
    # Seven decimals of a degree are a centimetre; areas are cache keys and parts of permalinks.
    area = shapely.transform(area, lambda lonlat: np.round(lonlat, 7))
    try:
        rows, cols, _ = sample_members(data.grid, area, data.scene.holds)
    except InputError as error:
        state.message = str(error)
        return
    # A member nearest to the mean: the mean itself may lie outside a bent area.
    middle = np.hypot(rows - rows.mean(), cols - cols.mean()).argmin()
    state.pin(int(rows[middle]), int(cols[middle]), area, name=name, slot=slot)


def add_outline(state: State, data: ExplorerData, xs: list[float], ys: list[float]) -> None:
    """Add the area inside a line drawn on the map.

    Parameters
    ----------
    state : State
        Gets the place.
    data : ExplorerData
        The store on screen.
    xs, ys : list of float
        Corners, metres of the scene's CRS; the line need not be closed.
    """
    # A drag sends hundreds of corners, which would fill the link without changing the pixels inside.
    step = max(1, len(xs) // MAX_CORNERS)
    lon, lat = data.grid.lonlat(np.array(xs[::step]), np.array(ys[::step]))
    ring = np.column_stack([lon, lat])
    if len(ring) < 3:
        state.message = "Got a line too short, need an outline; drag around the area."
        return
    add_area(state, data, shapely.Polygon(ring))


def add_uploaded_area(state: State, data: ExplorerData, content: bytes) -> None:
    """Add the areas of an uploaded GeoJSON: a place with its name for each feature.

    Parameters
    ----------
    state : State
        Gets the places, or the message on what is wrong.
    data : ExplorerData
        The store on screen.
    content : bytes
        The file.
    """
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / "the file"
        path.write_bytes(content)
        try:
            notes: list[str] = []
            with collect_data_warnings(notes):
                regions = geometries.read_polygon(path)
        except InputError as error:
            state.message = str(error).replace(f"{folder}{os.sep}", "")
            return
    free = len(PLACE_COLOURS) - len(state.places)
    if not free:
        state.message = f"Got {len(PLACE_COLOURS)} places already, need a free colour; remove a place first."
        return
    outside: list[str] = []
    for number, region in enumerate(regions[:free], 1):
        before = len(state.places)
        add_area(state, data, region.geometry, region.name)
        if len(state.places) == before:
            outside.append(region.name or str(number))
    if len(outside) == len(regions[:free]):
        return  # with the message that says so
    # One that is outside is said, and does not keep the others from the charts.
    if outside:
        notes.append(
            f"{len(outside)} features have no pixel centre in the scene: left out ({first_few(outside)})."
        )
    if len(regions) > free:
        names = first_few([region.name or str(n) for n, region in enumerate(regions, 1)][free:])
        notes.append(f"{len(regions)} features, of which {free} have a free colour: left out ({names}).")
    state.param.update(message="", notes=notes)


def to_geojson(places: list[Place], data: ExplorerData) -> str:
    """Places as GeoJSON features with their colours, which an upload or ``fluxlens export`` takes again.

    Parameters
    ----------
    places : list of Place
        Pixels become Points, areas MultiPolygons, in lon, lat.
    data : ExplorerData
        The store on screen.
    """
    features = []
    for place in places:
        # The centre of the pixel; RFC 7946 has longitude first.
        lon, lat = data.grid.lonlat(*data.centre(place.row, place.col))
        geometry = {"type": "Point", "coordinates": [float(lon), float(lat)]}
        if place.area:
            geometry = shapely.geometry.mapping(place.area)
        properties = {
            "name": place.label,
            "row": place.row,
            "col": place.col,
            "colour": PLACE_COLOURS[place.slot],
        }
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1)
