"""Statistics of a scene's series (season, noise, texture, radar), for comparing simulated with measured scenes.

Long on purpose: one table of statistics, each a short function of the same sample.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import block_mean, target_grid
from fluxlens.embeddings.scenes.acquisitions import read_acquisitions, to_epoch_day
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import S2

REACH_DAYS = 30
"""Neighbours in time within so many days define the local line."""

SLOPE_PRIOR = 25.0
"""Days squared: holds the slope back as much as one date five days off with the same value would."""

FAR = 0.03
"""Reflectance; a clear pixel further than this off its neighbours in time was not clear, or something happened."""

TRIPLE_DAYS = 12
"""Longest span of three dates whose middle one is compared with the line through the others."""

RADAR_STEP_DAYS = 12
"""One repeat cycle: the same track, whatever the number of satellites."""

SEASONS = ("winter", "spring", "summer", "autumn")

PAIRS = (
    ("B02", "B04"),
    ("B03", "B04"),
    ("B04", "B8A"),
    ("B05", "B06"),
    ("B05", "B8A"),
    ("B05", "B12"),
    ("B8A", "B11"),
    ("B11", "B12"),
)


@dataclass(frozen=True)
class SceneSample:
    """One scene, measured or simulated, on the grids that both kinds are compared on."""

    bands: tuple[str, ...]
    fine: np.ndarray
    """(time, band, y, x) Sentinel-2 reflectance on the 10 m grid."""
    clear: np.ndarray
    """(time, y, x) bool on the 20 m grid: the mask calls all four 10 m pixels clear."""
    day: np.ndarray
    radar: np.ndarray
    """(time, band, y, x) VV and VH, dB, on their own 20 m grid."""
    radar_day: np.ndarray
    track: np.ndarray
    """(time) ascending or descending."""

    @classmethod
    def from_scene(cls, scene: xr.DataTree) -> SceneSample:
        """Read a scene.

        Parameters
        ----------
        scene
            With ``/s2`` and ``/s1``.

        Raises
        ------
        InputError
            If one of the two is missing.
        """
        if not {"s2", "s1"} <= set(scene.children):
            raise InputError(
                f"Got the scene {scene.attrs.get('id', '?')} with {sorted(scene.children)}, need s2 and s1; give both."
            )
        grid = target_grid(scene)
        # An even number of rows and columns: 2 x 2 pixels make one of the 20 m grid.
        series = read_acquisitions(scene, S2, grid, slice(0, grid.ny // 2 * 2), slice(0, grid.nx // 2 * 2))
        present = [i for i in range(len(S2.bands)) if np.isfinite(series.values[:, i]).any()]
        t, y, x = series.valid.shape
        clear = series.valid.reshape(t, y // 2, 2, x // 2, 2).all((2, 4))  # (time, y / 2, x / 2)
        s1 = scene["s1"]
        track = s1["orbit"].values if "orbit" in s1 else np.full(s1.sizes["time"], "")
        return cls(
            tuple(S2.bands[i] for i in present),
            series.values[:, present],
            clear,
            series.day,
            s1["backscatter"].sel(band=["VV", "VH"]).values[:, :, : y // 2, : x // 2],
            to_epoch_day(s1["time"].values),
            track,
        )

    @cached_property
    def s2(self) -> np.ndarray:
        """(time, band, y, x) on the 20 m grid; NaN where not clear."""
        return np.where(self.clear[:, None], block_mean(self.fine), np.nan)

    def band(self, name: str) -> np.ndarray:
        """Reflectance (time, y, x) 0-1 of the band called ``name``, NaN where not clear."""
        return self.s2[:, self.bands.index(name)]

    @cached_property
    def deviation(self) -> np.ndarray:
        """(time, y, x) deviation of the reflectance in B05 (red edge) from its neighbours in time; NaN: unknown."""
        return self.band("B05") - local_line(self.band("B05"), self.day)

    @cached_property
    def clean(self) -> np.ndarray:
        """``s2`` (time, band, y, x), reflectance without values far off their neighbours in time (missed clouds)."""
        return np.where((np.abs(self.deviation) > FAR)[:, None], np.nan, self.s2)

    def index(self, low: str) -> np.ndarray:
        """(time, y, x) normalised difference of B8A and band ``low``, of ``clean`` values."""
        nir, red = (self.clean[:, self.bands.index(name)] for name in ("B8A", low))
        return (nir - red) / np.maximum(nir + red, 1e-3)

    @cached_property
    def triples(self) -> np.ndarray:
        """(triple, band, y, x) middle of three mostly clear dates within 12 days minus the line through the others."""
        # Half of the scene clear: with less the triple's pixels would be a corner of it.
        good = np.flatnonzero(self.clear.mean((1, 2)) >= 0.5)
        # Short spans only: over twelve days land changes nearly along a line, and what departs from it is noise.
        near = [
            k for k in range(1, len(good) - 1) if self.day[good[k + 1]] - self.day[good[k - 1]] <= TRIPLE_DAYS
        ]
        return self._second_difference(self.s2, self.day, [(good[k - 1], good[k], good[k + 1]) for k in near])

    @cached_property
    def radar_triples(self) -> np.ndarray:
        """(triple, band, y, x) dB, the same for passes of one track one repeat cycle apart."""
        # By track as well: the two passes of a day look from different sides.
        at = {(day, track): i for i, (day, track) in enumerate(zip(self.radar_day, self.track, strict=True))}
        triples = [
            (at[day - RADAR_STEP_DAYS, track], i, at[day + RADAR_STEP_DAYS, track])
            for (day, track), i in at.items()
            if (day - RADAR_STEP_DAYS, track) in at and (day + RADAR_STEP_DAYS, track) in at
        ]
        return self._second_difference(self.radar, self.radar_day, triples)

    @staticmethod
    def _second_difference(
        values: np.ndarray, day: np.ndarray, triples: list[tuple[int, int, int]]
    ) -> np.ndarray:
        """(triple, band, y, x) the middle value minus the line through the two others."""
        i, j, k = np.array(triples, dtype=int).reshape(-1, 3).T  # (triple,) each
        # How far the middle date is along the line, 0 at the first and 1 at the last one.
        share = ((day[j] - day[i]) / np.maximum(day[k] - day[i], 1))[:, None, None, None]
        return values[j] - (1 - share) * values[i] - share * values[k]


def local_line(values: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Prediction of each date from its neighbours in time, itself left out.

    Local regression with tricube weights, made robust by bisquare ones (Cleveland 1979,
    doi:10.1080/01621459.1979.10481038); the slope is held by a weak prior, so that no gap is extrapolated across.

    Parameters
    ----------
    values
        (time, y, x), NaN where unknown.
    day
        (time,) days.

    Returns
    -------
    (time, y, x); NaN where fewer than three neighbours are known.
    """
    out = np.full(values.shape, np.nan, np.float32)
    # One date at a time: (neighbour, y, x) arrays of its neighbours only.
    for i in range(len(day)):
        near = np.flatnonzero((np.abs(day - day[i]) <= REACH_DAYS) & (day != day[i]))
        if len(near) < 3:
            continue
        z, t = values[near], (day[near] - day[i]).astype(np.float32)[:, None, None]
        # Tricube weights fall to zero just beyond the reach.
        known = np.isfinite(z)
        near_weight = known * (1 - (np.abs(t) / (REACH_DAYS + 1)) ** 3) ** 3
        # Robust from the start: the first weights come from the distance to the median, not from a line that clouds
        # have tilted.
        residual = np.abs(z - _median(z, 0))
        z = np.nan_to_num(z)
        for _ in range(3):  # three robust passes, as lowess has them
            # Bisquare weights with Cleveland's six medians; at least 0.01, below which reflectance is noise.
            scale = _median(residual, 0)
            w = near_weight * np.nan_to_num(
                np.clip(1 - (residual / np.maximum(6 * scale, 0.01)) ** 2, 0, 1) ** 2
            )
            total = np.maximum(w.sum(0), 1e-6)
            mean_t, mean_z = (w * t).sum(0) / total, (w * z).sum(0) / total
            # Weighted least squares with a prior slope of zero.
            slope = (w * (t - mean_t) * (z - mean_z)).sum(0) / ((w * (t - mean_t) ** 2).sum(0) + SLOPE_PRIOR)
            residual = np.where(known, np.abs(z - mean_z - slope * (t - mean_t)), np.nan)
        out[i] = np.where(known.sum(0) >= 3, mean_z - slope * mean_t, np.nan)
    return np.where(np.isfinite(values), out, np.nan)


def pixels(scene_sample: SceneSample) -> pd.DataFrame:
    """Statistics of each 20 m pixel, the classifier's inputs.

    Parameters
    ----------
    scene_sample
        The scene.

    Returns
    -------
    One row per pixel, a column per statistic; reflectance 0-1, backscatter in dB, days of the year; NaN unknown.
    """
    columns: dict[str, np.ndarray] = {}
    texture = _texture(scene_sample.s2)
    for i, band in enumerate(scene_sample.bands):
        values = scene_sample.clean[:, i]
        columns |= {
            f"mean {band}": _mean(values, 0),
            f"spread in time {band}": _std(values, 0),
            f"noise {band}": _median(np.abs(scene_sample.triples[:, i]), 0),
            f"texture of 20 m {band}": _median(texture[:, i], 0),
        }
    for name, low in (("NDVI", "B04"), ("NDRE", "B05")):
        if low in scene_sample.bands:
            columns |= _index_statistics(name, scene_sample.index(low), scene_sample.day)
    known = np.isfinite(scene_sample.deviation)
    columns |= {
        "clear share": scene_sample.clear.mean(0),
        "clear, far too bright": _share(scene_sample.deviation > FAR, known),
        "clear, far too dark": _share(scene_sample.deviation < -FAR, known),
    }
    columns |= _radar_statistics(scene_sample)
    return pd.DataFrame({name: np.asarray(value, float).ravel() for name, value in columns.items()})


def _index_statistics(name: str, values: np.ndarray, day: np.ndarray) -> dict[str, np.ndarray]:
    """Range and day of the peak (y, x) of a vegetation index (time, y, x); ``day`` counts from 1970-01-01."""
    # 5 and 95 %: robust against single dates.
    lowest, highest = _quantile(values, (0.05, 0.95), 0)
    # The peak is where the highest tenth of the dates lies.
    top = np.where(values >= _quantile(values, 0.9, 0), 1.0, np.nan)
    # The day of the peak is a circular mean: over the turn of the year 360 and 5 lie close.
    angle = 2 * np.pi * _day_of_year(day)[:, None, None] / 365.25
    peak = np.arctan2(_mean(top * np.sin(angle), 0), _mean(top * np.cos(angle), 0))
    return {
        f"{name} low": lowest,
        f"{name} high": highest,
        f"{name} amplitude": highest - lowest,
        f"{name} day of peak": peak % (2 * np.pi) * 365.25 / (2 * np.pi),
    }


def _radar_statistics(scene_sample: SceneSample) -> dict[str, np.ndarray]:
    """Level, spread and noise (y, x) of VV, VH and their ratio, dB, and how they follow leaves and each other."""
    vv, vh = scene_sample.radar[:, 0], scene_sample.radar[:, 1]  # (time, y, x)
    vv_noise, vh_noise = scene_sample.radar_triples[:, 0], scene_sample.radar_triples[:, 1]  # (triple, y, x)
    green = _at_days(scene_sample.index("B05"), scene_sample.day, scene_sample.radar_day)
    out: dict[str, np.ndarray] = {}
    for name, values, residual in (
        ("VV", vv, vv_noise),
        ("VH", vh, vh_noise),
        # VH - VV in dB is the ratio of powers: free of soil moisture to first order.
        ("VH - VV", vh - vv, vh_noise - vv_noise),
    ):
        out |= {
            f"mean {name}": _mean(values, 0),
            f"spread in time {name}": _std(values, 0),
            f"noise {name}": _median(np.abs(residual), 0),
            f"correlation with NDRE {name}": _correlation(values, green, 0),
        }
    return out | {"correlation of noise VV VH": _correlation(vv_noise, vh_noise, 0)}


def statistics(scene_sample: SceneSample, each: pd.DataFrame) -> dict[str, float]:
    """Statistics of a whole scene.

    Parameters
    ----------
    scene_sample
        The scene.
    each
        Statistics of its pixels, from ``pixels``.

    Returns
    -------
    Means over pixels, and what only a scene has: seasons, shared noise, cloud, texture, correlations of bands.
    """
    out = {name: float(value) for name, value in each.mean().items() if not name.endswith("day of peak")}
    for name in each.columns[each.columns.str.endswith("day of peak")]:
        # The mean of days of the year is that of angles: 30 December and 2 January average to New Year.
        phasor = np.exp(2j * np.pi * each[name].dropna() / 365.25).mean()
        out[name] = float(np.angle(phasor) % (2 * np.pi) * 365.25 / (2 * np.pi))
    for name in ("NDRE amplitude", "mean B8A", "mean VV", "mean VH", "mean VH - VV"):
        out[f"spread over pixels of {name}"] = float(each[name].std())
    out |= _seasons(scene_sample) | _shared_noise(scene_sample) | _sky(scene_sample)
    for a, b in PAIRS:
        # Scenes may lack bands.
        if a in scene_sample.bands and b in scene_sample.bands:
            first, second = (scene_sample.clean[:, scene_sample.bands.index(name)].ravel() for name in (a, b))
            out[f"correlation {a} {b}"] = float(_correlation(first, second, 0))
    # Texture on each band's native grid: 20 m bands repeated on 10 m would look smooth.
    fine = np.where(scene_sample.clear.repeat(2, 1).repeat(2, 2)[:, None], scene_sample.fine, np.nan)
    for native_m, values in ((10, fine), (20, scene_sample.s2)):
        native = [
            i
            for i, band in enumerate(scene_sample.bands)
            if (band in ("B02", "B03", "B04", "B08")) == (native_m == 10)
        ]
        # Texture and the step to the next pixel: their ratio tells sharp edges from smooth gradients.
        texture = _texture(values[:, native])
        step = _median(np.abs(np.diff(values[:, native], axis=3)), (0, 2, 3))
        for k, i in enumerate(native):
            spread = float(_median(texture[:, k], None))
            out[f"texture {scene_sample.bands[i]}"] = spread
            out[f"step between neighbours over texture {scene_sample.bands[i]}"] = float(step[k]) / max(
                spread, 1e-6
            )
    return out


def _seasons(scene_sample: SceneSample) -> dict[str, float]:
    """Means and spreads of clean values."""
    month = _month(scene_sample.day)
    out = {}
    for s, season in enumerate(SEASONS):
        # December, January and February are 0, and so on.
        at = month % 12 // 3 == s
        for i, band in enumerate(scene_sample.bands):
            values = scene_sample.clean[at, i]
            out[f"mean {band} {season}"] = float(_mean(values, None))
            out[f"spread {band} {season}"] = float(_std(values, None))
    return out


def _shared_noise(scene_sample: SceneSample) -> dict[str, float]:
    """Noise split into what the whole scene shares on a date and what each pixel has on its own."""
    out = {}
    radar = np.concatenate([scene_sample.radar_triples, np.diff(scene_sample.radar_triples, axis=1)], axis=1)
    for bands, residual in ((scene_sample.bands, scene_sample.triples), (("VV", "VH", "VH - VV"), radar)):
        # (triple, band) what the whole scene shares: atmosphere and calibration; the rest is the pixel's own.
        shared = _median(residual, (2, 3))
        own = residual - shared[:, :, None, None]
        for i, band in enumerate(bands):
            out[f"noise of the date {band}"] = float(_median(np.abs(shared[:, i]), None))
            out[f"noise of the pixel {band}"] = float(_median(np.abs(own[:, i]), None))
            neighbours = own[:, i, :, :-1].ravel(), own[:, i, :, 1:].ravel()
            out[f"noise shared with the neighbour {band}"] = float(_correlation(*neighbours, 0))
    return out


def _sky(scene_sample: SceneSample) -> dict[str, float]:
    """Dates, cloud and what the mask does to whole dates."""
    month, share = _month(scene_sample.day), scene_sample.clear.mean((1, 2))
    whole = pd.Series(scene_sample.day).diff().median()
    out = {
        "days between dates": float(whole),
        # 30.4 days: a mean month.
        "dates per month": len(month) / np.ptp(scene_sample.day) * 30.4,
    }
    out |= {f"clear share month {m:02d}": float(_mean(share[month == m], None)) for m in range(1, 13)}
    out |= {"dates all clear": float((share > 0.95).mean()), "dates all masked": float((share < 0.05).mean())}
    known = [i for i in range(len(share)) if np.isfinite(scene_sample.deviation[i]).mean() > 0.2]
    # Whole dates off their neighbours: haze (up) or cloud shadow and overcorrection (down).
    shift = np.array([_median(scene_sample.deviation[i], None) for i in known])
    out["clear dates shifted up"] = float((shift > 0.01).mean()) if len(shift) else np.nan
    out["clear dates shifted down"] = float((shift < -0.01).mean()) if len(shift) else np.nan
    return out


def _month(day: np.ndarray) -> np.ndarray:
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12 + 1


def _day_of_year(day: np.ndarray) -> np.ndarray:
    dates = day.astype("datetime64[D]")
    return (dates - dates.astype("datetime64[Y]")).astype(int)


def _texture(values: np.ndarray) -> np.ndarray:
    """(time, band, y, x) standard deviation inside 5 x 5 pixels; NaN where one of them is missing."""
    wide = np.lib.stride_tricks.sliding_window_view(
        np.pad(values, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=np.nan), 5, 2
    )
    wide = np.lib.stride_tricks.sliding_window_view(wide, 5, 3)  # (time, band, y, x, 5, 5)
    # Var = E[x2] - E[x]2 in float64; tiny negative values are rounding.
    total, squares = wide.sum((4, 5)), (wide.astype(np.float64) ** 2).sum((4, 5))
    return np.sqrt(np.maximum(squares / 25 - (total / 25.0) ** 2, 0))


def _at_days(values: np.ndarray, day: np.ndarray, query_days: np.ndarray) -> np.ndarray:
    """(query, y, x) linear interpolation in time per pixel between known values."""
    flat = values.reshape(len(day), -1)
    out = np.full((len(query_days), flat.shape[1]), np.nan)
    for p, series in enumerate(flat.T):
        known = np.isfinite(series)
        if known.sum() >= 2:
            out[:, p] = np.interp(query_days, day[known], series[known])
    return out.reshape(len(query_days), *values.shape[1:])


def _share(counted: np.ndarray, of: np.ndarray) -> np.ndarray:
    return (counted & of).sum(0) / np.maximum(of.sum(0), 1)


def _correlation(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """Pearson, of pairs without a NaN."""
    # Means are taken over common pairs only.
    both = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(both, a, np.nan), np.where(both, b, np.nan)
    a, b = a - _mean(a, axis), b - _mean(b, axis)
    return _mean(a * b, axis) / np.maximum(np.sqrt(_mean(a * a, axis) * _mean(b * b, axis)), 1e-12)


def _quiet(function: Callable) -> Callable:
    """A NaN-aware NumPy function that gives NaN without a warning where all values are NaN."""

    def of(values: np.ndarray, *arguments: Any) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(values, *arguments)

    return of


_mean, _std, _median, _quantile = map(_quiet, (np.nanmean, np.nanstd, np.nanmedian, np.nanquantile))
