"""Reconstruction of hidden dates: the model beside the gap-filling methods a user would otherwise take.

Protocol: among Sentinel-2 dates with at least 80 % clear pixels, the inner ones, every third is hidden and predicted
from the rest; root-mean-square error over clear pixels per band on the 20 m grid, then the mean over bands.
"""

# Over 400 lines: the baselines and the held-out scenes get files of their own with the packages.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from embeddings import reconstruct
from embeddings.geometry import target_grid
from embeddings.inputs import AcquisitionSeries, from_epoch_day, read_acquisitions
from embeddings.progress import Steps
from models.embedder import Embedder
from models.errors import InputError
from models.sensors import S2

CLEAR_SHARE = 0.8
"""Share of clear pixels from which a date may be hidden."""
EVERY = 3
"""Every so many of those dates is hidden."""
GAP_DAYS = 20
"""Half-width of the gap that is opened around a date."""
GAPS_APART = 4
"""Dates whose gaps are opened in one round are so many half-widths apart: no gap reaches near another."""
BLUE = S2.bands.index("B02")
HAZE = 0.02
"""A hidden date is called hazy when its median blue lies this much above the line between its neighbours; scenes
without blue name none."""
FIRST_HELD_OUT = 7_000
"""Seed of the first simulated landscape for scoring; seeds for training begin at ``training.FIRST_SEED``."""
PLACES = {
    "temperate": ("temperate", 10.5, 49.2),
    "boreal": ("boreal", 26.0, 62.3),
    "mediterranean": ("mediterranean", -3.5, 39.2),
    "semi-arid": ("semi-arid", 1.5, 13.6),
    "southern": ("southern", 172.0, -42.5),
    "mediterranean-south": ("mediterranean", 19.0, -33.4),
    "semi-arid-south": ("semi-arid", 24.5, -19.0),
}
"""Climate of the simulator, longitude and latitude; the last two climates are not trained on in that hemisphere."""


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
        t, b, y, x = series.values.shape
        values = series.values.reshape(t, b, y // 2, 2, x // 2, 2).mean((3, 5))
        # A 20 m pixel is clear where all four are.
        clear = series.valid.reshape(t, y // 2, 2, x // 2, 2).all((2, 4))
        return cls(values, clear, series.day)

    def hidden(self) -> np.ndarray:
        """Positions (hidden,) of the dates that the protocol hides."""
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
            system = bands.copy()
            system[2] += weight
            out[:, :, row, col] = solveh_banded(system, target)[days - first]
    return out


def score(
    scene: xr.DataTree,
    model: Embedder,
    gap_days: int = 0,
    without: tuple[str, ...] = (),
    causal: bool = False,
    features: int | None = None,
    alone: bool = False,
) -> xr.Dataset:
    """Errors of the model and of both baselines on a scene's hidden dates.

    Parameters
    ----------
    scene
        With ``/s2``.
    model
        The embedder.
    gap_days
        Each hidden date hides all Sentinel-2 within so many days of it.
    without
        Sensors that the model is not shown.
    causal
        Whether the model sees the past only; the baselines see all.
    features
        Decode from so many first features only; None takes all.
    alone
        Open one gap at a time, all others stay visible.

    Returns
    -------
    Dataset: ``squares`` (method, time, band) sums of squared errors, ``pixels`` (time) their number, ``hazy`` (time).

    Raises
    ------
    InputError
        If the scene has too few clear dates.
    """
    truth = ClearReflectance.from_scene(scene)
    days = truth.day[truth.hidden()]
    if not len(days):
        raise InputError(
            f"the scene {scene.attrs.get('id', '?')} has too few dates with {CLEAR_SHARE:.0%} clear pixels;"
            " at least three are needed to hide one."
        )
    rounds = non_overlapping_rounds(days, GAPS_APART * gap_days) if alone else [days]
    requests = [
        reconstruct.Hidden("s2", tuple(int(d) for d in round_days), gap_days, without)
        for round_days in rounds
    ]
    return xr.concat(
        [
            _errors(
                truth,
                hidden,
                reconstruct.reconstruct_hidden(scene, model, hidden, causal, features)["reflectance"].values,
            )
            for hidden in requests
        ],
        "time",
    ).sortby("time")


def non_overlapping_rounds(days: np.ndarray, apart_days: int) -> list[np.ndarray]:
    """Group days into as few rounds as keep the days of a round apart; each round is then computed at once.

    Parameters
    ----------
    days
        (day,) ascending.
    apart_days
        Days of one round are further apart than this.

    Returns
    -------
    The days of each round.
    """
    rounds: list[list[int]] = []
    for day in days:
        # First fit: the earliest round whose last day is far enough back; optimal, as days ascend.
        free = next((chosen for chosen in rounds if day - chosen[-1] > apart_days), None)
        if free is None:
            rounds.append(free := [])
        free.append(day)
    return [np.array(chosen) for chosen in rounds]


def _errors(truth: ClearReflectance, hidden: reconstruct.Hidden, ours: np.ndarray) -> xr.Dataset:
    """Errors of ``ours`` (date, band, y, x) on the 10 m grid, and of both baselines, on the hidden dates."""
    test = np.flatnonzero(np.isin(truth.day, hidden.days))
    visible = hidden.keep("s2", truth.day)
    _, b, y, x = truth.values.shape
    ours = ours[:, :, : 2 * y, : 2 * x].reshape(len(test), b, y, 2, x, 2).mean((3, 5))
    smooth = whittaker(truth, visible, truth.day[test])
    # A product may lack bands altogether: they are left out of the scores.
    bands = ~np.isnan(truth.values).all((0, 2, 3))
    squares = np.full((3, len(test), b), np.nan)
    count, blue = np.zeros(len(test)), np.zeros(len(test))
    for k, i in enumerate(test):
        interpolated = linear(truth, visible, i)
        # All three methods are scored on the same pixels: those that both baselines can predict.
        known = (
            truth.clear[i] & np.isfinite(interpolated[bands]).all(0) & np.isfinite(smooth[k][bands]).all(0)
        )
        count[k] = known.sum()
        if bands[BLUE] and known.any():
            # Haze that the mask calls clear lifts the blue of the whole scene at once.
            blue[k] = np.median((truth.values[i] - interpolated)[BLUE][known])
        for m, predicted in enumerate((ours[k], interpolated, smooth[k])):
            squares[m, k] = (np.where(known, predicted - truth.values[i], 0) ** 2).sum((1, 2))
    # Missing bands must not count as predicted without error.
    squares[:, :, ~bands] = np.nan
    return xr.Dataset(
        {
            "squares": (("method", "time", "band"), squares),
            "pixels": ("time", count),
            "hazy": ("time", blue > HAZE),
        },
        {
            "method": ["fluxlens", "linear", "whittaker"],
            "time": from_epoch_day(truth.day[test]),
            "band": list(S2.bands),
        },
    )


def rmse(errors: xr.Dataset) -> xr.DataArray:
    """Root-mean-square error (method) of ``score``'s ``errors``: per band over pixels and dates, then their mean."""
    return np.sqrt(errors["squares"].sum("time", skipna=False) / errors["pixels"].sum("time")).mean("band")


def rmse_by_date(errors: xr.Dataset) -> xr.DataArray:
    """Root-mean-square error (method, time) of each date alone, of ``score``'s ``errors``."""
    return np.sqrt(errors["squares"] / errors["pixels"]).mean("band")


@dataclass(frozen=True)
class Case:
    """One way of hiding and predicting; the fields are the arguments of ``score``."""

    label: str
    gap_days: int = 0
    without: tuple[str, ...] = ()
    causal: bool = False
    features: int | None = None
    alone: bool = False

    def score(self, scene: xr.DataTree, model: Embedder) -> xr.Dataset:
        """Errors of the hidden dates of ``scene`` by ``model``, as ``score`` returns them."""
        return score(scene, model, self.gap_days, self.without, self.causal, self.features, self.alone)


CASES = {
    "hidden": Case("every third date"),
    "hidden_without_landsat8": Case("... without landsat8", without=("landsat8",)),
    "prefix16": Case("first 16 features alone", features=16),
    "prefix8": Case("first 8 features alone", features=8),
    "causal": Case("past only", causal=True),
    "one_gap": Case(f"a gap of {GAP_DAYS} days around it", GAP_DAYS, alone=True),
    "one_gap_without_s1": Case("... without s1", GAP_DAYS, ("s1",), alone=True),
    "gap": Case("all such gaps at once", GAP_DAYS),
    "gap_without_s1": Case("... without s1", GAP_DAYS, ("s1",)),
    "gap_without_landsat8": Case("... without landsat8", GAP_DAYS, ("landsat8",)),
}
METHODS = ("rmse", "linear", "whittaker")


def evaluate(
    scenes: dict[str, xr.DataTree], models: dict[str, Embedder]
) -> Steps[tuple[dict[str, float], str]]:
    """Score every scene by its own model in all cases.

    Parameters
    ----------
    scenes
        Scenes by name.
    models
        A model for each name.

    Returns
    -------
    Flat object with keys ``NAME_CASE_METHOD``, and the tables as text; yields progress.
    """
    numbers: dict[str, float] = {}
    lines = [
        "Hidden dates, RMSE of reflectance at 20 m, mean over bands; linear and whittaker see the future too"
    ]
    for at, (name, scene) in enumerate(scenes.items()):
        model = models[name]
        is_trained_on = name in model.identity.card.get("measured_cubes", [])
        lines += _table_head(
            f"{name} ({'this scene taught' if is_trained_on else 'never seen by'} the model)"
        )
        for key, case in CASES.items():
            yield f"{name}: {case.label}", at / len(scenes)
            # A sensor that scene or model lacks cannot be left out: the case is skipped.
            if not set(case.without) <= set(scene.children) & set(model.config.sensors):
                continue
            errors = case.score(scene, model)
            if not errors["pixels"].any():
                continue  # nothing clear is left to interpolate
            _add_row(numbers, lines, f"{name}_{key}", case.label, rmse(errors).values)
            if key == "hidden":
                lines += _dates(errors)
                # The protocol's score once more without dates whose target is itself veiled.
                clean = errors.isel(time=~errors["hazy"].values)
                if 0 < clean.sizes["time"] < errors.sizes["time"]:
                    _add_row(numbers, lines, f"{name}_clean", "without hazy dates", rmse(clean).values)
        _s1_benefit(numbers, lines, name)
    if len(scenes) > 1:
        lines += _table_head(f"mean of {len(scenes)} scenes")
        for key, case in {**CASES, "clean": Case("scenes with hazy dates, without them")}.items():
            # Means over the scenes that have the case; the label says so where some have not.
            found = [name for name in scenes if f"{name}_{key}_rmse" in numbers]
            if found:
                means = [np.mean([numbers[f"{name}_{key}_{m}"] for name in found]) for m in METHODS]
                share = "" if len(found) == len(scenes) else f" ({len(found)} scenes)"
                _add_row(numbers, lines, f"all_{key}", case.label + share, means)
        _s1_benefit(numbers, lines, "all")
    return numbers, "\n".join(lines)


def _table_head(name: str) -> list[str]:
    return ["", name, f"{'':36}{'fluxlens':>10}{'linear':>10}{'whittaker':>11}{'/ linear':>10}"]


def _add_row(numbers: dict, lines: list[str], key: str, label: str, errors: Iterable[float]) -> None:
    ours, line, smooth = (float(v) for v in errors)
    named = dict(zip(METHODS, (ours, line, smooth), strict=True)) | {"ratio": ours / line}
    numbers |= {f"{key}_{name}": value for name, value in named.items()}
    lines.append(_row(label, ours, line, smooth))


def _row(label: str, ours: float, line: float, smooth: float) -> str:
    return f"{label:36}{ours:10.4f}{line:10.4f}{smooth:11.4f}{ours / line:10.3f}"


def _dates(errors: xr.Dataset) -> Iterator[str]:
    each = zip(errors["time"].values, errors["hazy"].values, rmse_by_date(errors).values.T, strict=True)
    for date, hazy, values in each:
        yield _row(f"  {np.datetime_as_string(date, 'D')}{' hazy' if hazy else ''}", *values)


def _s1_benefit(numbers: dict, lines: list[str], name: str) -> None:
    """Add by how much Sentinel-1 lowers the error in gaps."""
    for key in ("one_gap", "gap"):
        if f"{name}_{key}_without_s1_rmse" in numbers:
            worth = 1 - numbers[f"{name}_{key}_rmse"] / numbers[f"{name}_{key}_without_s1_rmse"]
            numbers[f"{name}_{key}_s1_worth"] = worth
            lines.append(f"s1 lowers the error by {worth:.1%}: {CASES[key].label}")


def open_scenes(data: str | Path) -> dict[str, xr.DataTree]:
    """Scenes by id: every folder of a scene in the folder ``data``, or the one scene that ``data`` is."""
    from embeddings.readers import open_scene

    scenes = [open_scene(path) for path in scene_paths(data)]
    return {str(scene.attrs["id"]): scene for scene in scenes}


def scene_paths(data: str | Path) -> list[Path]:
    """Folders of measured scenes in the folder ``data``, or ``data`` itself."""
    folder = Path(data)
    inside = folder.is_dir() and [
        f for f in sorted(folder.glob("*")) if f.is_dir() and any(f.glob("S2_*.nc"))
    ]
    return inside or [folder]


def held_out(size_px: int = 32, each: int = 1) -> Steps[dict[str, xr.DataTree]]:
    """Simulate one year of landscapes that no model was trained on, at every place of ``PLACES``.

    Parameters
    ----------
    size_px
        Side length, pixels of 10 m.
    each
        Landscapes per place.

    Returns
    -------
    Scenes with truth by name; yields progress.
    """
    from embeddings.simulate import random_scene

    scenes = {}
    for i, (name, (climate, lon, lat)) in enumerate(PLACES.items()):
        for k in range(each):
            yield f"simulating {name}", (i + k / each) / len(PLACES)
            # Different years, so that no single leap year or calendar decides.
            year = 2018 + (i + k) % 3
            scenes[f"{name}-{k + 1}"] = random_scene(
                FIRST_HELD_OUT + i + len(PLACES) * k,
                size_px,
                climate=climate,
                lon=lon,
                lat=lat,
                start=f"{year}-01-01",
                end=f"{year}-12-31",
                truth=True,
            )
    return scenes


def _nearest(truth: ClearReflectance, visible: np.ndarray, order: range) -> tuple[np.ndarray, np.ndarray]:
    """First visible clear value (band, y, x) and its day (y, x) in the order of dates given; NaN where none."""
    found = np.full(truth.values.shape[1:], np.nan, np.float32)
    day = np.full(truth.clear.shape[1:], np.nan)
    # Walk away from the date until every pixel has found a visible clear value.
    for j in order:
        if not visible[j]:
            continue
        take = np.isnan(day) & truth.clear[j]
        found[:, take], day[take] = truth.values[j][:, take], truth.day[j]
        if not np.isnan(day).any():
            break
    return found, day
