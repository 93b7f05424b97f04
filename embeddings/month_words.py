"""Dates with the month in words of the languages of Western Europe, and years of two digits."""

from __future__ import annotations

import re
import unicodedata
import warnings

import pandas as pd
from fluxlens.models.errors import DataWarning, InputError

# Names and abbreviations by month, without accents: English, German, French, Spanish, Italian, Portuguese, Dutch and
# the Scandinavian languages. None means two months; words of Slavic languages do (listopad), and are left to the user.
_WORDS = (
    "jan january januar janner janvier janv ene enero gen gennaio janeiro januari",
    "feb february februar feber fev fevr fevrier febrero febbraio fevereiro februari",
    "mar march marz mrz mars marzo marco mrt maart marts",
    "apr april avr avril abr abril aprile",
    "may mai mayo mag maggio maio mei maj",
    "jun june juni juin junio giu giugno junho",
    "jul july juli juil juillet julio lug luglio julho",
    "aug august aou aout ago agosto augustus augusti",
    "sep sept september septembre septiembre setiembre set settembre setembro",
    "oct october okt oktober octobre octubre ott ottobre out outubro",
    "nov november novembre noviembre novembro",
    "dec december dez dezember decembre dic diciembre dicembre dezembro des desember",
)
MONTHS = {word: month for month, words in enumerate(_WORDS, 1) for word in words.split()}
"""Months 1 to 12 by word."""
_DATE = re.compile(
    r"(?i)(?:[^\W\d]+\.?,?\s+)?(\d{1,2})(?:\.|er|\u00ba|\u00b0|st|nd|rd|th)?[\s/-]*(?:de\s+)?([^\W\d]+)\.?[\s/,-]*"
    r"(?:de\s+)?(\d{4}|\d{2})(?:[\sT,]+(\d{1,2}:\d\d(?::\d\d)?))?"
)
SHORT_YEAR = r"\d{1,2}[./-]\d{1,2}[./-]\d{2}(?:\D.*)?"
"""Dates of numbers whose year has two digits."""
FIRST_SHORT_YEAR = 69
"""Years of two digits from here on are of the last century, as in POSIX."""


def to_iso_dates(text: pd.Series, what: str) -> pd.Series | None:
    """Dates such as ``12. Mai 2019``, ``1er juin 2019`` or ``12 de mayo de 2019 10:50`` as ISO 8601.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.
    what : str
        The column and table in words, for the warning.

    Returns
    -------
    pandas.Series or None
        (row,) str such as ``2019-05-12 10:50``; None where a text is no such date.

    Warns
    -----
    DataWarning
        Years of two digits, with what one of them is read as.
    """
    out = []
    short = ""
    for cell in text:
        match = _DATE.fullmatch(str(cell).strip())
        month = MONTHS.get(_plain(match[2])) if match else None
        if match is None or month is None:
            return None
        # Put together as text: whether there is a 31st of that month is for the parser of ISO dates to say.
        date = f"{full_year(match[3])}-{month:02d}-{int(match[1]):02d}"
        short = short or (f"{cell}: read as {date}" if len(match[3]) == 2 else "")
        out.append(date + (f" {match[4]:0>5}" if match[4] else ""))
    if short:
        warn_short_years(short, what)
    return pd.Series(out, text.index, dtype="str")


def _plain(word: str) -> str:
    """A word in small letters without accents."""
    # Decomposed first, so that "mär" becomes "mar" and loses its dots alone.
    return "".join(letter for letter in unicodedata.normalize("NFKD", word.lower()) if letter.isascii())


def full_year(digits: str) -> str:
    """A year of four digits, of four or two.

    Parameters
    ----------
    digits : str
        Such as ``2019`` or ``19``.
    """
    return digits if len(digits) == 4 else f"{20 if int(digits) < FIRST_SHORT_YEAR else 19}{digits}"


def warn_short_years(example: str, what: str) -> None:
    """One warning that years have two digits.

    Parameters
    ----------
    example : str
        A date, and what it is read as.
    what : str
        The column and table in words.
    """
    warnings.warn(
        f"years of {what} have two digits, such as {example}; write four", DataWarning, stacklevel=4
    )


def refuse_short_years(text: pd.Series, what: str, pattern: str = SHORT_YEAR) -> None:
    """InputError for dates of numbers whose year has two digits: which of the three it is cannot be told.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.
    what : str
        The column and table in words.
    pattern : str
        Regular expression of such dates.
    """
    short = text.str.fullmatch(pattern)
    if short.any():
        raise InputError(
            f"Got {int(short.sum())} of {len(text)} dates such as {text[short].iloc[0]!r} in {what}, whose years have"
            " two digits and which so are no dates, need YYYY-MM-DD; write years of four digits."
        )
