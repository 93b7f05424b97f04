"""Dates of weather tables: one column or several, ISO or national order, whole numbers, offsets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import clocks, month_words, named_zones, spreadsheet_days, year_days
from fluxlens.embeddings.date_columns import DATE_WORDS, find_parts
from fluxlens.embeddings.month_words import without_accents
from fluxlens.embeddings.text_cells import MONTH_WORDS
from fluxlens.models.errors import InputError

TIMES = (
    "time",
    "date",
    "timestamp",
    "timestamp_start",
    "datetime",
    "valid_time",
    "timestamp_end",
    "date_time",
    "dates",
    "system:time_start",
    "system:index",
    "mess_datum",
    "timestamp_1",
    *year_days.NAMES,
    *DATE_WORDS,
)
CLOCK = r"\d{1,2}:\d\d(:\d\d)?"


def find_time_columns(frame: pd.DataFrame) -> list[str]:
    """The column of dates, or those of year, month, day (and hour), or year and day of year.

    Parameters
    ----------
    frame
        With column names in small letters.

    Returns
    -------
    list of str
        Empty where there are none.
    """
    # "Date (UTC)" is a date.
    bare = {
        without_accents(re.sub(r"\s*[(\[].*", "", str(column))): column
        for column in reversed(list(frame.columns))
    }
    parts = find_parts(frame.columns)
    has_day = "year" in parts and ("doy" in parts or {"month", "day"} <= set(parts))
    one = next((bare[column] for column in TIMES if column in bare), None)
    # The clock in a column of its own.
    clock = next((bare[name] for name in ("time", "hour", "hr") if name in bare), None)
    is_clock = clock is not None and len(frame) > 0
    if is_clock:
        cells = frame[clock].astype(str).str.strip()
        is_clock = bool(cells.str.fullmatch(rf"{CLOCK}|\d{{1,2}}(\.0)?").all())
    if is_clock and one is not None and "date" in bare:
        return [bare["date"], clock]
    if one is not None and not (has_day and is_clock and one == clock):
        return [one]
    if not has_day:
        return []
    fields = ("year", "doy") if "doy" in parts else ("year", "month", "day")
    of_clock = ("clock",) if "clock" in parts else ("hour", "minute")
    named = [parts[field] for field in (*fields, *of_clock) if field in parts]
    return named if clock is None or clock in named else [*named, clock]


def parse_stamps(frame: pd.DataFrame, columns: list[str], name: str) -> tuple[pd.DatetimeIndex, bool]:
    """Stamps of the rows as they are written; those of a named zone in its standard time.

    Parameters
    ----------
    frame
        The rows; a column of named zones may stand beside the stamps.
    columns
        As ``find_time_columns`` gives them.
    name
        What errors call the file.

    Returns
    -------
    tuple
        Naive stamps (row), and whether they are declared to be UTC.

    Raises
    ------
    InputError
        A value is no date, or the order of day and month is open.
    """
    first = frame[columns[0]].astype(str).str.strip()
    bare, zone = named_zones.split_zone(first, name) if len(columns) == 1 else (first, None)
    beside, is_told = (
        named_zones.find_column(frame.columns),
        len(bare) > 0 and named_zones.has_offset(bare.iloc[0]),
    )
    if zone is not None and is_told:
        # Both are told, as in 2019-06-01T12:00+02:00[Europe/Berlin].
        times = pd.DatetimeIndex(pd.to_datetime(bare, format="ISO8601", utc=True, errors="coerce"))
        if not times.hasnans:
            return named_zones.to_standard_time(times, zone, name), False
    stamps, utc = _parse_written(frame if zone is None else bare.to_frame(columns[0]), columns, name)
    if zone is not None and not utc:
        return named_zones.to_standard_time(stamps, zone, name), False
    cells = None if beside is None or is_told or utc else frame[beside]
    zone = named_zones.of_column(cells, stamps, name)
    return stamps if zone is None else named_zones.to_standard_time(
        stamps, zone, name, is_of_column=True
    ), utc


def _parse_written(frame: pd.DataFrame, columns: list[str], name: str) -> tuple[pd.DatetimeIndex, bool]:
    """As ``parse_stamps``, of stamps without a named zone."""
    parts = find_parts(columns) if len(columns) > 1 else {}
    if "year" in parts:
        return _joined_stamps(frame, columns, parts), False
    if len(columns) == 2:
        days, _ = _parse_written(frame, columns[:1], name)
        return days + _from_hour_0(_clock_of(frame[columns[1]])), False
    text, of = frame[columns[0]].astype(str).str.strip(), f"the column {columns[0]} of {name}"
    # A spreadsheet shows 201906010030 as 2.01906E+11, and saves what it shows: the minutes are lost.
    if text.str.fullmatch(r"\d(\.\d+)?[eE]\+?\d+").any():
        raise InputError(
            f"Got {name} with dates such as {text.iloc[0]}, rounded by a spreadsheet and no date any more, need whole "
            "dates; use the original file."
        )
    # Earth Engine's system:time_start is milliseconds since 1970.
    if text.str.fullmatch(r"\d{13}").all():
        return pd.DatetimeIndex(pd.to_datetime(text.astype("int64"), unit="ms")), True
    if text.str.fullmatch(spreadsheet_days.PATTERN).all():
        return pd.DatetimeIndex(spreadsheet_days.to_times(text)), False
    text = year_days.to_iso_dates(text)
    # Words such as CEST as offsets.
    standard, text = clocks.standard_minutes(text), clocks.to_offsets(text)
    offset = text.str.extract(r":\d\d(?:[.,]\d+)?\s*([+-]\d\d:?\d\d)$")[0]
    if offset.notna().all():
        minutes = offset.map(_minutes_of)
        standard = int(minutes.min()) if standard is None else standard
        if (minutes != standard).any():
            # Summer time comes and goes: all in the standard time of the table.
            bare = text.str.replace(r"\s*[+-]\d\d:?\d\d$", "", regex=True)
            stamps, _ = _parse_written(bare.to_frame(columns[0]), columns, name)
            return pd.DatetimeIndex(stamps - pd.to_timedelta(minutes - standard, unit="min")), False
    utc = bool(text.str.fullmatch(r".*(Z|[+-]00:?00)").all())
    # The local date counts for daily rows: a stamp of local midnight with an offset is that local day.
    bare = text.str.replace(r"\s*(Z|UTC|[+-]\d\d:?\d\d)$", "", regex=True).where(text.str.contains(":"), text)
    # Hour 24 of a day ends it: such stamps are ends of hours, and become their beginnings.
    if bare.str.contains(r"[T ]24:00", regex=True).any():
        halves = bare.str.extract(r"^(.*?)[T ]+(\d{1,2}:\d\d(?::\d\d)?)$")
        if halves.notna().all(axis=None):
            days, _ = _parse_written(halves[[0]], [0], name)
            return days + _from_hour_0(_clock_of(halves[1])), utc
    # EddyPro's biomet files.
    if bare.str.fullmatch(r"\d{4}-\d\d-\d\d \d{4}").all():
        return _parsed(bare, "%Y-%m-%d %H%M", name), utc
    compact = bare.str.replace(r"\.0$", "", regex=True)
    # By the number of digits: pandas would read eight of them as nanoseconds since 1970.
    for digits, form in (
        (8, "%Y%m%d"),
        (10, "%Y%m%d%H"),
        (12, "%Y%m%d%H%M"),
        (14, "%Y%m%d%H%M%S"),
    ):
        if compact.str.fullmatch(rf"\d{{{digits}}}").all():
            return _parsed(compact, form, name), utc
    # With full stops the day comes first in every country that writes dates so.
    if bare.str.match(r"\d{1,2}\.\d{1,2}\.\d{4}").all():
        return _parsed(bare, "dotted", name), utc
    if bare.str.match(r"\d{1,2}([/-])\d{1,2}\1\d{4}").all():
        return _parsed(bare, "slashed", name), utc
    if bare.str.contains(r"[A-Za-z]{3}", regex=True).all():
        for form in MONTH_WORDS:
            if pd.to_datetime(bare, format=form, errors="coerce").notna().all():
                stamps = _parsed(bare, form, name)
                if form.endswith("%y") and len(bare):
                    month_words.warn_short_years(f"{bare.iloc[0]}: read as {stamps[0]:%Y-%m-%d}", of)
                return stamps, utc
    if (written := month_words.to_iso_dates(bare, of)) is not None:
        return _parsed(written, "ISO8601", name), utc
    month_words.refuse_short_years(bare, of)
    return _parsed(bare, "ISO8601", name), utc


def _minutes_of(offset: str) -> int:
    """Minutes east of Greenwich of ``+01:00`` or ``+0100``."""
    digits = offset[1:].replace(":", "")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if offset[0] == "-" else 1)


def _joined_stamps(frame: pd.DataFrame, columns: list[str], parts: dict[str, str]) -> pd.DatetimeIndex:
    """Stamps (row,) of the parts of dates in columns, the last of which may be a clock."""
    numbers = {
        part: pd.to_numeric(frame[column]) for part, column in parts.items() if part not in ("month", "day")
    }
    if "doy" in numbers:
        # 1 January of the year is day 1. Some write the clock once more as a fraction of the day.
        doy = numbers["doy"] // 1 if len(columns) > 2 else numbers["doy"]
        if not doy.between(1, 367).all():
            raise ValueError(f"day of the year {doy[~doy.between(1, 367)].iloc[0]:g}")
        days = pd.to_datetime(numbers["year"].astype(int).astype(str) + "-01-01")
        days = days + pd.to_timedelta(doy - 1, "D")
    else:
        texts = [frame[parts[one]].astype(str).str.strip().str.removesuffix(".0") for one in ("month", "day")]
        text = numbers["year"].astype(int).astype(str) + "-" + texts[0] + "-" + texts[1]
        days = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
        if days.isna().any():
            # With the month in words.
            written = month_words.to_iso_dates(text, ", ".join(columns))
            days = pd.to_datetime(text if written is None else written, format="ISO8601")
    rest = [column for column in columns if column not in parts.values()]
    if rest:
        return pd.DatetimeIndex(days) + _from_hour_0(_clock_of(frame[rest[0]]))
    if "clock" in numbers:
        hours = numbers["clock"] // 100 + numbers["clock"] % 100 / 60
    elif "hour" in numbers:
        hours = numbers["hour"] + numbers.get("minute", 0) / 60
    else:
        return pd.DatetimeIndex(days)
    clock = pd.to_timedelta(hours * 3600, unit="s").dt.round("s")
    return pd.DatetimeIndex(days) + _from_hour_0(clock)


def _clock_of(cells: pd.Series) -> pd.Series:
    """Time of day (row,) of clocks as text: 13, 13:30 or 13:30:00."""
    clock = cells.astype(str).str.strip().str.removesuffix(".0")
    clock = clock.where(clock.str.contains(":"), clock + ":00")
    return pd.to_timedelta(clock.where(clock.str.count(":") == 2, clock + ":00"))


def _from_hour_0(clock: pd.Series) -> pd.TimedeltaIndex:
    """Time of day (row,) of rows whose hours run from 1 (or 0:30) to 24, the ends of steps, as their beginnings."""
    clock = pd.TimedeltaIndex(clock)
    day, first = pd.Timedelta(days=1), clock.min() if len(clock) else pd.Timedelta(0)
    return clock - first if len(clock) and clock.max() == day and first > pd.Timedelta(0) else clock


def _parsed(text: pd.Series, form: str, name: str) -> pd.DatetimeIndex:
    """Stamps of a known form; of 03/04/2020 the order is the one in which the rows are evenly spaced."""
    if form == "slashed":
        # Read in the wrong order, daily rows jump by months.
        both = [
            pd.to_datetime(text, dayfirst=first, errors="coerce", format="mixed") for first in (True, False)
        ]
        numbers = text.str.extract(r"(\d+)[/-](\d+)").astype(int)
        fits = [
            bool((numbers[0] <= 31).all() and (numbers[1] <= 12).all()),
            bool((numbers[0] <= 12).all() and (numbers[1] <= 31).all()),
        ]
        # Both orders are dates: in the right one rows run through the days, in the other they jump by months.
        if all(fits):
            spread = [
                float(one.diff().abs().sum() / pd.Timedelta("1D")) if len(one) > 2 else 0.0 for one in both
            ]
            fits = [spread[0] < spread[1], spread[1] < spread[0]]
        if sum(fits) != 1:
            raise InputError(
                f"Got {name} with dates such as {text.iloc[0]}, which may be day first or month first and so no date, "
                "need one order; write YYYY-MM-DD."
            )
        stamps = both[0] if fits[0] else both[1]
    elif form == "dotted":
        stamps = pd.to_datetime(text, dayfirst=True, errors="coerce", format="mixed")
    else:
        stamps = pd.to_datetime(text, format=form, errors="coerce")
    wrong = stamps.isna()
    if wrong.any():
        raise InputError(
            f"Got {name} with a value that is no number or no date ({text[wrong].iloc[0][:20]!r}, "
            f"{int(wrong.sum())} such rows), need a date in each row; mend them."
        )
    return pd.DatetimeIndex(stamps)


def check_covers(weather: xr.Dataset, scene: xr.DataTree, name: str | Path) -> None:
    """Refuse a weather table of other days than a scene's.

    Parameters
    ----------
    weather
        As of ``weather_table.open``, on daily ``time``.
    scene
        With acquisitions on ``time`` of its nodes ``s2`` or ``s1``.
    name
        What the error calls the table.

    Raises
    ------
    InputError
        Where no day of the weather lies between the first and the last acquisition.
    """
    times = np.concatenate([scene[one]["time"].values for one in ("s2", "s1") if one in scene.children])
    first, last = times.min().astype("datetime64[D]"), times.max().astype("datetime64[D]")
    days = weather["time"].values.astype("datetime64[D]")
    if not ((days >= first) & (days <= last)).any():
        raise InputError(
            f"Got {name} of {days.min()} to {days.max()} and a scene of {first} to {last}, need weather of the scene's"
            " days; give another table."
        )
