"""Cells of text tables as numbers, dates and names of columns, however people and spreadsheets write them."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

import numpy as np
import pandas as pd
from fluxlens.embeddings import clocks, month_words, named_zones, spreadsheet_days, year_days
from fluxlens.models.errors import DataWarning, InputError

MISSING_TEXT = ("", "na", "n/a", "n.a.", "nan", "null", "none", "-", "--", ".")
# #N/A, #DIV/0!, #REF!, in German #NV and #WERT!, in Spanish ¡...!
SPREADSHEET_ERROR = r"#¡?[^\W\d][\w/]*[!?]?"
"""A cell whose formula failed in a spreadsheet: it holds no number."""
GROUPED = r"[-+]?\d{1,3}(,\d{3})+\.\d+|[-+]?\d{1,3}(\.\d{3})+,\d+"
"""Numbers with marks both between thousands and before decimals, which leave no doubt: 1,234.5 and 1.234,5."""
MISSING_BELOW = -9000.0
"""Numbers below are the codes for missing values in use (-9999, -99999)."""
MISSING_OF_STATIONS = (-99.0, -99.9, -99.99)
"""Codes of weather stations: neither weather nor GPP reaches them."""
MISSING_ABOVE = 1e15
"""Numbers from here on are fill values of NetCDF that a file does not declare: 1e20, 9.97e36."""
MISSING_NUMBERS = (-999.0, -999.9, -999.99, -6999.0)
"""Further codes for missing values of weather services and towers."""
MONTH_WORDS = (
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%y",
    "%d%b%Y",
    "%d/%b/%Y",
    "%b %d %Y",
    "%d %b %Y %H:%M",
    "%d %b %Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%b %d %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y, %I:%M:%S %p",
)
"""Dates with the month in English words."""
# Years, months and weeks, which are read as their first day elsewhere: 2020, 2020-04, 202004, 2020-W12.
_NO_DAY = r"(19|20)\d\d([-./ ]?(0[1-9]|1[0-2])|[-./ ][1-9]|\.\d{3,})?|(19|20)\d\d-?[Ww]\d\d"
_CLOCK = r"[\d./ ,T-]*\d:\d\d[\d:.]*\s*([AaPp]\.?[Mm]\.?)?"
"""A date and a clock without anything else."""
_DIGITS_OF_TIME = r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])([0-5]\d([0-5]\d)?)?"


@lru_cache(4096)
def plain_name(name: str) -> str:
    """A column's name in lower case without units in brackets and without spaces, ``_``, ``-`` and ``.``.

    Parameters
    ----------
    name : str
        As in ``Longitude (deg)``, which becomes ``longitude``.
    """
    return re.sub(r"[\s_.\-]+", "", re.sub(r"[(\[].*?[)\]]", "", str(name))).lower()


def find_column(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """The column of one of some names.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    names : tuple of str
        By ``plain_name`` without accents, the preferred one first.

    Returns
    -------
    str or None
        The first name of ``names`` that is there, as it stands in the table.
    """
    # The first of two columns that become one name wins, as people read from the left.
    plain = {}
    for column in table.columns:
        name = plain_name(column).replace(":", "")
        plain.setdefault(name, column)
        plain.setdefault(month_words.without_accents(name), column)
    return next((plain[name] for name in names if name in plain), None)


def to_numbers(column: pd.Series, what: str) -> np.ndarray:
    """A column as float64 (row,), in the column's own units, NaN where it is empty or holds a code for missing.

    Parameters
    ----------
    column : pandas.Series
        Text or numbers; booleans become 0 and 1.
    what : str
        The table in words, for messages.

    Raises
    ------
    InputError
        If a cell is neither a number nor a code for missing.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    values = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = values.isna() & column.notna()
    if wrong.any():
        text = column[wrong].astype(str).str.strip()
        lower = text.str.lower()
        # 3 100, also with the narrow blank of France, and 3'100 of Switzerland
        grouped = text.str.fullmatch(r"[-+]?\d{1,3}([ \u00a0\u202f'\u2019]\d{3})+([.]\d+)?")
        values[text.index[grouped]] = pd.to_numeric(
            text[grouped].str.replace(r"[ \u00a0\u202f'\u2019]", "", regex=True)
        )
        marked = text.str.fullmatch(GROUPED)
        values[text.index[marked]] = pd.to_numeric(text[marked].map(to_plain_number))
        text, lower = text[~grouped & ~marked], lower[~grouped & ~marked]
        # spreadsheets and Python write logical values as words
        values[lower.index[lower == "true"]] = 1.0
        values[lower.index[lower == "false"]] = 0.0
        wrong = text[~lower.isin([*MISSING_TEXT, "true", "false"]) & ~text.str.fullmatch(SPREADSHEET_ERROR)]
        if len(wrong):
            raise InputError(
                f"Got {wrong.iloc[0]!r} in the column {column.name} of {what}, need a number or nothing; correct it."
            )
    # A copy, since pandas may hand out an array of its own that must not be written to.
    out = values.to_numpy(dtype=float, na_value=np.nan, copy=True)
    out[is_missing(out)] = np.nan
    return out


def to_plain_number(cell: str) -> str:
    """A number of the form ``GROUPED`` without marks of thousands and with a decimal point.

    Parameters
    ----------
    cell : str
        Such as ``1,234.5`` or ``1.234,5``, which become ``1234.5``.
    """
    # Of the marks the last one is decimal.
    return re.sub(r"[.,](?=.*[.,])", "", cell).replace(",", ".")


def is_missing(values: np.ndarray) -> np.ndarray:
    """Which numbers of a table are codes for missing values, in all readers of tables; not those of places.

    Parameters
    ----------
    values : numpy.ndarray
        Numbers of any shape and unit.

    Returns
    -------
    numpy.ndarray
        bool of the same shape; also True for NaN and infinite numbers.
    """
    is_code = (values < MISSING_BELOW) | (values >= MISSING_ABOVE) | np.isin(values, MISSING_NUMBERS)
    return ~np.isfinite(values) | is_code


def is_missing_weather(values: np.ndarray) -> np.ndarray:
    """Which numbers of weather or GPP are codes for missing values: those of all tables, and of weather services.

    Parameters
    ----------
    values : numpy.ndarray
        (row,) of one variable in any unit, which has neither -99 nor thousands beside tens.

    Returns
    -------
    numpy.ndarray
        bool (row,).
    """
    missing = is_missing(values) | np.isin(values, MISSING_OF_STATIONS)
    # 9999 is a number of some units (kJ m-2 d-1), and 999 of W m-2, but not beside values that all lie far below it.
    for codes, at_most in (((9999.0, 9999.9, 99999.0), 1000.0), ((999.0, 999.9, 999.99), 450.0)):
        rest = values[~(missing | np.isin(values, codes))]
        if len(rest) and np.abs(rest).max() < at_most:
            missing |= np.isin(values, codes)
    return missing


def to_times(column: pd.Series, what: str, zones: pd.Series | None = None) -> np.ndarray:
    """UTC times (row,) datetime64[s] of a column of dates; midnight where it has dates alone.

    Parameters
    ----------
    column : pandas.Series
        Dates or times: ISO 8601, ``YYYYMMDD``, year and day of the year (``2019-152``), day-first or month-first with
        ``/`` or ``.`` where only one of the two is possible, or milliseconds since 1970 as Earth Engine's
        ``system:time_start``; a named zone (``Europe/Berlin``) may stand behind a clock.
    what : str
        The table in words, for messages.
    zones : pandas.Series, optional
        (row,) names of the zone of each row, for clocks that tell none themselves.

    Raises
    ------
    InputError
        If a cell is no date, or day and month cannot be told apart.
    """
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        text = column.astype(str).str.strip().str.removesuffix(".0")
        # few distinct dates stand in many rows
        codes, unique = pd.factorize(text)
        bare, zone = named_zones.split_zone(pd.Series(unique), what)
        parsed = pd.DatetimeIndex(_parse_dates(bare, str(column.name), what))
        # Names of images, counts from 1970 and stamps with their own offset are of UTC, whatever stands beside them.
        if len(bare) and zone is None and re.fullmatch(_CLOCK, bare[0]):
            zone = named_zones.of_column(zones, parsed, what)
        if zone is not None and not named_zones.has_offset(bare[0]) and not parsed.hasnans:
            parsed = named_zones.to_utc(parsed, zone, what)
        parsed = parsed.array
        # An empty cell has the code -1, which as a plain index would be the last date.
        stamps = pd.Series(parsed.take(codes, allow_fill=True))
    else:
        stamps = column.reset_index(drop=True)
        zone = named_zones.of_column(zones, pd.DatetimeIndex(stamps), what) if stamps.dt.tz is None else None
        if zone is not None:
            stamps = pd.Series(named_zones.to_utc(pd.DatetimeIndex(stamps), zone, what))
    if stamps.dt.tz is not None and bool((stamps.dropna() == stamps.dropna().dt.normalize()).all()):
        # Midnights of a zone are dates: in UTC those of Europe would be of the day before.
        stamps = stamps.dt.tz_localize(None)
    if stamps.dt.tz is not None:
        # To UTC before the zone is dropped: the day may be another one there.
        stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    if stamps.isna().any():
        wrong = stamps.isna().to_numpy()
        row = int(wrong.argmax())
        # Of an empty cell there is no first line.
        cell = "".join(str(column.iloc[row]).splitlines()[:1])[:40]
        raise InputError(
            f"Got {int(wrong.sum())} rows of {what} without a date, the first row {row + 1}"
            f" ({cell!r} in {column.name}), need YYYY-MM-DD; correct them."
        )
    return stamps.to_numpy().astype("datetime64[s]")


def without_blanks_in_dates(text: pd.Series) -> pd.Series:
    """Dates of spreadsheets such as ``12. 5. 2020`` without the blanks; others as they are.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.
    """
    return text.str.replace(r"^(\d{1,2}\.) (\d{1,2}\.) (?=\d)", r"\1\2", regex=True)


def _parse_dates(text: pd.Series, name: str, what: str) -> pd.Series:
    """Timestamps of distinct texts; NaT where a text is none."""
    of = f"the column {name} of {what}"
    if text.str.fullmatch(spreadsheet_days.PATTERN).all() and len(text):
        warnings.warn(
            f"dates such as {text.iloc[0][:8]} in the column {name} of {what} are days as a spreadsheet counts them:"
            " read as since 1899-12-30",
            DataWarning,
            stacklevel=4,
        )
        return spreadsheet_days.to_times(text, "s")
    _refuse_no_days(text, of)
    text = year_days.to_iso_dates(text)
    # A spreadsheet's mark of text, R's mark of a name, and blanks between the parts of a date.
    text = without_blanks_in_dates(text.str.replace(r"^[\'X](?=\d)", "", regex=True))
    if text.str.fullmatch(r"(19|20)\d\d-?W\d\d-?[1-7]").all() and len(text):
        return pd.to_datetime(text.str.replace("-", "", regex=False), format="%GW%V%u", errors="coerce")
    # JavaScript, and so Earth Engine's print of a date: Sun May 12 2019 10:50:31 GMT+0000 (Coordinated Universal Time)
    text = text.str.replace(r"^[A-Z][a-z]{2} ([A-Z][a-z]{2} .*) GMT\+0000.*$", r"\1", regex=True)
    text = text.str.replace(r"(\d) (UTC|GMT)$", r"\1", regex=True)
    # Other zones as offsets, which lead to UTC.
    text = clocks.to_offsets(text)
    # Midnights of a zone are dates: in UTC those of Europe would be of the day before.
    if text.str.fullmatch(r".*[T ]00:00(:00(\.0+)?)?\s*[+-]\d\d(:?\d\d)?").all():
        text = text.str.replace(r"[T ]00:00.*$", "", regex=True)
    # Names of images behind those of their collections: COPERNICUS/S2_SR/20210403T105031_...
    text = text.str.replace(r"^.*/(?=[^/]*\d{8}T\d{6}[^/]*$)", "", regex=True)
    text = text.str.replace(r"^(\d{4})_(\d\d)_(\d\d)$", r"\1-\2-\3", regex=True)
    if (counted := _times_of_digits(text)) is not None:
        return counted
    # Words for months leave no doubt of the order; Earth Engine and spreadsheets write them.
    if text.str.contains(r"[A-Za-z]{3}", regex=True).all():
        for style in MONTH_WORDS:
            dates = pd.to_datetime(text, format=style, errors="coerce")
            if dates.notna().all():
                if style.endswith("%y") and len(text):
                    month_words.warn_short_years(f"{text.iloc[0]}: read as {dates.iloc[0]:%Y-%m-%d}", of)
                return dates
    if (written := month_words.to_iso_dates(text, of)) is not None:
        return pd.to_datetime(written, format="ISO8601", errors="coerce")
    month_words.refuse_short_years(text, of)
    if text.str.fullmatch(r"\d{8}").all():
        return pd.to_datetime(text, format="%Y%m%d", errors="coerce")
    if (ordered := _days_before_years(text, of)) is not None:
        return ordered
    # Earth Engine's system:index begins with the acquisition, 20210401T103021_..., after numbers of collections that
    # were merged; names of products have it in the middle.
    text = text.str.replace(
        r"^(?:\d+_)*(?:S2[A-D]_MSIL[12][AC]_|S1[A-D]_[A-Z]{2}_GRD[A-Z]_\w{4}_)?(\d{4})(\d{2})(\d{2})T(\d\d)(\d\d)(\d\d)(_.*)?$",
        r"\1-\2-\3T\4:\5:\6",
        regex=True,
    )
    # Names of images with one date in them: S2A_20200105, T31UES_20200105T105031, 20200105_105031.
    text = text.str.replace(
        r"^(?:[A-Za-z]\w*_)?((?:19|20)\d{6})(?:[T_](\d{6}))?(?:_[A-Za-z]\w*)?$", r"\1T\2", regex=True
    ).str.replace(r"T$", "", regex=True)
    stamps = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    return stamps.dt.tz_localize(None)


def _refuse_no_days(text: pd.Series, of: str) -> None:
    """InputError where texts are dates that a spreadsheet rounded, or weeks, months or years without a day."""
    if text.str.fullmatch(r"\d([.,]\d+)?[eE]\+?\d+").any():
        raise InputError(
            f"Got dates such as {text.iloc[0]} in {of}, rounded by a spreadsheet, need whole dates; use the file as it"
            " was exported."
        )
    if (unclear := text.str.fullmatch(_NO_DAY)).any():
        cell = text[unclear].iloc[0]
        if re.fullmatch(r"19[0-6]\d{3}", cell):
            # No month of images: 190512 is 12 May 2019.
            month_words.refuse_short_years(text, of, r"\d{6}")
        kind = "weeks" if "W" in cell.upper() else "months" if re.search(r"\D|^\d{6}$", cell) else "years"
        kind = "years with decimals" if text.str.fullmatch(r"(19|20)\d\d\.\d{3,}").any() else kind
        raise InputError(
            f"Got {kind} such as {cell} in {of}, need days as YYYY-MM-DD; write the day of each acquisition, or of a"
            " composite its middle day."
        )


def _times_of_digits(text: pd.Series) -> pd.Series | None:
    """Timestamps where all texts are digits of a date or count from 1970; None where they are not."""
    # Digits that are a date before those that count since 1970, which as dates of images are later or much earlier.
    if len(text) and text.str.fullmatch(_DIGITS_OF_TIME).all():
        return pd.to_datetime(text.str.ljust(14, "0"), format="%Y%m%d%H%M%S", errors="coerce")
    # Micro- and nanoseconds, as pandas and Spark write dates as numbers.
    for digits, unit in ((16, "us"), (19, "ns")):
        if len(text) and text.str.fullmatch(rf"\d{{{digits}}}").all():
            return pd.to_datetime(text.astype("int64"), unit=unit)
    # Milliseconds: 12 digits until September 2001, 13 since.
    if text.str.fullmatch(r"\d{12,13}").all():
        return pd.to_datetime(text.astype("int64"), unit="ms")
    # Seconds: ten digits from 2001 to 2286.
    if text.str.fullmatch(r"\d{10}").all():
        return pd.to_datetime(text.astype("int64"), unit="s")
    return None


def _days_before_years(text: pd.Series, of: str) -> pd.Series | None:
    """Timestamps of day, month and year or month, day and year; None where the texts are others."""
    split = text.str.extract(r"^(\d{1,2})([./-])(\d{1,2})[./-](\d{4})(?:\D.*)?$")
    if split[0].isna().any() or not len(split):
        return None
    first, second = split[0].astype(int), split[2].astype(int)
    # With a full stop the day comes first wherever this is written; with a slash it depends on the country.
    if first.max() <= 12 and second.max() <= 12 and (split[1] != ".").any():
        raise InputError(
            f"Got dates such as {text.iloc[0]!r} in {of}, whose day and month cannot be told apart, need YYYY-MM-DD;"
            " rewrite them."
        )
    # One date with a number above 12 decides for all: a column has one order.
    day, month = (second, first) if second.max() > 12 else (first, second)
    return pd.to_datetime({"year": split[3].astype(int), "month": month, "day": day}, errors="coerce")
