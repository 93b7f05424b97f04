"""Reconstruction of hidden dates: the model beside the gap-filling methods a user would otherwise take.

Protocol: among Sentinel-2 dates with at least 80 % clear pixels, the inner ones, every third is hidden and predicted
from the rest; root-mean-square error over clear pixels per band on the 20 m grid, then the mean over bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.evaluation.gap_filling import CLEAR_SHARE, ClearReflectance, linear, whittaker
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.inference import reconstruct
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import S2

HIDDEN_GAP_DAYS = 20
"""Half-width of the gap that is opened around a date."""

GAPS_APART = 4
"""Dates whose gaps are opened in one round are so many half-widths apart: no gap reaches near another."""

BLUE = S2.bands.index("B02")

HAZE = 0.02
"""A hidden date is called hazy when its median blue lies this much above the line between its neighbours; scenes
without blue name none."""


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
    # Each date hidden by itself; dates far enough apart not to miss each other share a pass of the model.
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
    # Means of 2 x 2: the truth is at 20 m, where all ten bands are measured.
    ours = ours[:, :, : 2 * y, : 2 * x].reshape(len(test), b, y, 2, x, 2).mean((3, 5))  # (date, band, y, x)
    smooth = whittaker(truth, visible, truth.day[test])
    # A product may lack bands altogether: they are left out of the scores.
    bands = ~np.isnan(truth.values).all((0, 2, 3))  # (band,)
    # Sums and counts instead of means: scenes and dates are pooled later by the pixels they have.
    squares = np.full((3, len(test), b), np.nan)  # (method, date, band)
    count, blue = np.zeros(len(test)), np.zeros(len(test))
    for k, i in enumerate(test):
        interpolated = linear(truth, visible, i)  # (band, y, x)
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
    # Sums of ``skipna=False`` keep a band that the product lacks at NaN, which the mean over bands leaves out.
    return np.sqrt(errors["squares"].sum("time", skipna=False) / errors["pixels"].sum("time")).mean("band")


def rmse_by_date(errors: xr.Dataset) -> xr.DataArray:
    """Root-mean-square error (method, time), reflectance 0-1, of each date alone, of ``score``'s ``errors``."""
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
    "one_gap": Case(f"a gap of {HIDDEN_GAP_DAYS} days around it", HIDDEN_GAP_DAYS, alone=True),
    "one_gap_without_s1": Case("... without s1", HIDDEN_GAP_DAYS, ("s1",), alone=True),
    "gap": Case("all such gaps at once", HIDDEN_GAP_DAYS),
    "gap_without_s1": Case("... without s1", HIDDEN_GAP_DAYS, ("s1",)),
    "gap_without_landsat8": Case("... without landsat8", HIDDEN_GAP_DAYS, ("landsat8",)),
}

TRAINING = "which scenes the weights were trained on is said above their tables"

METHODS = ("rmse", "linear", "whittaker")


def evaluate(
    scenes: dict[str, xr.DataTree], models: dict[str, Embedder], training: str = TRAINING
) -> Steps[tuple[dict[str, float], str]]:
    """Score every scene by its own model in all cases.

    Parameters
    ----------
    scenes
        Scenes by name.
    models
        A model for each name.
    training
        Which scenes the models were trained on, in words.

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
        numbers[f"{name}_trained_on"] = int(is_trained_on)
        lines += _table_head(f"{name} ({'trained on' if is_trained_on else 'not trained on'} this scene)")
        for key, case in CASES.items():
            # A sensor that scene or model lacks cannot be left out: the case is skipped.
            if not set(case.without) <= set(scene.children) & set(model.config.sensors):
                continue
            yield f"{name}: {case.label}", at / len(scenes)
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
            scored = [name for name in scenes if f"{name}_{key}_rmse" in numbers]
            if scored:
                means = [np.mean([numbers[f"{name}_{key}_{m}"] for name in scored]) for m in METHODS]
                share = "" if len(scored) == len(scenes) else f" ({len(scored)} scenes)"
                _add_row(numbers, lines, f"all_{key}", case.label + share, means)
        _s1_benefit(numbers, lines, "all")
    protocol = Protocol(
        data=", ".join(scenes),
        split=f"dates hidden from the model, from the other dates of the same scene; {training}",
        baselines="linear interpolation and Whittaker smoothing of the same dates, which see the future too",
        weights="; ".join(dict.fromkeys(describe_weights(models[name]) for name in scenes)),
    )
    return protocol.attach(numbers, "\n".join(lines))


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
    # In gaps alone: beside a clear Sentinel-2 date radar has little to add.
    for key in ("one_gap", "gap"):
        if f"{name}_{key}_without_s1_rmse" in numbers:
            worth = 1 - numbers[f"{name}_{key}_rmse"] / numbers[f"{name}_{key}_without_s1_rmse"]
            numbers[f"{name}_{key}_s1_worth"] = worth
            lines.append(f"s1 lowers the error by {worth:.1%}: {CASES[key].label}")
