"""What an export is asked and answers: pixel series as tidy tables or cubes, maps as bands."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from app.files import CUBES, MAPS, check_path, replacing, write
from embeddings import __version__
from embeddings.geometry import Grid
from embeddings.text_table import UNNAMED, decode_text, plain_name, read_table, to_numbers
from models.errors import DataWarning, InputError

__all__ = ["CUBES", "MAPS", "check_path", "replacing", "write"]
ROWS_AT_MOST = 20_000_000
"""A table of more rows than this is no longer handy; 365 days of 2.3 km x 2.3 km."""
POINTS_AT_MOST = 100_000
MAX_FILE_BYTES = 512 * 2**20
"""Of a file of points or polygons."""
MAX_VERTICES = 10_000_000
"""Corners of all polygons of a file; they take 16 bytes each several times over."""
CENTRES_TOGETHER = 4_000_000
"""Pixel centres that are tested against a polygon at once: 64 MB of coordinates."""
WHOLE_SHARE = 0.999
"""Share of a polygon's area in the scene from which on it counts as whole: rounding of degrees is less."""
LON_COLUMNS = ("lon", "longitude", "long", "lng", "x", "decimallongitude")
LAT_COLUMNS = ("lat", "latitude", "y", "decimallatitude")
NAME_COLUMNS = (
    "name", "site", "id", "plot", "siteid", "sitename", "plotid", "plotname", "pointid", "fieldid", "fieldname",
    "field", "parcel", "parcelid", "station", "stationid", "label", "title", "fid", "objectid",
)  # fmt: skip
"""Columns and properties that name a place, by ``text_table.plain_name``; the first that is there counts."""
PIXEL_DAYS = 300_000
"""Read together where pixels are averaged: bounded memory."""
MAPS_AT_MOST = 100_000_000
"""Pixel-days of one file of GPP maps, which are held in memory: 512 x 512 pixels and a year."""
NEGLIGIBLE = 1e-3
"""Of the largest weight: farther out a footprint is not looked at."""
FootprintWeights = Callable[[Grid, Any], xr.DataArray]
"""Weights (y, x) of what is seen from a point, as ``embeddings.footprint`` makes them."""


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


# --- what is asked ---


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


# --- what is answered ---


def tidy(
    store: Any,
    points: list[Point] | None = None,
    polygon: list[list[np.ndarray]] | None = None,
    start: Any = None,
    end: Any = None,
    weather: xr.Dataset | None = None,
    sight: FootprintWeights | None = None,
) -> pd.DataFrame:
    """One row per point (or pixel inside the polygon) and day, metadata in ``.attrs``.

    ``store`` is a ``Store`` or a cube. With the weather of the store's scene (or given) there is GPP as well. With a
    ``sight`` a point stands for the weighted mean of what is seen from it.
    """
    cubes = _Cubes(store, start, end, weather)
    if polygon is not None:
        asked = []
        for region, pixels in cubes.regions(polygon):
            for row, col in zip(*pixels, strict=True):
                asked.append((int(row), int(col), Point(*cubes.lonlat(row, col), region.name)))
    else:
        asked = [(*pixel, point) for pixel, point in cubes.pixels(points or [])]
    if len(asked) * cubes.count > ROWS_AT_MOST:
        raise InputError(
            f"Got {len(asked):,} pixels x {cubes.count} days, need at most {ROWS_AT_MOST:,} rows; "
            "ask for fewer days or write .nc or .zarr."
        )
    named = any(point.name for _, _, point in asked)
    tables = [_table(cubes.series(row, col, point, sight), point, named) for row, col, point in asked]
    table = pd.concat(tables, ignore_index=True)
    table.attrs = cubes.metadata()
    return table


def cube_of(
    store: Any,
    points: list[Point] | None = None,
    polygon: list[list[np.ndarray]] | None = None,
    start: Any = None,
    end: Any = None,
    weather: xr.Dataset | None = None,
    sight: FootprintWeights | None = None,
) -> xr.Dataset:
    """As ``tidy`` as a CF dataset: (point, time[, feature]), or (time, y, x[, feature]) with NaN outside."""
    cubes = _Cubes(store, start, end, weather)
    if polygon is not None:
        number, names = cubes.region_numbers(polygon)
        rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(number >= 0))
        number = xr.DataArray(number[rows, cols], dims=("y", "x"))
        cube = cubes.window(rows, cols)
        out = cube.assign(
            {name: values.astype(np.float32).where(number >= 0) for name, values in cube.items()}
        )
        if any(names):
            out["region"] = number.assign_attrs(
                long_name="region of the pixel by its number in the attribute names", names=", ".join(names)
            )
    else:
        inside = cubes.pixels(points or [])
        asked = [point for _, point in inside]
        series = [cubes.series(*pixel, point, sight).drop_vars("spatial_ref") for pixel, point in inside]
        places = {
            "lon": [point.lon for point in asked],
            "lat": [point.lat for point in asked],
            "x": [float(one["x"]) for one in series],
            "y": [float(one["y"]) for one in series],
            "name": [point.name for point in asked],
        }
        bare = [one.drop_vars(("x", "y")) for one in series]
        out = xr.concat(bare, "point", coords="different", compat="equals", join="exact")
        out = out.assign_coords({name: ("point", values) for name, values in places.items()})
        out = out.assign_coords(spatial_ref=cubes.cube["spatial_ref"].variable)
    out.attrs = cubes.metadata()
    return out


def map_of(store: Any, polygon: list | None = None, start: Any = None, end: Any = None) -> xr.Dataset:
    """Features, sigma and GPP as one map (y, x): of the one day, or the mean of the days; NaN outside."""
    cubes = _Cubes(store, start, end, None)
    inside = np.ones(cubes.grid.shape, bool)
    if polygon is not None:
        inside = cubes.region_numbers(polygon)[0] >= 0
    rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside))
    total = known = 0
    for day in range(cubes.days.start, cubes.days.stop):
        part = cubes.window(rows, cols, slice(day, day + 1)).isel(time=0, drop=True).astype(np.float64)
        part = _blank(part)
        total, known = total + part.fillna(0), known + part.notnull()
    out = (total / known.where(known > 0)).where(xr.DataArray(inside[rows, cols], dims=("y", "x")))
    out = out.astype(np.float32)
    out.attrs = cubes.metadata()
    return out


def gpp_maps(
    store: Any, start: Any = None, end: Any = None
) -> Generator[tuple[str, float], None, xr.Dataset]:
    """GPP, its 90 % band and `ood` (time, y, x) of a store's days; yields progress.

    Weather is that of the scene in the store; without it day length and clear-sky light stand in.
    """
    from embeddings import gpp

    cubes = _Cubes(store, start, end, None)
    pixels = cubes.grid.nx * cubes.grid.ny
    if pixels * cubes.count > MAPS_AT_MOST:
        raise InputError(
            f"Got {pixels:,} pixels x {cubes.count} days, need at most {MAPS_AT_MOST:,}; ask for fewer days."
        )
    everywhere, parts, step = slice(None), [], max(1, PIXEL_DAYS // pixels)
    for first in range(cubes.days.start, cubes.days.stop, step):
        yield "GPP maps", (first - cubes.days.start) / cubes.count
        days = slice(first, min(first + step, cubes.days.stop))
        parts.append(gpp.predict(store.window(days, everywhere, everywhere), cubes.weather))
    out = xr.concat(parts, "time", combine_attrs="override")
    out.attrs |= {name: value for name, value in cubes.metadata().items() if name not in ("features", "gpp")}
    return out


def answer(
    store: Any, suffix: str, start: Any = None, end: Any = None, **place: Any
) -> tuple[pd.DataFrame | xr.Dataset, str]:
    """What a file with that suffix holds, and one line about it."""
    if suffix in MAPS:
        if place.get("polygon") is None or place.get("sight"):
            raise InputError(f"Got points for a map ({suffix}), need --polygon; choose it or another suffix.")
        found = map_of(store, place["polygon"], start, end)
        return found, f"a map of {found.sizes['y']} x {found.sizes['x']} pixels, {found.attrs['days']}"
    if suffix in CUBES:
        cube = cube_of(store, start=start, end=end, **place)
        return cube, " x ".join(f"{size} {name}" for name, size in cube.sizes.items())
    table = tidy(store, start=start, end=end, **place)
    return table, f"{len(table)} rows"


def to_file(store: Any, path: str | Path, start: Any = None, end: Any = None, **place: Any) -> str:
    """Write what is asked in the form the suffix says; returns one line about it."""
    path = check_path(path)
    found, told = answer(store, path.suffix.lower(), start, end, **place)
    write(found, path)
    return told


def whole(
    store: Any, path: str | Path, start: Any = None, end: Any = None, layout: str = "cf"
) -> Generator[tuple[str, float], None, str]:
    """All pixels of a store's days as Zarr that xarray alone reads; yields progress, returns one line about it."""
    from embeddings import plain

    path = check_path(path)
    if path.suffix.lower() != ".zarr":
        raise InputError(
            f"Got {path.name} without a place, need --at, --points or --polygon; or a name that ends in .zarr for the"
            " whole store."
        )
    days = _days(store.days, start, end)
    with replacing(path) as beside:
        yield from plain.write_zarr(store, beside, days, layout)
    return f"{days.stop - days.start} days of {store.grid.ny} x {store.grid.nx} pixels"


def metadata(store: Any, start: Any = None, end: Any = None) -> dict[str, Any]:
    """What every file of those days says of itself: data, model, snapshot, digests, software."""
    return _Cubes(store, start, end, None).metadata()


class _Cubes:
    """Dequantised features and GPP of one pixel or one window of a store or a cube, between two days."""

    def __init__(self, store: Any, start: Any, end: Any, weather: xr.Dataset | None) -> None:
        self.store = None if isinstance(store, xr.Dataset) else store
        self.cube = store if self.store is None else store.cube()
        self.grid = Grid.from_cube(self.cube) if self.store is None else store.grid
        self.days = _days(self.cube["time"].values, start, end)
        self.count = self.days.stop - self.days.start
        self.weather = self._weather() if weather is None else weather
        self.sight = ""
        self.share_inside = ""

    def pixels(self, points: list[Point]) -> list[tuple[tuple[int, int], Point]]:
        """Row and column of each point in the grid; those outside are named in one warning.

        InputError where all are outside, or where they would be inside with longitude and latitude swapped.
        """
        inside, outside = [], []
        for point in points:
            try:
                inside.append((self.grid.pixel(point.lon, point.lat), point))
            except InputError as error:
                outside.append((point, error))
        if outside:
            first, error = outside[0]
            if self._holds(first.lat, first.lon):
                raise InputError(
                    f"Got lon {first.lon:g}, lat {first.lat:g}, which lies in the scene when they are swapped, need lon"
                    " and lat in their columns; swap them."
                ) from error
            if not inside:
                raise error
            names = [point.name or f"{point.lon:g},{point.lat:g}" for point, _ in outside]
            _warn(f"{len(outside)} of {len(points)} points lie outside the scene: left out ({_some(names)}).")
        return inside

    def _holds(self, lon: float, lat: float) -> bool:
        """Whether a place, which may be none on earth, lies in the grid."""
        try:
            self.grid.pixel(lon, lat)
        except InputError:
            return False
        return True

    def regions(self, polygon: list) -> list[tuple[Region, tuple[np.ndarray, np.ndarray]]]:
        """Each region with a pixel centre inside, and the rows and columns (n,) of its pixels, row by row.

        The share of each region's area that lies in the grid is kept for ``metadata`` and told where it is not whole.
        """
        import shapely

        regions = regions_of(polygon)
        shapes = _projected(self.grid, regions)
        frame = shapely.box(*self.grid.extent)
        # part by part: parts of a region may overlap, which an intersection of the whole does not take
        parts, of = shapely.get_parts(shapes, return_index=True)
        areas, within = (
            np.bincount(of, shapely.area(some), len(shapes))
            for some in (parts, shapely.intersection(parts, frame))
        )
        shares = within / np.where(areas > 0, areas, 1)
        xs, ys = self.grid.x, self.grid.y
        found, names = [], [region.name or f"polygon {i}" for i, region in enumerate(regions, 1)]
        for region, shape in zip(regions, shapes, strict=True):
            held = [_centres_inside(xs, ys, part) for part in shapely.get_parts(shape)]
            rows, cols = (np.concatenate(one) for one in zip(*held, strict=True))
            if len(held) > 1:  # parts of one region in the order of the grid, each pixel once
                rows, cols = np.divmod(np.unique(rows * self.grid.nx + cols), self.grid.nx)
            if len(rows):
                found.append((region, (rows, cols)))
        if not found:
            swapped = [shapely.transform(region.geometry, lambda at: at[:, ::-1]) for region in regions]
            west, south, east, north = shapely.total_bounds(swapped)
            words = "need one in the scene; move it."
            if self._holds((west + east) / 2, (south + north) / 2):
                words = "while it would be with longitude and latitude swapped, need [lon, lat]; swap them."
            raise InputError(f"Got a polygon without a pixel centre inside, {words}")
        partly = [
            f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True) if share < WHOLE_SHARE
        ]
        if partly:
            self.share_inside = _some(partly, 100)
            _warn(f"Not all of the area lies in the scene, the rest is left out; inside: {_some(partly)}.")
        return found

    def region_numbers(self, polygon: list) -> tuple[np.ndarray, list[str]]:
        """Number (row, col) of the first region that holds a pixel's centre, -1 of none; and the regions' names."""
        found = self.regions(polygon)
        number = np.full(self.grid.shape, -1, np.int32)
        for at in reversed(range(len(found))):
            number[found[at][1]] = at
        return number, [region.name for region, _ in found]

    def pixel(self, row: int, col: int) -> xr.Dataset:
        """Series (time[, feature]) of one pixel; y and x are scalars."""
        if self.store is None:
            found = self.cube.isel(time=self.days, y=row, x=col).compute()
        else:
            found = self.store.series(row, col).isel(time=self.days)
        return self._finished(found)

    def series(self, row: int, col: int, point: Point, sight: FootprintWeights | None) -> xr.Dataset:
        """Series (time) of the pixel, or of the weighted mean of what is seen from the point."""
        if sight is None:
            return self.pixel(row, col)
        weights = sight(self.grid, point)
        self.sight = str(weights.attrs.get("long_name", ""))
        held = np.nonzero(weights.values > NEGLIGIBLE * float(weights.max()))
        rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in held)
        weights, step = weights[rows, cols], max(1, PIXEL_DAYS // weights[rows, cols].size)
        parts = []
        for first in range(self.days.start, self.days.stop, step):
            days = slice(first, min(first + step, self.days.stop))
            parts.append(_seen(self.window(rows, cols, days), weights))
        return xr.concat(parts, "time").assign_coords(
            x=self.grid.x[col], y=self.grid.y[row], spatial_ref=self.cube["spatial_ref"]
        )

    def window(self, rows: slice, cols: slice, days: slice | None = None) -> xr.Dataset:
        """A box (time, y, x[, feature])."""
        days = days or self.days
        if self.store is None:
            return self._finished(self.cube.isel(time=days, y=rows, x=cols).compute())
        return self._finished(self.store.window(days, rows, cols))

    def lonlat(self, row: int, col: int) -> tuple[float, float]:
        """Longitude and latitude of a pixel's centre."""
        lon, lat = self.grid.lonlat(self.grid.x[col], self.grid.y[row])
        return float(lon), float(lat)

    def metadata(self) -> dict[str, Any]:
        """What every file says of itself."""
        held = self.cube.attrs
        days = self.cube["time"].values[self.days].astype("datetime64[D]")
        out = {
            "title": held.get("title", "daily embeddings"),
            "simulated": int(held.get("simulated", 0)),
            "days": f"{days[0]} to {days[-1]}",
            "scene_id": held.get("scene_id", ""),
            "scene_digest": held.get("scene_digest", ""),
            "model": held.get("model", ""),
            "model_digest": held.get("model_digest", ""),
            "store_snapshot": "" if self.store is None else self.store.snapshot,
            "crs": self.grid.crs,
            "features": "e00, e01, ...: dimensionless"
            + (", stored int8 times the model's scale" if self.cube["embedding"].dtype == np.int8 else ""),
            "gpp": self._why_no_gpp(),
            "gpp_head_digest": self.head_digest,
            "seen": self.sight,
            "share_inside": self.share_inside,
            "software": f"fluxlens {__version__}",
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return {key: value for key, value in out.items() if value != ""}

    def _weather(self) -> xr.Dataset | None:
        scene = self.store.scene() if self.store is not None else None
        return (
            scene["weather"].to_dataset().load()
            if scene is not None and "weather" in scene.children
            else None
        )

    def _finished(self, found: xr.Dataset) -> xr.Dataset:
        features = found["embedding"].astype(np.float32) * found["scale"]
        out = found.drop_vars(["embedding", "scale"]).drop_dims("feature", errors="ignore")
        names = {str(name): features.sel(feature=name, drop=True) for name in found["feature"].values}
        out = xr.Dataset(names, attrs=found.attrs).assign(out.data_vars)
        if "days_from_s2" in out:
            out["observed"] = (out["days_from_s2"] == 0).astype(np.int8).drop_attrs()
        gpp = self._gpp(found)
        return out if gpp is None else out.assign(gpp)

    @property
    def head_digest(self) -> str:
        """Of the weights behind `gpp`; empty where there is none."""
        from embeddings import gpp

        return "" if self._why_no_gpp() else str(gpp.load().digest)

    def _why_no_gpp(self) -> str:
        from embeddings import gpp

        if self.weather is None:
            return "not given: no weather is known here"
        if not gpp.is_compatible(self.cube.attrs):
            return "not given: the GPP head was taught with another model than made these embeddings"
        return ""

    def _gpp(self, found: xr.Dataset) -> dict[str, xr.DataArray] | None:
        from embeddings import gpp

        if self._why_no_gpp():
            return None
        told = gpp.predict(found, self.weather)
        return {name: told[name] for name in ("gpp", "gpp_lo", "gpp_hi", "ood") if name in told}


# --- small helpers ---


def _blank(found: xr.Dataset) -> xr.Dataset:
    """No observation is missing, not -1 day away, before anything is averaged."""
    ages = [str(name) for name in found if str(name).startswith("days_from_")]
    return found.assign({name: found[name].where(found[name] >= 0) for name in ages})


def _seen(found: xr.Dataset, weights: xr.DataArray) -> xr.Dataset:
    """Means (time) of a box under weights, the `spread` of its features and of GPP, and the `share` seen."""
    from embeddings import footprint

    ages = [str(name) for name in found if str(name).startswith("days_from_")]
    found = _blank(found)
    mean, spread, share = footprint.seen(found, weights)
    features = [str(name) for name in found if re.fullmatch(r"e\d\d", str(name))]
    mixed = np.sqrt(sum(spread[name] ** 2 for name in features) / len(features))
    out = mean.assign({name: mean[name].fillna(-1) for name in ages})
    out = out.assign(spread=mixed, share=share[features[0]])
    return out.assign(gpp_spread=spread["gpp"]) if "gpp" in spread else out


def _table(series: xr.Dataset, point: Point, named: bool) -> pd.DataFrame:
    x, y = float(series["x"]), float(series["y"])
    columns: dict[str, Any] = {"time": series["time"].values}
    if named:
        columns["name"] = point.name
    columns |= {"lon": point.lon, "lat": point.lat, "x": x, "y": y}
    columns |= {str(name): series[name].values for name in series.data_vars if series[name].dims == ("time",)}
    return pd.DataFrame(columns)


def _days(times: np.ndarray, start: Any, end: Any) -> slice:
    days = times.astype("datetime64[D]")
    first, last = _date(start, days[0], "start"), _date(end, days[-1], "end")
    if last < first:
        raise InputError(f"Got the end {last} before the start {first}, need it on or after; swap them.")
    begin, stop = int(np.searchsorted(days, first)), int(np.searchsorted(days, last, side="right"))
    if begin >= stop:
        raise InputError(
            f"Got {first} to {last}, need days from {days[0]} to {days[-1]}; choose days inside."
        )
    return slice(begin, stop)


def _date(value: Any, default: np.datetime64, what: str) -> np.datetime64:
    if value is None:
        return default
    try:
        return np.datetime64(str(value), "D")
    except ValueError as error:
        raise InputError(f"Got the {what} {value!r}, need a date such as 2020-05-01; correct it.") from error


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
