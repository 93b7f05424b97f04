"""The series of an area: mean of its pixels, and between which values nine of ten of them lie."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from embeddings.store import QUALITY
from models.errors import InputError

if TYPE_CHECKING:
    from app.data import Data

PIXELS = 200
"""A larger area is told by that many of its pixels, evenly spread."""
BOX_BYTES = 64 * 2**20
"""The box around them is read in bands of this size,"""
BOXES = 8
"""or pixel by pixel where that takes more bands."""
HALF_CLEAR = 0.5
SPREAD = (5, 95)
"""Percent of pixels below the two ends."""


def members(data: "Data", polygons: tuple) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows and columns of the pixels that tell of an area, and how many there are in it."""
    from app.export import pixels_inside

    rows, cols = np.nonzero(
        pixels_inside(data.grid, [[np.asarray(ring) for ring in rings] for rings in polygons])
    )
    if not len(rows):
        raise InputError("Got an area without a pixel centre inside, need one in the scene; draw it larger.")
    picks = np.unique(np.linspace(0, len(rows) - 1, min(PIXELS, len(rows))).round().astype(int))
    return rows[picks], cols[picks], len(rows)


def series(data: "Data", polygons: tuple) -> xr.Dataset:
    """As ``Data.pixel`` of one pixel, with ``_lo`` and ``_hi`` of the pixels beside each mean."""
    rows, cols, count = members(data, polygons)
    cube = pixels(data, rows, cols)
    weights, mean = data.components
    values = cube.embedding.transpose("time", "pixel", "feature").values * data.scale
    parts = {"pc": values @ weights - mean @ weights}
    out = xr.Dataset(coords={"time": data.days, "component": ["PC1", "PC2", "PC3"][: weights.shape[1]]})
    if data.predict:
        parts["gpp"] = data.predict(cube, data.weather).gpp.transpose("time", "pixel").values
    if (told := data.ndvi_told(cube.transpose("time", "pixel", ...))) is not None:
        out["ndvi_told"] = ("time", told.mean(1))
    for name, part in parts.items():
        dims = ("time", "component")[: part.ndim - 1]
        low, high = np.percentile(part, SPREAD, axis=1)
        for end, numbers in (("", part.mean(1)), ("_lo", low), ("_hi", high)):
            out[name + end] = (dims, numbers.astype("float32"))
    for name in QUALITY:
        out[name] = ("time", cube[name].transpose("time", "pixel").values.mean(1))
    at = {
        "x": xr.DataArray(data.grid.x[cols], dims="pixel"),
        "y": xr.DataArray(data.grid.y[rows], dims="pixel"),
    }
    return out.assign(_ndvi(data, at)).assign(data.radar(at)).assign_attrs(pixels=count, told_by=len(rows))


def pixels(data: "Data", rows: np.ndarray, cols: np.ndarray) -> xr.Dataset:
    """All days of the pixels, (time, pixel[, feature]); ``rows`` rise."""
    left, right = cols.min(), cols.max() + 1
    row_bytes = (right - left) * len(data.days) * len(data.features)
    step = max(1, BOX_BYTES // row_bytes)
    bands = [
        (top, rows[(rows >= top) & (rows < top + step)]) for top in range(rows.min(), rows.max() + 1, step)
    ]
    if len(bands) > BOXES:
        each = [data.store.series(int(row), int(col)) for row, col in zip(rows, cols, strict=True)]
        return xr.concat(each, "pixel", data_vars="all", coords="different", compat="equals", join="override")
    parts, everyday = [], slice(0, len(data.days))
    for top, held in bands:
        if len(held):
            found = data.store.window(everyday, slice(top, held.max() + 1), slice(left, right))
            at = {"y": held - top, "x": cols[np.isin(rows, held)] - left}
            parts.append(found.isel({name: xr.DataArray(i, dims="pixel") for name, i in at.items()}))
    if len(parts) == 1:
        return parts[0]
    return xr.concat(
        parts, "pixel", data_vars="minimal", coords="minimal", compat="override", join="override"
    )


def _ndvi(data: "Data", at: dict[str, xr.DataArray]) -> dict:
    """NDVI of the clear pixels of each acquisition; clear where half of them are."""
    if not data.has_ndvi:
        return {}
    seen = data.ndvi(at).transpose("time", "pixel")
    values, clear = seen.values, data.clear(at).transpose("time", "pixel").values.astype(bool)
    mostly = clear.mean(1) >= HALF_CLEAR
    known = np.where(clear | ~mostly[:, None], values, np.nan)
    rows = np.isfinite(known).any(1)
    out = {name: np.full(len(values), np.nan, "float32") for name in ("ndvi", "ndvi_lo", "ndvi_hi")}
    out["ndvi"][rows] = np.nanmean(known[rows], axis=1)
    out["ndvi_lo"][rows], out["ndvi_hi"][rows] = np.nanpercentile(known[rows], SPREAD, axis=1)
    times = pd.DatetimeIndex(seen.time.values)
    return {"acquisition": times, "clear": ("acquisition", mostly)} | {
        name: ("acquisition", column) for name, column in out.items()
    }
