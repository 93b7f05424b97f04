"""Dates as a spreadsheet saves them without a format: days since 30 December 1899, and the fraction of a day."""

from __future__ import annotations

from typing import Literal

import pandas as pd

PATTERN = r"[345]\d{4}(?:\.\d+)?"
"""1982 to 2064: five digits are no other spelling of a date."""
STEPS_PER_DAY = {"min": 1440, "s": 86400}


def to_times(days: pd.Series, step: Literal["min", "s"] = "min") -> pd.Series:
    """Times of a spreadsheet's days.

    Parameters
    ----------
    days : pandas.Series
        (row,) days, text or numbers.
    step : str
        What times are rounded to, since fractions of a day are never exact.

    Returns
    -------
    pandas.Series
        (row,) datetime64 without time zone.
    """
    steps = (days.astype(float) * STEPS_PER_DAY[step]).round().astype("int64")
    return pd.Timestamp("1899-12-30") + pd.to_timedelta(steps, unit=step)
