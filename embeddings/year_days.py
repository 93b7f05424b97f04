"""Dates as year and day of the year in one cell: ``2019-152``, ``2019152`` and ``2019 152``, also before a clock."""

from __future__ import annotations

import re

import pandas as pd

NAMES = ("year_doy", "year-doy", "yeardoy", "yyyydoy", "yyyyddd")
"""Columns of such dates, in small letters."""
# Three digits, so that neither months (2019-05) nor days (20190601) fit.
_PATTERN = r"(?P<y>(?:19|20)\d\d)[- ]?(?P<d>\d{3})(?:\.0|[T ]+(?P<h>\d{1,2}):?(?P<mi>\d\d)(?P<rest>\D.*)?)?"


def to_iso_dates(text: pd.Series) -> pd.Series:
    """Dates of year and day of the year as ISO 8601, where all of a column are such.

    Parameters
    ----------
    text : pandas.Series
        (row,) str of one column.

    Returns
    -------
    pandas.Series
        (row,) str such as ``2019-06-01`` or ``2019-06-01 00:30``; a day that its year lacks (``2019-366``) as it is,
        and all as they are where one is of another form.
    """
    # The first cell decides for nearly all columns: ten years of half-hours are 175,000.
    if (
        not len(text)
        or not re.fullmatch(_PATTERN, str(text.iloc[0]))
        or not text.str.fullmatch(_PATTERN).all()
    ):
        return text
    parts = text.str.extract(f"^{_PATTERN}$")
    january = pd.to_datetime(parts["y"] + "-01-01", format="%Y-%m-%d")
    days = january + pd.to_timedelta(parts["d"].astype(int) - 1, unit="D")
    clock = " " + parts["h"].str.zfill(2) + ":" + parts["mi"] + parts["rest"].fillna("")
    return (days.dt.strftime("%Y-%m-%d") + clock.fillna("")).where(days.dt.year == january.dt.year, text)
