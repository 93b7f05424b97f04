"""Clocks of tables: words for time zones, stamps at the end of steps, and summer time.

R, Python and spreadsheets write ``2019-06-01 00:30 CEST``. A word that names two zones (``CST`` of China, ``IST``)
stands for that of the tower networks, or is not known.
"""

from __future__ import annotations

import re

import pandas as pd

ZONES: dict[str, tuple[int, bool]] = {
    "UTC": (0, False), "GMT": (0, False), "WET": (0, False), "WEST": (60, True), "BST": (60, True),
    "CET": (60, False), "CEST": (120, True), "MEZ": (60, False), "MESZ": (120, True), "HNEC": (60, False),
    "EET": (120, False), "EEST": (180, True), "MSK": (180, False),
    "NST": (-210, False), "NDT": (-150, True), "AST": (-240, False), "ADT": (-180, True),
    "EST": (-300, False), "EDT": (-240, True), "CST": (-360, False), "CDT": (-300, True),
    "MST": (-420, False), "MDT": (-360, True), "PST": (-480, False), "PDT": (-420, True),
    "AKST": (-540, False), "AKDT": (-480, True), "HST": (-600, False), "BRT": (-180, False), "ART": (-180, False),
    "JST": (540, False), "KST": (540, False), "SAST": (120, False), "CAT": (120, False), "EAT": (180, False),
    "AWST": (480, False), "ACST": (570, False), "ACDT": (630, True), "AEST": (600, False), "AEDT": (660, True),
    "NZST": (720, False), "NZDT": (780, True),
}  # fmt: skip
"""Minutes east of Greenwich, and whether it is summer time, an hour ahead of the standard time of its zone."""
MIN_SHARE_OF_ROWS = 0.9
"""Rows from the first to the last stamp that must be there for these to tell where a step is stamped."""
# Behind a clock alone: a date with a zone is that date.
_WORD = re.compile(r"(?<=:\d\d)\s*\(?([A-Z]{3,5})\)?$")
_FROM_UTC = re.compile(r"(?<=:\d\d)\s*(?:UTC|GMT)\s*([+-])(\d{1,2}):?(\d\d)?$")


def are_ends(stamps: pd.DatetimeIndex, step: pd.Timedelta) -> bool:
    """Whether stamps are the ends of the steps of whole days, by the first and the last of them.

    Parameters
    ----------
    stamps : pandas.DatetimeIndex
        (row,) in order, without repeats.
    step : pandas.Timedelta
        Between rows, a part of a day.
    """
    # Of whole days with few holes: where many rows are missing, the first and the last of those left tell nothing.
    is_whole = stamps[-1] == stamps[-1].normalize() and stamps[0] == stamps[0].normalize() + step
    rows = (stamps[-1] - stamps[0]) / step + 1
    return bool(is_whole and len(stamps) >= MIN_SHARE_OF_ROWS * rows)


def are_of_summer_time(repeated: pd.DatetimeIndex) -> bool:
    """Whether repeated stamps are those of the nights in which summer time ends.

    Parameters
    ----------
    repeated : pandas.DatetimeIndex
        (row,) stamps that an earlier row has.
    """
    # In all zones a Sunday, before four in the morning: in October or November, south of the equator in April.
    is_night = (repeated.day_of_week == 6) & (repeated.hour < 4) & repeated.month.isin([4, 10, 11])
    nights = repeated.normalize().unique()
    return len(repeated) > 0 and bool(is_night.all()) and len(nights) == nights.year.nunique()


def to_offsets(text: pd.Series) -> pd.Series:
    """Stamps whose zone stands behind them as a word or from UTC with the zone as an offset such as ``+01:00``.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.

    Returns
    -------
    pandas.Series
        (row,) str; stamps without such a word, or with an unknown one, as they are.
    """

    def from_utc(match: re.Match) -> str:
        return f"{match[1]}{int(match[2]):02d}:{match[3] or '00'}"

    def of_word(match: re.Match) -> str:
        if match[1] not in ZONES:
            return match[0]
        minutes = ZONES[match[1]][0]
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

    return text.str.replace(_FROM_UTC, from_utc, regex=True).str.replace(_WORD, of_word, regex=True)


def standard_minutes(text: pd.Series) -> int | None:
    """The standard time, minutes east of Greenwich, that words for time zones tell.

    Parameters
    ----------
    text : pandas.Series
        (row,) str, before ``to_offsets``.

    Returns
    -------
    int or None
        None where no word stands behind a stamp, or words are of several zones.
    """
    words = text.str.extract(_WORD)[0].dropna().unique()
    known = {ZONES[word][0] - 60 * ZONES[word][1] for word in words if word in ZONES}
    return known.pop() if len(known) == 1 and all(word in ZONES for word in words) else None
