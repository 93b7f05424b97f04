"""What an export is asked and answers: pixel series as tidy tables or cubes, maps as bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.export import selection
from fluxlens.embeddings.export.geometries import Point
from fluxlens.embeddings.export.paths import CUBES, MAPS, check_path, replacing
from fluxlens.embeddings.export.selection import (
    CubeSelection,
    FootprintWeights,
    blank_missing_days,
    select_days,
)
from fluxlens.embeddings.export.writers import write
from fluxlens.embeddings.progress import Steps
from fluxlens.models.errors import InputError

__all__ = ["CUBES", "MAPS", "check_path", "replacing", "write"]

ROWS_AT_MOST = 20_000_000
"""A table of more rows than this is no longer handy; 365 days of 2.3 km x 2.3 km."""

MAPS_AT_MOST = 100_000_000
"""Pixel-days of one file of GPP maps, which are held in memory: 512 x 512 pixels and a year."""


def tidy(
    store: Any,
    points: list[Point] | None = None,
    polygon: list[list[np.ndarray]] | None = None,
    start: Any = None,
    end: Any = None,
    weather: xr.Dataset | None = None,
    footprint_weights: FootprintWeights | None = None,
) -> pd.DataFrame:
    """Series of places as one tidy table.

    Parameters
    ----------
    store
        A ``Store``, or a cube (time, y, x, feature).
    points
        Places of one series each, in lon, lat.
    polygon
        Instead, regions as of ``polygons.regions_of``: a series of each pixel whose centre is inside.
    start, end
        First and last day, anything with the text YYYY-MM-DD; None: of the store.
    weather
        Daily (time) in the units of the scene contract, for GPP; None: that of the store's scene, where it has one.
    footprint_weights
        A point stands for the mean under these weights (y, x), such as a tower's footprint.

    Returns
    -------
    pandas.DataFrame
        One row per point (or pixel) and day; units of the columns as of ``EXPORT_VARIABLES``, metadata in ``.attrs``.

    Raises
    ------
    InputError
        For places outside the scene, days outside the cube, and more than ``ROWS_AT_MOST`` rows.
    """
    cubes = CubeSelection(store, start, end, weather)
    if polygon is not None:
        named_pixels = []
        for region, pixels in cubes.regions(polygon):
            for row, col in zip(*pixels, strict=True):
                named_pixels.append((int(row), int(col), Point(*cubes.lonlat(row, col), region.name)))
    else:
        named_pixels = [(*pixel, point) for pixel, point in cubes.pixels(points or [])]
    # Before anything is read: a table beyond this does not fit in memory.
    if len(named_pixels) * cubes.count > ROWS_AT_MOST:
        raise InputError(
            f"Got {len(named_pixels):,} pixels x {cubes.count} days, need at most {ROWS_AT_MOST:,} rows; "
            "ask for fewer days or write .nc or .zarr."
        )
    # A column of empty names would only be in the way.
    named = any(point.name for _, _, point in named_pixels)
    tables = [
        _table(cubes.series(row, col, point, footprint_weights), point, named)
        for row, col, point in named_pixels
    ]
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
    footprint_weights: FootprintWeights | None = None,
) -> xr.Dataset:
    """As :func:`tidy`, as a dataset.

    Parameters
    ----------
    store, points, polygon, start, end, weather, footprint_weights
        As of :func:`tidy`.

    Returns
    -------
    xarray.Dataset
        ``e00`` ..., ``sigma``, ``days_from_s2``, ``days_from_s1`` and GPP (point, time) of points; (time, y, x) of the
        window around a polygon, NaN outside of it. Units as of ``EXPORT_VARIABLES``.
    """
    cubes = CubeSelection(store, start, end, weather)
    if polygon is not None:
        number, names = cubes.region_numbers(polygon)
        # The bounding window of the polygons is one read; pixels outside become NaN.
        rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(number >= 0))
        number = xr.DataArray(number[rows, cols], dims=("y", "x"))
        cube = cubes.window(rows, cols)
        out = cube.assign(
            # Integers cannot hold NaN, so the window becomes float.
            {name: values.astype(np.float32).where(number >= 0) for name, values in cube.items()}
        )
        if any(names):
            out["region"] = number.assign_attrs(
                long_name="region of the pixel by its number in the attribute names", names=", ".join(names)
            )
    else:
        inside = cubes.pixels(points or [])
        inside_points = [point for _, point in inside]
        # One CRS for all points: along the points it would become an array of equal values.
        series = [
            cubes.series(*pixel, point, footprint_weights).drop_vars("spatial_ref") for pixel, point in inside
        ]
        places = {
            "lon": [point.lon for point in inside_points],
            "lat": [point.lat for point in inside_points],
            "x": [float(one["x"]) for one in series],
            "y": [float(one["y"]) for one in series],
            "name": [point.name for point in inside_points],
        }
        # Coordinates of single pixels differ; along `point` they become coordinates of that dimension.
        bare = [one.drop_vars(("x", "y")) for one in series]
        # "exact": series of one store have the same days; a union of other days would fill in NaN without a word.
        out = xr.concat(bare, "point", coords="different", compat="equals", join="exact")
        out = out.assign_coords({name: ("point", values) for name, values in places.items()})
        out = out.assign_coords(spatial_ref=cubes.cube["spatial_ref"].variable)
    out.attrs = cubes.metadata()
    return out


def map_of(store: Any, polygon: list | None = None, start: Any = None, end: Any = None) -> xr.Dataset:
    """Features, sigma and GPP as one map: of the one day, or the mean of the days.

    Parameters
    ----------
    store, polygon, start, end
        As of :func:`tidy`; without a polygon all pixels.

    Returns
    -------
    xarray.Dataset
        (y, x) float32, NaN outside the polygon; units as of ``EXPORT_VARIABLES``.
    """
    cubes = CubeSelection(store, start, end, None)
    inside = np.ones(cubes.grid.shape, bool)
    if polygon is not None:
        inside = cubes.region_numbers(polygon)[0] >= 0
    rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside))
    # One day at a time, so that a year takes no more memory than a day.
    total = known = 0
    for day in range(cubes.days.start, cubes.days.stop):
        # In float64: sums of a year of days in float32 would lose digits of a mean.
        daily = cubes.window(rows, cols, slice(day, day + 1)).isel(time=0, drop=True).astype(np.float64)
        daily = blank_missing_days(daily)
        # Means over known days only; a day without an acquisition nearby counts for no layer that needs one.
        total, known = total + daily.fillna(0), known + daily.notnull()
    out = (total / known.where(known > 0)).where(xr.DataArray(inside[rows, cols], dims=("y", "x")))
    out = out.astype(np.float32)
    out.attrs = cubes.metadata()
    return out


def gpp_maps(store: Any, start: Any = None, end: Any = None) -> Steps[xr.Dataset]:
    """Maps of GPP of a store's days.

    Weather is that of the scene in the store; without it day length and clear-sky light stand in.

    Parameters
    ----------
    store, start, end
        As of :func:`tidy`.

    Yields
    ------
    tuple
        Message and finished share, 0-1.

    Returns
    -------
    xarray.Dataset
        ``gpp``, its 90 % band ``gpp_lo`` to ``gpp_hi`` in gC m-2 d-1 and ``ood`` (time, y, x).

    Raises
    ------
    InputError
        For more than ``MAPS_AT_MOST`` pixel-days.
    """
    from fluxlens.embeddings import gpp

    cubes = CubeSelection(store, start, end, None)
    pixels = cubes.grid.nx * cubes.grid.ny
    if pixels * cubes.count > MAPS_AT_MOST:
        raise InputError(
            f"Got {pixels:,} pixels x {cubes.count} days, need at most {MAPS_AT_MOST:,}; ask for fewer days."
        )
    # As many days at a time as fit in memory at this size of map.
    everywhere, by_period, step = slice(None), [], max(1, selection.PIXEL_DAYS // pixels)
    for first in range(cubes.days.start, cubes.days.stop, step):
        yield "GPP maps", (first - cubes.days.start) / cubes.count
        days = slice(first, min(first + step, cubes.days.stop))
        box = store.window(days, everywhere, everywhere)
        by_period.append(gpp.predict(box, cubes.weather, calibration=cubes.calibration))
    # Head, calibration and store are the same in all periods, and so are the attributes of the first.
    out = xr.concat(by_period, "time", combine_attrs="override")
    # A file of GPP alone says nothing of features, nor why there might be no GPP.
    out.attrs |= {name: value for name, value in cubes.metadata().items() if name not in ("features", "gpp")}
    return out


def collect(
    store: Any, suffix: str, start: Any = None, end: Any = None, **place: Any
) -> tuple[pd.DataFrame | xr.Dataset, str]:
    """What a file with a suffix holds.

    Parameters
    ----------
    store, start, end
        As of :func:`tidy`.
    suffix
        Lower case: a map (y, x) of ``.tif``, a dataset (point or y and x, time) of ``.nc`` and ``.zarr``, else a table.
    place
        ``points`` or ``polygon``, ``weather`` and ``footprint_weights`` as of :func:`tidy`.

    Returns
    -------
    tuple
        The table or dataset, units as of ``EXPORT_VARIABLES``, and one line about it.

    Raises
    ------
    InputError
        For a map of points.
    """
    if suffix in MAPS:
        # A GeoTIFF is a grid: of scattered points nearly all of it would be empty.
        if place.get("polygon") is None or place.get("footprint_weights"):
            raise InputError(f"Got points for a map ({suffix}), need --polygon; choose it or another suffix.")
        result = map_of(store, place["polygon"], start, end)
        return result, f"a map of {result.sizes['y']} x {result.sizes['x']} pixels, {result.attrs['days']}"
    if suffix in CUBES:
        cube = cube_of(store, start=start, end=end, **place)
        return cube, " x ".join(f"{size} {name}" for name, size in cube.sizes.items())
    table = tidy(store, start=start, end=end, **place)
    return table, f"{len(table)} rows"


def to_file(store: Any, path: str | Path, start: Any = None, end: Any = None, **place: Any) -> str:
    """Write an export in the form its suffix says.

    Parameters
    ----------
    store, start, end, place
        As of :func:`collect`.
    path
        Of the file; replaced only by the whole new one.

    Returns
    -------
    str
        One line about it.
    """
    path = check_path(path)
    result, summary = collect(store, path.suffix.lower(), start, end, **place)
    write(result, path)
    return summary


def store_to_zarr(
    store: Any, path: str | Path, start: Any = None, end: Any = None, layout: str = "cf"
) -> Steps[str]:
    """Write all pixels of a store's days as Zarr that xarray alone reads.

    Parameters
    ----------
    store
        A ``Store``.
    path
        Ending in ``.zarr``.
    start, end
        As of :func:`tidy`.
    layout
        One of ``zarr_export.LAYOUTS``.

    Yields
    ------
    Progress

    Returns
    -------
    str
        One line about it.

    Raises
    ------
    InputError
        For another suffix, and days outside the cube.
    """
    from fluxlens.embeddings.store import zarr_export

    path = check_path(path)
    if path.suffix.lower() != ".zarr":
        raise InputError(
            f"Got {path.name} without a place, need --at, --points or --polygon; or a name that ends in .zarr for the"
            " whole store."
        )
    days = select_days(store.days, start, end)
    with replacing(path) as temporary:
        yield from zarr_export.write_zarr(store, temporary, days, layout)
    return f"{days.stop - days.start} days of {store.grid.ny} x {store.grid.nx} pixels"


def _table(series: xr.Dataset, point: Point, named: bool) -> pd.DataFrame:
    x, y = float(series["x"]), float(series["y"])
    columns: dict[str, Any] = {"time": series["time"].values}
    if named:
        columns["name"] = point.name
    columns |= {"lon": point.lon, "lat": point.lat, "x": x, "y": y}
    # Scalars such as the CRS are no columns.
    columns |= {str(name): series[name].values for name in series.data_vars if series[name].dims == ("time",)}
    return pd.DataFrame(columns)
