"""Climatologies: the mean of each day of the year, per series, per group, and with the own year left out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.models.errors import InputError

HALF_WINDOW_DAYS = 7
"""Days before and after a day of the year that enter its mean: fifteen days smooth weather, not the season."""

LEAP_YEAR_DAYS = 366
"""Days of the year are counted as in a leap year, so that 1 March is the same day in every year."""

PFT_HALF_WINDOW_DAYS = 15
"""The same for rows of tables, which are months apart at a site."""

Training = Iterable[int] | xr.DataArray | np.ndarray
"""What may be learnt from: years, or a boolean mask over time."""


def leap_doy(time: pd.DatetimeIndex) -> np.ndarray:
    """Day of the year, counted as in a leap year.

    Parameters
    ----------
    time
        Days, (time,).

    Returns
    -------
    ndarray
        (time,) integers, 0 to 365; 29 February is 59 and 1 March 60 in every year.
    """
    # From March on a common year is one day behind a leap year.
    after_february = (time.month > 2) & ~time.is_leap_year
    return (time.day_of_year - 1 + after_february).values


def doy_mean(
    values: np.ndarray, time: pd.DatetimeIndex, half_window_days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each day of the year over all years, within a window around it.

    Parameters
    ----------
    values
        (time,) in any unit, NaN where missing.
    time
        Days of the values, any order, gaps allowed.
    half_window_days
        Days before and after that enter the mean, across new year.

    Returns
    -------
    mean
        (366,) in the unit of the values, NaN where no value is near.
    years
        (366,) number of different years that the mean is of.
    """
    doy, valid = leap_doy(time), np.isfinite(values)
    total = np.bincount(doy[valid], values[valid], LEAP_YEAR_DAYS)
    count = np.bincount(doy[valid], minlength=LEAP_YEAR_DAYS).astype(float)
    # Sums of a circular window: pooled over days first, so that every measurement has the same weight.
    around = np.arange(-half_window_days, half_window_days + 1)
    near = (np.arange(LEAP_YEAR_DAYS)[:, None] + around) % LEAP_YEAR_DAYS  # (366, window)
    count_near = count[near].sum(axis=1)
    mean = np.full(LEAP_YEAR_DAYS, np.nan)
    np.divide(total[near].sum(axis=1), count_near, out=mean, where=count_near > 0)
    # How many years, not days: a mean of one year is that year, which no anomaly can be taken from.
    years = time.year.values[valid]
    has_value = np.zeros((LEAP_YEAR_DAYS, np.unique(years).size), bool)  # (366, year)
    has_value[doy[valid], np.unique(years, return_inverse=True)[1]] = True
    return mean, has_value[near].any(axis=1).sum(axis=1)


def doy_climatology(
    series: xr.DataArray, train: Training, half_window_days: int = HALF_WINDOW_DAYS
) -> xr.DataArray:
    """Day-of-year climatology of the training days, at all times of a series.

    Parameters
    ----------
    series
        (time,) in any unit, NaN where missing.
    train
        Years, or a mask over time.
    half_window_days
        As for ``doy_mean``.

    Returns
    -------
    DataArray
        (time,) in the unit of the series.

    Raises
    ------
    InputError
        When no training day has a value, or the mask has another length.
    """
    time = pd.DatetimeIndex(series["time"].values)
    # Missing days are left out before the window is laid, so that they leave no hole in the mean of their neighbours.
    learn = training_mask(time, train) & np.isfinite(series.values)
    if not learn.any():
        raise InputError("Got no training day with a value, need some; name other training years.")
    mean, _ = doy_mean(series.values[learn], time[learn], half_window_days)
    out = series.copy(data=mean[leap_doy(time)])
    out.attrs = {**series.attrs, "long_name": "day-of-year climatology of the training years"}
    return out


def leave_year_out_climatology(
    series: xr.DataArray, half_window_days: int = HALF_WINDOW_DAYS
) -> xr.DataArray:
    """Day-of-year climatology of all *other* years, for each year of a series.

    Parameters
    ----------
    series
        (time,) in any unit, NaN where missing; two years or more.
    half_window_days
        As for ``doy_mean``.

    Returns
    -------
    DataArray
        (time,) in the unit of the series, in order of time.

    Raises
    ------
    InputError
        When the series has one year only.
    """
    year = series["time"].dt.year
    years = sorted(set(year.values.tolist()))
    if len(years) < 2:
        raise InputError("Got a series of one year, need two or more for a climatology; give a longer one.")
    # One climatology per year left out; each gives the days of that year alone.
    by_year = []
    for one in years:
        expected = doy_climatology(series, set(years) - {one}, half_window_days)
        by_year.append(expected.sel(time=expected["time"].dt.year == one))
    return xr.concat(by_year, "time").sortby("time")


def pft_climatology(
    train: pd.DataFrame,
    test: pd.DataFrame,
    group: str = "type",
    half_window_days: int = PFT_HALF_WINDOW_DAYS,
) -> np.ndarray:
    """Day-of-year climatology of GPP per plant functional type, or per another group, for rows of a table.

    Parameters
    ----------
    train
        Rows with ``date``, ``gpp`` (gC m-2 d-1) and the column of groups.
    test
        Rows with ``date`` and the column of groups.
    group
        The column: ``type`` or ``site``.
    half_window_days
        As for ``doy_mean``.

    Returns
    -------
    ndarray
        (test row,) gC m-2 d-1. Where the group or the season has no training row, the climatology of all training
        rows, else their mean.
    """
    # The last resort of a season or group without training rows, overwritten below where there is better.
    out = np.full(len(test), float(train["gpp"].mean()))
    day = leap_doy(pd.DatetimeIndex(test["date"]))
    # All rows first, then each group over it.
    for rows, to in [(train, np.ones(len(test), bool))] + [
        (train[train[group] == one], (test[group] == one).values) for one in test[group].unique()
    ]:
        mean = doy_mean(rows["gpp"].values, pd.DatetimeIndex(rows["date"]), half_window_days)[0][day]
        # Where a group has no row near the day, the mean of all rows stays.
        at = to & np.isfinite(mean)
        out[at] = mean[at]
    return out


def interpolate_daily(series: xr.DataArray, time: xr.DataArray) -> xr.DataArray:
    """Interpolate a series linearly to other times; constant before its first and after its last value.

    Parameters
    ----------
    series
        (time,) in any unit, NaN where missing.
    time
        Times wanted, (time,).

    Returns
    -------
    DataArray
        (time,) in the unit of the series.

    Raises
    ------
    InputError
        When the series has no value.
    """
    known = series.dropna("time")
    if not known.sizes["time"]:
        raise InputError("Got a series without a single value, need one; choose another pixel.")
    # In nanoseconds as floats: exact to a microsecond for dates of this century, and np.interp takes no dates.
    x, xp = (t.values.astype("datetime64[ns]").astype("float64") for t in (time, known["time"]))
    between = np.interp(x, xp, known.values)
    return xr.DataArray(between, dims="time", coords={"time": time.values}, name=series.name)


def training_mask(time: pd.DatetimeIndex, train: Training) -> np.ndarray:
    """Which times may be learnt from.

    Parameters
    ----------
    time
        (time,)
    train
        Years, or a mask over time.

    Returns
    -------
    ndarray
        (time,) bool.

    Raises
    ------
    InputError
        When the mask has another length than ``time``.
    """
    # A set or range of years, or a mask: told by the dtype, since both come as arrays.
    train = np.asarray(train if isinstance(train, xr.DataArray | np.ndarray) else list(train))
    if train.dtype == bool:
        if train.shape != time.shape:
            raise InputError(f"Got a mask of {train.size} for {time.size} days, need one flag a day; align.")
        return train
    return np.isin(time.year, train)
