"""Stamps of a tower's table that stand in several columns: the year, the day, and the clock in one of its spellings.

REddyProc writes ``Year DoY Hour``, the older files of AmeriFlux ``YEAR DOY HRMIN``, loggers and the older databases of
Europe year, month, day, hour and minute.
"""

from __future__ import annotations

import pandas as pd
from fluxlens.embeddings.date_columns import find_parts
from fluxlens.models.errors import InputError

FIRST_YEAR, LAST_YEAR = 1950, 2100


def find_stamp_columns(header: list[str]) -> dict[str, str]:
    """The columns of a header that make a stamp together.

    Parameters
    ----------
    header : list of str
        In capitals.

    Returns
    -------
    dict of str to str
        Names in the header by ``year``, ``doy``, ``month``, ``day``, ``clock``, ``hour`` and ``minute``; empty where
        they name no day.
    """
    columns = find_parts(header)
    if "year" not in columns or ("doy" not in columns and not {"month", "day"} <= set(columns)):
        return {}
    # The day of the year is enough, and one spelling of the clock.
    spare = {"month", "day"} if "doy" in columns else set()
    spare |= {"hour", "minute"} if "clock" in columns else set() if "hour" in columns else {"minute"}
    return {field: column for field, column in columns.items() if field not in spare}


def join_stamps(name: str, columns: dict[str, str], cells: pd.DataFrame) -> pd.DatetimeIndex:
    """Times of rows whose stamps stand in several columns.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    columns : dict of str to str
        As of ``find_stamp_columns``.
    cells : pandas.DataFrame
        (row, column) text of these columns.

    Returns
    -------
    pandas.DatetimeIndex
        As written, rounded to the minute, without time zone; hour 24 is the next midnight.

    Raises
    ------
    InputError
        Where a row names no day of four-digit years, or rows of one hour have no minutes.
    """
    if not len(cells):
        raise InputError(f"Got {name} without rows, need some below the header; fetch the file again.")
    numbers = pd.DataFrame(
        {
            field: pd.to_numeric(cells[column].astype(str).str.replace(",", "."), errors="coerce")
            for field, column in columns.items()
        }
    )
    year = numbers["year"]
    right = year.between(FIRST_YEAR, LAST_YEAR) & (year % 1 == 0)
    january = pd.to_datetime(year.where(right).map("{:.0f}-01-01".format), format="%Y-%m-%d", errors="coerce")
    if "doy" in numbers:
        # Day 367 is midnight after a leap year where rows are stamped at their end.
        right &= (numbers["doy"] >= 1) & (numbers["doy"] < 368)
        doy = numbers["doy"].where(right)
        # Some write the clock once more as a fraction of the day.
        has_clock = {"clock", "hour"} & set(numbers)
        days = january + pd.to_timedelta((doy // 1 if has_clock else doy) - 1, unit="D")
    else:
        text = numbers[["year", "month", "day"]].where(right).map("{:.0f}".format).agg("-".join, axis=1)
        days = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    hours = pd.Series(0.0, cells.index)
    if "clock" in numbers:
        clock = numbers["clock"]
        right &= clock.between(0, 2400) & (clock % 100 < 60)
        hours = clock // 100 + clock % 100 / 60
    elif "hour" in numbers:
        hours = numbers["hour"] + numbers.get("minute", 0) / 60
        right &= hours.between(0, 24)
    times = days + pd.to_timedelta(hours.where(right), unit="h")
    wrong = ~right | times.isna()
    listed = ", ".join(columns.values())
    if wrong.any():
        at = int(wrong.to_numpy().argmax())
        raise InputError(
            f"Got {name} with {int(wrong.sum())} of {len(cells)} rows whose {listed} are no date, such as"
            f" {', '.join(cells[list(columns.values())].astype(str).iloc[at])[:40]}, need years of four digits and days"
            " of the year from 1 to 366; repair them."
        )
    out = pd.DatetimeIndex(times, name="time").round("min").as_unit("ns")
    # Half-hours with the number of the hour alone: each of its rows would be as good as the other.
    if "hour" in numbers and "minute" not in numbers and out.duplicated().sum() > 0.45 * len(out):
        raise InputError(
            f"Got {name} whose {len(out)} rows share {out.nunique()} stamps by {listed}, need the minutes; write hours"
            " with decimals such as 0.5, or add a column MINUTE."
        )
    return out
