"""Pixel series and maps as a file that tells what it is: CSV, Parquet, NetCDF, Zarr or GeoTIFF by suffix."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import __version__
from embeddings.geometry import Grid
from models.errors import InputError

TABLES = {".csv", ".parquet"}
CUBES = {".nc", ".zarr"}
MAPS = {".tif"}
SUFFIXES = TABLES | CUBES | MAPS
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
UNITS = {
    "time": "UTC day",
    "lon": "degrees_east",
    "lat": "degrees_north",
    "x": "m",
    "y": "m",
    "sigma": "reflectance 0-1",
    "days_from_s2": "d, -1 = none",
    "days_from_s1": "d, -1 = none",
    "gpp": "gC m-2 d-1",
    "gpp_lo": "gC m-2 d-1",
    "gpp_hi": "gC m-2 d-1",
    "gpp_spread": "gC m-2 d-1, standard deviation over what is seen",
    "spread": "of the features over what is seen, root mean square of their standard deviations",
    "share": "of what is seen, 1 = all of it in the scene",
    "ood": "1 = unlike what the GPP model was trained on",
}
LABELS = {
    "sigma": "expected root-mean-square error of the reflectance the embedding reconstructs",
    "days_from_s2": "days to the nearest clear Sentinel-2 acquisition",
    "days_from_s1": "days to the nearest Sentinel-1 acquisition",
    "gpp": "gross primary production",
    "gpp_lo": "gross primary production, lower end of the 90 % band",
    "gpp_hi": "gross primary production, upper end of the 90 % band",
}
_RISKY = ("=", "+", "-", "@", "\t", "\r")


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


def check_path(path: str | Path, suffixes: set[str] = SUFFIXES) -> Path:
    """A path that can be written to, or an InputError before anything is computed."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"Got --out {path.name}, need one of {', '.join(sorted(suffixes))}; rename it.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a folder that exists; create {path.parent} first.")
    if path.is_dir() and not (path.suffix.lower() == ".zarr" and (path / "zarr.json").exists()):
        raise InputError(f"Got --out {path}, which is a folder, need a file; choose another name.")
    return path


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
        series = []
        for point in points or []:
            pixel = cubes.series(*cubes.grid.pixel(point.lon, point.lat), point, sight)
            series.append(
                pixel.drop_vars("spatial_ref").assign_coords(lon=point.lon, lat=point.lat, name=point.name)
            )
        out = xr.concat(series, "point", coords="different", compat="equals", join="exact")
        out = out.assign_coords(
            {name: ("point", np.atleast_1d(out[name].values)) for name in ("lon", "lat", "x", "y", "name")}
        )
    out.attrs = {**cubes.metadata(), "Conventions": "CF-1.11"}
    for name in out.variables:
        if name in UNITS and name != "time":
            out[name].attrs.setdefault("units", UNITS[name].split(",")[0])
    return out


def map_of(store: Any, polygon: list | None = None, start: Any = None, end: Any = None) -> xr.Dataset:
    """Features, sigma and GPP as one map (y, x): of the one day, or the mean of the days; NaN outside."""
    cubes = _Cubes(store, start, end, None)
    inside = pixels_inside(cubes.grid, polygon) if polygon is not None else np.ones(cubes.grid.shape, bool)
    if not inside.any():
        raise InputError("Got a polygon without a pixel centre inside, need one in the scene; move it.")
    rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside))
    total = None
    for day in range(cubes.days.start, cubes.days.stop):
        part = cubes.window(rows, cols, slice(day, day + 1)).isel(time=0, drop=True).astype(np.float64)
        total = part if total is None else total + part
    out = (total / cubes.count).where(xr.DataArray(inside[rows, cols], dims=("y", "x"))).astype(np.float32)
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


def to_file(store: Any, path: str | Path, start: Any = None, end: Any = None, **place: Any) -> str:
    """Write what is asked in the form the suffix says; returns one line about it."""
    path = check_path(path)
    suffix = path.suffix.lower()
    if suffix in MAPS:
        if place.get("polygon") is None:
            raise InputError(
                f"Got points for {path.name}, need --polygon for a map; choose it or another suffix."
            )
        found = map_of(store, place["polygon"], start, end)
        told = f"a map of {found.sizes['y']} x {found.sizes['x']} pixels, {found.attrs['days']}"
    elif suffix in CUBES:
        found = cube_of(store, start=start, end=end, **place)
        told = " x ".join(f"{size} {name}" for name, size in found.sizes.items())
    else:
        found = tidy(store, start=start, end=end, **place)
        told = f"{len(found)} rows"
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
        yield from plain.write(store, beside, days, layout)
    return f"{days.stop - days.start} days of {store.grid.ny} x {store.grid.nx} pixels"


class _Cubes:
    """Dequantised features and GPP of one pixel or one window of a store or a cube, between two days."""

    def __init__(self, store: Any, start: Any, end: Any, weather: xr.Dataset | None) -> None:
        self.store = None if isinstance(store, xr.Dataset) else store
        self.cube = store if self.store is None else store.cube()
        self.grid = Grid.of(self.cube)
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
            "features": "e00, e01, ...: dimensionless, stored int8 times the model's scale",
            "gpp": self._why_no_gpp(),
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
        gpp = self._gpp(found)
        return out if gpp is None else out.assign(gpp)

    def _why_no_gpp(self) -> str:
        from embeddings import gpp

        if self.weather is None:
            return "not given: no weather is known here"
        if not gpp.knows(self.cube.attrs):
            return "not given: the GPP head was taught with another model than made these embeddings"
        return ""

    def _gpp(self, found: xr.Dataset) -> dict[str, xr.DataArray] | None:
        from embeddings import gpp

        if self._why_no_gpp():
            return None
        told = gpp.predict(found, self.weather)
        return {name: told[name] for name in ("gpp", "gpp_lo", "gpp_hi", "ood") if name in told}


# --- files ---


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside ``path``, renamed onto it when the block ends well and removed when not."""
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise InputError(f"Got the path {path}, need a folder that exists; create {path.parent} first.")
    # The suffix stays last: writers look at it.
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield beside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def write(data: pd.DataFrame | xr.Dataset, path: str | Path) -> None:
    """A table or a dataset as the suffix says; an existing file is replaced only by the whole new one."""
    path = check_path(path)
    suffix = path.suffix.lower()
    if isinstance(data, pd.DataFrame) != (suffix in TABLES):
        kind = "a table" if isinstance(data, pd.DataFrame) else "a cube"
        fitting = TABLES if isinstance(data, pd.DataFrame) else CUBES | MAPS
        raise InputError(f"Got {kind} for {path.name}, need {', '.join(sorted(fitting))}; rename it.")
    writers = {".csv": _csv, ".parquet": _parquet, ".nc": _netcdf, ".zarr": _zarr, ".tif": _geotiff}
    with replacing(path) as beside:
        writers[suffix](data, beside)


def _csv(table: pd.DataFrame, path: Path) -> None:
    units = {name: UNITS[name] for name in table.columns if name in UNITS}
    lines = [f"# {key}: {_line(value)}" for key, value in table.attrs.items()]
    lines += [f"# units {name}: {unit}" for name, unit in units.items()]
    text = table.copy()
    for name in text.columns:
        if text[name].dtype == object or pd.api.types.is_string_dtype(text[name].dtype):
            text[name] = [_harmless(value) for value in text[name]]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("\n".join(lines) + "\n")
        text.to_csv(
            file,
            index=False,
            date_format="%Y-%m-%d",
            float_format="%.8g",
            quoting=csv.QUOTE_MINIMAL,
            lineterminator="\n",
        )


def _parquet(table: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = {key: str(value) for key, value in table.attrs.items()}
    units = {f"units {name}": UNITS[name] for name in table.columns if name in UNITS}
    plain = table.copy(deep=False)
    plain.attrs = {}
    arrow = pa.Table.from_pandas(plain, preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **told, **units}), path)


def _netcdf(cube: xr.Dataset, path: Path) -> None:
    cube = cube.drop_encoding()
    encoding = {
        str(name): {"zlib": True, "complevel": 2} for name, values in cube.data_vars.items() if values.ndim
    }
    if "time" in cube.coords:
        encoding["time"] = {
            "units": "days since 1970-01-01",
            "dtype": "int32",
            "calendar": "proleptic_gregorian",
        }
    for name, values in cube.data_vars.items():
        if "x" in values.dims and "spatial_ref" in cube.coords:
            encoding[str(name)]["grid_mapping"] = "spatial_ref"
    cube.to_netcdf(path, engine="netcdf4", encoding=encoding)


def _zarr(cube: xr.Dataset, path: Path) -> None:
    text = {name: v.astype(object) for name, v in cube.coords.items() if v.dtype.kind == "U"}
    cube.drop_encoding().assign_coords(text).to_zarr(path, mode="w", zarr_format=3, consolidated=False)


def _geotiff(cube: xr.Dataset, path: Path) -> None:
    import rasterio

    grid = Grid.of(cube)
    bands = {str(name): values for name, values in cube.data_vars.items() if set(values.dims) == {"y", "x"}}
    profile = {
        "driver": "GTiff",
        "height": grid.ny,
        "width": grid.nx,
        "count": len(bands),
        "dtype": "float32",
        "crs": grid.crs,
        "transform": _transform(grid),
        "nodata": float("nan"),
        "compress": "deflate",
        "tiled": grid.nx >= 256 and grid.ny >= 256,
    }
    with rasterio.open(path, "w", **profile) as file:
        for index, (name, values) in enumerate(bands.items(), 1):
            file.write(values.transpose("y", "x").values.astype(np.float32), index)
            file.set_band_description(index, name)
        file.update_tags(**{key: str(value) for key, value in cube.attrs.items()})


# --- small helpers ---


def _seen(found: xr.Dataset, weights: xr.DataArray) -> xr.Dataset:
    """Means (time) of a box under weights, the `spread` of its features and of GPP, and the `share` seen."""
    from embeddings import footprint

    ages = [str(name) for name in found if str(name).startswith("days_from_")]
    found = found.assign({name: found[name].where(found[name] >= 0) for name in ages})
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
    return rasterize(shapes, grid.shape, transform=_transform(grid), dtype=np.uint8).astype(bool)


def _transform(grid: Grid) -> Any:
    """From column, row to metres, as GDAL has it."""
    from affine import Affine

    return Affine(grid.size_m, 0.0, grid.left_m, 0.0, -grid.size_m, grid.top_m)


def _file(path: str | Path, what: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Got the {what} file {path}, which is not there, need a file; check the path.")
    return path


def _features(path: Path) -> list[dict]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"Got {path}, which is not JSON, need GeoJSON; correct it.") from error
    if not isinstance(data, dict):
        raise InputError(f"Got {path}, which is JSON but not GeoJSON, need a FeatureCollection; correct it.")
    if data.get("type") == "FeatureCollection" and isinstance(data.get("features"), list):
        found = data["features"]
    else:
        found = [data if data.get("type") == "Feature" else {"geometry": data}]
    if not all(isinstance(feature, dict) for feature in found):
        raise InputError(f"Got {path} with features that are none, need GeoJSON features; correct it.")
    return found


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
    rows = csv.DictReader(lines)
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or []}
    if not {"lon", "lat"} <= set(names):
        raise InputError(
            f"Got {path} with columns {', '.join(names) or 'none'}, need lon and lat; rename them."
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


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RISKY) else value


def _line(value: Any) -> str:
    return " ".join(str(value).split())
