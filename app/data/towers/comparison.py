"""A tower's GPP compared with the prediction for its footprint, and with baselines that a prediction has to beat."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.series import SeriesReader
from fluxlens.app.data.towers.footprint import Footprint, mean_clear_reflectance, predict_over
from fluxlens.app.data.towers.observations import TowerObservations
from fluxlens.embeddings import climatology
from fluxlens.embeddings.evaluation import gpp_at_tower
from fluxlens.embeddings.gpp import baselines
from fluxlens.embeddings.gpp.tower_light_use import light_use_of_other_towers
from fluxlens.models.errors import InputError

LINES = {
    "model": "Predicted",
    "day_of_year": "Day of year",
    "nirv": "NIRv × light",
    "p_model": "P-model",
}
"""Name on screen of the prediction and of each baseline."""
SPLITS = {
    "model": "leave-site-out: not trained on this tower",
    "day_of_year": "leave-year-out: the tower's other years",
    "nirv": "leave-year-out: k learnt in the tower's other years",
    "p_model": "nothing learnt: published constants",
}
"""What each line was fitted to, so that no score is shown without its split; a line made otherwise says how."""
DRIVER_WORDS = {
    "sw_in": "shortwave radiation (sw_in)",
    "tair": "air temperature (tair)",
    "vpd": "vapour pressure deficit (vpd)",
}
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
    # What is scored must be called gpp_nt, whichever partitioning the user chose.
    tower = inputs.tower.dataset.assign(gpp_nt=inputs.tower.dataset[flux])
    # Days of low quality are mostly the gap filler's opinion, not a measurement.
    observed = tower.gpp_nt.where(tower.qc >= min_qc) if "qc" in tower else tower.gpp_nt
    time = xr.DataArray(scene.days, dims="time", coords={"time": scene.days})
    reasons = list(missing)
    predicted = predict_over(scene, inputs.reader, footprint)
    measured = observed.reindex(time=time).values
    unknown = xr.full_like(time, np.nan, float)
    low, high = (predicted.get(name, unknown) for name in ("gpp_lo", "gpp_hi"))
    if np.isfinite(measured).sum() < 2:
        reason = f"Got no day with a measurement of quality {min_qc:.2f} or better here; lower the quality."
        return TowerComparison(
            scene.days, measured, {}, low.values, high.values, missing=(reason,), footprint=footprint
        )
    lines, splits = {}, dict(SPLITS, model=_model_split(scene, tower))
    if "gpp" in predicted:
        lines["model"] = predicted["gpp"]
    # A baseline that lacks an input is named with its reason; the others still stand beside the model.
    for name, predict_baseline in BASELINES.items():
        try:
            line = predict_baseline(inputs, observed, footprint)
            if not np.isfinite(line).any():
                raise InputError("Got no day with all of its inputs, need some; give more.")
        except InputError as error:
            reasons.append(f"No {LINES[name]}: {str(error).split(';')[0]}.")
            continue
        lines[name] = line.reindex(time=time)
        splits[name] = line.attrs.get("split", splits[name])
        reasons += [line.attrs["note"]] if "note" in line.attrs else []
    model, baseline = PAIR
    if model in lines and baseline not in lines:
        del lines[model]
        reasons.append(
            f"The prediction is not drawn: on this page it stands beside {LINES[baseline]} or not at all."
        )
    scores, score_reasons = _score(lines, low, high, tower, min_qc)
    return TowerComparison(
        scene.days,
        measured,
        {name: line.values.astype("float64") for name, line in lines.items()},
        low.values,
        high.values,
        scores,
        _training_data(scene),
        splits,
        (*reasons, *score_reasons),
        footprint,
    )


def _score(
    lines: dict[str, xr.DataArray], low: xr.DataArray, high: xr.DataArray, tower: xr.Dataset, min_qc: float
) -> tuple[dict[str, float], list[str]]:
    """Scores of all lines under their names, and why there are none.

    ``at_tower`` scores one prediction as "model" together with the day-of-year baseline of the same days.
    """
    # Every line is scored by the same function on the same days, so that the rows compare.
    scores: dict[str, float] = {}
    for name, line in lines.items():
        if name == "day_of_year" and scores:
            continue  # scored together with the model
        # Baselines have no band; their coverage is not used.
        ends = (low, high) if name == "model" else (line, line)
        candidate = xr.Dataset({"gpp": line, "gpp_lo": ends[0], "gpp_hi": ends[1]})
        try:
            by_scale = gpp_at_tower.evaluate_at_tower(candidate, tower, min_qc)
        except InputError as error:
            return scores, [str(error)]
        prefixes = ("model.", "day_of_year.") if name == "model" else ("model.",)
        scores |= {
            key.replace("model.", f"{name}.", 1): value
            for key, value in by_scale.items()
            if "." not in key or key.startswith(prefixes)
        }
    return scores, []


def _model_split(scene: SceneData, tower: xr.Dataset) -> str:
    """Whether the shipped head was trained on the tower; its score there is then no test."""
    from fluxlens.embeddings import gpp

    if scene.calibration is not None:
        # Without the digest of its label, which tells readers nothing.
        name, measured = scene.calibration.name, scene.calibration.measured
        return (
            f"not independent: calibrated with {name}: {measured['days']} days, {measured['start']} to "
            f"{measured['end']}"
        )
    towers = gpp.load().card.get("measured_towers", {}) if scene.predictor is gpp.predict else {}
    if str(tower.attrs.get("site", "")) in {site for sites in towers.values() for site in sites}:
        return "not independent: the head was trained on this tower among others"
    return SPLITS["model"]


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


# --- baselines: daily GPP, gC m-2 d-1, of the observed series and the footprint ---


def _predict_day_of_year(
    inputs: ComparisonInputs, observed: xr.DataArray, footprint: Footprint
) -> xr.DataArray:
    """The climatology of the tower's other years."""
    years = np.unique(observed.dropna("time").time.dt.year)
    if len(years) < 2:
        raise InputError("Got a tower that measured in one year, need two or more; load a longer file.")
    return climatology.leave_year_out_climatology(observed)


def _predict_nirv(inputs: ComparisonInputs, observed: xr.DataArray, footprint: Footprint) -> xr.DataArray:
    """k x NIRv x shortwave radiation (Badgley et al. 2017), k of each year fitted in the other years.

    Where the tower measured in one year of the scene, k is that of other towers; attrs ``split`` and ``note`` say so.
    """
    radiation = _daily_weather(inputs.scene, ("sw_in",))["sw_in"]
    clear = mean_clear_reflectance(inputs.scene, inputs.imagery, footprint)
    nirv = climatology.interpolate_daily(baselines.nirv(clear), radiation.time)
    observed = observed.reindex(time=radiation.time)
    light = nirv * radiation
    years = sorted(set(radiation.time.dt.year.values.tolist()))
    usable = observed.notnull() & light.notnull()
    measured_years = set(observed.time.dt.year.values[usable.values].tolist())
    # The factor must come from other days than those it predicts: other years, or else other towers.
    if len(measured_years) < 2:
        factor = light_use_of_other_towers(str(inputs.tower.dataset.attrs.get("site", "")))
        unit = "gC m⁻² d⁻¹ per W m⁻²"
        return (factor.k * light).assign_attrs(
            split=f"leave-site-out: k = {factor.k:.3f} {unit}, fitted at {factor.towers} other towers",
            note=f"{LINES['nirv']} has its factor, {factor.k:.3f} {unit}, from {factor.towers} other towers: this one"
            " has measured in one year of the scene only, and no other year is left to fit it in.",
        )
    # Leave one year out: k of each year is fitted to the others.
    by_year = []
    for year in years:
        predicted = baselines.nirv_par(nirv, radiation, observed, set(years) - {year})
        by_year.append(predicted.sel(time=predicted.time.dt.year == year))
    return xr.concat(by_year, "time")


def _predict_p_model(inputs: ComparisonInputs, observed: xr.DataArray, footprint: Footprint) -> xr.DataArray:
    """The P-model with fAPAR from NDVI; nothing is fitted."""
    weather = _daily_weather(inputs.scene, ("sw_in", "tair", "vpd"))
    clear = mean_clear_reflectance(inputs.scene, inputs.imagery, footprint)
    nir_band = "B8A" if "B8A" in clear.band.values else "B08"
    red, nir = clear.sel(band="B04"), clear.sel(band=nir_band)
    ndvi = climatology.interpolate_daily((nir - red) / (nir + red).where(nir + red > 0), weather.time)
    drivers = (weather[name].values for name in ("sw_in", "tair", "vpd"))
    values = baselines.p_model(baselines.fapar_from_ndvi(ndvi), *drivers)
    return xr.DataArray(values, dims="time", coords={"time": weather.time})


BASELINES = {"day_of_year": _predict_day_of_year, "nirv": _predict_nirv, "p_model": _predict_p_model}


def _daily_weather(scene: SceneData, names: tuple[str, ...]) -> xr.Dataset:
    """Weather on the days of the cube; InputError where one of the drivers is missing."""
    weather = scene.weather
    missing = [name for name in names if weather is None or name not in weather]
    if missing:
        words = ", ".join(DRIVER_WORDS[name] for name in missing)
        raise InputError(f"Got a scene without {words}, need it; add the weather.")
    return weather.sel(time=slice(scene.days[0], scene.days[-1]))
