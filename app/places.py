"""Areas and points as places: drawn on the map, of an uploaded file, of a permalink; and places as GeoJSON."""

import json
from pathlib import Path

import numpy as np
import shapely
from fluxlens.app.data.areas import sample_members
from fluxlens.app.data.data_warnings import collect_data_warnings
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.typed_place import parse_typed_place
from fluxlens.app.data.uploaded_file import uploaded_file
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.state.place import Place
from fluxlens.app.state.selection import State
from fluxlens.embeddings.export import geometries
from fluxlens.embeddings.export.geojson import has_features, read_features
from fluxlens.embeddings.export.geometries import first_few
from fluxlens.models.errors import InputError

MAX_CORNERS = 200
"""A drawn outline keeps at most that many corners."""
MAX_AREA_CORNERS = 50_000
"""Of an uploaded area: its outline is drawn, is a key of what is read of it, and is cut into pixels again and again."""


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
        rows, cols, _ = sample_members(data.grid, area, data.scene.covers)
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


def add_uploaded_places(state: State, data: ExplorerData, name: str, content: bytes) -> None:
    """Add the features of an uploaded file, each a place with its name: polygons as areas, points as pixels.

    Parameters
    ----------
    state : State
        Gets the places, or the message on what is wrong.
    data : ExplorerData
        The store on screen.
    name : str
        The user's file name.
    content : bytes
        The file, in any form that ``embeddings.export.geometries`` reads.
    """
    notes: list[str] = []
    try:
        with uploaded_file(name, content, "places.geojson") as path, collect_data_warnings(notes):
            uploaded = read_places(path)
    except InputError as error:
        state.message = str(error)
        return
    free = len(PLACE_COLOURS) - len(state.places)
    if not free:
        state.message = f"Got {len(PLACE_COLOURS)} places already, need a free colour; remove a place first."
        return
    outside, beyond = [], []
    for number, place in enumerate(uploaded, 1):
        before = len(state.places)
        # Colours are what tells places apart in charts: there are no more places than colours.
        if before == len(PLACE_COLOURS):
            beyond.append(place.name or str(number))
            continue
        if isinstance(place, geometries.Point):
            _add_point(state, data, place)
        else:
            add_area(state, data, place.geometry, place.name)
        if len(state.places) == before:
            outside.append(place.name or str(number))
    if len(outside) == len(uploaded):
        return  # with the message that says so
    # One that is outside is said, and does not keep the others from the charts.
    if outside:
        notes.append(
            f"{len(outside)} features have no pixel centre in the scene: left out ({first_few(outside)})."
        )
    if beyond:
        notes.append(
            f"{len(uploaded)} features, of which {free} have a free colour: left out ({first_few(beyond)})."
        )
    state.param.update(message="", notes=notes)


def _add_point(state: State, data: ExplorerData, point: geometries.Point) -> None:
    """Add the pixel at a point; sets ``state.message`` outside the scene."""
    try:
        data.grid.pixel(point.lon, point.lat)  # its words on a point outside name lon and lat
        row, col = data.locate(*(float(metres) for metres in data.grid.xy(point.lon, point.lat)))
    except InputError as error:
        state.message = str(error)
        return
    state.pin(row, col, add=True, name=point.name)


def go_to(state: State, data: ExplorerData, text: str, add: bool = False) -> bool:
    """Choose the pixel at coordinates that the user typed; sets ``state.message`` where there is none.

    Parameters
    ----------
    state : State
        Its current place moves; gets another one where that is an area, or with ``add``.
    data : ExplorerData
        The store on screen.
    text : str
        Latitude and longitude, as ``geometries.parse_latlon`` reads them.
    add : bool
        Keep the current place and add one.

    Returns
    -------
    bool
        Whether there is a pixel.
    """
    try:
        point = parse_typed_place(data.grid, text)
        row, col = data.locate(*(float(metres) for metres in data.grid.xy(point.lon, point.lat)))
    except InputError as error:
        state.message = str(error)
        return False
    state.message = ""
    state.pin(row, col, add=add)
    # Of more places than there are colours, ``pin`` says so.
    return not state.message


def read_places(path: Path) -> list[geometries.Region] | list[geometries.Point]:
    """Areas or points of a file, by what it holds.

    Parameters
    ----------
    path : pathlib.Path
        GeoJSON, KML, KMZ, GPX, a GeoPackage, a shapefile (.shp, or zipped), or a table with lon and lat.

    Returns
    -------
    list of Region or list of Point
        One a feature.

    Raises
    ------
    InputError
        The file is none of these, is damaged, mixes polygons with others, or has an outline of too many corners.
    """
    if not has_features(path):
        return geometries.read_points(path)
    features, _ = read_features(path)
    # Content decides and not the suffix: GeoJSON, KML and GeoPackages hold points as well as areas.
    kinds = {(feature.get("geometry") or {}).get("type") for feature in features}
    if not kinds & {"Polygon", "MultiPolygon"}:
        return geometries.read_points(path)
    regions = geometries.read_polygon(path)
    for region in regions:
        corners = int(shapely.get_num_coordinates(region.geometry))
        if corners > MAX_AREA_CORNERS:
            raise InputError(
                f"Got an area of {corners:,} corners in {path.name}, need at most {MAX_AREA_CORNERS:,} on screen;"
                " simplify the outline."
            )
    return regions


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
