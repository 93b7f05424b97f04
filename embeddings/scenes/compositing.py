"""From the images of an optical sensor to its node: numbers to reflectance, one composite per day, clear mask."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.scenes import packing, schema

CLEAR_SCL = (4, 5, 6)
"""Classes of Sen2Cor's scene classification that count as clear: vegetation, not vegetated, water."""

STEP = 1e-4
"""Reflectance per digital number of Sentinel-2 and Landsat surface products."""


def to_reflectance(numbers: xr.DataArray, offset: int) -> xr.DataArray:
    """Reflectance of digital numbers.

    Parameters
    ----------
    numbers
        Any dims. Integers: digital numbers, 0 = no data. Floats are taken to be reflectance already, with NaN or -9999
        for no data.
    offset
        Added to digital numbers: -1000 for Sentinel-2 of processing baseline 04.00 or later, else 0.

    Returns
    -------
    xarray.DataArray
        float32, 0-1 with saturated values clipped to ``packing.SATURATION``; NaN for no data.
    """
    # Scaled already, and among reflectances 0 is a value; among digital numbers it is "no data".
    if numbers.dtype.kind == "f":
        return packing.clip_saturated(numbers.where(numbers > packing.NO_DATA_AT_MOST).astype("float32"))
    scaled = packing.unpack(numbers.astype("float32") + np.float32(offset), STEP)
    return packing.clip_saturated(scaled.where(numbers != 0))


def optical_node(
    reflectance: xr.DataArray, bands: tuple[str, ...], clear: xr.DataArray, grid: Grid
) -> xr.Dataset:
    """The node of an optical sensor, one composite per UTC day.

    Parameters
    ----------
    reflectance
        (time, band, y, x) 0-1, NaN for no data; times increase, several may fall on one day.
    bands
        Names along ``band``.
    clear
        (time, y, x) bool of the same images.
    grid
        The grid of both.

    Returns
    -------
    xarray.Dataset
        ``reflectance`` and ``clear`` as the scene contract wants them, times at midnight UTC.
    """
    has_data = reflectance.notnull().all("band")
    # A lazy scene stays lazy: its composites are made as they are read.
    if reflectance.chunks is not None:
        return _lazy(reflectance, bands, (clear & has_data).transpose(*schema.MAPS), grid)
    values, valid, days = composite_daily(
        reflectance.values,
        (clear & has_data).transpose(*schema.MAPS).values,
        reflectance["time"].values,
        STEP,
    )
    return xr.Dataset(
        {
            "reflectance": (schema.CUBE, values, {"units": "1", "long_name": "surface reflectance"}),
            "clear": (schema.MAPS, valid, {"long_name": "no cloud, shadow or snow, and data in all bands"}),
        },
        coords={"time": days.astype("datetime64[ns]"), "band": list(bands), **grid.coords()},
    )


def _lazy(reflectance: xr.DataArray, bands: tuple[str, ...], clear: xr.DataArray, grid: Grid) -> xr.Dataset:
    """The node of cubes that do not fit in memory: only days with several images are put together anew."""
    day = reflectance["time"].values.astype("datetime64[D]")
    days, first, count = np.unique(day, return_index=True, return_counts=True)
    images, flags = [], []
    for date, index in zip(days, first, strict=True):
        same = np.flatnonzero(day == date)
        if same.size == 1:
            images.append(reflectance.isel(time=[int(index)]))
            flags.append(clear.isel(time=[int(index)]))
            continue
        # Lazy counterpart of ``composite_daily``: the same rule, so that a cube in memory and one on disk agree.
        clear_images, measured = clear.isel(time=same), reflectance.isel(time=same)
        any_clear = clear_images.any("time")
        # Where no image is clear all of them count, as in memory.
        merged = measured.where(clear_images | ~any_clear).mean("time")
        rounded = xr.apply_ufunc(
            packing.round_to_step, merged, STEP, dask="parallelized", output_dtypes=["float32"]
        )
        # ``mean`` dropped the dimension; without it concat would broadcast.
        images.append(rounded.expand_dims("time"))
        flags.append(any_clear.expand_dims("time"))
    if (count > 1).any():
        # Without ``time``, which would else be aligned: images of one day have times of their own.
        reflectance = xr.concat([one.drop_vars("time", errors="ignore") for one in images], dim="time")
        clear = xr.concat([one.drop_vars("time", errors="ignore") for one in flags], dim="time")
    out = xr.Dataset(
        {
            "reflectance": reflectance.drop_vars("time", errors="ignore").transpose(*schema.CUBE).variable,
            "clear": clear.drop_vars("time", errors="ignore").transpose(*schema.MAPS).variable,
        },
        coords={"time": days.astype("datetime64[ns]"), "band": list(bands), **grid.coords()},
    )
    out["reflectance"].attrs = {"units": "1", "long_name": "surface reflectance"}
    out["clear"].attrs = {"long_name": "no cloud, shadow or snow, and data in all bands"}
    return out


def composite_daily(
    values: np.ndarray,
    valid: np.ndarray,
    time: np.ndarray,
    step: float | None = None,
    is_db: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Composite the images of one UTC day: per pixel the mean of the valid values, else of all that are measured.

    Parameters
    ----------
    values
        (time, band, y, x), NaN where not measured.
    valid
        (time, y, x) bool.
    time
        (time) datetime64, or whole days as integers; in any order.
    step
        Round composites to multiples of this, as every other image is; None: leave them.
    is_db
        Values are dB, of which the mean is that of the power: passes of both directions may share a day.

    Returns
    -------
    tuple of numpy.ndarray
        ``values`` (day, band, y, x), ``valid`` (day, y, x) and the days (day), increasing. Days with one image keep its
        numbers as they are.
    """
    day = time.astype("datetime64[D]") if time.dtype.kind == "M" else time
    days, first = np.unique(day, return_index=True)
    # Most scenes have one image a day, in order: nothing is copied.
    if len(days) == len(day) and (first == np.arange(len(day))).all():
        return values, valid, days
    out, out_valid = values[first], valid[first]
    for index, date in enumerate(days):
        same = np.flatnonzero(day == date)
        if same.size > 1:
            # where no image of the day is valid, all of them are used: the mask tells so, and nothing is lost
            use = np.where(valid[same].any(axis=0), valid[same], True)  # (image, y, x)
            used = np.where(use[:, None], values[same], np.nan)  # (image, band, y, x)
            mean = power_mean(used) if is_db else nan_mean(used)  # (band, y, x)
            out[index] = mean if step is None else packing.round_to_step(mean, step)
            out_valid[index] = valid[same].any(axis=0)
    return out, out_valid, days


def power_mean(decibel: np.ndarray) -> np.ndarray:
    """Mean power over the first axis of what is not NaN, as dB: the mean of decibels would be lower.

    Parameters
    ----------
    decibel
        (image, ...) backscatter in dB.

    Returns
    -------
    numpy.ndarray
        (...) float32 dB, NaN where no image has a value.
    """
    return (10 * np.log10(nan_mean(10 ** (decibel / 10)))).astype("float32")


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; unlike ``numpy.nanmean`` silent where nothing is.

    Parameters
    ----------
    values
        (image, ...), any units, such as reflectance or linear power.

    Returns
    -------
    numpy.ndarray
        (...), NaN where no image has a value.
    """
    count = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
