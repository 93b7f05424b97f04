"""What an export is asked and answers: pixel series as tidy tables or cubes, maps as bands."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from app.files import CUBES, MAPS, check_path, replacing, transform, write
from embeddings import __version__
from embeddings.geometry import Grid
from models.errors import InputError

__all__ = ["CUBES", "MAPS", "check_path", "replacing", "write"]
ROWS_AT_MOST = 20_000_000
"""A table of more rows than this is no longer handy; 365 days of 2.3 km x 2.3 km."""
POINTS_AT_MOST = 100_000
PIXEL_DAYS = 300_000
"""Read together where pixels are averaged: bounded memory."""
MAPS_AT_MOST = 100_000_000
"""Pixel-days of one file of GPP maps, which are held in memory: 512 x 512 pixels and a year."""
NEGLIGIBLE = 1e-3
"""Of the largest weight: farther out a footprint is not looked at."""
Sight = Callable[[Grid, Any], xr.DataArray]
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


# --- what is asked ---


def parse_at(text: str) -> Point:
    """The point of ``LON,LAT``."""
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"Got --at {text!r}, need LON,LAT in degrees such as 4.2,50.75; correct it."
        ) from error
    return Point(lon, lat)


def read_points(path: str | Path) -> list[Point]:
    """Points of a CSV with columns lon, lat[, name], or of a GeoJSON with Point features."""
    path = _file(path, "points")
    if path.suffix.lower() in (".geojson", ".json"):
        points = [_point_of(path, feature) for feature in _features(path)]
    else:
        points = _points_of_csv(path)
    if not points:
        raise InputError(f"Got {path} without a single point, need at least one; add it.")
    if len(points) > POINTS_AT_MOST:
        raise InputError(
            f"Got {len(points)} points in {path}, need at most {POINTS_AT_MOST}; split the file."
        )
    return points


def read_polygon(path: str | Path) -> list[list[np.ndarray]]:
    """Polygons of a GeoJSON in lon, lat: each a list of rings (n, 2), the outline and then the holes."""
    path = _file(path, "polygon")
    polygons = []
    for feature in _features(path):
        geometry = feature.get("geometry") or {}
        kind, held = geometry.get("type"), geometry.get("coordinates")
        if kind not in ("Polygon", "MultiPolygon"):
            raise InputError(
                f"Got a {kind} in {path}, need Polygon or MultiPolygon features; remove the others."
            )
        try:
            for rings in [held] if kind == "Polygon" else held:
                polygons.append([np.array(ring, dtype=float)[:, :2] for ring in rings])
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"Got a broken {kind} in {path}, need rings of [lon, lat]; correct it."
            ) from error
    if not polygons or any(not rings or len(rings[0]) < 4 for rings in polygons):
        raise InputError(f"Got {path} without a whole polygon, need rings of four or more places; add one.")
    return polygons


# --- what is answered ---


def tidy(
    store: Any,
    points: list[Point] | None = None,
    polygon: list[list[np.ndarray]] | None = None,
    start: Any = None,
    end: Any = None,
    weather: xr.Dataset | None = None,
    sight: Sight | None = None,
) -> pd.DataFrame:
    """One row per point (or pixel inside the polygon) and day, metadata in ``.attrs``.

    ``store`` is a ``Store`` or a cube. With the weather of the store's scene (or given) there is GPP as well. With a
    ``sight`` a point stands for the weighted mean of what is seen from it.
    """
    cubes = _Cubes(store, start, end, weather)
    if polygon is not None:
        rows, cols = np.nonzero(pixels_inside(cubes.grid, polygon))
        asked = [
            (int(row), int(col), Point(*cubes.lonlat(row, col))) for row, col in zip(rows, cols, strict=True)
        ]
    else:
        asked = [(*cubes.grid.pixel(point.lon, point.lat), point) for point in points or []]
    if not asked:
        raise InputError("Got a polygon without a pixel centre inside, need one in the scene; move it.")
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
    sight: Sight | None = None,
) -> xr.Dataset:
    """As ``tidy`` as a CF dataset: (point, time[, feature]), or (time, y, x[, feature]) with NaN outside."""
    cubes = _Cubes(store, start, end, weather)
    if polygon is not None:
        inside = pixels_inside(cubes.grid, polygon)
        if not inside.any():
            raise InputError("Got a polygon without a pixel centre inside, need one in the scene; move it.")
        rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside))
        mask = xr.DataArray(inside[rows, cols], dims=("y", "x"))
        cube = cubes.window(rows, cols)
        out = cube.assign({name: values.astype(np.float32).where(mask) for name, values in cube.items()})
    else:
        asked = points or []
        series = [
            cubes.series(*cubes.grid.pixel(point.lon, point.lat), point, sight).drop_vars("spatial_ref")
            for point in asked
        ]
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
    inside = pixels_inside(cubes.grid, polygon) if polygon is not None else np.ones(cubes.grid.shape, bool)
    if not inside.any():
        raise InputError("Got a polygon without a pixel centre inside, need one in the scene; move it.")
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

    def pixel(self, row: int, col: int) -> xr.Dataset:
        """Series (time[, feature]) of one pixel; y and x are scalars."""
        if self.store is None:
            found = self.cube.isel(time=self.days, y=row, x=col).compute()
        else:
            found = self.store.series(row, col).isel(time=self.days)
        return self._finished(found)

    def series(self, row: int, col: int, point: Point, sight: Sight | None) -> xr.Dataset:
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


def pixels_inside(grid: Grid, polygons: list[list[np.ndarray]]) -> np.ndarray:
    """(row, col) True where the pixel's centre lies in a polygon."""
    from rasterio.features import rasterize

    shapes = []
    for rings in polygons:
        held = [np.column_stack(grid.xy(ring[:, 0], ring[:, 1])).tolist() for ring in rings]
        if not np.isfinite(np.concatenate([np.array(ring) for ring in held])).all():
            raise InputError(
                "Got a polygon outside the scene's map projection, need lon, lat near it; correct it."
            )
        shapes.append({"type": "Polygon", "coordinates": held})
    return rasterize(shapes, grid.shape, transform=transform(grid), dtype=np.uint8).astype(bool)


def _file(path: str | Path, what: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Got the {what} file {path}, which is not there, need a file; check the path.")
    return path


def _features(path: Path) -> list[dict]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"Got {path}, which is not JSON, need GeoJSON; correct it.") from error
    if not isinstance(data, dict):
        raise InputError(f"Got {path}, which is JSON but not GeoJSON, need a FeatureCollection; correct it.")
    if data.get("type") == "FeatureCollection" and isinstance(data.get("features"), list):
        found = data["features"]
    else:
        found = [data if data.get("type") == "Feature" else {"geometry": data}]
    if not all(map(_is_feature, found)):
        raise InputError(f"Got {path} with features that are none, need GeoJSON features; correct it.")
    return found


def _is_feature(found: Any) -> bool:
    parts = ("geometry", "properties")
    return isinstance(found, dict) and all(isinstance(found.get(part), dict | None) for part in parts)


def _point_of(path: Path, feature: dict) -> Point:
    geometry = feature.get("geometry") or {}
    if geometry.get("type") != "Point":
        raise InputError(f"Got a {geometry.get('type')} in {path}, need Point features; remove the others.")
    try:
        lon, lat = (float(value) for value in geometry["coordinates"][:2])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"Got a broken Point in {path}, need [lon, lat]; correct it.") from error
    return Point(lon, lat, str((feature.get("properties") or {}).get("name", "")))


def _points_of_csv(path: Path) -> list[Point]:
    try:
        lines = [
            line for line in path.read_text(encoding="utf-8-sig").splitlines() if not line.startswith("#")
        ]
    except UnicodeDecodeError as error:
        raise InputError(f"Got {path}, which is not text, need a CSV with lon,lat; correct it.") from error
    try:
        reader = csv.DictReader(lines)
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"Got {path}, which is no CSV ({error}), need lon,lat; correct it.") from error
    if not {"lon", "lat"} <= set(names):
        raise InputError(
            f"Got {path} with columns {', '.join(names)[:80] or 'none'}, need lon and lat; rename them."
        )
    points = []
    for number, row in enumerate(rows, 2):
        try:
            lon, lat = float(row[names["lon"]]), float(row[names["lat"]])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Got line {number} of {path} without two numbers, need lon and lat; correct it."
            ) from error
        points.append(Point(lon, lat, (row.get(names.get("name")) or "").strip()))
    return points
