"""A tower beside a prediction over the same days: day by day, or means over the tower's weeks or months."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.climatology import leap_doy
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError

SCALES = {"weekly": "week", "monthly": "month"}


@dataclass(frozen=True)
class TowerPairs:
    """What a tower measured beside what was predicted for the same days or periods.

    Parameters
    ----------
    flux : str
        ``gpp_nt`` or ``gpp_dt``, the one compared.
    observed : xr.DataArray
        gC m-2 d-1 (time), of the quality asked for; all of the tower's time.
    predicted : xr.Dataset
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1: of days, or means over each whole period.
    both : pd.DatetimeIndex
        Times known in both.
    scale : str
        ``daily``, ``weekly`` or ``monthly``.
    days : int
        Days that were compared, those inside periods counted.
    end : pd.Timestamp
        The last of them.
    """

    flux: str
    observed: xr.DataArray
    predicted: xr.Dataset
    both: pd.DatetimeIndex
    scale: str
    days: int
    end: pd.Timestamp


def pair(predicted: xr.Dataset, tower: xr.Dataset, least_qc: float) -> TowerPairs:
    """Pairs of a tower's GPP and a daily prediction.

    Parameters
    ----------
    predicted : xr.Dataset
        Daily ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1.
    tower : xr.Dataset
        Of ``towers.read``. Night-time partitioning is compared where it has at least half as many pairs as
        day-time partitioning.
    least_qc : float
        Share 0-1 of good net exchange below which a day, week or month does not count.

    Returns
    -------
    TowerPairs
        A week's or month's mean is formed where every one of its days was predicted.

    Raises
    ------
    InputError
        Where fewer than two pairs are left; the sentence says why.
    """
    scale = str(tower.attrs.get("resolution", "daily"))
    means, counts = predicted, None
    if scale in SCALES:
        means, counts = _means_over_periods(predicted[list(GPP_COLUMNS)], tower)
    # Days without a prediction, such as outside of its period, make no pair.
    known = means.indexes["time"][means["gpp"].notnull().values]
    candidates = {}
    for flux in ("gpp_nt", "gpp_dt"):
        if flux in tower:
            observed = tower[flux].where(tower["qc"] >= least_qc) if "qc" in tower else tower[flux]
            observed_times = observed.indexes["time"][observed.notnull().values]
            candidates[flux] = observed, known.intersection(observed_times)
    if not candidates:
        raise InputError("Got a tower without GPP, need gpp_nt or gpp_dt; choose another tower.")
    flux = next(iter(candidates))
    # Night-time partitioning is the field's usual reference; day-time only where it has far more days.
    if "gpp_dt" in candidates and len(candidates[flux][1]) < len(candidates["gpp_dt"][1]) / 2:
        flux = "gpp_dt"
    observed, both = candidates[flux]
    if len(both) < 2:
        raise InputError(_too_few(tower, predicted, flux, scale, len(both), least_qc))
    days = len(both) if counts is None else int(counts.loc[both].sum())
    end = both[-1] if counts is None else both[-1] + pd.Timedelta(days=int(counts.loc[both[-1]]) - 1)
    return TowerPairs(flux, observed, means, both, scale, days, end)


def align(daily: xr.DataArray, tower: xr.Dataset) -> xr.DataArray:
    """A daily series at a tower's times: the same days, or means over its weeks or months.

    Parameters
    ----------
    daily : xr.DataArray
        (time,) in any unit.
    tower : xr.Dataset
        Of ``towers.read``.

    Returns
    -------
    xr.DataArray
        (time,) at the tower's times; NaN where the day, or one day of the period, is missing.
    """
    if str(tower.attrs.get("resolution", "daily")) not in SCALES:
        return daily.reindex(time=tower.indexes["time"])
    return _means_over_periods(daily.to_dataset(name="mean"), tower)[0]["mean"]


def last_days(tower: xr.Dataset) -> pd.DatetimeIndex:
    """Last day of each of a tower's times, at midnight: the day itself, or the end of its week or month.

    Parameters
    ----------
    tower : xr.Dataset
        Of ``towers.read``.

    Returns
    -------
    pd.DatetimeIndex
        (time,) days, UTC.
    """
    starts, scale = tower.indexes["time"], str(tower.attrs.get("resolution", "daily"))
    if scale not in SCALES:
        return starts.normalize()
    if "last_day" in tower.coords:
        return pd.DatetimeIndex(tower["last_day"].values)
    if scale == "monthly":
        # MonthEnd(0) stays on the last day of a month, where MonthEnd(1) would go to the next.
        return pd.DatetimeIndex(starts + pd.offsets.MonthEnd(0)).normalize()
    # Where a file gives no ends: seven days, the stamped one included.
    return starts + pd.Timedelta(days=6)


def _means_over_periods(predicted: xr.Dataset, tower: xr.Dataset) -> tuple[xr.Dataset, pd.Series]:
    """Means of daily series over each period of a tower, NaN where one of its days is missing; days per period."""
    starts, ends = tower.indexes["time"], last_days(tower)
    names = list(predicted.data_vars)
    daily = predicted.drop_vars("spatial_ref", errors="ignore").to_dataframe()[names]
    daily.index = pd.DatetimeIndex(daily.index).normalize()
    lengths = (ends - starts.normalize()).days + 1
    means = np.full((len(starts), daily.shape[1]), np.nan)
    for i, (start, end, length) in enumerate(zip(starts.normalize(), ends, lengths, strict=True)):
        # Bounds of a mean are taken as means of the bounds: errors of neighbouring days are alike.
        rows = daily.loc[start:end].dropna()
        if len(rows) == length:
            means[i] = rows.mean()
    data = {name: ("time", means[:, column]) for column, name in enumerate(daily)}
    return xr.Dataset(data, {"time": starts}), pd.Series(lengths, starts)


def other_years(observed: xr.DataArray, scale: str) -> xr.DataArray:
    """Mean of the tower's other years in the same week or month; NaN where there is none.

    Parameters
    ----------
    observed : xr.DataArray
        Weekly or monthly GPP (time), gC m-2 d-1.
    scale : str
        A key of ``SCALES``.
    """
    series = observed.to_series()
    starts = pd.DatetimeIndex(series.index)
    # Weeks by number and not by date: after February those of a leap year begin a day earlier, and calendar weeks
    # begin on another date every year.
    same = series.groupby(starts.month if scale == "monthly" else leap_doy(starts) // 7)
    # The sum less its own: each year is judged by the others, never by itself.
    mean_of_other_years = (same.transform("sum") - series) / (same.transform("count") - 1)
    # inf and 0 / 0: the only year of its week.
    return xr.DataArray(
        mean_of_other_years.replace([np.inf, -np.inf], np.nan).values, observed.coords, observed.dims
    )


def _too_few(
    tower: xr.Dataset, predicted: xr.Dataset, flux: str, scale: str, count: int, least_qc: float
) -> str:
    """Why there are fewer than two pairs."""
    unit = SCALES.get(scale, "day")
    measured = tower[flux].dropna("time").indexes["time"]
    time = predicted.indexes["time"]
    if not len(measured):
        return f"Got a tower whose {flux} is all missing, need values; choose another tower."
    inside = (
        measured[(measured >= time[0].normalize()) & (measured <= time[-1])] if len(time) else measured[:0]
    )
    if not len(inside) and len(time):
        return (
            f"Got GPP from {measured[0].date()} to {measured[-1].date()} beside a prediction from {time[0].date()} to"
            f" {time[-1].date()}, need two or more {unit}s of both; choose another tower or period."
        )
    whole = " whole" if scale in SCALES else ""
    return (
        f"Got {count}{whole} {unit}s with both a prediction and GPP of quality {least_qc:g} or better"
        f" ({len(inside)} of any"
        " quality), need two or more; choose another tower, period or quality."
    )
