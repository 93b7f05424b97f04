"""Realism of the simulator: statistics of measured and simulated scenes, and a classifier two-sample test.

Both kinds of scenes are read the same way (mask, 20 m grid) and described by the same statistics. No model is trained
on anything computed here.
"""

# Over 400 lines: the statistics and the two-sample test get files of their own with the packages.

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from embeddings.geometry import target_grid
from embeddings.inputs import read_acquisitions, to_epoch_day
from embeddings.progress import Steps
from embeddings.simulate import random_request, random_scene
from embeddings.simulate.scene import Request
from embeddings.training import FIRST_SEED, SIMULATED_SIZE_PX
from models.errors import InputError
from models.sensors import S2

LANDSCAPES = 24
LATITUDE_BAND_DEG = 5.0
"""A landscape lies in a cube's climate band when its latitude is this near."""
SEEDS = 400
"""How far the training seeds are searched for landscapes of the band."""
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
PIXELS = 200
"""Per scene, for the classifier."""
RIDGE = 0.01
"""Penalty of the classifier, where the weights of all pixels sum to one."""
POSES = 20
"""Draws of the null distribution: as many simulated landscapes taken for measured ones."""
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
        series = read_acquisitions(scene, S2, grid, slice(0, grid.ny // 2 * 2), slice(0, grid.nx // 2 * 2))
        present = [i for i in range(len(S2.bands)) if np.isfinite(series.values[:, i]).any()]
        t, y, x = series.valid.shape
        clear = series.valid.reshape(t, y // 2, 2, x // 2, 2).all((2, 4))
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
        t, b, y, x = self.fine.shape
        coarse = self.fine.reshape(t, b, y // 2, 2, x // 2, 2).mean((3, 5))
        return np.where(self.clear[:, None], coarse, np.nan)

    def band(self, name: str) -> np.ndarray:
        """(time, y, x) of one band, NaN where not clear."""
        return self.s2[:, self.bands.index(name)]

    @cached_property
    def deviation(self) -> np.ndarray:
        """(time, y, x) deviation of B05, the first red-edge band, from its neighbours in time; NaN where unknown."""
        return self.band("B05") - local_line(self.band("B05"), self.day)

    @cached_property
    def clean(self) -> np.ndarray:
        """``s2`` without values far off their neighbours in time: clouds the mask missed, shadows, events."""
        return np.where((np.abs(self.deviation) > FAR)[:, None], np.nan, self.s2)

    def index(self, low: str) -> np.ndarray:
        """(time, y, x) normalised difference of B8A and band ``low``, of ``clean`` values."""
        nir, red = (self.clean[:, self.bands.index(name)] for name in ("B8A", low))
        return (nir - red) / np.maximum(nir + red, 1e-3)

    @cached_property
    def triples(self) -> np.ndarray:
        """(triple, band, y, x) middle of three mostly clear dates within 12 days minus the line through the others."""
        good = np.flatnonzero(self.clear.mean((1, 2)) >= 0.5)
        near = [
            k for k in range(1, len(good) - 1) if self.day[good[k + 1]] - self.day[good[k - 1]] <= TRIPLE_DAYS
        ]
        return self._second_difference(self.s2, self.day, [(good[k - 1], good[k], good[k + 1]) for k in near])

    @cached_property
    def radar_triples(self) -> np.ndarray:
        """(triple, band, y, x) dB, the same for passes of one track one repeat cycle apart."""
        at = {(day, track): i for i, (day, track) in enumerate(zip(self.radar_day, self.track, strict=True))}
        found = [
            (at[day - RADAR_STEP_DAYS, track], i, at[day + RADAR_STEP_DAYS, track])
            for (day, track), i in at.items()
            if (day - RADAR_STEP_DAYS, track) in at and (day + RADAR_STEP_DAYS, track) in at
        ]
        return self._second_difference(self.radar, self.radar_day, found)

    @staticmethod
    def _second_difference(
        values: np.ndarray, day: np.ndarray, triples: list[tuple[int, int, int]]
    ) -> np.ndarray:
        """(triple, band, y, x) the middle value minus the line through the two others."""
        i, j, k = np.array(triples, dtype=int).reshape(-1, 3).T
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
            values = scene_sample.index(low)
            # 5 and 95 %: robust against single dates.
            lowest, highest = _quantile(values, (0.05, 0.95), 0)
            # The peak is where the highest tenth of the dates lies.
            top = np.where(values >= _quantile(values, 0.9, 0), 1.0, np.nan)
            # The day of the peak is a circular mean: over the turn of the year 360 and 5 lie close.
            angle = 2 * np.pi * _day_of_year(scene_sample.day)[:, None, None] / 365.25
            peak = np.arctan2(_mean(top * np.sin(angle), 0), _mean(top * np.cos(angle), 0))
            columns |= {
                f"{name} low": lowest,
                f"{name} high": highest,
                f"{name} amplitude": highest - lowest,
                f"{name} day of peak": peak % (2 * np.pi) * 365.25 / (2 * np.pi),
            }
    known = np.isfinite(scene_sample.deviation)
    columns |= {
        "clear share": scene_sample.clear.mean(0),
        "clear, far too bright": _share(scene_sample.deviation > FAR, known),
        "clear, far too dark": _share(scene_sample.deviation < -FAR, known),
    }
    # VH - VV in dB is the ratio of powers: free of soil moisture to first order.
    ratio = scene_sample.radar[:, 1] - scene_sample.radar[:, 0]
    green = _at_days(scene_sample.index("B05"), scene_sample.day, scene_sample.radar_day)
    for name, values, residual in (
        ("VV", scene_sample.radar[:, 0], scene_sample.radar_triples[:, 0]),
        ("VH", scene_sample.radar[:, 1], scene_sample.radar_triples[:, 1]),
        ("VH - VV", ratio, scene_sample.radar_triples[:, 1] - scene_sample.radar_triples[:, 0]),
    ):
        columns |= {
            f"mean {name}": _mean(values, 0),
            f"spread in time {name}": _std(values, 0),
            f"noise {name}": _median(np.abs(residual), 0),
            f"correlation with NDRE {name}": _correlation(values, green, 0),
        }
    columns["correlation of noise VV VH"] = _correlation(
        scene_sample.radar_triples[:, 0], scene_sample.radar_triples[:, 1], 0
    )
    return pd.DataFrame({name: np.asarray(value, float).ravel() for name, value in columns.items()})


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
        phasor = np.exp(2j * np.pi * each[name].dropna() / 365.25).mean()
        out[name] = float(np.angle(phasor) % (2 * np.pi) * 365.25 / (2 * np.pi))
    for name in ("NDRE amplitude", "mean B8A", "mean VV", "mean VH", "mean VH - VV"):
        out[f"spread over pixels of {name}"] = float(each[name].std())
    out |= _seasons(scene_sample) | _shared_noise(scene_sample) | _sky(scene_sample)
    for a, b in PAIRS:
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


# --- classifier two-sample test ---


def two_sample_test(measured: list[pd.DataFrame], simulated: list[pd.DataFrame]) -> tuple[float, pd.Series]:
    """How well a classifier tells measured pixels from simulated ones on scenes it has not seen.

    A classifier two-sample test (Lopez-Paz & Oquab 2017): logistic regression on standardised statistics and their
    squares; each fold holds out one measured scene and its share of the landscapes.

    Parameters
    ----------
    measured, simulated
        One frame per scene, a row per pixel, all with the same statistics and without NaN.

    Returns
    -------
    Balanced accuracy (0.5 where nothing tells them apart), every scene of a kind weighing the same; and each
    statistic's AUC, mean over measured scenes: 0.5 says nothing, 1 all measured pixels above all simulated ones, 0
    below.
    """
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import LeaveOneGroupOut

    frames, folds = measured + simulated, len(measured)
    scene_fold = [*range(folds), *(k % folds for k in range(len(simulated)))]
    x = pd.concat(frames).to_numpy()
    scene = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])  # (pixel,)
    is_measured, fold = scene < folds, np.array(scene_fold)[scene]
    predicted = np.empty(len(x), bool)
    for train, test in LeaveOneGroupOut().split(x, is_measured, fold):
        weight = _scene_weights(scene[train], is_measured[train])
        classifier = _classifier().fit(x[train], is_measured[train], logisticregression__sample_weight=weight)
        predicted[test] = classifier.predict(x[test])
    per_scene = 1 / np.bincount(scene)[scene]
    accuracy = float(balanced_accuracy_score(is_measured, predicted, sample_weight=per_scene))
    pool = pd.concat(simulated)
    auc = {
        name: np.mean(
            [
                roc_auc_score(np.arange(len(one) + len(pool)) < len(one), np.append(one[name], pool[name]))
                for one in measured
            ]
        )
        for name in measured[0].columns
    }
    return accuracy, pd.Series(auc)


def _scene_weights(scene: np.ndarray, is_measured: np.ndarray) -> np.ndarray:
    """(pixel,) weights that sum to one: each kind weighs a half, and so much the same each scene of a kind."""
    weight = np.empty(len(scene))
    for kind in (True, False):
        at = is_measured == kind
        weight[at] = 0.5 / len(np.unique(scene[at])) / np.bincount(scene[at])[scene[at]]
    return weight


def _classifier() -> Any:
    """Logistic regression on standardised statistics and their squares."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    # The intercept is one of the inputs, so that it is penalised with them: what differs between two samples of scenes
    # in every statistic at once then counts less, and the scores of earlier versions stay comparable.
    fit = LogisticRegression(C=1 / RIDGE, fit_intercept=False, tol=1e-6, max_iter=5000)
    return make_pipeline(StandardScaler(), FunctionTransformer(_with_squares), fit)


def _with_squares(z: np.ndarray) -> np.ndarray:
    """(pixel, 2 x statistic + 1): clipped at 4 standard deviations, so that no outlier decides; squares; one."""
    z = np.clip(z, -4, 4)
    return np.hstack([z, z**2 - 1, np.ones((len(z), 1))])


# --- the whole comparison ---


def landscapes(latitudes: list[float], number: int = LANDSCAPES) -> list[Request]:
    """The first training landscapes in the climate band of measured scenes.

    Parameters
    ----------
    latitudes
        Of the measured scenes, degrees.
    number
        Most landscapes to return.

    Raises
    ------
    InputError
        If fewer than two landscapes lie near.
    """
    drawn = (random_request(seed, SIMULATED_SIZE_PX) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS))
    # Same climate band: differences are then of the simulator, not of geography.
    near = [r for r in drawn if min(abs(r.lat - lat) for lat in latitudes) <= LATITUDE_BAND_DEG]
    if len(near) < 2:
        raise InputError(
            f"Got scenes at latitude {', '.join(f'{lat:.1f}' for lat in latitudes)}, need one within"
            f" {LATITUDE_BAND_DEG:g} degrees of a simulated landscape; the simulator has none there."
        )
    return near[:number]


def compare(scenes: dict[str, xr.DataTree], number: int = LANDSCAPES) -> Steps[dict]:
    """Compare measured scenes with simulated landscapes of their climate band.

    Parameters
    ----------
    scenes
        Measured scenes by name.
    number
        Most landscapes to simulate.

    Returns
    -------
    Flat result, which ``report`` shows as a table; yields progress.
    """
    measured, latitudes = {}, []
    for name, scene in scenes.items():
        yield f"reading {name}", 0.0
        measured[name] = SceneSample.from_scene(scene)
        grid = target_grid(scene)
        latitudes.append(float(grid.lonlat(grid.x.mean(), grid.y.mean())[1]))
    requests = landscapes(latitudes, number)
    simulated, rows = [], []
    for k, request in enumerate(requests):
        yield f"simulating landscape {request.seed}", k / len(requests)
        scene_sample = SceneSample.from_scene(random_scene(request.seed, SIMULATED_SIZE_PX))
        rows.append(pixels(scene_sample))
        simulated.append(statistics(scene_sample, rows[-1]))
    yield "classifier two-sample test", 1.0
    real = {name: pixels(scene_sample) for name, scene_sample in measured.items()}
    table = pd.DataFrame(
        {name: statistics(scene_sample, real[name]) for name, scene_sample in measured.items()}
    )
    table = table.join(summary(pd.DataFrame(simulated)), how="left")
    table["gap"] = gap(table, list(measured))
    result = {"scenes": list(measured), "landscapes": len(rows), "seeds": [r.seed for r in requests]}
    if len(measured) > 1:
        result |= classify(list(real.values()), rows)
    return result | {
        f"{row}.{column}": table.at[row, column] for row in table.index for column in table.columns
    }


def classify(measured: list[pd.DataFrame], simulated: list[pd.DataFrame], seed: int = 0) -> dict:
    """The two-sample test, and its null distribution: as many simulated landscapes taken for measured ones.

    Parameters
    ----------
    measured, simulated
        Statistics of pixels, one frame per scene.
    seed
        Of the pixels drawn and of the null.

    Returns
    -------
    Accuracies and one AUC per statistic (keys ``..._posing`` are the null); empty with too few scenes.
    """
    shared = [
        name for name in measured[0] if all(frame[name].notna().any() for frame in measured if name in frame)
    ]
    shared = [name for name in shared if all(name in frame for frame in measured)]
    rng = np.random.default_rng(seed)

    def subsample(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
        # As many pixels of every scene, or a large scene would decide.
        whole = [frame[shared].dropna() for frame in frames]
        return [f.iloc[rng.permutation(len(f))[:PIXELS]] for f in whole if len(f) >= PIXELS // 10]

    real, made = subsample(measured), subsample(simulated)
    if len(real) < 2 or len(made) < 2 * len(real) + 2:
        return {}
    accuracy, auc = two_sample_test(real, made)
    null = []
    for _ in range(POSES):
        # Under the null hypothesis measured and simulated are alike: any landscapes may take the measured ones'
        # place.
        order = rng.permutation(len(made))
        taken, rest = ([made[k] for k in part] for part in (order[: len(real)], order[len(real) :]))
        null.append(two_sample_test(taken, rest)[0])
    return {
        "balanced_accuracy": accuracy,
        "balanced_accuracy_posing": float(np.mean(null)),
        "balanced_accuracy_posing_q95": float(np.quantile(null, 0.95)),
        "classified_statistics": len(shared),
    } | {f"auc {name}": float(value) for name, value in auc.items()}


def summary(simulated: pd.DataFrame) -> pd.DataFrame:
    """Quantiles over landscapes of each statistic; ``simulated`` (landscape, statistic)."""
    return simulated.quantile([0.05, 0.16, 0.5, 0.84, 0.95]).T.set_axis(
        ["simulated_q05", "simulated_q16", "simulated_q50", "simulated_q84", "simulated_q95"], axis=1
    )


def gap(table: pd.DataFrame, scenes: list[str]) -> pd.Series:
    """Distance of the nearest measured scene from the simulated median, in standard deviations over landscapes.

    Parameters
    ----------
    table
        A row per statistic; measured scenes and ``simulated_q16``, ``_q50``, ``_q84`` as columns.
    scenes
        Columns of the measured scenes.

    Returns
    -------
    (statistic,) 0 where measured scenes lie on both sides of the median.
    """
    # Half the 16-84 % range is one standard deviation of a normal distribution.
    spread = (table["simulated_q84"] - table["simulated_q16"]) / 2
    z = table[scenes].sub(table["simulated_q50"], axis=0).div(spread.clip(lower=1e-6), axis=0)
    low, high = z.min(axis=1), z.max(axis=1)
    # Positive where all lie above, negative where all lie below, 0 where they straddle.
    return low.clip(lower=0) + high.clip(upper=0)


def report(result: dict, most: int = 25) -> str:
    """The result as a table of text.

    Parameters
    ----------
    result
        What ``compare`` returns.
    most
        Most lines of what differs most.
    """
    scenes = result["scenes"]
    columns = [*scenes, "simulated_q05", "simulated_q50", "simulated_q95", "gap"]
    names = [key.removesuffix(".gap") for key in result if key.endswith(".gap")]
    head = f"{'':<44}" + "".join(f"{column.removeprefix('simulated_'):>18}" for column in columns)

    def line(name: str) -> str:
        cells = (float(result[f"{name}.{column}"]) for column in columns)
        return f"{name:<44}" + "".join(f"{'' if np.isnan(v) else format(v, '.4g'):>18}" for v in cells)

    lines = [
        f"measured beside {result['landscapes']} simulated landscapes (their 5, 50 and 95 % quantiles)",
        head,
    ]
    lines += [line(name) for name in names]
    worst = sorted(
        (n for n in names if np.isfinite(result[f"{n}.gap"])), key=lambda n: -abs(result[f"{n}.gap"])
    )
    lines += ["", "what differs most", head, *(line(name) for name in worst[:most])]
    if "balanced_accuracy" in result:
        auc = {k.removeprefix("auc "): v for k, v in result.items() if k.startswith("auc ")}
        largest = sorted(auc, key=lambda name: -abs(auc[name] - 0.5))[:most]
        lines += [
            "",
            f"a classifier tells measured pixels from simulated ones with balanced accuracy"
            f" {result['balanced_accuracy']:.2f} on scenes it has not seen; null (simulated taken for measured):"
            f" {result['balanced_accuracy_posing']:.2f}, at most {result['balanced_accuracy_posing_q95']:.2f} in 95 %",
            "AUC of single statistics: " + ", ".join(f"{name} {auc[name]:.2f}" for name in largest),
        ]
    return "\n".join(lines)


# --- what statistics share ---


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
    wide = np.lib.stride_tricks.sliding_window_view(wide, 5, 3)
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


def _share(part: np.ndarray, of: np.ndarray) -> np.ndarray:
    return (part & of).sum(0) / np.maximum(of.sum(0), 1)


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
