"""A tower's GPP beside what is predicted where it stands, and beside what any prediction has to beat."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from app import ground
from embeddings import baselines, climatology, gpp_evaluation
from models.errors import InputError

if TYPE_CHECKING:
    from app.data import Data

FLUXES = {"gpp_nt": "Night-time", "gpp_dt": "Day-time"}
"""Partitionings of net exchange by the names people know."""
LINES = {
    "model": "Predicted",
    "day_of_year": "Day of year",
    "nirv": "NIRv × light",
    "p_model": "P-model",
}
SPLITS = {
    "model": "leave-site-out: this tower taught nothing",
    "day_of_year": "leave-year-out: the tower's other years",
    "nirv": "leave-year-out: k learnt in the tower's other years",
    "p_model": "nothing learnt: published constants",
}
"""What each line was told, so that no score stands without its split."""


@dataclass(frozen=True)
class Beside:
    """Daily GPP, gC m-2 d-1, on ``time``; NaN where unknown or below the quality asked for."""

    time: pd.DatetimeIndex
    measured: np.ndarray
    lines: dict[str, np.ndarray]
    """By the names of ``LINES``, the model first."""
    low: np.ndarray
    high: np.ndarray
    scores: dict[str, float] = field(default_factory=dict)
    """As ``gpp_evaluation.evaluate_at_tower`` gives them, ``NAME.SCALE.SCORE``; empty where nothing can be scored."""
    taught_by: str = ""
    """What taught the model, as its card says."""
    absent: tuple[str, ...] = ()
    """Why something is missing, one sentence each."""
    seen: ground.Ground | None = None
    """What of the scene the prediction and its rivals stand for."""

    def paired(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Measured and a line, both NaN where either is."""
        line = self.lines[name]
        known = np.isfinite(self.measured) & np.isfinite(line)
        return np.where(known, self.measured, np.nan), np.where(known, line, np.nan)

    def usual(self, values: np.ndarray) -> np.ndarray:
        """The usual year of a series: 366 days."""
        return climatology.doy_mean(values, self.time, climatology.HALF_WINDOW_DAYS)[0]

    def departure(self, values: np.ndarray) -> np.ndarray:
        """From the usual year, where two years or more tell it."""
        usual, years = climatology.doy_mean(values, self.time, climatology.HALF_WINDOW_DAYS)
        slot = climatology.leap_doy(self.time)
        return np.where(years[slot] >= 2, values - usual[slot], np.nan)


def beside(data: "Data", flux: str, least_qc: float, sight: tuple = ("pixel",)) -> Beside:
    """The tower's ``flux`` on days of that quality, the prediction for what it sees, and the baselines.

    ``sight`` is as ``ground.ground`` takes it; where that cannot be had, the pixel stands in and ``absent`` says so.
    """
    tower = data.tower.assign(gpp_nt=data.tower[flux])  # what is scored goes by that name
    observed = tower.gpp_nt.where(tower.qc >= least_qc) if "qc" in tower else tower.gpp_nt
    time = xr.DataArray(data.days, dims="time", coords={"time": data.days})
    absent = []
    try:
        seen = data.ground(*sight)
    except InputError as error:
        seen = data.ground("pixel")
        absent.append(f"No {ground.SIGHTS[sight[0]].lower()}: {error}")
    pixel = ground.predicted(data, seen)
    measured = observed.reindex(time=time).values
    nothing = xr.full_like(time, np.nan, float)
    low, high = (pixel.get(name, nothing) for name in ("gpp_lo", "gpp_hi"))
    if np.isfinite(measured).sum() < 2:
        told = f"Got no day with a measurement of quality {least_qc:.2f} or better here; lower the quality."
        return Beside(data.days, measured, {}, low.values, high.values, absent=(told,), seen=seen)
    lines = {}
    if "gpp" in pixel:
        lines["model"] = pixel["gpp"]
    for name, make in (("day_of_year", _day_of_year), ("nirv", _nirv), ("p_model", _p_model)):
        try:
            lines[name] = make(data, observed, seen).reindex(time=time)
        except InputError as error:
            absent.append(f"No {LINES[name]}: {str(error).split(';')[0]}.")
    scores: dict = {}
    for name, line in lines.items():
        if name == "day_of_year" and scores:
            continue  # scored beside the model already
        ends = (low, high) if name == "model" else (line, line)
        told = xr.Dataset({"gpp": line, "gpp_lo": ends[0], "gpp_hi": ends[1]})
        try:
            found = gpp_evaluation.evaluate_at_tower(told, tower, least_qc)
        except InputError as error:
            absent.append(str(error))
            break
        kept = ("model.", "day_of_year.") if name == "model" else ("model.",)
        scores |= {
            key.replace("model.", f"{name}.", 1): value
            for key, value in found.items()
            if "." not in key or key.startswith(kept)
        }
    held = {name: line.values.astype("float64") for name, line in lines.items()}
    return Beside(
        data.days, measured, held, low.values, high.values, scores, _card(data), tuple(absent), seen
    )


def _card(data: "Data") -> str:
    from embeddings import gpp

    return str(gpp.load().card.get("taught_by", "")) if data.predict is gpp.predict else ""


def _day_of_year(data: "Data", observed: xr.DataArray, seen: ground.Ground) -> xr.DataArray:
    return climatology.leave_year_out_climatology(observed)


def _nirv(data: "Data", observed: xr.DataArray, seen: ground.Ground) -> xr.DataArray:
    """k x NIRv x shortwave radiation, k of each year from the other years."""
    sun, clear = _weather(data)["sw_in"], ground.clear(data, seen)
    nirv = climatology.interpolate_daily(baselines.nirv(clear), sun.time)
    observed = observed.reindex(time=sun.time)
    years = sorted(set(sun.time.dt.year.values.tolist()))
    if len(years) < 2:
        raise InputError("Got a scene of one year, need two or more to learn k in another year; give more.")
    parts = []
    for year in years:
        told = baselines.nirv_par(nirv, sun, observed, set(years) - {year})
        parts.append(told.sel(time=told.time.dt.year == year))
    return xr.concat(parts, "time")


def _p_model(data: "Data", observed: xr.DataArray, seen: ground.Ground) -> xr.DataArray:
    weather, clear = _weather(data), ground.clear(data, seen)
    near = "B8A" if "B8A" in clear.band.values else "B08"
    red, nir = clear.sel(band="B04"), clear.sel(band=near)
    ndvi = climatology.interpolate_daily((nir - red) / (nir + red).where(nir + red > 0), weather.time)
    drives = (weather[name].values for name in ("sw_in", "tair", "vpd"))
    values = baselines.p_model(baselines.fapar_from_ndvi(ndvi), *drives)
    return xr.DataArray(values, dims="time", coords={"time": weather.time})


def _weather(data: "Data") -> xr.Dataset:
    """Of the days of the cube."""
    found = data.weather
    lost = [n for n in ("sw_in", "tair", "vpd") if found is None or n not in found]
    if lost:
        raise InputError(f"Got a scene without {', '.join(lost)}, need it; add the weather.")
    return found.sel(time=slice(data.days[0], data.days[-1]))
