"""Places of exports: points, tables of points, polygons of GeoJSON, and the pixels inside them."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.text_table import UNNAMED, decode_text, plain_name, read_table, to_numbers
from fluxlens.models.errors import DataWarning, InputError

POINTS_AT_MOST = 100_000

MAX_FILE_BYTES = 512 * 2**20
"""Of a file of points or polygons."""

MAX_VERTICES = 10_000_000
"""Corners of all polygons of a file; they take 16 bytes each several times over."""

CENTRES_TOGETHER = 4_000_000
"""Pixel centres that are tested against a polygon at once: 64 MB of coordinates."""

LON_COLUMNS = ("lon", "longitude", "long", "lng", "x", "decimallongitude")

LAT_COLUMNS = ("lat", "latitude", "y", "decimallatitude")

NAME_COLUMNS = (
    "name", "site", "id", "plot", "siteid", "sitename", "plotid", "plotname", "pointid", "fieldid", "fieldname",
    "field", "parcel", "parcelid", "station", "stationid", "label", "title", "fid", "objectid",
)  # fmt: skip
"""Columns and properties that name a place, by ``text_table.plain_name``; the first that is there counts."""


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


@dataclass(frozen=True)
class Region:
    """Polygons of one feature, to take the pixels of."""

    geometry: Any
    """``shapely.Polygon`` or ``shapely.MultiPolygon`` in lon, lat (degrees, WGS 84), valid."""
    name: str = ""
    """The feature's name or id; empty where it has none."""


def parse_at(text: str) -> Point:
    """The point of ``LON,LAT``.

    Parameters
    ----------
    text : str
        Two numbers in degrees, such as ``4.2,50.75``.
    """
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"Got --at {text!r}, need LON,LAT in degrees such as 4.2,50.75; correct it."
        ) from error
    return Point(lon, lat)


def read_points(path: str | Path) -> list[Point]:
    """Points of a table, or of the Point features of a GeoJSON.

    Parameters
    ----------
    path : str or Path
        ``.geojson`` or ``.json``; else a table as ``embeddings.text_table.read_table`` reads it, with columns for
        longitude and latitude in degrees (lon, long, lng, longitude, x; lat, latitude, y) and optionally one that
        names the points (name, site, id, plot, ...).

    Returns
    -------
    list of Point
        In the order of the file.

    Raises
    ------
    InputError
        If the file holds no points, or too many, or a cell is no number.
    """
    path = _file(path, "points")
    if path.suffix.lower() in (".geojson", ".json"):
        features, to_lonlat = _features(path)
        points = []
        for number, feature in enumerate(features, 1):
            if feature.get("geometry") is None:
                _warn(f"Feature {_feature_name(feature) or number} of {path.name} has no geometry: left out.")
                continue
            points.append(_point_of(path, feature, to_lonlat))
    else:
        points = _points_of_csv(path)
    if not points:
        raise InputError(f"Got {path} without a single point, need at least one; add it.")
    if len(points) > POINTS_AT_MOST:
        raise InputError(
            f"Got {len(points)} points in {path}, need at most {POINTS_AT_MOST}; split the file."
        )
    return points


def read_polygon(path: str | Path) -> list[Region]:
    """Polygon and MultiPolygon features of a GeoJSON.

    Parameters
    ----------
    path : str or Path
        GeoJSON in lon, lat, or with a ``crs`` member from which it is reprojected; also one feature a line. A mark of
        byte order is accepted.

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
    import shapely

    path = _file(path, "polygon")
    features, to_lonlat = _features(path)
    regions, empty, mended = [], [], []
    for number, feature in enumerate(features, 1):
        name = _feature_name(feature)
        called = name or str(number)
        geometry = feature.get("geometry")
        if geometry is None:
            empty.append(called)
            continue
        kind = geometry.get("type")
        if kind not in ("Polygon", "MultiPolygon"):
            raise InputError(
                f"Got a {kind} in {path}, need Polygon or MultiPolygon features; remove the others."
            )
        held = geometry.get("coordinates")
        try:
            shape = _polygon_of([held] if kind == "Polygon" else held)
        except (TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
            raise InputError(
                f"Got a broken {kind} in {path}, need rings of four or more [lon, lat]; correct it."
            ) from error
        if shape.is_empty:
            empty.append(called)
            continue
        shape = shapely.transform(shape, to_lonlat)
        if not shapely.is_valid(shapely.get_parts(shape)).all():
            mended.append(called)
            shape = _mended(shape)
        regions.append(Region(shape, name))
    if empty:
        _warn(f"{len(empty)} features of {path.name} have no geometry: left out ({_some(empty)}).")
    if mended:
        _warn(f"{len(mended)} features of {path.name} have rings that cross: mended ({_some(mended)}).")
    if not regions or all(region.geometry.is_empty for region in regions):
        raise InputError(f"Got {path} without a whole polygon, need rings of four or more places; add one.")
    if sum(shapely.get_num_coordinates([region.geometry for region in regions])) > MAX_VERTICES:
        raise InputError(
            f"Got {path} of more than {MAX_VERTICES:,} corners, need fewer; simplify the polygons."
        )
    bounds = shapely.total_bounds([region.geometry for region in regions])
    if not (bounds[0] >= -180 and bounds[1] >= -90 and bounds[2] <= 180 and bounds[3] <= 90):
        raise InputError(
            f"Got polygons from {bounds[0]:g}, {bounds[1]:g} to {bounds[2]:g}, {bounds[3]:g} in {path}, need lon, lat"
            " in degrees, or a crs member that says what they are; add it or convert them."
        )
    if len(regions) > 1 and not all(region.name for region in regions):
        regions = [Region(region.geometry, region.name or str(i)) for i, region in enumerate(regions, 1)]
    return regions


def regions_of(polygon: list) -> list[Region]:
    """Regions of what is given for a polygon.

    Parameters
    ----------
    polygon : list
        Of ``Region`` or shapely geometries in lon, lat; or of polygons as nested lists of rings (n, 2), the outline and
        then the holes, which together are one region without a name.
    """
    import shapely

    if all(isinstance(one, Region) for one in polygon):
        return list(polygon)
    if all(isinstance(one, shapely.Geometry) for one in polygon):
        return [Region(one) for one in polygon]
    try:
        shape = _polygon_of(polygon)
    except (TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
        raise InputError("Got a broken polygon, need rings of four or more lon, lat; correct it.") from error
    return [Region(shape if shapely.is_valid(shapely.get_parts(shape)).all() else _mended(shape))]


def rings_of(polygon: list) -> list[list[np.ndarray]]:
    """Rings (n, 2) in lon, lat of each polygon: the outline, then the holes.

    Parameters
    ----------
    polygon : list
        As of ``regions_of``.
    """
    import shapely

    parts = shapely.get_parts([region.geometry for region in regions_of(polygon)])
    return [
        [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
        for part in parts
        if not part.is_empty
    ]


def pixels_inside(grid: Grid, polygons: list) -> np.ndarray:
    """(row, col) True where the pixel's centre lies in a polygon.

    Parameters
    ----------
    grid : Grid
        Pixels.
    polygons : list
        As of ``regions_of``.

    Raises
    ------
    InputError
        If a corner lies where the grid's map projection is not defined.
    """
    import shapely

    mask, xs, ys = np.zeros(grid.shape, bool), grid.x, grid.y
    for shape in shapely.get_parts(_projected(grid, regions_of(polygons))):
        mask[_centres_inside(xs, ys, shape)] = True
    return mask


def _projected(grid: Grid, regions: list[Region]) -> np.ndarray:
    """Shapely geometries of the regions in metres of the grid's map projection."""
    import shapely

    # one call of the projection for all corners: a call per ring takes minutes for 100,000 rings
    shapes = shapely.transform(
        np.array([region.geometry for region in regions], dtype=object),
        lambda lonlat: np.column_stack(grid.xy(lonlat[:, 0], lonlat[:, 1])),
    )
    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        raise InputError(
            "Got a polygon outside the scene's map projection, need lon, lat near it; correct it."
        )
    return shapes


def _centres_inside(xs: np.ndarray, ys: np.ndarray, shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (n,) of the pixel centres in a geometry in metres, row by row; only its box is looked at."""
    import shapely

    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    if shape.is_empty:
        return nothing
    left, bottom, right, top = shape.bounds
    # xs increases, ys decreases
    cols = slice(*np.searchsorted(xs, (left, right)))
    rows = slice(*np.searchsorted(-ys, (-top, -bottom)))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return nothing
    shapely.prepare(shape)
    step = max(1, CENTRES_TOGETHER // (cols.stop - cols.start))
    found = []
    for start in range(rows.start, rows.stop, step):
        part = slice(start, min(start + step, rows.stop))
        row, col = np.nonzero(shapely.contains_xy(shape, xs[cols][None], ys[part][:, None]))
        found.append((row + part.start, col + cols.start))
    return np.concatenate([row for row, _ in found]), np.concatenate([col for _, col in found])


def _polygon_of(polygons: Any) -> Any:
    """A Polygon or MultiPolygon of nested rings; corners beyond two dimensions are cut."""
    import shapely

    outlines, holes, shell_of_hole = [], [], []
    for rings in polygons:
        for at, ring in enumerate(rings):
            corners = np.asarray(ring, dtype=float)[:, :2]
            if len(corners) < 4 or not np.isfinite(corners).all():
                raise ValueError("a ring of less than four corners")
            if at == 0:
                outlines.append(corners)
            else:
                holes.append(corners)
                shell_of_hole.append(len(outlines) - 1)
    if not outlines:
        raise ValueError("no ring")
    # all rings in one call, for files of 100,000
    corners = np.concatenate(outlines)
    shells = shapely.linearrings(corners, indices=np.repeat(np.arange(len(outlines)), [*map(len, outlines)]))
    if holes:
        count = np.repeat(np.arange(len(holes)), [*map(len, holes)])
        inner = shapely.linearrings(np.concatenate(holes), indices=count)
        cut: list[list] = [[] for _ in outlines]
        for ring, shell in zip(inner, shell_of_hole, strict=True):
            cut[shell].append(ring)
        parts = [shapely.polygons(shell, own or None) for shell, own in zip(shells, cut, strict=True)]
    else:
        parts = list(shapely.polygons(shells))
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)


def _mended(shape: Any) -> Any:
    """The polygons that one with crossing rings stands for (``shapely.make_valid``), part by part, lines dropped.

    Parts may overlap: a pixel centre is in any of them, and their union would take minutes for 100,000.
    """
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shapely.get_parts(shape))))
    return shapely.multipolygons([part for part in parts if part.geom_type == "Polygon"])


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=4)


def _some(names: list[str], at_most: int = 5) -> str:
    """The first few names, and how many there are."""
    return ", ".join(map(str, names[:at_most])) + (f", ... ({len(names)})" if len(names) > at_most else "")


def _file(path: str | Path, what: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Got the {what} file {path}, which is not there, need a file; check the path.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"Got the {what} file {path} of over {MAX_FILE_BYTES:,} bytes, need less; split it.")
    return path


def _features(path: Path) -> tuple[list[dict], Callable[[np.ndarray], np.ndarray]]:
    """Features of a GeoJSON or of one with a feature a line, and what takes its corners (n, 2) to lon, lat."""
    text = decode_text(path.read_bytes(), str(path))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        # newline-delimited GeoJSON, with or without record separators (RFC 8142)
        lines = [line.strip("\x1e \t") for line in text.splitlines()]
        lines = [line for line in lines if line]
        try:
            data = {"type": "FeatureCollection", "features": [json.loads(line) for line in lines]}
        except (ValueError, RecursionError):
            data = None
        if data is None or len(lines) < 2:
            raise InputError(f"Got {path}, which is not JSON, need GeoJSON; correct it.") from error
    if not isinstance(data, dict):
        raise InputError(f"Got {path}, which is JSON but not GeoJSON, need a FeatureCollection; correct it.")
    if data.get("type") == "FeatureCollection" and isinstance(data.get("features"), list):
        found = data["features"]
    elif data.get("type") == "GeometryCollection":
        raise InputError(f"Got a GeometryCollection in {path}, need features; write each geometry as one.")
    else:
        found = [data if data.get("type") == "Feature" else {"geometry": data}]
    if not all(map(_is_feature, found)):
        raise InputError(f"Got {path} with features that are none, need GeoJSON features; correct it.")
    return found, _to_lonlat(data.get("crs"), path)


def _to_lonlat(member: Any, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """From the coordinate system of a ``crs`` member, which GeoJSON of before RFC 7946 may carry, to lon, lat."""
    import pyproj

    if not member:
        return lambda corners: corners
    try:
        name = member["properties"]["name"] if isinstance(member, dict) else str(member)
        crs = pyproj.CRS.from_user_input(name)
    except (KeyError, TypeError, pyproj.exceptions.CRSError) as error:
        raise InputError(
            f"Got the crs {str(member)[:80]} in {path}, need one that PROJ knows such as urn:ogc:def:crs:EPSG::32631;"
            " correct or remove it."
        ) from error
    if crs.is_geographic:
        # written as [lon, lat] whatever the order of axes of the code
        return lambda corners: corners
    transformer = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    return lambda corners: np.column_stack(transformer.transform(corners[:, 0], corners[:, 1]))


def _is_feature(found: Any) -> bool:
    parts = ("geometry", "properties")
    return isinstance(found, dict) and all(isinstance(found.get(part), dict | None) for part in parts)


def _feature_name(feature: dict) -> str:
    """The property ``name``, else the feature's id, else a property that names things."""
    properties = {plain_name(key): value for key, value in (feature.get("properties") or {}).items()}
    for value in (properties.get("name"), feature.get("id"), *(properties.get(key) for key in NAME_COLUMNS)):
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value).strip()
    return ""


def _point_of(path: Path, feature: dict, to_lonlat: Callable[[np.ndarray], np.ndarray]) -> Point:
    geometry = feature.get("geometry") or {}
    if geometry.get("type") != "Point":
        raise InputError(f"Got a {geometry.get('type')} in {path}, need Point features; remove the others.")
    try:
        lon, lat = to_lonlat(np.array([geometry["coordinates"][:2]], dtype=float))[0]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"Got a broken Point in {path}, need [lon, lat]; correct it.") from error
    return Point(float(lon), float(lat), _feature_name(feature))


def _points_of_csv(path: Path) -> list[Point]:
    what = f"the points {path.name}"
    table = read_table(path, "points file")
    lon, lat = (_place_column(table, names) for names in (LON_COLUMNS, LAT_COLUMNS))
    if lon is None or lat is None:
        names = ", ".join(map(str, table.columns))[:80] or "none"
        raise InputError(f"Got {path} with columns {names}, need lon and lat in degrees; rename them.")
    plain = {plain_name(column): column for column in reversed(table.columns)}
    named = next((plain[key] for key in NAME_COLUMNS if key in plain), None)
    if named is None:
        # cells beyond the header that are text can only be names
        extra = [column for column in table.columns if str(column).startswith(UNNAMED)]
        numbers = [pd.to_numeric(table[column], errors="coerce").notna().any() for column in extra]
        if len(extra) == 1 and not numbers[0]:
            named = extra[0]
            _warn(f"A column of {path.name} has no header: its text is taken for the points' names.")
    values = [to_numbers(table[column], what) for column in (lon, lat)]
    lost = np.isnan(values[0]) | np.isnan(values[1])
    if lost.any():
        raise InputError(
            f"Got row {int(lost.argmax()) + 1} of {path} without two numbers, need lon and lat; correct it."
        )
    if len(table) and (np.abs(values[0]).max() > 180 or np.abs(values[1]).max() > 180):
        raise InputError(
            f"Got {lon} {values[0][0]:g}, {lat} {values[1][0]:g} in {path}, which are no degrees, need lon and lat in"
            " degrees (WGS 84); convert metres first."
        )
    if len(table) and np.abs(values[1]).max() > 90 and np.abs(values[0]).max() <= 90:
        raise InputError(
            f"Got {lat} of {values[1][np.abs(values[1]).argmax()]:g} in {path}, beyond 90 degrees: lon and lat look"
            " swapped, need them in their columns; swap the columns."
        )
    names = table[named].fillna("").astype(str).str.strip() if named is not None else [""] * len(table)
    return [Point(float(x), float(y), name) for x, y, name in zip(*values, names, strict=True)]


def _place_column(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """The column of one of these names, or the only one that begins with ``lon_`` or ``lat_``."""
    plain = {plain_name(column): column for column in reversed(table.columns)}
    for name in names:
        if name in plain:
            return plain[name]
    begins = [c for c in table.columns if re.match(rf"(?i)({'|'.join(names[:4])})[ _.\-(]", str(c))]
    return begins[0] if len(begins) == 1 else None
