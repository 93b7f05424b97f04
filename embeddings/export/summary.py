"""One vector per pixel for any window of days, from the days of a store: nothing is embedded anew.

Of each feature there are three numbers, as variables of their own (bands of a GeoTIFF):

- ``<feature>_mean``: mean over the days of the window;
- ``<feature>_std``: standard deviation over the days, population form;
- ``<feature>_amplitude``: half the difference between the greatest and the least mean of a month, the window being
  divided into equal parts of about 30 days; 0 for a window of a single part. Means of months rather than a fitted
  harmonic: they are defined for windows of any length, also where the days of a season are missing.

Beside them ``sigma_mean``, the mean of the expected error, and ``days_known``, the number of days that count.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.export.paths import CUBES, MAPS, check_path
from fluxlens.embeddings.export.selection import metadata, select_days
from fluxlens.embeddings.export.writers import write
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.store.quantise import FEATURE_MISSING
from fluxlens.models.errors import InputError

STATISTICS = {
    "mean": "mean",
    "std": "standard deviation",
    "amplitude": "half the range of 30-day means",
}
"""Endings of the names of variables, and what they are."""

SUBPERIOD_DAYS = 30
"""The window is divided into equal parts near this length for the amplitude: the shortest that a cloudy month fills."""

BLOCK_PX = 256
"""Side of the squares that are summarised together: the chunks of a store, 0.1 GB of sums with 32 features."""

READ_DAYS = 16
"""Days read together; 32 MB of a square with 32 features."""


def summarise(cube: Any, start: Any, end: Any) -> xr.Dataset:
    """Mean, standard deviation and seasonal amplitude of each feature over a window of days.

    ``summarise(...).to_dataarray("feature")`` is one vector per pixel.

    Parameters
    ----------
    cube
        A ``Store``, its path, or an embedding cube (time, y, x, feature).
    start, end
        First and last day, anything with the text YYYY-MM-DD.

    Returns
    -------
    xarray.Dataset
        (y, x) float32: ``e00_mean``, ``e00_std``, ``e00_amplitude``, ``e01_mean`` ... in the unit of the features (1),
        ``sigma_mean`` (reflectance 0-1) and ``days_known`` (d); NaN where a pixel has no known day.

    Raises
    ------
    InputError
        Where one is no date, or the window reaches over the days of the cube.
    """
    return progress.run(summarise_steps(cube, start, end))


def summarise_steps(cube: Any, start: Any, end: Any) -> Steps[xr.Dataset]:
    """As ``summarise``; yields progress.

    Parameters
    ----------
    cube, start, end
        As of ``summarise``.
    """
    if isinstance(cube, str | Path):
        from fluxlens.embeddings.store import Store

        cube = Store.open(cube)
    # A store is read square by square; a cube in memory is only cut.
    is_cube = isinstance(cube, xr.Dataset)
    times = cube["time"].values if is_cube else cube.days
    days = _days_inside(times, start, end)
    season = _subperiods(times[days])
    grid = Grid.from_cube(cube) if is_cube else cube.grid
    lazy = cube if is_cube else cube.cube()
    features = [str(name) for name in lazy["feature"].values]
    layers = {
        f"{name}_{ending}": np.full(grid.shape, np.nan, np.float32)
        for name in features
        for ending in STATISTICS
    }
    if "sigma" in lazy:
        layers["sigma_mean"] = np.full(grid.shape, np.nan, np.float32)
    layers["days_known"] = np.zeros(grid.shape, np.float32)
    # (rows, cols) of the chunks of a store, so that none is read twice.
    squares = list(product(_slices(grid.ny), _slices(grid.nx)))
    for done, (rows, cols) in enumerate(squares):
        yield f"summary of {days.stop - days.start} days", done / len(squares)
        for name, values in _of_square(cube, days, rows, cols, season, features).items():
            layers[name][rows, cols] = values
    attrs = metadata(cube, start, end)
    # GPP is of days, and the description of features is replaced by that of their statistics.
    attrs = {key: value for key, value in attrs.items() if not key.startswith("gpp") and key != "features"}
    attrs["title"] = f"summary of {attrs['title']}"
    attrs["features"] = "of each feature " + ", ".join(
        f"<feature>_{ending}: {meaning} over the days" for ending, meaning in STATISTICS.items()
    )
    out = xr.Dataset({name: (("y", "x"), values) for name, values in layers.items()}, grid.coords(), attrs)
    for name in features:
        for ending, meaning in STATISTICS.items():
            out[f"{name}_{ending}"].attrs = {"long_name": f"feature {name}, {meaning}", "units": "1"}
    if "sigma_mean" in out:
        out["sigma_mean"].attrs = {"long_name": "mean expected error of the reflectance", "units": "1"}
    out["days_known"].attrs = {"long_name": "number of days with an embedding", "units": "d"}
    return out


def summary_to_file(cube: Any, path: str | Path, window: str) -> Steps[str]:
    """Write the summary of a window; yields progress.

    Parameters
    ----------
    cube
        As of ``summarise``.
    path
        ``.tif``, ``.nc`` or ``.zarr``; replaced only by the whole new one.
    window
        ``START:END``, ISO dates.

    Returns
    -------
    str
        One line about it.

    Raises
    ------
    InputError
        As of ``summarise``, and where the window or the path is none.
    """
    path = check_path(path, CUBES | MAPS)
    start, colon, end = window.partition(":")
    if not (start and colon and end):
        raise InputError(f"Got --summary {window}, need START:END such as 2020-05-01:2020-09-30; correct it.")
    summary = yield from summarise_steps(cube, start, end)
    write(summary, path)
    return (
        f"{len(summary.data_vars)} numbers of {summary.sizes['y']} x {summary.sizes['x']} pixels,"
        f" {summary.attrs['days']}"
    )


def _days_inside(times: np.ndarray, start: Any, end: Any) -> slice:
    """Indices of the window's days; a window that is not whole is refused, since vectors of years are compared."""
    days = select_days(times, start, end)
    first, last = (np.datetime64(str(day), "D") for day in (start, end))
    have = times.astype("datetime64[D]")
    if first < have[0] or last > have[-1]:
        raise InputError(
            f"Got the window {first} to {last}, need one inside {have[0]} to {have[-1]}, the days of the cube;"
            " choose it or embed more days."
        )
    return days


def _subperiods(times: np.ndarray) -> np.ndarray:
    """(time,) number of the subperiod of about ``SUBPERIOD_DAYS`` that each day belongs to."""
    since = (times - times[0]).astype("timedelta64[D]").astype(int)
    length = since[-1] + 1
    # Equal parts rather than calendar months: none is cut at the ends of the window.
    count = max(1, round(length / SUBPERIOD_DAYS))
    return since * count // length


class _Sums:
    """Sums over the days of a square (y, x, feature), from which the statistics of its features follow.

    Sums of int8 codes in float64 are exact integers: no order of days or squares changes a bit.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.total, self.squares = np.zeros(shape), np.zeros(shape)
        self.days = np.zeros(shape, np.int32)
        # Of the part of the season that is being added, and the extremes of the means of those before.
        self.part, self.part_days = np.zeros(shape), np.zeros(shape, np.int32)
        self.least, self.greatest = np.full(shape, np.inf), np.full(shape, -np.inf)

    def add(self, codes: np.ndarray) -> None:
        """Add a day (y, x, feature)."""
        # Of a store int8 codes; a cube in memory may be dequantised already, with NaN.
        known = codes != FEATURE_MISSING if codes.dtype == np.int8 else np.isfinite(codes)
        values = np.where(known, codes, 0).astype(np.float64)
        self.total += values
        self.squares += values * values
        self.part += values
        self.part_days += known
        self.days += known

    def close_part(self) -> None:
        """End a part of the season: its mean counts among the extremes."""
        has_days = self.part_days > 0
        # A pixel without a day in the part has no mean of it, and keeps its extremes.
        mean = self.part / np.maximum(self.part_days, 1)
        np.minimum(self.least, mean, out=self.least, where=has_days)
        np.maximum(self.greatest, mean, out=self.greatest, where=has_days)
        self.part[:], self.part_days[:] = 0, 0

    def statistics(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of closed parts, in the order of ``STATISTICS``, (y, x, feature) in codes; NaN without a known day."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.days
            # Rounding may leave a tiny negative number where all days are equal.
            std = np.sqrt(np.maximum(self.squares / self.days - mean**2, 0))
            half_range = np.where(self.days > 0, (self.greatest - self.least) / 2, np.nan)
        return mean, std, half_range


def _of_square(
    cube: Any, days: slice, rows: slice, cols: slice, season: np.ndarray, features: list[str]
) -> dict[str, np.ndarray]:
    """Layers (y, x) of one square."""
    size = (rows.stop - rows.start, cols.stop - cols.start)
    sums = _Sums((*size, len(features)))
    sigma, sigma_known = np.zeros(size), np.zeros(size, np.int32)
    scale = np.ones(len(features))
    at = 0
    for box in _boxes(cube, days, rows, cols):
        scale = box["scale"].values.astype(np.float64)
        has_sigma = "sigma" in box
        for day in range(box.sizes["time"]):
            # Days come in order, so that a part of the season is whole when the next one begins.
            if at and season[at] != season[at - 1]:
                sums.close_part()
            sums.add(box["embedding"].values[day])
            if has_sigma:
                one = box["sigma"].values[day]
                sigma += np.nan_to_num(one)
                sigma_known += np.isfinite(one)
            at += 1
    sums.close_part()
    statistics = sums.statistics()
    out = {}
    for i, name in enumerate(features):
        for ending, values in zip(STATISTICS, statistics, strict=True):
            # Scaled last: all three statistics are linear in the step.
            out[f"{name}_{ending}"] = values[..., i] * scale[i]
    if sigma_known.any():
        # NaN where no day has one.
        with np.errstate(invalid="ignore", divide="ignore"):
            out["sigma_mean"] = sigma / sigma_known
    # Features are known together; the greatest holds for cubes in which one of them is missing.
    out["days_known"] = sums.days.max(-1)
    return out


def _boxes(cube: Any, days: slice, rows: slice, cols: slice) -> Iterator[xr.Dataset]:
    """The days of a square, some at a time, in memory."""
    for first in range(days.start, days.stop, READ_DAYS):
        some = slice(first, min(first + READ_DAYS, days.stop))
        if isinstance(cube, xr.Dataset):
            box = cube.isel(time=some, y=rows, x=cols)
            yield box.transpose("time", "y", "x", "feature", missing_dims="ignore").load()
        else:
            yield cube.window(some, rows, cols)


def _slices(size: int) -> list[slice]:
    return [slice(at, min(at + BLOCK_PX, size)) for at in range(0, size, BLOCK_PX)]
