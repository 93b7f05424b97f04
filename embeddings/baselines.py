"""What any model of GPP has to beat: the usual year of the site, and greenness times light."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from models.errors import InputError

HALF_WINDOW_DAYS = 7
SLOTS = 366
"""Days of a leap year: 1 March is the same slot in every year."""


def doy_climatology(
    series: xr.DataArray,
    train: Iterable[int] | xr.DataArray | np.ndarray,
    half_window_days: int = HALF_WINDOW_DAYS,
) -> xr.DataArray:
    """The usual value of each day of the year, at all times of ``series`` (time).

    ``train`` names what may be learnt from: years, or a mask over time. Each day of the year gets the mean
    of all training days within ``half_window_days`` of it, over all training years and across new year.
    """
    time = pd.DatetimeIndex(series["time"].values)
    learn = _mask(time, train) & np.isfinite(series.values)
    if not learn.any():
        raise InputError("Got no training day with a value, need some; name other training years.")
    usual, _ = usual_year(series.values[learn], time[learn], half_window_days)
    out = series.copy(data=usual[slots(time)])
    out.attrs = {**series.attrs, "long_name": "day-of-year climatology of the training years"}
    return out


def other_years(series: xr.DataArray, half_window_days: int = HALF_WINDOW_DAYS) -> xr.DataArray:
    """The day-of-year climatology of each year's *other* years, at all times of ``series`` (time)."""
    year = series["time"].dt.year
    years = sorted(set(year.values.tolist()))
    if len(years) < 2:
        raise InputError("Got a series of one year, need two or more for a usual year; give a longer one.")
    parts = []
    for one in years:
        usual = doy_climatology(series, set(years) - {one}, half_window_days)
        parts.append(usual.sel(time=usual["time"].dt.year == one))
    return xr.concat(parts, "time").sortby("time")


def usual_year(
    values: np.ndarray, time: pd.DatetimeIndex, half_window_days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each of a year's 366 days within a circular window (NaN if none), and how many years it has."""
    slot, valid = slots(time), np.isfinite(values)
    total = np.bincount(slot[valid], values[valid], SLOTS)
    count = np.bincount(slot[valid], minlength=SLOTS).astype(float)
    around = np.arange(-half_window_days, half_window_days + 1)
    near = (np.arange(SLOTS)[:, None] + around) % SLOTS
    count_near = count[near].sum(axis=1)
    mean = np.full(SLOTS, np.nan)
    np.divide(total[near].sum(axis=1), count_near, out=mean, where=count_near > 0)
    years = time.year.values[valid]
    seen = np.zeros((SLOTS, np.unique(years).size), bool)
    seen[slot[valid], np.unique(years, return_inverse=True)[1]] = True
    return mean, seen[near].any(axis=1).sum(axis=1)


def slots(time: pd.DatetimeIndex) -> np.ndarray:
    """Day of the year, 0-365, counted as in a leap year."""
    after_february = (time.month > 2) & ~time.is_leap_year
    return (time.day_of_year - 1 + after_february).values


def nirv(reflectance: xr.DataArray) -> xr.DataArray:
    """Near-infrared reflectance of vegetation, NDVI x NIR (Badgley et al. 2017).

    ``reflectance`` has a dim ``band``; NIR is B8A or, without it, B08.
    """
    bands = [str(name) for name in reflectance["band"].values]
    near_infrared = next((name for name in ("B8A", "B08") if name in bands), None)
    if near_infrared is None or "B04" not in bands:
        raise InputError(f"Got bands {', '.join(bands)}, need B04 and B8A or B08 for NIRv; add them.")
    red, nir = (reflectance.sel(band=name, drop=True) for name in ("B04", near_infrared))
    out = (nir - red) / (nir + red).where(nir + red > 0) * nir
    return out.rename("nirv").assign_attrs(units="1", long_name="near-infrared reflectance of vegetation")


def every_day(series: xr.DataArray, time: xr.DataArray) -> xr.DataArray:
    """``series`` (time) at other times: linear between values, held before the first and after the last."""
    known = series.dropna("time")
    if not known.sizes["time"]:
        raise InputError("Got a series without a single value, need one; choose another pixel.")
    x, xp = (t.values.astype("datetime64[ns]").astype("float64") for t in (time, known["time"]))
    between = np.interp(x, xp, known.values)
    return xr.DataArray(between, dims="time", coords={"time": time.values}, name=series.name)


def light_use(nirv: xr.DataArray, sw_in: xr.DataArray, gpp: xr.DataArray, train) -> float:
    """k of GPP = k x NIRv x SW by least squares through the origin; gC m-2 d-1 per W m-2."""
    light, observed = (nirv * sw_in).values, gpp.values
    learn = _mask(pd.DatetimeIndex(gpp["time"].values), train) & np.isfinite(light) & np.isfinite(observed)
    if not learn.any() or not (light[learn] ** 2).sum() > 0:
        raise InputError("Got no training day with NIRv, light and GPP, need some; name other years.")
    return float((light[learn] * observed[learn]).sum() / (light[learn] ** 2).sum())


def nirv_par(nirv: xr.DataArray, sw_in: xr.DataArray, gpp: xr.DataArray, train) -> xr.DataArray:
    """GPP as k x NIRv x shortwave radiation on the days of ``gpp`` (time), k learnt on the training days.

    All three are daily (``every_day`` makes NIRv so); ``train`` as in ``doy_climatology``.
    """
    nirv, sw_in = (part.reindex(time=gpp["time"]) for part in (nirv, sw_in))
    out = light_use(nirv, sw_in, gpp, train) * nirv * sw_in
    return out.rename("gpp").assign_attrs(units="gC m-2 d-1", long_name="k x NIRv x shortwave radiation")


def p_model(fapar, sw_in, tair, vpd, pressure_pa: float = 101_325.0) -> np.ndarray:
    """GPP of the P-model (Stocker et al. 2020, doi:10.5194/gmd-13-1545-2020) for C3 plants, gC m-2 d-1.

    ``fapar`` 0-1, ``sw_in`` W m-2 (daily mean), ``tair`` degC, ``vpd`` hPa, arrays of one shape; frost stops it.
    """
    import warnings

    from pyrealm.pmodel import PModel, PModelEnvironment

    fapar, sw_in, tair, vpd = (np.asarray(part, dtype="float64") for part in (fapar, sw_in, tair, vpd))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyrealm announces its new default quantum yield
        env = PModelEnvironment(
            tc=np.clip(tair, 0.5, 45.0),
            vpd=np.clip(vpd * 100, 50, 6000),
            co2=np.full(tair.shape, 415.0),
            patm=np.full(tair.shape, pressure_pa),
            fapar=np.ones(tair.shape),
            ppfd=np.ones(tair.shape),
        )
        lue = np.nan_to_num(np.asarray(PModel(env, method_optchi="prentice14").lue, dtype="float64"))
    photons = sw_in * 86400 * 2.04e-6  # mol m-2 d-1 (Meek et al. 1984)
    return np.where(tair > 0, fapar * photons * lue, 0.0)


def fapar_from_ndvi(ndvi) -> np.ndarray:
    """Absorbed share of light, linear in NDVI: 1.24 x NDVI - 0.168, 0-1 (Sims et al. 2006)."""
    return np.clip(1.24 * np.asarray(ndvi, dtype="float64") - 0.168, 0, 1)


def usual_cycle(
    train: pd.DataFrame, test: pd.DataFrame, kind: str = "type", half_window_days: int = 15
) -> np.ndarray:
    """The usual year of the plant type, or of another ``kind``: mean of its training rows near the day of the year.

    Both have ``date``, ``type`` or ``site``, and (``train``) ``gpp``. A kind or season never seen gets that of all
    rows, and what is left the mean of all training rows.
    """
    out = np.full(len(test), float(train["gpp"].mean()))
    day = slots(pd.DatetimeIndex(test["date"]))
    for rows, to in [(train, np.ones(len(test), bool))] + [
        (train[train[kind] == one], (test[kind] == one).values) for one in test[kind].unique()
    ]:
        usual = usual_year(rows["gpp"].values, pd.DatetimeIndex(rows["date"]), half_window_days)[0][day]
        at = to & np.isfinite(usual)
        out[at] = usual[at]
    return out


def _mask(time: pd.DatetimeIndex, train) -> np.ndarray:
    """Which days may be learnt from: those of the years given, or the mask itself."""
    train = np.asarray(train if isinstance(train, xr.DataArray | np.ndarray) else list(train))
    if train.dtype == bool:
        if train.shape != time.shape:
            raise InputError(f"Got a mask of {train.size} for {time.size} days, need one flag a day; align.")
        return train
    return np.isin(time.year, train)
