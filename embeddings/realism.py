"""How real the simulator is: statistics of measured scenes beside those of simulated ones, and a classifier's eye.

Both are read through the same door (mask, 20 m grid) and asked the same questions. Nothing here teaches a model.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

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
SLOPE_PRIOR = 25.0
"""Days squared: as much as one date five days off that says the value stays."""
FAR = 0.03
"""Reflectance; a clear pixel further than this off its neighbours in time was not clear, or something happened."""
TRIPLE_DAYS = 12
RADAR_STEP_DAYS = 12
"""One repeat cycle: the same track, whatever the number of satellites."""
PIXELS = 200
"""Per scene, for the classifier."""
RIDGE = 0.01
POSES = 20
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
class Look:
    """One scene as both kinds are looked at."""

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
    def of(cls, scene: xr.DataTree) -> Look:
        if not {"s2", "s1"} <= set(scene.children):
            raise InputError(
                f"Got the scene {scene.attrs.get('id', '?')} with {sorted(scene.children)}, need s2 and s1; give both."
            )
        grid = target_grid(scene)
        series = read_acquisitions(scene, S2, grid, slice(0, grid.ny // 2 * 2), slice(0, grid.nx // 2 * 2))
        there = [i for i in range(len(S2.bands)) if np.isfinite(series.values[:, i]).any()]
        t, y, x = series.valid.shape
        clear = series.valid.reshape(t, y // 2, 2, x // 2, 2).all((2, 4))
        s1 = scene["s1"]
        track = s1["orbit"].values if "orbit" in s1 else np.full(s1.sizes["time"], "")
        return cls(
            tuple(S2.bands[i] for i in there),
            series.values[:, there],
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
    def off(self) -> np.ndarray:
        """(time, y, x) how far the first red-edge band lies off its neighbours in time; NaN where not known."""
        return self.band("B05") - local_line(self.band("B05"), self.day)

    @cached_property
    def clean(self) -> np.ndarray:
        """``s2`` without what lies far off its neighbours in time."""
        return np.where((np.abs(self.off) > FAR)[:, None], np.nan, self.s2)

    def index(self, low: str) -> np.ndarray:
        """(time, y, x) normalised difference of B8A and a band below it, clean."""
        nir, red = (self.clean[:, self.bands.index(name)] for name in ("B8A", low))
        return (nir - red) / np.maximum(nir + red, 1e-3)

    @cached_property
    def triples(self) -> np.ndarray:
        """(triple, band, y, x) middle of three mostly clear dates within 12 days minus the line through the others."""
        good = np.flatnonzero(self.clear.mean((1, 2)) >= 0.5)
        near = [
            k for k in range(1, len(good) - 1) if self.day[good[k + 1]] - self.day[good[k - 1]] <= TRIPLE_DAYS
        ]
        return self._bend(self.s2, self.day, [(good[k - 1], good[k], good[k + 1]) for k in near])

    @cached_property
    def radar_triples(self) -> np.ndarray:
        """(triple, band, y, x) dB, the same for passes of one track one repeat cycle apart."""
        at = {(day, track): i for i, (day, track) in enumerate(zip(self.radar_day, self.track, strict=True))}
        found = [
            (at[day - RADAR_STEP_DAYS, track], i, at[day + RADAR_STEP_DAYS, track])
            for (day, track), i in at.items()
            if (day - RADAR_STEP_DAYS, track) in at and (day + RADAR_STEP_DAYS, track) in at
        ]
        return self._bend(self.radar, self.radar_day, found)

    @staticmethod
    def _bend(values: np.ndarray, day: np.ndarray, triples: list[tuple[int, int, int]]) -> np.ndarray:
        i, j, k = np.array(triples, dtype=int).reshape(-1, 3).T
        share = ((day[j] - day[i]) / np.maximum(day[k] - day[i], 1))[:, None, None, None]
        return values[j] - (1 - share) * values[i] - share * values[k]


def local_line(values: np.ndarray, day: np.ndarray) -> np.ndarray:
    """What the neighbours in time say of each date, itself left out: (time, y, x), NaN where fewer than three do.

    Local regression with tricube weights, made robust by bisquare ones (Cleveland 1979,
    doi:10.1080/01621459.1979.10481038); the slope is held by a weak prior, so that no gap is extrapolated across.
    """
    out = np.full(values.shape, np.nan, np.float32)
    for i in range(len(day)):
        near = np.flatnonzero((np.abs(day - day[i]) <= REACH_DAYS) & (day != day[i]))
        if len(near) < 3:
            continue
        z, t = values[near], (day[near] - day[i]).astype(np.float32)[:, None, None]
        known = np.isfinite(z)
        near_weight = known * (1 - (np.abs(t) / (REACH_DAYS + 1)) ** 3) ** 3
        rest = np.abs(z - _median(z, 0))
        z = np.nan_to_num(z)
        for _ in range(3):
            scale = _median(rest, 0)
            w = near_weight * np.nan_to_num(np.clip(1 - (rest / np.maximum(6 * scale, 0.01)) ** 2, 0, 1) ** 2)
            total = np.maximum(w.sum(0), 1e-6)
            mean_t, mean_z = (w * t).sum(0) / total, (w * z).sum(0) / total
            slope = (w * (t - mean_t) * (z - mean_z)).sum(0) / ((w * (t - mean_t) ** 2).sum(0) + SLOPE_PRIOR)
            rest = np.where(known, np.abs(z - mean_z - slope * (t - mean_t)), np.nan)
        out[i] = np.where(known.sum(0) >= 3, mean_z - slope * mean_t, np.nan)
    return np.where(np.isfinite(values), out, np.nan)


def pixels(look: Look) -> pd.DataFrame:
    """One row per 20 m pixel: statistics of its acquisitions, as the classifier sees them."""
    columns: dict[str, np.ndarray] = {}
    texture = _texture(look.s2)
    for i, band in enumerate(look.bands):
        values = look.clean[:, i]
        columns |= {
            f"mean {band}": _mean(values, 0),
            f"spread in time {band}": _std(values, 0),
            f"noise {band}": _median(np.abs(look.triples[:, i]), 0),
            f"texture of 20 m {band}": _median(texture[:, i], 0),
        }
    for name, low in (("NDVI", "B04"), ("NDRE", "B05")):
        if low in look.bands:
            values = look.index(low)
            lowest, highest = _quantile(values, (0.05, 0.95), 0)
            top = np.where(values >= _quantile(values, 0.9, 0), 1.0, np.nan)
            turn = 2 * np.pi * _day_of_year(look.day)[:, None, None] / 365.25
            peak = np.arctan2(_mean(top * np.sin(turn), 0), _mean(top * np.cos(turn), 0))
            columns |= {
                f"{name} low": lowest,
                f"{name} high": highest,
                f"{name} amplitude": highest - lowest,
                f"{name} day of peak": peak % (2 * np.pi) * 365.25 / (2 * np.pi),
            }
    known = np.isfinite(look.off)
    columns |= {
        "clear share": look.clear.mean(0),
        "clear, far too bright": _share(look.off > FAR, known),
        "clear, far too dark": _share(look.off < -FAR, known),
    }
    ratio = look.radar[:, 1] - look.radar[:, 0]
    green = _at_days(look.index("B05"), look.day, look.radar_day)
    for name, values, bend in (
        ("VV", look.radar[:, 0], look.radar_triples[:, 0]),
        ("VH", look.radar[:, 1], look.radar_triples[:, 1]),
        ("VH - VV", ratio, look.radar_triples[:, 1] - look.radar_triples[:, 0]),
    ):
        columns |= {
            f"mean {name}": _mean(values, 0),
            f"spread in time {name}": _std(values, 0),
            f"noise {name}": _median(np.abs(bend), 0),
            f"correlation with NDRE {name}": _correlation(values, green, 0),
        }
    columns["correlation of noise VV VH"] = _correlation(
        look.radar_triples[:, 0], look.radar_triples[:, 1], 0
    )
    return pd.DataFrame({name: np.asarray(value, float).ravel() for name, value in columns.items()})


def statistics(look: Look, each: pd.DataFrame) -> dict[str, float]:
    """One number per question for the whole scene: the means of ``each`` pixel's, and what only the scene has."""
    out = {name: float(value) for name, value in each.mean().items() if not name.endswith("day of peak")}
    for name in each.columns[each.columns.str.endswith("day of peak")]:
        turn = np.exp(2j * np.pi * each[name].dropna() / 365.25).mean()
        out[name] = float(np.angle(turn) % (2 * np.pi) * 365.25 / (2 * np.pi))
    for name in ("NDRE amplitude", "mean B8A", "mean VV", "mean VH", "mean VH - VV"):
        out[f"spread over pixels of {name}"] = float(each[name].std())
    out |= _seasons(look) | _shared_noise(look) | _sky(look)
    for a, b in PAIRS:
        if a in look.bands and b in look.bands:
            one, other = (look.clean[:, look.bands.index(name)].ravel() for name in (a, b))
            out[f"correlation {a} {b}"] = float(_correlation(one, other, 0))
    fine = np.where(look.clear.repeat(2, 1).repeat(2, 2)[:, None], look.fine, np.nan)
    for native_m, values in ((10, fine), (20, look.s2)):
        here = [
            i
            for i, band in enumerate(look.bands)
            if (band in ("B02", "B03", "B04", "B08")) == (native_m == 10)
        ]
        texture = _texture(values[:, here])
        step = _median(np.abs(np.diff(values[:, here], axis=3)), (0, 2, 3))
        for k, i in enumerate(here):
            spread = float(_median(texture[:, k], None))
            out[f"texture {look.bands[i]}"] = spread
            out[f"step between neighbours over texture {look.bands[i]}"] = float(step[k]) / max(spread, 1e-6)
    return out


def _seasons(look: Look) -> dict[str, float]:
    """Means and spreads of clean values."""
    month = _month(look.day)
    out = {}
    for s, season in enumerate(SEASONS):
        at = month % 12 // 3 == s
        for i, band in enumerate(look.bands):
            values = look.clean[at, i]
            out[f"mean {band} {season}"] = float(_mean(values, None))
            out[f"spread {band} {season}"] = float(_std(values, None))
    return out


def _shared_noise(look: Look) -> dict[str, float]:
    """Noise split into what the whole scene shares on a date and what each pixel has on its own."""
    out = {}
    radar = np.concatenate([look.radar_triples, np.diff(look.radar_triples, axis=1)], axis=1)
    for bands, bend in ((look.bands, look.triples), (("VV", "VH", "VH - VV"), radar)):
        shared = _median(bend, (2, 3))
        own = bend - shared[:, :, None, None]
        for i, band in enumerate(bands):
            out[f"noise of the date {band}"] = float(_median(np.abs(shared[:, i]), None))
            out[f"noise of the pixel {band}"] = float(_median(np.abs(own[:, i]), None))
            beside = own[:, i, :, :-1].ravel(), own[:, i, :, 1:].ravel()
            out[f"noise shared with the neighbour {band}"] = float(_correlation(*beside, 0))
    return out


def _sky(look: Look) -> dict[str, float]:
    """Dates, cloud and what the mask does to whole dates."""
    month, share = _month(look.day), look.clear.mean((1, 2))
    whole = pd.Series(look.day).diff().median()
    out = {"days between dates": float(whole), "dates per month": len(look.day) / np.ptp(look.day) * 30.4}
    out |= {f"clear share month {m:02d}": float(_mean(share[month == m], None)) for m in range(1, 13)}
    out |= {"dates all clear": float((share > 0.95).mean()), "dates all masked": float((share < 0.05).mean())}
    seen = [i for i in range(len(share)) if np.isfinite(look.off[i]).mean() > 0.2]
    shift = np.array([_median(look.off[i], None) for i in seen])
    out["clear dates shifted up"] = float((shift > 0.01).mean()) if len(shift) else np.nan
    out["clear dates shifted down"] = float((shift < -0.01).mean()) if len(shift) else np.nan
    return out


# --- telling them apart ---


def tell_apart(measured: list[pd.DataFrame], simulated: list[pd.DataFrame]) -> tuple[float, pd.Series]:
    """Balanced accuracy on scenes the classifier has not seen, and each statistic's AUC, mean over measured scenes.

    Logistic regression on standardised statistics and their squares; each fold holds out one measured scene and its
    share of the landscapes. AUC 0.5 says nothing, 1 all measured pixels above all simulated ones, 0 below.
    """
    names = list(measured[0].columns)
    folds = len(measured)
    hits: dict[bool, list[float]] = {True: [], False: []}
    for fold in range(folds):
        train = (
            [m for k, m in enumerate(measured) if k != fold],
            [s for k, s in enumerate(simulated) if k % folds != fold],
        )
        test = [measured[fold]], [s for k, s in enumerate(simulated) if k % folds == fold]
        guess = _logistic(*train)
        for real, scenes in zip((True, False), test, strict=True):
            hits[real] += [float((guess(scene) == real).mean()) for scene in scenes]
    accuracy = float(np.mean([np.mean(hits[True]), np.mean(hits[False])]))
    pool = pd.concat(simulated)
    auc = {name: np.mean([_auc(scene[name], pool[name]) for scene in measured]) for name in names}
    return accuracy, pd.Series(auc)


def _logistic(measured: list[pd.DataFrame], simulated: list[pd.DataFrame]):
    """A fitted guess: frame -> (row) True for measured. Each kind weighs the same, and so does each scene of a kind."""
    from scipy.optimize import minimize
    from scipy.special import expit

    frames = measured + simulated
    real = np.concatenate([np.full(len(f), k < len(measured)) for k, f in enumerate(frames)])
    parts = [len(measured) if k < len(measured) else len(simulated) for k in range(len(frames))]
    weight = np.concatenate(
        [np.full(len(f), 0.5 / part / len(f)) for f, part in zip(frames, parts, strict=True)]
    )
    raw = pd.concat(frames).to_numpy()
    centre, spread = raw.mean(0), raw.std(0) + 1e-9

    def design(values: np.ndarray) -> np.ndarray:
        z = np.clip((values - centre) / spread, -4, 4)
        return np.hstack([z, z**2 - 1, np.ones((len(z), 1))])

    x, sign = design(raw), np.where(real, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ w)
        pull = -weight * sign * expit(-margin)
        return (weight * np.logaddexp(0, -margin)).sum() + RIDGE / 2 * w @ w, x.T @ pull + RIDGE * w

    w = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda frame: design(frame.to_numpy()) @ w > 0


def _auc(above: pd.Series, below: pd.Series) -> float:
    """Chance that one value of ``above`` exceeds one of ``below`` (Mann-Whitney)."""
    ranks = pd.concat([above, below]).rank().to_numpy()
    n, m = len(above), len(below)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


# --- the whole comparison ---


def landscapes(latitudes: list[float], number: int = LANDSCAPES) -> list[Request]:
    """The first training landscapes in the climate band of the latitudes."""
    drawn = (random_request(seed, SIMULATED_SIZE_PX) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS))
    near = [r for r in drawn if min(abs(r.lat - lat) for lat in latitudes) <= LATITUDE_BAND_DEG]
    if len(near) < 2:
        raise InputError(
            f"Got scenes at latitude {', '.join(f'{lat:.1f}' for lat in latitudes)}, need one within"
            f" {LATITUDE_BAND_DEG:g} degrees of a simulated landscape; the simulator has none there."
        )
    return near[:number]


def compare(scenes: dict[str, xr.DataTree], number: int = LANDSCAPES) -> Steps[dict]:
    """Yields progress; returns a flat result, which ``report`` shows as a table."""
    measured, latitudes = {}, []
    for name, scene in scenes.items():
        yield f"looking at {name}", 0.0
        measured[name] = Look.of(scene)
        grid = target_grid(scene)
        latitudes.append(float(grid.lonlat(grid.x.mean(), grid.y.mean())[1]))
    requests = landscapes(latitudes, number)
    simulated, rows = [], []
    for k, request in enumerate(requests):
        yield f"simulating landscape {request.seed}", k / len(requests)
        look = Look.of(random_scene(request.seed, SIMULATED_SIZE_PX))
        rows.append(pixels(look))
        simulated.append(statistics(look, rows[-1]))
    yield "telling them apart", 1.0
    real = {name: pixels(look) for name, look in measured.items()}
    table = pd.DataFrame({name: statistics(look, real[name]) for name, look in measured.items()})
    table = table.join(summary(pd.DataFrame(simulated)), how="left")
    table["gap"] = gap(table, list(measured))
    result = {"scenes": list(measured), "landscapes": len(rows), "seeds": [r.seed for r in requests]}
    if len(measured) > 1:
        result |= classify(list(real.values()), rows)
    return result | {
        f"{row}.{column}": table.at[row, column] for row in table.index for column in table.columns
    }


def classify(measured: list[pd.DataFrame], simulated: list[pd.DataFrame], seed: int = 0) -> dict:
    """The classifier's verdict, and what it says when as many simulated landscapes only pose as measured ones."""
    shared = [
        name for name in measured[0] if all(frame[name].notna().any() for frame in measured if name in frame)
    ]
    shared = [name for name in shared if all(name in frame for frame in measured)]
    rng = np.random.default_rng(seed)

    def some(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
        whole = [frame[shared].dropna() for frame in frames]
        return [f.iloc[rng.permutation(len(f))[:PIXELS]] for f in whole if len(f) >= PIXELS // 10]

    real, made = some(measured), some(simulated)
    if len(real) < 2 or len(made) < 2 * len(real) + 2:
        return {}
    accuracy, auc = tell_apart(real, made)
    posed = []
    for _ in range(POSES):
        order = rng.permutation(len(made))
        posing, rest = ([made[k] for k in part] for part in (order[: len(real)], order[len(real) :]))
        posed.append(tell_apart(posing, rest)[0])
    return {
        "balanced_accuracy": accuracy,
        "balanced_accuracy_posing": float(np.mean(posed)),
        "balanced_accuracy_posing_q95": float(np.quantile(posed, 0.95)),
        "classified_statistics": len(shared),
    } | {f"auc {name}": float(value) for name, value in auc.items()}


def summary(simulated: pd.DataFrame) -> pd.DataFrame:
    """Per statistic the quantiles over landscapes; ``simulated`` (landscape, statistic)."""
    return simulated.quantile([0.05, 0.16, 0.5, 0.84, 0.95]).T.set_axis(
        ["simulated_q05", "simulated_q16", "simulated_q50", "simulated_q84", "simulated_q95"], axis=1
    )


def gap(table: pd.DataFrame, scenes: list[str]) -> pd.Series:
    """By how many spreads of the simulated landscapes the nearest measured scene lies off their median; 0 where
    measured scenes lie on both sides."""
    spread = (table["simulated_q84"] - table["simulated_q16"]) / 2
    z = table[scenes].sub(table["simulated_q50"], axis=0).div(spread.clip(lower=1e-6), axis=0)
    low, high = z.min(axis=1), z.max(axis=1)
    return low.clip(lower=0) + high.clip(upper=0)


def report(result: dict, most: int = 25) -> str:
    """The result as lines a reader compares."""
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
        telling = sorted(auc, key=lambda name: -abs(auc[name] - 0.5))[:most]
        lines += [
            "",
            f"a classifier tells measured pixels from simulated ones with balanced accuracy"
            f" {result['balanced_accuracy']:.2f} on scenes it has not seen; landscapes that pose as measured:"
            f" {result['balanced_accuracy_posing']:.2f}, at most {result['balanced_accuracy_posing_q95']:.2f} in 95 %",
            "AUC of single statistics: " + ", ".join(f"{name} {auc[name]:.2f}" for name in telling),
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
    total, squares = wide.sum((4, 5)), (wide.astype(np.float64) ** 2).sum((4, 5))
    return np.sqrt(np.maximum(squares / 25 - (total / 25.0) ** 2, 0))


def _at_days(values: np.ndarray, day: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(asked, y, x) per pixel between the nearest known values."""
    flat = values.reshape(len(day), -1)
    out = np.full((len(asked), flat.shape[1]), np.nan)
    for p, series in enumerate(flat.T):
        known = np.isfinite(series)
        if known.sum() >= 2:
            out[:, p] = np.interp(asked, day[known], series[known])
    return out.reshape(len(asked), *values.shape[1:])


def _share(part: np.ndarray, of: np.ndarray) -> np.ndarray:
    return (part & of).sum(0) / np.maximum(of.sum(0), 1)


def _correlation(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """Pearson, of pairs without a NaN."""
    both = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(both, a, np.nan), np.where(both, b, np.nan)
    a, b = a - _mean(a, axis), b - _mean(b, axis)
    return _mean(a * b, axis) / np.maximum(np.sqrt(_mean(a * a, axis) * _mean(b * b, axis)), 1e-12)


def _quiet(function):
    """The numpy function of all that is known; NaN, without a warning, where nothing is."""

    def of(values: np.ndarray, *arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(values, *arguments)

    return of


_mean, _std, _median, _quantile = map(_quiet, (np.nanmean, np.nanstd, np.nanmedian, np.nanquantile))
