"""Times of NetCDF in calendars of climate models (CF conventions, section 4.4.1) as those of the standard calendar."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from fluxlens.models.errors import DataWarning, InputError

STANDARD = ("standard", "gregorian", "proleptic_gregorian")
SAME_DATES = {"noleap": ", without any 29 February", "all_leap": ""}
"""By cftime's names, calendars whose dates are those of the standard one but for 29 February, and what to tell."""


def calendar_of(values: np.ndarray) -> str | None:
    """The calendar of decoded times.

    Parameters
    ----------
    values : numpy.ndarray
        (time,) datetime64, numbers of days since an epoch, text or cftime objects.

    Returns
    -------
    str or None
        As of CF; None where the values are no cftime objects.
    """
    return getattr(values.flat[0], "calendar", None) if values.dtype == object and values.size else None


def to_standard_times(values: np.ndarray, name: str) -> pd.DatetimeIndex:
    """Times of the standard calendar.

    Parameters
    ----------
    values : numpy.ndarray
        (time,) datetime64, or cftime objects of one calendar.
    name : str
        Of the file, for messages.

    Returns
    -------
    pandas.DatetimeIndex
        (time,) without time zone, to the second.

    Raises
    ------
    InputError
        For dates that the standard calendar lacks, and calendars whose days are others, such as ``360_day``.

    Warns
    -----
    DataWarning
        That the file is of another calendar.
    """
    calendar = calendar_of(values)
    if calendar is None:
        return pd.DatetimeIndex(values)
    if calendar not in SAME_DATES and calendar not in STANDARD:
        raise InputError(
            f"Got {name} with times of the calendar {calendar}, whose days are not those of the year, need the standard"
            " calendar; convert it."
        )
    text = pd.Series([time.strftime("%Y-%m-%dT%H:%M:%S") for time in values.flat], dtype="str")
    times = pd.to_datetime(text, format="ISO8601", errors="coerce")
    if times.isna().any():
        lacking = text[times.isna()]
        raise InputError(
            f"Got {name} with {len(lacking)} times of the calendar {calendar} that the standard calendar lacks, such as"
            f" {lacking.iloc[0][:10]}, need the standard calendar; leave them out or convert it."
        )
    if calendar in SAME_DATES:
        warnings.warn(
            f"times of {name} are of the calendar {calendar}{SAME_DATES[calendar]}; all {len(times)} are dates of the"
            " standard calendar too, and are taken for those",
            DataWarning,
            stacklevel=3,
        )
    return pd.DatetimeIndex(times).as_unit("ns")
