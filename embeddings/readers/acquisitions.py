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
    """Reflectance of digital numbers.

    Parameters
    ----------
    numbers
        Digital numbers of any dims, 0 = no data; floats are taken to be reflectance already.
    offset
        Added to the digital numbers before they are divided by 10000.

    Returns
    -------
    xarray.DataArray
        float32 0-1, clipped at 2, NaN where there is no data.
    """
    if numbers.dtype.kind == "f":
        return schema.held_at_brightest(numbers.where(numbers > -9999).astype("float32"))
    scaled = schema.unpack(numbers.astype("float32") + np.float32(offset), STEP)
    return schema.held_at_brightest(scaled.where(numbers != 0))


def optical(reflectance: xr.DataArray, bands: tuple[str, ...], clear: xr.DataArray, grid: Grid) -> xr.Dataset:
    """The node of an optical sensor, one image per day.

    Parameters
    ----------
    reflectance
        (time, band, y, x) float32 0-1, NaN for no data; several images may share a day.
    bands
        Names along ``band``.
    clear
        (time, y, x) bool.
    grid
        Where the pixels are.

    Returns
    -------
    xarray.Dataset
        ``reflectance`` and ``clear`` on UTC days; lazy where ``reflectance`` is.
    """
    clear = (clear & reflectance.notnull().all("band")).transpose(*schema.MAPS)
    if reflectance.chunks is not None:
        return _lazy(reflectance, bands, clear, grid)
    values, flags, days = _one_per_day(reflectance.values, clear.values, reflectance["time"].values)
    return xr.Dataset(
        {
            "reflectance": (schema.CUBE, values, {"units": "1", "long_name": "surface reflectance"}),
            "clear": (schema.MAPS, flags, {"long_name": "no cloud, shadow or snow, and data in all bands"}),
        },
        coords={"time": days, "band": list(bands), **grid.coords()},
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
        ours, theirs = clear.isel(time=same), reflectance.isel(time=same)
        some = ours.any("time")
        merged = theirs.where(ours | ~some).mean("time")
        rounded = xr.apply_ufunc(
            schema.quantise, merged, STEP, dask="parallelized", output_dtypes=["float32"]
        )
        images.append(rounded.expand_dims("time"))
        flags.append(some.expand_dims("time"))
    if (count > 1).any():
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
    """Mean over the first axis of what is not NaN.

    Parameters
    ----------
    values
        Array of floats.

    Returns
    -------
    numpy.ndarray
        One dim less; NaN where nothing is.
    """
    count = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
