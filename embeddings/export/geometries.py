"""Places of exports: points, tables of points and polygons of GeoJSON and of GIS programs."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings.export.geojson import (
    NAME_COLUMNS,
    check_file,
    feature_name,
    has_features,
    paused_collector,
    read_features,
    transform_of,
)
from fluxlens.embeddings.export.polygons import (
    Region,
    pixels_inside,
    regions_of,
    rings_of,
    valid_shapes,
)
from fluxlens.embeddings.place_columns import (
    crs_of_text,
    find_geometry_column,
    parse_degrees,
    parse_geometry,
    read_places,
)
from fluxlens.embeddings.text_cells import find_column
from fluxlens.embeddings.text_table import UNNAMED, read_table
from fluxlens.models.errors import DataWarning, InputError

__all__ = [
    "Point",
    "Region",
    "parse_at",
    "pixels_inside",
    "read_points",
    "read_polygon",
    "regions_of",
    "rings_of",
]

POINTS_AT_MOST = 100_000


@dataclass(frozen=True)
class Point:
    """A place to take the series of."""

    lon: float
    """Degrees, WGS 84."""
    lat: float
    name: str = ""

    def __post_init__(self) -> None:
        if not (-180 <= self.lon <= 180 and -90 <= self.lat <= 90):
            raise InputError(
                f"Got lon {self.lon:g}, lat {self.lat:g}, need degrees (lon -180 to 180, lat -90 to 90); "
                "write LON,LAT in that order."
            )


def parse_at(text: str) -> Point:
    """The point of ``LON,LAT``.

    Parameters
    ----------
    text : str
        Two numbers in degrees, such as ``4.2,50.75``; in either order where both have a letter of the hemisphere, as
        maps copy them: ``50°44'45.6"N 4°03'47.2"E``.
    """
    halves = text.split(",")
    if len(halves) != 2:
        # Without a comma: each half ends with its letter, as maps copy them.
        halves = re.split(r"(?<=[NSEWnsew])\s+", text.strip())
    lon, lat = _in_order_of_letters(*map(parse_degrees, halves if len(halves) == 2 else ("", "")))
    if not np.isfinite([lon, lat]).all():
        raise InputError(f"Got --at {text!r}, need LON,LAT in degrees such as 4.2,50.75; correct it.")
    return Point(lon, lat)


def parse_latlon(text: str) -> Point:
    """The point of ``LAT, LON``, the order in which maps show and copy coordinates.

    Parameters
    ----------
    text : str
        Two numbers in degrees (WGS 84), such as ``50.746, 4.063``, or in any spelling of ``parse_degrees``, with a
        comma, a semicolon or blanks between them; in either order where both have a letter of the hemisphere.

    Raises
    ------
    InputError
        It is none of these, or no place on Earth.
    """
    pair = text.strip().strip("()")
    # The first that cuts it in two: a comma before a blank cuts where numbers have commas of their own (50,746, 4,063).
    separators = (";", r",\s+", ",", r"(?<=[NSEWnsew])\s+", r"\s+(?=[NSEWnsew])", r"\s+")
    halves = next((cut for by in separators if len(cut := re.split(by, pair)) == 2), ("", ""))
    lon, lat = _in_order_of_letters(*map(parse_degrees, reversed(halves)))
    if not (abs(lat) <= 90 and abs(lon) <= 180):  # also of NaN
        raise InputError(
            f"Got the coordinates {text.strip()[:60]!r}, need latitude and longitude in degrees, such as 50.746, 4.063;"
            " correct them."
        )
    return Point(lon, lat)


def _in_order_of_letters(lon: tuple[float, str], lat: tuple[float, str]) -> tuple[float, float]:
    """Longitude and latitude (degrees) of two results of ``parse_degrees``, swapped where both letters say so.

    NaN where one letter of the hemisphere contradicts its place.
    """
    (x, east), (y, north) = lon, lat
    if east in ("N", "S") and north in ("E", "W"):
        return y, x
    return (np.nan, np.nan) if east in ("N", "S") or north in ("E", "W") else (x, y)


def read_points(path: str | Path) -> list[Point]:
    """Points of a table, or of the Point features of a GeoJSON.

    Parameters
    ----------
    path : str or Path
        ``.geojson`` or ``.json``; KML, KMZ, GPX, a GeoPackage or a shapefile (.shp, or zipped); else a table as
        ``embeddings.text_table.read_table`` reads it, with places as of ``place_columns.read_places`` and optionally a
        column that names the points (name, site, id, plot, ...).

    Returns
    -------
    list of Point
        In the order of the file.

    Raises
    ------
    InputError
        If the file holds no points, or too many, or a cell is no number.
    """
    path = check_file(path, "points")
    if path.suffix.lower() in (".geojson", ".json") or has_features(path):
        features, to_lonlat = read_features(path)
        # GeoJSON allows features without a place; they are named.
        empty = [
            feature_name(feature) or str(number)
            for number, feature in enumerate(features, 1)
            if feature.get("geometry") is None
        ]
        if empty:
            warn(f"{len(empty)} features of {path.name} have no geometry: left out ({first_few(empty)}).")
        points = [
            _point_of(path, feature, to_lonlat) for feature in features if feature.get("geometry") is not None
        ]
    else:
        points = _points_of_csv(path)
    if not points:
        raise InputError(f"Got {path} without a single point, need at least one; add it.")
    if len(points) > POINTS_AT_MOST:
        raise InputError(
            f"Got {len(points)} points in {path}, need at most {POINTS_AT_MOST}; split the file."
        )
    return points


@paused_collector()
def read_polygon(path: str | Path) -> list[Region]:
    """Polygon and MultiPolygon features of a GeoJSON, KML, KMZ, GeoPackage or shapefile.

    Parameters
    ----------
    path : str or Path
        GeoJSON in lon, lat, or with a ``crs`` member from which it is reprojected; also one feature a line. A mark of
        byte order is accepted. A GeoPackage or shapefile (.shp, or zipped) in any coordinate system. A table with a
        column of WKT, or of GeoJSON as Earth Engine writes it (``.geo``).

    Returns
    -------
    list of Region
        One per feature. Features without a geometry are left out and invalid rings mended, both with a
        ``DataWarning``. Several features of which some have no name are named by their number.

    Raises
    ------
    InputError
        If a feature is no polygon, or a ring is broken.
    """
    path = check_file(path, "polygon")
    if path.suffix.lower() in (".geojson", ".json") or has_features(path):
        features, to_lonlat = read_features(path)
    else:
        features, to_lonlat = _features_of_table(path)
    rings, names, empty = _rings_of_features(features, path)
    regions: list[Region] = []
    mended: list[str] = []
    if rings:
        shapes, crossing = valid_shapes(rings, to_lonlat, path)
        mended = [names[at][1] for at in crossing]
        regions = [Region(shape, name) for shape, (name, _) in zip(shapes, names, strict=True)]
    notes = [
        f"{len(those)} features of {path.name} {what} ({first_few(those)})."
        for those, what in (
            (empty, "have no geometry: left out"),
            (mended, "have rings that cross: mended"),
        )
        if those
    ]
    if notes:
        warn(" ".join(notes))
    if not regions or all(region.geometry.is_empty for region in regions):
        raise InputError(f"Got {path} without a whole polygon, need rings of four or more places; add one.")
    _check_degrees(regions, path)
    # Several regions must be told apart in one table.
    if len(regions) > 1 and not all(region.name for region in regions):
        regions = [Region(region.geometry, region.name or str(i)) for i, region in enumerate(regions, 1)]
    return regions


def _rings_of_features(
    features: Iterable[dict], path: Path
) -> tuple[list[list], list[tuple[str, str]], list[str]]:
    """Rings of each feature with a geometry, its name and what messages call it; and the features without one."""
    rings_of_regions, names, empty = [], [], []
    for number, feature in enumerate(features, 1):
        name = feature_name(feature)
        geometry = feature.get("geometry")
        if geometry is None:
            empty.append(name or str(number))
            continue
        kind = geometry.get("type")
        # A line has no inside: exporting the pixels it touches would be a guess.
        if kind not in ("Polygon", "MultiPolygon"):
            raise InputError(
                f"Got a {kind} in {path}, need Polygon or MultiPolygon features; remove the others."
            )
        rings = geometry.get("coordinates")
        rings_of_regions.append([rings] if kind == "Polygon" else rings)
        names.append((name, name or str(number)))
    return rings_of_regions, names, empty


def _check_degrees(regions: list[Region], path: Path) -> None:
    """InputError where polygons are not in lon, lat, or reach over 180 degrees east."""
    import shapely

    # Metres without a CRS are far beyond degrees.
    bounds = shapely.total_bounds([region.geometry for region in regions])
    if not (bounds[0] >= -180 and bounds[1] >= -90 and bounds[2] <= 180 and bounds[3] <= 90):
        raise InputError(
            f"Got polygons from {bounds[0]:g}, {bounds[1]:g} to {bounds[2]:g}, {bounds[3]:g} in {path}, need lon, lat"
            " in degrees, or a crs member that says what they are; add it or convert them."
        )
    # A ring from 179.9 to -179.9 is a strip around the whole Earth to every library; RFC 7946 has it cut in two.
    # Ring by ring: from one part of a cut polygon to the next is no edge.
    polygons, region_of = shapely.get_parts([region.geometry for region in regions], return_index=True)
    rings, polygon_of = shapely.get_rings(polygons, return_index=True)
    corners, ring_of = shapely.get_coordinates(rings, return_index=True)
    leaps = (np.abs(np.diff(corners[:, 0])) > 180) & (np.diff(ring_of) == 0)
    if leaps.any():
        number = int(region_of[polygon_of[ring_of[1:][leaps][0]]])
        raise InputError(
            f"Got the polygon {regions[number].name or number + 1} in {path} with an edge of more than 180 degrees,"
            " need one on one side of 180 degrees east; cut it there into two polygons."
        )


def warn(text: str) -> None:
    """Warn of data that was left out or changed.

    Parameters
    ----------
    text : str
        One or two sentences, with counts and names.
    """
    warnings.warn(text, DataWarning, stacklevel=4)


def first_few(names: list[str], at_most: int = 5) -> str:
    """The first few names, and how many there are.

    Parameters
    ----------
    names : list of str
        All of them.
    at_most : int
        How many are written out.

    Returns
    -------
    str
    """
    return ", ".join(map(str, names[:at_most])) + (f", ... ({len(names)})" if len(names) > at_most else "")


def _point_of(path: Path, feature: dict, to_lonlat: Callable[[np.ndarray], np.ndarray]) -> Point:
    geometry = feature.get("geometry") or {}
    if geometry.get("type") != "Point":
        advice = (
            "give the file as --polygon" if "Polygon" in str(geometry.get("type")) else "remove the others"
        )
        raise InputError(f"Got a {geometry.get('type')} in {path}, need Point features; {advice}.")
    try:
        # A third coordinate is the height.
        lon, lat = to_lonlat(np.array([geometry["coordinates"][:2]], dtype=float))[0]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"Got a broken Point in {path}, need [lon, lat]; correct it.") from error
    return Point(float(lon), float(lat), feature_name(feature))


def _features_of_table(path: Path) -> tuple[list[dict], Callable[[np.ndarray], np.ndarray]]:
    """Features of a table with a column of geometries, and the way from their coordinates to lon, lat."""
    import shapely

    table = read_table(path, "polygon file")
    column = find_geometry_column(table)
    if column is None:
        raise InputError(
            f"Got {path} with the columns {', '.join(map(str, table.columns))[:80]}, need GeoJSON, or a table with a"
            " column wkt or .geo; add it."
        )
    features, codes = [], set()
    for row, (cell, properties) in enumerate(
        zip(table[column], table.drop(columns=column).to_dict("records"), strict=True), 1
    ):
        shape, code = parse_geometry(cell) if cell else (None, 0)
        if cell and shape is None:
            raise InputError(
                f"Got {str(cell)[:40]!r} in row {row} of {path}, need a polygon as WKT; correct it."
            )
        # As GeoJSON, so that tables and files pass the same checks.
        geometry = None if shape is None else json.loads(shapely.to_geojson(shape))
        features.append({"geometry": geometry, "properties": properties})
        codes |= set() if shape is None else {code}
    # The code 0 is a geometry that says no CRS: longitude and latitude.
    if len(codes) > 1:
        raise InputError(
            f"Got {path} with polygons of {len(codes)} coordinate systems, need one; convert them."
        )
    code = next(iter(codes), 0)
    return features, transform_of(crs_of_text(str(code), str(path)) if code else None)


def _points_of_csv(path: Path) -> list[Point]:
    what = f"the points {path.name}"
    # A further cell without a name is where people put the point's name.
    table = read_table(path, "points file", long_is_error=False)
    places = read_places(table, what, only_points=True)
    if places is None:
        names = ", ".join(map(str, table.columns))[:80] or "none"
        advice = "rename them"
        if len(table.columns) > 1 and pd.to_numeric(pd.Series(table.columns), errors="coerce").notna().any():
            advice = "the first line holds numbers, so put names of columns above it"
        raise InputError(f"Got {path} with columns {names}, need lon and lat in degrees; {advice}.")
    # The user's own name goes through to the export.
    named = find_column(table, NAME_COLUMNS)
    if named is None:
        # cells beyond the header that are text can only be names
        extra = [column for column in table.columns if str(column).startswith(UNNAMED)]
        numbers = [pd.to_numeric(table[column], errors="coerce").notna().any() for column in extra]
        if len(extra) == 1 and not numbers[0]:
            named = extra[0]
            warn(f"A column of {path.name} has no header: its text is taken for the points' names.")
    lon, lat = places
    # An empty cell would become a point at nowhere.
    lost = np.isnan(lon) | np.isnan(lat)
    if lost.any():
        raise InputError(
            f"Got row {int(lost.argmax()) + 1} of {path} without two numbers, need lon and lat; correct it."
        )
    names = table[named].fillna("").astype(str).str.strip() if named is not None else [""] * len(table)
    return [Point(float(x), float(y), name) for x, y, name in zip(lon, lat, names, strict=True)]
