"""The sheet of a workbook as delimited text: Excel's files, read by openpyxl, the extra ``excel``."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
import zipfile

import pandas as pd
from fluxlens.embeddings.unpacking import MAX_IN_MEMORY_BYTES, check_unpacked
from fluxlens.models.errors import DataWarning, InputError

HEAD_ROWS = 50
"""Rows that a header lies within."""
DAYS_TO_1904 = 1462
"""From 30 December 1899, from which days are counted elsewhere, to 1 January 1904."""
DAYS = (28_000, 60_000)
"""Days since 1904 of 1980 to 2068."""
_DATE_WORDS = re.compile(r"date|time|stamp|datum|fecha|data|day", re.IGNORECASE)


def to_csv(content: bytes, what: str) -> str:
    """The only sheet of a workbook with a table as CSV.

    Parameters
    ----------
    content : bytes
        Of an ``.xlsx`` file.
    what : str
        The file in words, for messages.

    Returns
    -------
    str
        Numbers and dates as the cells hold them, not as they are shown: dates as ISO 8601, by the workbook's own first
        day (1900 or 1904).

    Warns
    -----
    DataWarning
        With the names of sheets that have no table, and are left out.

    Raises
    ------
    InputError
        Where several sheets have a table, the file is damaged or of another kind, or openpyxl is not installed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        check_unpacked(what, unpacked, len(content), MAX_IN_MEMORY_BYTES)
        with warnings.catch_warnings():
            # openpyxl warns of styles and validations that it does not know.
            warnings.simplefilter("ignore")
            with pd.ExcelFile(io.BytesIO(content), engine="openpyxl") as book:
                sheets = book.parse(
                    sheet_name=None, header=None, dtype=object, keep_default_na=False, na_values=[""]
                )
                is_of_1904 = book.book.epoch.year == 1904
    except ImportError as error:
        raise InputError(
            f"Got {what}, a workbook, need openpyxl to read it; install it, or save the sheet as CSV."
        ) from error
    # A damaged part fails in the parser of its XML or in the zip, and a workbook of another program by a missing part.
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, OSError, SyntaxError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"Got {what}, a workbook that cannot be read, need an .xlsx file of Excel; save the sheet as CSV."
        ) from error
    filled = {str(name): sheet for name, sheet in sheets.items() if sheet.notna().any(axis=None)}
    usable = {name: sheet for name, sheet in filled.items() if _has_table(sheet)} or filled
    if len(usable) != 1:
        raise InputError(
            f"Got {what}, a workbook with {len(usable)} filled sheets"
            f"{' (' + ', '.join(usable)[:60] + ')' if usable else ''}, need one; save the one you mean as CSV."
        )
    if others := [name for name in filled if name not in usable]:
        warnings.warn(
            f"{what}: the sheet {next(iter(usable))} is read, {len(others)} without a table of numbers are not"
            f" ({', '.join(others)[:60]})",
            DataWarning,
            stacklevel=3,
        )
    sheet = next(iter(usable.values()))
    return (_from_1900(sheet) if is_of_1904 else sheet).to_csv(index=False, header=False)


def _has_table(sheet: pd.DataFrame) -> bool:
    """Whether a sheet has a row of names above one of numbers and dates; notes and descriptions have none."""
    head = sheet.head(HEAD_ROWS)
    names = (
        head.map(lambda cell: isinstance(cell, str) and bool(re.match(r"\s*[^\W\d]", cell))).sum(axis=1) >= 2
    )
    values = head.map(_is_value).sum(axis=1) >= 2
    return bool((values & names.cummax()).any())


def _is_value(cell: object) -> bool:
    """Whether a cell is a number or a date, also as text."""
    if isinstance(cell, str):
        return bool(re.match(r"\s*[-+]?[.,]?\d", cell))
    return (
        isinstance(cell, int | float | dt.date | dt.time) and not isinstance(cell, bool) and not pd.isna(cell)
    )


def _from_1900(sheet: pd.DataFrame) -> pd.DataFrame:
    """A sheet of a workbook that counts days from 1904, with its days without a format as others have them."""
    sheet = sheet.copy()
    for column in sheet:
        numbers = pd.to_numeric(sheet[column], errors="coerce")
        numbers = numbers[numbers.notna()]
        words = (
            sheet[column]
            .head(HEAD_ROWS)
            .map(lambda cell: isinstance(cell, str) and bool(_DATE_WORDS.search(cell)))
        )
        # Cells formatted as dates are dates already.
        if words.any() and len(numbers) and numbers.between(*DAYS).all():
            sheet.loc[numbers.index, column] = numbers + DAYS_TO_1904
    return sheet
