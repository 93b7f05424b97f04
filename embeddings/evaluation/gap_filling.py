"""Gap-filling baselines (linear interpolation, Whittaker smoothing) and the clear reflectance they are scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import block_mean, target_grid
from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries, read_acquisitions
from fluxlens.models.sensors import S2

CLEAR_SHARE = 0.8
"""Share of clear pixels from which a date may be hidden."""

EVERY = 3
"""Every so many of those dates is hidden."""


@dataclass(frozen=True)
class ClearReflectance:
    """Measured Sentinel-2 on the 20 m grid."""

    values: np.ndarray
    """(time, band, y, x) reflectance."""
    clear: np.ndarray
    """(time, y, x) bool."""
    day: np.ndarray
    """(time,) days since 1970-01-01."""

    @classmethod
    def from_scene(cls, scene: xr.DataTree) -> ClearReflectance:
        """Read the Sentinel-2 series of a scene; an odd last row or column of 10 m pixels is left out."""
        grid = target_grid(scene)
        # Blocks of 2 x 2 pixels of 10 m, so that bands of 10 m and 20 m are compared on one grid.
        even = slice(0, grid.ny // 2 * 2), slice(0, grid.nx // 2 * 2)
        series: AcquisitionSeries = read_acquisitions(scene, S2, grid, *even)
        t, y, x = series.valid.shape
        values = block_mean(series.values)  # (time, band, y / 2, x / 2)
        # A 20 m pixel is clear where all four are.
        clear = series.valid.reshape(t, y // 2, 2, x // 2, 2).all((2, 4))
        return cls(values, clear, series.day)

    def hidden(self) -> np.ndarray:
        """Indices (hidden,), integers along ``time``, of the dates that the protocol hides."""
        # The first and the last such date stay visible: no method is asked to extrapolate.
        good = np.flatnonzero(self.clear.mean((1, 2)) >= CLEAR_SHARE)
        return good[1:-1][::EVERY]


def linear(truth: ClearReflectance, visible: np.ndarray, i: int) -> np.ndarray:
    """Linear interpolation in time of each pixel between its nearest visible clear values.

    Parameters
    ----------
    truth
        Measured series.
    visible
        (time,) bool, dates that are not hidden.
    i
        Position of the date to predict.

    Returns
    -------
    (band, y, x) reflectance; at the ends the nearest value; NaN where there is none.
    """
    before, before_day = _nearest(truth, visible, range(i - 1, -1, -1))
    after, after_day = _nearest(truth, visible, range(i + 1, len(truth.day)))
    # 0 at the earlier date, 1 at the later one; NaN where one of them is missing.
    share = (truth.day[i] - before_day) / (after_day - before_day)
    between = before * (1 - share) + after * share
    return np.where(np.isnan(before), after, np.where(np.isnan(after), before, between))


def whittaker(
    truth: ClearReflectance, visible: np.ndarray, days: np.ndarray, smoothness: float = 800.0
) -> np.ndarray:
    """Whittaker smoother of second differences on the daily axis (Eilers 2003, doi:10.1021/ac034173t).

    Parameters
    ----------
    truth
        Measured series.
    visible
        (time,) bool, dates that are not hidden.
    days
        (day,) days to predict.
    smoothness
        Weight of the second differences: a usual choice for daily vegetation series; nothing is tuned on the scene.

    Returns
    -------
    (day, band, y, x) reflectance; NaN where a pixel has fewer than two clear values.
    """
    from scipy.linalg import solveh_banded

    first, last = truth.day[0], truth.day[-1]
    n = last - first + 1
    # Rows are 1, -2, 1: the bend of the curve at each inner day, which the penalty holds small.
    difference = np.diff(np.eye(n), 2, axis=0)
    penalty = smoothness * difference.T @ difference
    # The penalty is pentadiagonal: a banded solver needs its upper three diagonals only.
    bands = np.stack([np.pad(np.diagonal(penalty, k), (k, 0)) for k in (2, 1, 0)])
    _, b, y, x = truth.values.shape
    out = np.empty((len(days), b, y, x), np.float32)
    for row in range(y):
        for col in range(x):
            use = truth.clear[:, row, col] & visible
            if use.sum() < 2:
                out[:, :, row, col] = np.nan
                continue
            weight, target = np.zeros(n), np.zeros((n, b))
            at = truth.day[use] - first
            # Daily axis with weight 1 on measured days and 0 elsewhere: the penalty alone fills the gaps.
            weight[at], target[at] = 1.0, np.nan_to_num(truth.values[use, :, row, col])
            # The penalty is the same for all pixels, which differ only in the days on its diagonal.
            system = bands.copy()
            system[2] += weight
            out[:, :, row, col] = solveh_banded(system, target)[days - first]
    return out


def _nearest(truth: ClearReflectance, visible: np.ndarray, order: range) -> tuple[np.ndarray, np.ndarray]:
    """First visible clear value (band, y, x) and its day (y, x) in the order of dates given; NaN where none."""
    values = np.full(truth.values.shape[1:], np.nan, np.float32)
    day = np.full(truth.clear.shape[1:], np.nan)
    # Walk away from the date until every pixel has found a visible clear value.
    for j in order:
        if not visible[j]:
            continue
        take = np.isnan(day) & truth.clear[j]
        values[:, take], day[take] = truth.values[j][:, take], truth.day[j]
        if not np.isnan(day).any():
            break
    return values, day
