"""From a scene to the tensors of the networks: one sensor's acquisitions on the 10 m grid, at most one a day."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from embeddings.geometry import Grid
from models.errors import InputError
from models.sensors import SensorSpec

EPOCH = np.datetime64("1970-01-01", "D")


@dataclass(frozen=True)
class Series:
    """All acquisitions of one sensor over a rectangle of the 10 m grid."""

    values: np.ndarray
    """(time, band, y, x) float32 in the sensor's unit, bands in the order of its spec; NaN = not measured."""
    usable: np.ndarray
    """(time, y, x) bool: measured and called clear by the mask."""
    day: np.ndarray
    """(time) int64, days since 1970-01-01 UTC, strictly increasing."""

    def at(self, keep: np.ndarray) -> Series:
        """The same with some acquisitions only."""
        return Series(self.values[keep], self.usable[keep], self.day[keep])


def days_of(times: np.ndarray) -> np.ndarray:
    """UTC days since 1970-01-01 of datetime64 times."""
    return (np.asarray(times).astype("datetime64[D]") - EPOCH).astype(np.int64)


def times_of(days: np.ndarray) -> np.ndarray:
    """Midnights, datetime64[ns], of days since 1970-01-01."""
    return (EPOCH + np.asarray(days, dtype="timedelta64[D]")).astype("datetime64[ns]")


def span(scene: xr.DataTree, sensors: tuple[str, ...]) -> tuple[int, int]:
    """First and last day, both included, on which any of the sensors has an acquisition."""
    days = [days_of(scene[name]["time"].values) for name in sensors if name in scene.children]
    days = [d for d in days if d.size]
    if not days:
        raise InputError(
            f"the scene {scene.attrs.get('id', '?')} has no acquisition of {' or '.join(sensors)};"
            " give a scene with at least one."
        )
    return int(min(d.min() for d in days)), int(max(d.max() for d in days))


def read(
    scene: xr.DataTree, spec: SensorSpec, grid: Grid, rows: slice, cols: slice, halo_px: int = 0
) -> Series | None:
    """The sensor's acquisitions over rows and cols of ``grid`` plus a halo; None if the scene lacks the sensor.

    Coarser grids are repeated onto the 10 m grid. Beyond the scene's edge the halo is missing, never made up.
    """
    if spec.name not in scene.children:
        return None
    node = scene[spec.name]
    own = Grid.of(node.to_dataset(inherit=False))
    y = grid.top_m - (np.arange(rows.start - halo_px, rows.stop + halo_px) + 0.5) * grid.size_m
    x = grid.left_m + (np.arange(cols.start - halo_px, cols.stop + halo_px) + 0.5) * grid.size_m
    row = np.floor((own.top_m - y) / own.size_m).astype(int)
    col = np.floor((x - own.left_m) / own.size_m).astype(int)
    in_y, in_x = (row >= 0) & (row < own.ny), (col >= 0) & (col < own.nx)
    days = days_of(node["time"].values)
    shape = (len(days), len(spec.bands), len(y), len(x))
    values = np.full(shape, np.nan, np.float32)
    usable = np.zeros((shape[0], *shape[2:]), bool)
    if not (in_y.any() and in_x.any()):
        return Series(values, usable, days)
    box = {
        "y": slice(row[in_y].min(), row[in_y].max() + 1),
        "x": slice(col[in_x].min(), col[in_x].max() + 1),
    }
    inside = np.ix_(row[in_y] - box["y"].start, col[in_x] - box["x"].start)
    target = np.ix_(np.flatnonzero(in_y), np.flatnonzero(in_x))
    measured = node[spec.variable].isel(box)
    there = [band for band in spec.bands if band in measured["band"].values]
    stack = _loaded(scene, measured.sel(band=there))  # one read: stored chunks hold all bands
    for i, band in enumerate(there):
        values[:, spec.bands.index(band), *target] = stack[:, i][:, *inside]
    low, high = spec.valid_range
    known = (values >= low) & (values <= high)
    values[~known] = np.nan
    clear = np.ones_like(usable)
    if "clear" in node:
        clear[:, *target] = _loaded(scene, node["clear"].isel(box))[:, *inside]
    usable = clear & known.any(1)
    return _one_a_day(Series(values, usable, days))


def _loaded(scene: xr.DataTree, values: xr.DataArray) -> np.ndarray:
    try:
        # Blocks are read in threads of Dask's; its pools inside its pools wait for each other when one fails.
        return values.compute(scheduler="synchronous").values
    except (OSError, ValueError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise InputError(
            f"Got the scene {scene.attrs.get('id', '?')}, whose files cannot be read ({why}), need whole ones;"
            " write or fetch it again."
        ) from error


def _one_a_day(series: Series) -> Series:
    """Acquisitions of the same UTC day become one: per pixel the mean of the usable ones."""
    days, first, group = np.unique(series.day, return_index=True, return_inverse=True)
    if len(days) == len(series.day):
        return series
    merged = replace(series.at(first), values=series.values[first].copy(), usable=series.usable[first].copy())
    for k in np.flatnonzero(np.bincount(group) > 1):
        members = np.flatnonzero(group == k)
        usable = series.usable[members]
        look = np.where(usable.any(0), usable, True)[:, None] & ~np.isnan(series.values[members])
        total = np.where(look, series.values[members], 0).sum(0)
        count = look.sum(0)
        merged.values[k] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        merged.usable[k] = usable.any(0)
    return merged
