"""The ground a tower's prediction stands for: its pixel, all within a radius, or what its flux footprint weighs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from app import areas
from embeddings import footprint
from embeddings.geometry import Grid
from models.errors import InputError

if TYPE_CHECKING:
    from app.data import Data

SIGHTS = {"pixel": "Pixel", "radius": "Radius", "footprint": "Footprint"}
RADII_M = (50, 500)
CONTOURS = (0.5, 0.8)
"""Shares of a footprint inside the lines that are drawn."""
FAR_M = 500.0
"""What a tower sees is looked for that far on each side."""
HALF_HOURS = 240
"""They tell a footprint here: a second's work; ``fluxlens export --tower`` takes up to 2000."""


@dataclass(frozen=True)
class Ground:
    """Pixels and their weights, 1 in all."""

    rows: np.ndarray
    cols: np.ndarray
    weights: np.ndarray
    told: str
    """What is seen, and by how many pixels it is told."""
    lines: tuple[tuple[list[float], list[float]], ...] = ()
    """Its outlines on the map, metres; NaN between parts of one."""

    def mean(self, values: xr.DataArray) -> xr.DataArray:
        """Over ``pixel``; where some are NaN the others count, if they weigh half or more."""
        weights = xr.DataArray(self.weights, dims="pixel")
        known = values.notnull()
        share = (known * weights).sum("pixel")
        return (values.fillna(0) * weights).sum("pixel") / share.where(share >= areas.HALF_CLEAR)


def ground(data: "Data", kind: str, size: float | None = None) -> Ground:
    """Around the tower: its "pixel"; a "radius" of ``size`` m; a "footprint" with sensors at ``size`` m."""
    if kind == "pixel":
        row, col = data.start
        return Ground(np.array([row]), np.array([col]), np.ones(1), f"pixel {row}, {col}")
    lon, lat = (float(data.tower.attrs[name]) for name in ("lon", "lat"))
    part, corner = _around(data)
    if kind == "radius":
        weights = footprint.disc(part, lon, lat, size)
        x, y = data.tower_xy
        turn = np.linspace(0, 2 * np.pi, 73)
        lines = (((x + size * np.cos(turn)).tolist(), (y + size * np.sin(turn)).tolist()),)
    else:
        weights = footprint.flux(part, lon, lat, _air(data, size, lat))
        lines = contours(part, weights.values)
    share = float(weights.sum())
    told = weights.attrs["long_name"] + (f", {share:.0%} of it in the scene" if share < 0.995 else "")
    return _told_by(weights.values, corner, told, lines)


def _air(data: "Data", height_m: float | None, lat: float) -> footprint.Air:
    if data.wind is None:
        raise InputError("Got a tower without half-hourly wind, need it for a footprint; load its HH file.")
    if height_m is None:
        raise InputError("Got no height of the sensors, need metres above the displacement height; give it.")
    air = footprint.Air.of(data.wind, height_m, lat)
    return air.take(slice(None, None, -(-len(air.wind_m_s) // HALF_HOURS)))


def predicted(data: "Data", seen: Ground) -> xr.Dataset:
    """`gpp`, `gpp_lo`, `gpp_hi` (time): the mean over the ground of what is predicted for each of its pixels."""
    if len(seen.rows) == 1:
        return data.pixel(int(seen.rows[0]), int(seen.cols[0]))
    if not data.predict:
        return xr.Dataset()
    told = data.predict(areas.pixels(data, seen.rows, seen.cols), data.weather)
    return xr.Dataset({name: seen.mean(told[name]) for name in ("gpp", "gpp_lo", "gpp_hi")})


def clear(data: "Data", seen: Ground) -> xr.DataArray:
    """Reflectance (time, band) of red and near infrared over the ground, where half of it or more is clear."""
    if not data.has_ndvi:
        raise InputError("Got a scene without red and near infrared, need both; add B04 and B8A or B08.")
    at = {
        "x": xr.DataArray(data.grid.x[seen.cols], dims="pixel"),
        "y": xr.DataArray(data.grid.y[seen.rows], dims="pixel"),
    }
    s2 = data.scene["s2"].to_dataset()
    bands = [band for band in ("B04", "B8A", "B08") if band in s2.band.values]
    shots = s2["reflectance"].sel(band=bands).sel(at, method="nearest").load()
    found = seen.mean(shots.where(data.clear(at)))
    return found.assign_coords(time=found.indexes["time"].normalize()).drop_duplicates("time")


def contours(grid: Grid, weights: np.ndarray) -> tuple[tuple[list[float], list[float]], ...]:
    """Lines within which ``CONTOURS`` of a footprint lie, the narrower first; fewer where the grid holds less."""
    from bokeh.plotting.contour import contour_data

    falling = np.sort(weights.ravel())[::-1]
    total = np.cumsum(falling)
    levels = [falling[np.searchsorted(total, share)] for share in CONTOURS if total[-1] > share]
    found = []
    for level in levels:
        lines = contour_data(grid.x, grid.y, weights, [float(level)], want_fill=False).line_data
        found.append((np.concatenate(lines.xs).tolist(), np.concatenate(lines.ys).tolist()))
    return tuple(found)


def _around(data: "Data") -> tuple[Grid, tuple[int, int]]:
    """The part of the grid within ``FAR_M`` of the tower, and the row and column where it begins."""
    reach = int(FAR_M // data.grid.size_m) + 1
    row, col = data.start
    rows = slice(max(0, row - reach), min(data.grid.ny, row + reach + 1))
    cols = slice(max(0, col - reach), min(data.grid.nx, col + reach + 1))
    return data.grid.window(rows, cols), (rows.start, cols.start)


def _told_by(weights: np.ndarray, corner: tuple[int, int], told: str, lines: tuple) -> Ground:
    """At most ``areas.PIXELS`` pixels that stand for all: every nth part of the weight tells one."""
    rows, cols = np.nonzero(weights)
    held = weights[rows, cols] / weights.sum()
    count = len(rows)
    if count > areas.PIXELS:
        steps = (np.arange(areas.PIXELS) + 0.5) / areas.PIXELS
        picks, times = np.unique(np.searchsorted(np.cumsum(held), steps), return_counts=True)
        rows, cols, held = rows[picks], cols[picks], times / areas.PIXELS
        told += f"; {len(picks)} of {count:,} pixels read"
    return Ground(rows + corner[0], cols + corner[1], held, told, lines)
