"""Clocks of a named zone: ``2019-06-01 12:00 Europe/Berlin``, or one name of IANA in a column ``timezone`` or ``tz``.

Such a clock has summer time. Where it cannot be converted without a guess, it is refused in one sentence.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from fluxlens.models.errors import DataWarning, InputError

COLUMNS = ("timezone", "time_zone", "time zone", "tz", "tzid")
"""Names of the column of zones, in small letters."""
# All names but those of single words, which are offsets or read as words (UTC, CET).
_NAME = r"[A-Z][A-Za-z]+(?:/[A-Za-z_+-]+\d{0,2}){1,2}"
_BEHIND_CLOCK = rf"(\d.*?)\s*[\[(]?({_NAME})[\])]?"
_OFFSET = re.compile(r":\d\d(?:\.\d+)?\s*(?:Z|[+-]\d\d:?\d\d)$|UTC$|GMT$")


def find_column(names: Iterable[str]) -> str | None:
    """The column that names the zone of each row.

    Parameters
    ----------
    names : iterable of str
        Of columns, as they stand in the table.
    """
    return next((name for name in names if str(name).strip().lower() in COLUMNS), None)


def split_zone(text: pd.Series, what: str) -> tuple[pd.Series, str | None]:
    """Stamps without the zone behind them, and that zone.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.
    what : str
        The table in words, for messages.

    Returns
    -------
    tuple of pandas.Series and str or None
        ``text`` as it is and None, where the first row has no such zone.

    Raises
    ------
    InputError
        Where rows have no zone beside rows that have one, or zones differ.
    """
    if not len(text) or not re.fullmatch(_BEHIND_CLOCK, str(text.iloc[0])):
        return text, None
    parts = text.str.extract(f"^{_BEHIND_CLOCK}$")
    lacking = parts[1].isna()
    if lacking.any():
        raise InputError(
            f"Got {int(lacking.sum())} of {len(text)} stamps of {what} such as {text[lacking].iloc[0][:40]!r} without"
            f" the zone that others have ({parts[1][~lacking].iloc[0]}), need it in all; write it there."
        )
    return parts[0], name_of(parts[1], what)


def name_of(cells: pd.Series, what: str) -> str | None:
    """The one zone that cells name.

    Parameters
    ----------
    cells : pandas.Series
        (row,) of a column of zones.
    what : str
        The table in words, for messages.

    Returns
    -------
    str or None
        None where no cell is a name such as ``Europe/Berlin``.

    Raises
    ------
    InputError
        Where names differ among rows, or no such zone is known.
    """
    names = pd.Series(cells.dropna().astype(str).str.strip().unique())
    names = names[names != ""]
    if not names.str.fullmatch(_NAME).any():
        return None
    if len(names) > 1:
        raise InputError(
            f"Got {what} with stamps of {len(names)} zones ({', '.join(names[:3])}), need one; convert them to UTC, or"
            " give a table of each zone."
        )
    try:
        ZoneInfo(names.iloc[0])
    except (KeyError, ValueError, OSError) as error:
        raise InputError(
            f"Got {what} with the zone {names.iloc[0]!r}, which is not known, need a name of IANA such as"
            " Europe/Berlin, or an offset such as +01:00; correct it."
        ) from error
    return str(names.iloc[0])


def of_column(cells: pd.Series | None, times: pd.DatetimeIndex, what: str) -> str | None:
    """The zone that a column tells of times without one; None where there is none, or they are dates.

    Parameters
    ----------
    cells : pandas.Series or None
        (row,) of a column of zones.
    times : pandas.DatetimeIndex
        (row,) as the clock shows them.
    what : str
        The table in words, for messages.

    Raises
    ------
    InputError
        As of ``name_of``; of dates alone zones may differ.
    """
    if cells is None or times.hasnans or (times == times.normalize()).all():
        return None
    return name_of(cells, what)


def has_offset(stamp: str) -> bool:
    """Whether a stamp tells its own offset, which then counts.

    Parameters
    ----------
    stamp : str
        Such as ``2019-06-01T12:00+02:00`` or ``... 12:00Z``.
    """
    return bool(_OFFSET.search(stamp))


def to_utc(times: pd.DatetimeIndex, zone: str, what: str) -> pd.DatetimeIndex:
    """Times of a zone's clock in UTC; all as they are where all are midnights, which are dates.

    Parameters
    ----------
    times : pandas.DatetimeIndex
        (row,) as the clock shows them, or with their offsets.
    zone : str
        Of IANA.
    what : str
        The table in words, for messages.

    Returns
    -------
    pandas.DatetimeIndex
        (row,) without time zone.

    Raises
    ------
    InputError
        Where the clock shows an hour twice, or never.
    """
    if times.tz is not None:
        return times.tz_convert("UTC").tz_localize(None)
    if (times == times.normalize()).all():
        return times
    if missing := _count_missing(times, zone):
        count, first = missing
        raise InputError(
            f"Got {count} stamps of {what} such as {first:%Y-%m-%d %H:%M}, which the clock of {zone} leaves out as"
            " summer time begins, need times of that clock; write UTC or offsets such as +01:00."
        )
    try:
        # Of an hour that comes twice the order of rows tells which is which, where both are there.
        return times.tz_localize(ZoneInfo(zone), ambiguous="infer").tz_convert("UTC").tz_localize(None)
    except ValueError as error:
        either = [
            times.tz_localize(ZoneInfo(zone), ambiguous=np.full(len(times), is_summer))
            for is_summer in (True, False)
        ]
        twice = times[either[0] != either[1]]
        raise InputError(
            f"Got {len(twice)} stamps of {what} such as {twice[0]:%Y-%m-%d %H:%M}, an hour that the clock of {zone} has"
            " twice as summer time ends, need to know which; write UTC or offsets such as +01:00."
        ) from error


def to_standard_time(
    times: pd.DatetimeIndex, zone: str, what: str, is_of_column: bool = False
) -> pd.DatetimeIndex:
    """Times of a zone's clock in its standard time, the clock without summer time.

    Parameters
    ----------
    times : pandas.DatetimeIndex
        As of ``to_utc``.
    zone, what : str
        As of ``to_utc``.
    is_of_column : bool
        Whether the zone stands in a column of its own, where it may say where the place is, not what the clock shows.

    Returns
    -------
    pandas.DatetimeIndex
        (row,) without time zone.

    Raises
    ------
    InputError
        As of ``to_utc``.

    Warns
    -----
    DataWarning
        With the count of stamps that are moved.
    """
    if not len(times) or (times.tz is None and (times == times.normalize()).all()):
        return times
    if is_of_column and (missing := _count_missing(times, zone)):
        warnings.warn(
            f"{missing[0]} stamps of {what} such as {missing[1]:%Y-%m-%d %H:%M} are of an hour that the clock of {zone}"
            " leaves out: all are taken for standard time",
            DataWarning,
            stacklevel=4,
        )
        return times
    utc = to_utc(times, zone, what)
    # Summer time is ahead of standard time; the offset of a zone may have changed, and tables have one.
    ends = [pd.Timestamp(year, month, 1, tz=ZoneInfo(zone)) for year in utc.year.unique() for month in (1, 7)]
    standard = min(end.utcoffset() for end in ends)
    out = utc + standard
    bare = times.tz_convert(ZoneInfo(zone)).tz_localize(None) if times.tz is not None else times
    if moved := int((out != bare).sum()):
        warnings.warn(
            f"{moved} of {len(times)} stamps of {what} in summer time of {zone} are moved to its standard time"
            f" (UTC{standard / pd.Timedelta(hours=1):+g} h)",
            DataWarning,
            stacklevel=4,
        )
    return out


def _count_missing(times: pd.DatetimeIndex, zone: str) -> tuple[int, pd.Timestamp] | None:
    """How many times a zone's clock never shows, and the first of them; None where there are none."""
    if times.tz is not None:
        return None
    either = np.zeros(len(times), bool)
    lost = times[
        times.tz_localize(ZoneInfo(zone), ambiguous=either, nonexistent="NaT").isna() & times.notna()
    ]
    return (len(lost), lost[0]) if len(lost) else None
