"""The series of an area: the mean of its pixels, and the range that holds nine of ten of them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.series import SeriesReader, label_variables
from fluxlens.embeddings.evaluation.tower_baselines import LEAST_CLEAR_SHARE
from fluxlens.embeddings.export.selection import blank_missing_days, restore_missing_days
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import QUALITY
from fluxlens.models.errors import InputError

MAX_PIXELS = 200
"""Of a larger area that many pixels are read, evenly spread."""
BAND_BYTES = 64 * 2**20
"""The bounding box of the pixels is read in bands of rows of at most that many bytes,"""
MAX_BANDS = 8
"""or pixel by pixel where that would take more bands: a long thin area would else read mostly other pixels."""
PERCENTILES = (5, 95)
"""Ends of the range that is drawn around the mean."""


def sample_members(
    grid: Grid, area: shapely.MultiPolygon, covers: Callable | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """The pixels that are read of an area.

    Parameters
    ----------
    grid : Grid
        Pixel grid of the scene.
    area : shapely.MultiPolygon
        In lon, lat (degrees, WGS 84), valid or not.
    covers : callable, optional
        From (pixel,) rows and columns to whether they are known; the others are left out.

    Returns
    -------
    rows, cols : numpy.ndarray
        At most ``MAX_PIXELS`` pixels in rising row order.
    count : int
        Pixels whose centre is inside the area.

    Raises
    ------
    InputError
        No pixel centre is inside.
    """
    from fluxlens.embeddings.export.geometries import pixels_inside

    rows, cols = np.nonzero(pixels_inside(grid, [area]))
    if covers is not None:
        stored = covers(rows, cols)
        rows, cols = rows[stored], cols[stored]
    if not len(rows):
        raise InputError("Got an area without a pixel centre inside, need one in the scene; draw it larger.")
    # Evenly over row-major order: the sample keeps the shape of the area.
    picks = np.unique(np.linspace(0, len(rows) - 1, min(MAX_PIXELS, len(rows))).round().astype(int))
    return rows[picks], cols[picks], len(rows)


def read_area(
    scene: SceneData, imagery: Imagery, reader: SeriesReader, area: shapely.MultiPolygon
) -> xr.Dataset:
    """The series of an area, as ``SeriesReader.pixel`` has it of one pixel.

    Parameters
    ----------
    scene, imagery : SceneData, Imagery
        What is read.
    reader : SeriesReader
        Decodes NDVI.
    area : shapely.MultiPolygon
        In lon, lat (degrees, WGS 84), valid or not.

    Returns
    -------
    xarray.Dataset
        Means of the variables of a pixel, with ``_lo`` and ``_hi`` (``PERCENTILES`` of the pixels) for ``pc``,
        ``gpp`` and ``ndvi``; ``gpp_pixels`` and ``ndvi_decoded_pixels`` (time, pixel) of each pixel that is read; attrs
        ``pixels`` in the area and ``pixels_read``.
    """
    rows, cols, count = sample_members(scene.grid, area, scene.covers)
    cube = read_pixels(scene, rows, cols)
    weights, mean = scene.components
    values = cube.embedding.transpose("time", "pixel", "feature").values * scene.scale
    # Centred after the projection: (v - m) W = v W - m W, without a copy of all vectors.
    by_variable = {"pc": values @ weights - mean @ weights}  # (time, pixel, component)
    out = xr.Dataset(coords={"time": scene.days, "component": ["PC1", "PC2", "PC3"][: weights.shape[1]]})
    if scene.predict:
        by_variable["gpp"] = scene.predict(cube, scene.weather).gpp.transpose("time", "pixel").values
    if (decoded := reader.decode_ndvi(cube.transpose("time", "pixel", ...))) is not None:
        out["ndvi_decoded"] = ("time", decoded.mean(1))
        out["ndvi_decoded_pixels"] = (("time", "pixel"), decoded.astype("float32"))
    if "gpp" in by_variable:
        out["gpp_pixels"] = (("time", "pixel"), by_variable["gpp"].astype("float32"))
    for name, members in by_variable.items():
        dims = ("time", "component")[: members.ndim - 1]
        # Percentiles and not a standard deviation: pixels across two fields have two peaks.
        low, high = np.percentile(members, PERCENTILES, axis=1)
        for suffix, numbers in (("", members.mean(1)), ("_lo", low), ("_hi", high)):
            out[name + suffix] = (dims, numbers.astype("float32"))
    quality = blank_missing_days(cube[list(QUALITY)]).mean("pixel")
    # Where no pixel has an acquisition, back to the code of "none" that a pixel's series has.
    out = out.assign(restore_missing_days(quality).astype("float32").reset_coords(drop=True).data_vars)
    at = pixel_coordinates(scene.grid, rows, cols)
    out = out.assign(_mean_ndvi(imagery, at)).assign(imagery.radar_at(at))
    return label_variables(out.assign_attrs(pixels=count, pixels_read=len(rows)))


def mean_embedding(scene: SceneData, area: shapely.MultiPolygon) -> np.ndarray:
    """The mean vector of an area's pixels on each day.

    Parameters
    ----------
    scene : SceneData
        What is read.
    area : shapely.MultiPolygon
        In lon, lat (degrees, WGS 84), valid or not.

    Returns
    -------
    numpy.ndarray
        (time, feature) float32 in the steps of the stored int8.
    """
    rows, cols, _ = sample_members(scene.grid, area, scene.covers)
    return (
        read_pixels(scene, rows, cols)
        .embedding.transpose("time", "feature", "pixel")
        .values.mean(-1, dtype="float32")
    )


def pixel_coordinates(grid: Grid, rows: np.ndarray, cols: np.ndarray) -> dict[str, xr.DataArray]:
    """x and y in metres of the pixels (``rows``, ``cols``) of a ``grid`` along ``pixel``: an indexer for images."""
    return {
        "x": xr.DataArray(grid.x[cols], dims="pixel"),
        "y": xr.DataArray(grid.y[rows], dims="pixel"),
    }


def read_pixels(scene: SceneData, rows: np.ndarray, cols: np.ndarray) -> xr.Dataset:
    """All days of some pixels, from few reads of the store.

    Parameters
    ----------
    scene : SceneData
        What is read.
    rows, cols : numpy.ndarray
        (pixel,) indices; ``rows`` must rise.

    Returns
    -------
    xarray.Dataset
        The cube along (time, pixel[, feature]).
    """
    left, right = cols.min(), cols.max() + 1
    # One byte each: the embedding is int8.
    row_bytes = (right - left) * len(scene.days) * len(scene.features)
    step = max(1, BAND_BYTES // row_bytes)
    bands = [
        (top, rows[(rows >= top) & (rows < top + step)]) for top in range(rows.min(), rows.max() + 1, step)
    ]
    # Then the pixels lie so far apart that single series read fewer bytes than bands of rows.
    if len(bands) > MAX_BANDS:
        each = [scene.store.series(int(row), int(col)) for row, col in zip(rows, cols, strict=True)]
        return xr.concat(each, "pixel", data_vars="all", coords="different", compat="equals", join="override")
    windows, all_days = [], slice(0, len(scene.days))
    for top, band_rows in bands:
        if len(band_rows):
            window = scene.store.window(all_days, slice(top, band_rows.max() + 1), slice(left, right))
            # Pixels are in row-major order, so that columns of the band stand in the order of its rows.
            at = {"y": band_rows - top, "x": cols[np.isin(rows, band_rows)] - left}
            windows.append(window.isel({name: xr.DataArray(i, dims="pixel") for name, i in at.items()}))
    if len(windows) == 1:
        return windows[0]
    # Windows of one store share every coordinate but that of the pixel: there is nothing to compare.
    return xr.concat(
        windows, "pixel", data_vars="minimal", coords="minimal", compat="override", join="override"
    )


def _mean_ndvi(imagery: Imagery, at: dict[str, xr.DataArray]) -> dict:
    """NDVI of the clear pixels of each acquisition, with its percentiles; clear where half of the pixels are."""
    if not imagery.has_ndvi:
        return {}
    ndvi = imagery.ndvi_at(at).transpose("time", "pixel")
    values, clear = ndvi.values, imagery.clear_at(at).transpose("time", "pixel").values.astype(bool)
    mostly_clear = clear.mean(1) >= LEAST_CLEAR_SHARE
    # Of a mostly clear acquisition only its clear pixels count; of a masked one all, which the chart draws hollow.
    known = np.where(clear | ~mostly_clear[:, None], values, np.nan)
    rows = np.isfinite(known).any(1)
    out = {name: np.full(len(values), np.nan, "float32") for name in ("ndvi", "ndvi_lo", "ndvi_hi")}
    out["ndvi"][rows] = np.nanmean(known[rows], axis=1)
    out["ndvi_lo"][rows], out["ndvi_hi"][rows] = np.nanpercentile(known[rows], PERCENTILES, axis=1)
    times = pd.DatetimeIndex(ndvi.time.values)
    return {"acquisition": times, "clear": ("acquisition", mostly_clear)} | {
        name: ("acquisition", column) for name, column in out.items()
    }
