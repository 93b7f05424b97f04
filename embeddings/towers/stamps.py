"""Time stamps of tower files as dates, and the time step they tell.

A stamp is parsed as a date, never as a row of digits: ``2.01905E+11`` (a spreadsheet's rounding of
201905120030) has digits too, and no time.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from fluxlens.embeddings import clocks, month_words, named_zones, spreadsheet_days, year_days
from fluxlens.embeddings.text_cells import without_blanks_in_dates
from fluxlens.models.errors import DataWarning, InputError

DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
CLOCK = r"(?:[T, ]+(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:[.,]\d+)?)?\s*(?P<ap>[AaPp]\.?[Mm]\.?)?)?"
OFFSET = r"\s*(?P<off>Z|UTC|[+-]\d{2}:?\d{2})?"
YEAR_FIRST = rf"(?P<y>\d{{4}})[-/.](?P<a>\d{{1,2}})(?:[-/.](?P<b>\d{{1,2}}){CLOCK}{OFFSET})?"
YEAR_LAST = rf"(?P<a>\d{{1,2}})(?P<sep>[./-])(?P<b>\d{{1,2}})[./-](?P<y>\d{{4}}|\d{{2}}){CLOCK}{OFFSET}"
COUNTED_SINCE_1970 = r"1[0-8]\d{8}|1[0-8]\d{11}"
"""Seconds or milliseconds of 2001 to 2030; as a date of ten digits they would be of a year before 1900."""
ROUNDED = r"\d(?:[.,]\d+)?[eE]\+?\d+"


@dataclass(frozen=True)
class Step:
    """Time step of a file.

    Parameters
    ----------
    code : str
        HH or HR (any step of less than a day), DD, WW or MM.
    name : str
        For people: ``half-hourly``, ``weekly``.
    per_day : int
        Steps in a day where the step is shorter than a day, else 1.
    """

    code: str
    name: str
    per_day: int = 1

    @property
    def is_subdaily(self) -> bool:
        """Whether days are to be formed of the steps."""
        return self.code in ("HH", "HR")


def parse_stamps(name: str, stamps: pd.Series, zones: pd.Series | None = None) -> pd.DatetimeIndex:
    """Times of stamps in any of the usual styles, in the file's local standard time.

    Read are YYYY, YYYYMM, YYYYMMDD[HHMM[SS]], year and day of the year (2019-152, a clock may follow), ISO 8601 with or
    without time, seconds and offset, and the styles of spreadsheets (12.05.2019 00:30, 5/12/2019 12:30 AM). Midnight
    may lack its time.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    stamps : pd.Series of str
        One per row, blanks stripped; a named zone (Europe/Berlin) may stand behind the clock.
    zones : pd.Series, optional
        (row,) names of the zone of each row.

    Returns
    -------
    pd.DatetimeIndex
        Without time zone, rounded to the minute; of named zones their standard time.

    Raises
    ------
    InputError
        With the count of stamps that are no dates, that a spreadsheet has rounded, or that are of mixed kinds.
    """
    if not len(stamps):
        raise InputError(f"Got {name} without rows, need some below the header; fetch the file again.")
    # A spreadsheet adds quotes and `.0`; neither changes the stamp.
    text = stamps.astype("str").str.strip().str.strip("\"'").str.replace(r"\.0+$", "", regex=True)
    text, zone = named_zones.split_zone(text, name)
    is_utc = bool(re.fullmatch(COUNTED_SINCE_1970, text.iloc[0])) or named_zones.has_offset(text.iloc[0])
    if zone is not None and is_utc:
        # Both are told, as in 2019-06-01T12:00+02:00[Europe/Berlin].
        times = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce"))
        if not times.hasnans:
            return named_zones.to_standard_time(times, zone, name).round("min").as_unit("ns").rename("time")
    times = _parse_text(name, text)
    if zone is None:
        return times if is_utc else in_standard_time(name, times, zones)
    return named_zones.to_standard_time(times, zone, name)


def in_standard_time(name: str, times: pd.DatetimeIndex, zones: pd.Series | None) -> pd.DatetimeIndex:
    """Times (row,) in the standard time of the zone that a column (row,) names, or as they are."""
    zone = named_zones.of_column(zones, times, name)
    return times if zone is None else named_zones.to_standard_time(times, zone, name, is_of_column=True)


def _parse_text(name: str, text: pd.Series) -> pd.DatetimeIndex:
    """As ``parse_stamps``, of stamps (row,) without a named zone."""
    text = year_days.to_iso_dates(text)
    # 20180512T003000 has no separators else; blanks behind points are of spreadsheets.
    if not text.str.isdigit().all():
        text = without_blanks_in_dates(text.str.replace(r"^(\d{8})T(\d{4}(?:\d\d)?)$", r"\1\2", regex=True))
        # 20190601 0030, and EddyPro's 2019-06-01 0030.
        pattern = r"^(\d{4})-?(\d\d)-?(\d\d)[ _T](\d\d):?(\d\d)$"
        is_iso = text.str.contains("-", regex=False) & text.str.contains(":", regex=False)
        text = text.where(is_iso, text.str.replace(pattern, r"\1\2\3\4\5", regex=True))
    if re.fullmatch(COUNTED_SINCE_1970, text.iloc[0]) and text.str.fullmatch(COUNTED_SINCE_1970).all():
        return _since_1970(name, text)
    length = text.str.len()
    # Parsed by their length as dates, never as numbers: 201905010030 has twelve digits and a meaning.
    numeric = text.str.isdigit() & length.isin(list(DIGITS))
    if not numeric.all():
        rounded = text.str.fullmatch(ROUNDED)
        if rounded.any():
            raise InputError(
                f"Got {name} whose {int(rounded.sum())} rows share {text[rounded].nunique()} stamps such as"
                f" {text[rounded].iloc[0]}, rounded by a spreadsheet, need whole stamps such as 201905120030; use the"
                " file as it was downloaded."
            )
        if text.str.fullmatch(spreadsheet_days.PATTERN).all():
            return _days_of_spreadsheet(name, text.astype(float))
    # Words such as CEST as offsets, of which the smaller is standard time.
    standard = None
    if not numeric.all() and text.str.contains(r"\d\s*\(?[A-Z]{3,5}", regex=True).any():
        standard, text = clocks.standard_minutes(text), clocks.to_offsets(text)
    times = pd.Series(pd.NaT, text.index, dtype="datetime64[ns]")
    # Hour 24 is the next midnight; dates know hours to 23 alone.
    is_24 = numeric & (length >= 12) & text.str[8:].str.fullmatch("2400(00)?")
    if is_24.any():
        text = text.where(~is_24, text.str[:8] + text.str[8:].str.replace("24", "00", n=1))
    # One vectorised pass per length: ten years of half-hours are 175,000 stamps.
    for count, style in DIGITS.items():
        has_length = numeric & (length == count)
        if has_length.any():
            times[has_length] = pd.to_datetime(text[has_length], format=style, errors="coerce").astype(
                "datetime64[ns]"
            )
    times[is_24] += pd.Timedelta(days=1)
    if not numeric.all():
        times[~numeric] = _written_dates(name, text[~numeric], standard)
    wrong = times.isna()
    if wrong.any():
        raise InputError(
            f"Got {name} with {int(wrong.sum())} of {len(text)} stamps that are no date, such as"
            f" {text[wrong].iloc[0][:30]!r}, need YYYYMMDD or YYYYMMDDHHMM; repair them."
        )
    kinds = set(length[numeric].unique()) - {8, 10, 12, 14}
    if kinds and (len(set(length[numeric].unique())) > 1 or not numeric.all()):
        raise InputError(
            f"Got {name} with stamps of months among those of days, need one kind per file; repair."
        )
    # Seconds such as 00:29:59.999 come from dates kept as fractions of a day.
    return pd.DatetimeIndex(times, name="time").round("min").as_unit("ns")


def _since_1970(name: str, text: pd.Series) -> pd.DatetimeIndex:
    """Times of seconds or milliseconds since 1970, with a warning."""
    warnings.warn(
        f"stamps of {name} such as {text.iloc[0]} count from 1970, so in UTC; days are those of UTC, not of local"
        " standard time",
        DataWarning,
        stacklevel=4,
    )
    unit = "s" if len(text.iloc[0]) == 10 else "ms"
    return (
        pd.DatetimeIndex(pd.to_datetime(text.astype("int64"), unit=unit), name="time")
        .round("min")
        .as_unit("ns")
    )


def _days_of_spreadsheet(name: str, days: pd.Series) -> pd.DatetimeIndex:
    """Times of a spreadsheet's days, with a warning."""
    warnings.warn(
        f"stamps of {name} such as {days.iloc[0]:.6g} are days as a spreadsheet counts them: read as since 1899-12-30",
        DataWarning,
        stacklevel=4,
    )
    return pd.DatetimeIndex(spreadsheet_days.to_times(days), name="time").as_unit("ns")


def _written_dates(name: str, text: pd.Series, standard: int | None = None) -> pd.Series:
    """Times of stamps with separators; NaT where they are no dates. ``standard`` as of ``_without_offsets``."""
    if text.str.contains(r"[^\W\d]{3}", regex=True).all():
        written = month_words.to_iso_dates(text, name)
        text = text if written is None else written
    fields = text.str.extract(f"^{YEAR_FIRST}$")
    is_year_last = fields["y"].isna()
    times = pd.Series(pd.NaT, text.index, dtype="datetime64[ns]")
    if not is_year_last.all():
        first = fields[~is_year_last]
        times[first.index] = _from_parts(first["y"], first["a"], first["b"].fillna("1"), first)
    if is_year_last.any():
        last = text[is_year_last].str.extract(f"^{YEAR_LAST}$").dropna(subset=["y"])
        if len(last):
            times[last.index] = _day_or_month_first(name, last)
            short = last.index[last["y"].str.len() == 2]
            if len(short):
                example = f"{text[short[0]]}: read as {times[short[0]]:%Y-%m-%d}"
                month_words.warn_short_years(example, f"{len(short)} stamps of {name}")
            fields.loc[last.index, "off"] = last["off"]
    return _without_offsets(name, times, fields["off"], standard)


def _day_or_month_first(name: str, fields: pd.DataFrame) -> pd.Series:
    """Times of 12.05.2019 and 5/12/2019; the month is told by the point, by parts above 12, or by the order."""
    year = fields["y"].map(month_words.full_year)
    both = {
        "day": _from_parts(year, fields["b"], fields["a"], fields),
        "month": _from_parts(year, fields["a"], fields["b"], fields),
    }
    if (fields["sep"] == ".").all():  # points are written where the day comes first
        return both["day"]
    whole = [order for order, times in both.items() if times.notna().all()]
    if len(whole) == 1:
        return both[whole[0]]
    if not whole:
        return min(both.values(), key=lambda times: int(times.isna().sum()))
    # Both orders give dates (all days up to the 12th): the right one runs forward without jumps of months.
    spans = {order: times.diff().abs().max() for order, times in both.items()}
    if spans["day"] == spans["month"]:
        raise InputError(
            f"Got {name} with stamps such as {'/'.join(fields[['a', 'b', 'y']].iloc[0])}, whose day and"
            " month cannot be told"
            " apart, need YYYY-MM-DD; write them so."
        )
    return both[min(spans, key=lambda order: spans[order])]


def _from_parts(year: pd.Series, month: pd.Series, day: pd.Series, clock: pd.DataFrame) -> pd.Series:
    """Times of parts as text; NaT where they are no date. Hour 24 is the next midnight."""
    hour, minute, second = (clock[unit].fillna("0").astype(int) for unit in ("h", "mi", "s"))
    half = clock["ap"].str[0].str.lower()
    hour = hour.where(half.isna(), hour % 12 + 12 * (half == "p"))
    date = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    out = pd.to_datetime(date, format="%Y-%m-%d", errors="coerce").astype("datetime64[ns]")
    out += pd.to_timedelta(hour * 3600 + minute * 60 + second, unit="s")
    return out.where((hour <= 24) & (minute < 60) & (second < 60))


def _without_offsets(
    name: str, times: pd.Series, offsets: pd.Series, standard: int | None = None
) -> pd.Series:
    """Local standard times of stamps with offsets: the clock as written, unless the offset changes over the year.

    ``standard`` is the offset of standard time in minutes, where words such as CEST tell it.
    """
    offset = offsets.dropna().replace({"Z": "+00:00", "UTC": "+00:00"}).str.replace(":", "")
    if offset.empty:
        return times
    # "+0100" to minutes east of Greenwich.
    minutes = (offset.str[1:3].astype(int) * 60 + offset.str[3:5].astype(int)) * np.where(
        offset.str[0] == "-", -1, 1
    )
    if (minutes == 0).all():
        # Tools that know no local standard time write +00:00 beside the numbers of the file.
        warnings.warn(
            f"{len(offset)} stamps of {name} carry an offset of zero; they are read as local standard"
            " time, as tower files"
            " are written",
            DataWarning,
            stacklevel=2,
        )
        return times
    # Of two offsets the smaller one is standard time: summer time is ahead of it.
    standard = int(minutes.min()) if standard is None else standard
    if (minutes != standard).any():
        moved = int((minutes != standard).sum())
        times = times.copy()
        times[offset.index] -= pd.to_timedelta(minutes - standard, unit="min")
        warnings.warn(
            f"{moved} stamps of {name} in summer time are moved to standard time (UTC{standard / 60:+g} h)",
            DataWarning,
            stacklevel=2,
        )
    return times


def ordered(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in order of time, one per stamp.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    frame : pd.DataFrame
        Indexed by time.

    Returns
    -------
    pd.DataFrame
        The first row of each stamp; a warning tells how many others were left out.

    Raises
    ------
    InputError
        Where more than half of the rows share their stamp with a row of other values.
    """
    # Stable: of rows with one stamp the first of the file stays the first.
    frame = frame.sort_index(kind="stable")
    twice = frame.index.duplicated()
    if not twice.any():
        return frame
    same = frame.assign(_stamp=frame.index).duplicated() & twice
    count, other = int(twice.sum()), int((twice & ~same).sum())
    # So many are no repeated rows: the column is no stamp.
    if other > len(frame) / 2:
        raise InputError(
            f"Got {name} whose {len(frame)} rows share {len(frame) - count} stamps, need one stamp per"
            " row; use the file as"
            " it was downloaded."
        )
    kind = (
        f"{other} of them with other values (the first row of each stamp is kept)" if other else "all alike"
    )
    is_summer = clocks.are_of_summer_time(pd.DatetimeIndex(frame.index[twice]))
    hint = ": in nights in which summer time ends, so that stamps are no standard time" if is_summer else ""
    warnings.warn(f"{count} rows of {name} repeat a stamp, {kind}{hint}", DataWarning, stacklevel=2)
    return frame[~twice]


def infer_step(name: str, times: pd.DatetimeIndex, has_end: bool = False) -> Step:
    """Time step of a file by its stamps; the name decides only where they cannot.

    Parameters
    ----------
    name : str
        Of the file.
    times : pd.DatetimeIndex
        In order, without duplicates.
    has_end : bool
        Whether the file tells the end of each step, so that days apart by a week are weeks.

    Raises
    ------
    InputError
        For yearly files, and steps that are no part of a day.
    """
    code = re.search(r"_(HH|HR|DD|WW|MM|YY)(?=[_.])", name)
    named = code[1] if code else ""
    days = Step("DD", "daily")
    steps = {"HH": Step("HH", "half-hourly", 48), "HR": Step("HR", "hourly", 24), "DD": days}
    steps |= {"WW": Step("WW", "weekly"), "MM": Step("MM", "monthly")}
    if len(times) < 2:
        step = steps.get(named, days)
        if named == "YY":
            raise InputError(
                f"Got {name}, a yearly file, need daily (DD) or finer data; fetch the daily one."
            )
        return step
    # The most frequent gap, not the median: holes widen gaps and never make them smaller.
    gaps = np.diff(times.values) / np.timedelta64(1, "m")
    values, counts = np.unique(gaps, return_counts=True)
    minutes = float(values[counts.argmax()])
    # Months have three lengths; together they may outnumber nothing else.
    if minutes >= 27 * 1440 or (minutes >= 1440 and (times.day == 1).all() and len(times) > 1):
        if minutes > 32 * 1440 and (gaps >= 360 * 1440).mean() > 0.5:
            raise InputError(
                f"Got {name}, a yearly file, need daily (DD) or finer data; fetch the daily one."
            )
        return steps["MM"]
    if minutes < 1440:
        if 1440 % minutes:
            raise InputError(
                f"Got {name} with a stamp every {minutes:g} minutes, need a step that divides the day;"
                " give the HH or DD file."
            )
        known = {30.0: steps["HH"], 60.0: steps["HR"]}
        other = Step("HH", f"{minutes:g}-minute", int(1440 / minutes))
        return known.get(minutes, other)
    if minutes == 1440:
        if named == "YY":
            raise InputError(
                f"Got {name}, a yearly file, need daily (DD) or finer data; fetch the daily one."
            )
        return days
    # Days with holes have gaps of all lengths; the same gap throughout is a step of its own, whatever the name says.
    is_regular = len(gaps) >= 4 and (gaps == minutes).mean() >= 0.9
    if minutes == 7 * 1440 and (named in ("WW", "") or has_end or is_regular):
        return steps["WW"]
    if named in ("WW", "MM") and minutes % 1440 == 0 and minutes % (7 * 1440) == 0:
        return steps["WW"]
    if minutes % 1440 == 0 and named in ("", "DD") and not is_regular:
        return days  # days with holes
    raise InputError(
        f"Got {name} with a stamp every {minutes / 1440:g} days, need half-hours, days, weeks or months;"
        " give another file."
    )
