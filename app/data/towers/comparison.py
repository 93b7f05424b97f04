"""A tower's GPP compared with the prediction for its footprint, and with baselines that a prediction has to beat."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.series import SeriesReader
from fluxlens.app.data.towers.footprint import Footprint, predict_over
from fluxlens.app.data.towers.observations import TowerObservations
from fluxlens.app.units import UNIT_SIGNS
from fluxlens.embeddings import climatology
from fluxlens.embeddings.evaluation import gpp_at_tower, tower_baselines
from fluxlens.embeddings.evaluation.tower_baselines import (
    LABELS,
    SPLITS,
    BaselineInputs,
    TowerBaselines,
    weights_of_pixels,
)
from fluxlens.embeddings.towers import periods
from fluxlens.models.errors import InputError

LINES = {
    "model": "Predicted",
    "day_of_year": "Day of year",
    "nirv": "NIRv × light",
    "p_model": "P-model",
}
"""Name on screen of the prediction and of each baseline."""
SIGNS = {LABELS["nirv"]: LINES["nirv"]} | {unit: UNIT_SIGNS[unit] for unit in ("gC m-2 d-1", "W m-2")}
"""Of plain text that the command line prints too, as it is written on screen."""
PAIR = ("model", "nirv")
"""The prediction and the line without which it is not shown: light times greenness explains most of GPP."""


@dataclass(frozen=True)
class TowerComparison:
    """Daily GPP, gC m-2 d-1, on ``time``; NaN where unknown or below the quality asked for."""

    time: pd.DatetimeIndex
    measured: np.ndarray
    """(time,)"""
    lines: dict[str, np.ndarray]
    """(time,) by the names of ``LINES``, the model first."""
    low: np.ndarray
    """(time,) lower end of the model's 90 % band."""
    high: np.ndarray
    """(time,) upper end."""
    scores: dict[str, float] = field(default_factory=dict)
    """As ``gpp_at_tower.evaluate_at_tower`` gives them, ``NAME.SCALE.SCORE``; empty where nothing can be scored."""
    training_data: str = ""
    """What the model was trained on, and its score at towers left out, as its card says."""
    splits: dict[str, str] = field(default_factory=lambda: dict(SPLITS))
    """By line, what it was fitted to; of the model whether this very tower was among that."""
    missing: tuple[str, ...] = ()
    """Why something is missing or made otherwise than usual, one sentence each."""
    footprint: Footprint | None = None
    """The pixels over which the prediction and the baselines are averaged."""

    def pair(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Measured GPP and a line, both (time,) and NaN where either is; ``name`` is a key of ``lines``."""
        line = self.lines[name]
        # A scatter needs both; days with one of them would stretch its axes.
        known = np.isfinite(self.measured) & np.isfinite(line)
        return np.where(known, self.measured, np.nan), np.where(known, line, np.nan)

    def climatology(self, values: np.ndarray) -> np.ndarray:
        """Day-of-year climatology (366,) of daily ``values`` (time,)."""
        return climatology.doy_mean(values, self.time, climatology.HALF_WINDOW_DAYS)[0]

    def anomaly(self, values: np.ndarray) -> np.ndarray:
        """Departure (time,) of daily ``values`` from their climatology; NaN where fewer than two years know the day."""
        mean, years = climatology.doy_mean(values, self.time, climatology.HALF_WINDOW_DAYS)
        slot = climatology.leap_doy(self.time)
        # With one year its climatology is the year itself, and its anomalies are noise.
        return np.where(years[slot] >= 2, values - mean[slot], np.nan)


@dataclass(frozen=True)
class ComparisonInputs:
    """What predictions and baselines are made of."""

    scene: SceneData
    imagery: Imagery
    reader: SeriesReader
    tower: TowerObservations


def compare(
    inputs: ComparisonInputs, flux: str, min_qc: float, footprint: Footprint, missing: tuple[str, ...] = ()
) -> TowerComparison:
    """The tower's GPP with the prediction and the baselines, and their scores.

    Parameters
    ----------
    inputs : ComparisonInputs
        Scene, imagery, series and the tower.
    flux : str
        "gpp_nt" or "gpp_dt".
    min_qc : float
        Days of a lower quality flag (0-1) are left out.
    footprint : Footprint
        Pixels over which the prediction and the baselines are averaged.
    missing : tuple of str
        Sentences on what could not be had so far.

    Returns
    -------
    TowerComparison
        Without lines and scores where fewer than two days are measured.
    """
    scene = inputs.scene
    tower, observed = _select_flux(inputs.tower.dataset, flux, min_qc)
    time = xr.DataArray(scene.days, dims="time", coords={"time": scene.days})
    predicted = predict_over(scene, inputs.reader, footprint)
    measured = observed.reindex(time=time).values
    unknown = xr.full_like(time, np.nan, float)
    low, high = (predicted.get(name, unknown) for name in ("gpp_lo", "gpp_hi"))
    if np.isfinite(measured).sum() < 2:
        reason = f"Got no day with a measurement of quality {min_qc:.2f} or better here; lower the quality."
        return TowerComparison(
            scene.days, measured, {}, low.values, high.values, missing=(reason,), footprint=footprint
        )
    weights = weights_of_pixels(scene.grid, footprint.rows, footprint.cols, footprint.weights)
    baselines = tower_baselines.fit(
        observed, tower, scene.days, BaselineInputs(inputs.imagery.s2, scene.weather, weights)
    )
    lines = {name: line.daily.reindex(time=time) for name, line in baselines.lines.items()}
    reasons = [*missing, *_notes_of(baselines)]
    model, baseline = PAIR
    if "gpp" in predicted and baseline in lines:
        lines = {model: predicted["gpp"]} | lines
    elif "gpp" in predicted:
        reasons.append(
            f"The prediction is not drawn: on this page it stands beside {LINES[baseline]} or not at all."
        )
    scores, score_reasons = _score(lines.get(model), low, high, tower, min_qc, baselines)
    splits = dict(SPLITS, model=_model_split(scene, tower))
    splits |= {name: line.split for name, line in baselines.lines.items()}
    return TowerComparison(
        scene.days,
        measured,
        {name: line.values.astype("float64") for name, line in lines.items()},
        low.values,
        high.values,
        scores,
        _training_data(scene),
        {name: _with_signs(split) for name, split in splits.items()},
        (*reasons, *score_reasons),
        footprint,
    )


def _select_flux(dataset: xr.Dataset, flux: str, min_qc: float) -> tuple[xr.Dataset, xr.DataArray]:
    """The tower with the chosen partitioning as its one GPP, and that GPP on the days of sufficient quality."""
    # What is scored must be called gpp_nt, whichever partitioning the user chose, and the other one must not take its
    # place where it has more days.
    tower = dataset.assign(gpp_nt=dataset[flux]).drop_vars("gpp_dt", errors="ignore")
    # Days of low quality are mostly the gap filler's opinion, not a measurement.
    return tower, tower.gpp_nt.where(tower.qc >= min_qc) if "qc" in tower else tower.gpp_nt


def _notes_of(baselines: TowerBaselines) -> list[str]:
    """Why baselines are missing, and what is to be known of the others."""
    # A baseline that lacks an input is named with its reason; the others still stand beside the model.
    notes = [f"No {LINES[name]}: {why.split(';')[0]}." for name, why in baselines.missing.items()]
    return notes + [_with_signs(line.note) for line in baselines.lines.values() if line.note]


def _score(
    model: xr.DataArray | None,
    low: xr.DataArray,
    high: xr.DataArray,
    tower: xr.Dataset,
    min_qc: float,
    baselines: TowerBaselines,
) -> tuple[dict[str, float], list[str]]:
    """Scores of all lines under their names on the same days, and why there are none."""
    # Without a prediction a baseline says which days are scored; it has no band, and its coverage is not used. The
    # climatology comes last: of weeks and months it is no daily line.
    first = "model"
    if model is None:
        first = next((name for name in ("nirv", "p_model", "day_of_year") if name in baselines.lines), "")
        if not first:
            return {}, []
        model = low = high = baselines.lines[first].daily
    try:
        pairs = periods.pair(xr.Dataset({"gpp": model, "gpp_lo": low, "gpp_hi": high}), tower, min_qc)
    except InputError as error:
        return {}, [str(error)]
    by_scale = gpp_at_tower.score_pairs(pairs, tower, min_qc, baselines)
    # Texts on splits and reasons are the page's own, written in its signs.
    names = tuple(f"{name}." for name in LINES if name in (first, *baselines.lines))
    return {
        key: value
        for key, value in by_scale.items()
        if "." not in key or (key.startswith(names) and not isinstance(value, str))
    }, []


def _with_signs(text: str) -> str:
    """Plain text of the evaluation in the signs of the screen."""
    for plain, sign in SIGNS.items():
        text = text.replace(plain, sign)
    return text


def _model_split(scene: SceneData, tower: xr.Dataset) -> str:
    """Whether the head was trained on the tower or calibrated; its score there is then no test."""
    from fluxlens.embeddings import gpp

    attrs = {}
    if scene.predictor is gpp.predict:
        attrs["gpp_head_digest"] = gpp.load_for(scene.attrs).digest
    if scene.calibration is not None:
        attrs["gpp_calibration"] = scene.calibration.label
    return tower_baselines.model_split(attrs, tower)


def _training_data(scene: SceneData) -> str:
    """From the card of the shipped head, with its scores elsewhere; empty where another predictor is used."""
    from fluxlens.embeddings import gpp

    if scene.predictor is not gpp.predict:
        return ""
    card = gpp.load().card
    # How it did at other towers is what tells most of a place without one.
    elsewhere = card.get("left_out_towers", {}).get("table")
    scores = (
        f"; at {elsewhere['sites']} towers left out in turn: NSE {elsewhere['nse']:.2f} of {elsewhere['rows']} days, "
        f"NIRv × light {elsewhere['nirv_sw_nse']:.2f}"
        if elsewhere
        else ""
    )
    return str(card.get("taught_by", "")) + scores
