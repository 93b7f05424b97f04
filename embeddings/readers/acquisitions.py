"""From the images of a sensor to its node: digital numbers as reflectance, one image a day, what is clear marked."""

from __future__ import annotations

import numpy as np
import xarray as xr

from embeddings import schema
from embeddings.geometry import Grid

CLEAR_SCL = (4, 5, 6)
"""Scene classification of Sen2Cor: vegetation, not vegetated, water."""
STEP = 1e-4


def reflectance(numbers: xr.DataArray, offset: int) -> xr.DataArray:
    """Reflectance 0-1 of digital numbers, 0 = no data; floats are taken to be reflectance already."""
    if numbers.dtype.kind == "f":
        return schema.held_at_brightest(numbers.where(numbers > -9999).astype("float32"))
    scaled = schema.unpack(numbers.astype("float32") + np.float32(offset), STEP)
    return schema.held_at_brightest(scaled.where(numbers != 0))


def optical(reflectance: xr.DataArray, bands: tuple[str, ...], clear: xr.DataArray, grid: Grid) -> xr.Dataset:
    """The node of an optical sensor, one image per day."""
    seen = reflectance.notnull().all("band")
    values, flags, days = _one_per_day(
        reflectance.values, (clear & seen).transpose(*schema.MAPS).values, reflectance["time"].values
    )
    return xr.Dataset(
        {
            "reflectance": (schema.CUBE, values, {"units": "1", "long_name": "surface reflectance"}),
            "clear": (schema.MAPS, flags, {"long_name": "no cloud, shadow or snow, and data in all bands"}),
        },
        coords={"time": days, "band": list(bands), **grid.coords()},
    )


def _one_per_day(
    values: np.ndarray, clear: np.ndarray, time: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of the same UTC day merged: the mean of the clear values, else the mean of the valid ones."""
    day = time.astype("datetime64[D]")
    days, first = np.unique(day, return_index=True)
    out, flags = values[first], clear[first]
    for index, date in enumerate(days):
        same = np.flatnonzero(day == date)
        if same.size > 1:
            use = np.where(clear[same].any(axis=0), clear[same], True)
            merged = mean(np.where(use[:, None], values[same], np.nan))
            out[index] = schema.quantise(merged, STEP)
            flags[index] = clear[same].any(axis=0)
    return out, flags, days.astype("datetime64[ns]")


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    count = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
