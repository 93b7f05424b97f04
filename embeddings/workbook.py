"""The sheet of a workbook as delimited text: Excel's files, read by openpyxl, which is no dependency."""

from __future__ import annotations

import io
import warnings
import zipfile

import pandas as pd
from fluxlens.embeddings.unpacking import MAX_IN_MEMORY_BYTES, check_unpacked
from fluxlens.models.errors import InputError


def to_csv(content: bytes, what: str) -> str:
    """The only filled sheet of a workbook as CSV.

    Parameters
    ----------
    content : bytes
        Of an ``.xlsx`` file.
    what : str
        The file in words, for messages.

    Returns
    -------
    str
        Numbers and dates as the cells hold them, not as they are shown: dates as ISO 8601.

    Raises
    ------
    InputError
        Where several sheets are filled, the file is damaged or of another kind, or openpyxl is not installed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        check_unpacked(what, unpacked, len(content), MAX_IN_MEMORY_BYTES)
        with warnings.catch_warnings():
            # openpyxl warns of styles and validations that it does not know.
            warnings.simplefilter("ignore")
            sheets = pd.read_excel(
                io.BytesIO(content), sheet_name=None, header=None, dtype=object, engine="openpyxl",
                keep_default_na=False, na_values=[""],
            )  # fmt: skip
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
    if len(filled) != 1:
        raise InputError(
            f"Got {what}, a workbook with {len(filled)} filled sheets"
            f"{' (' + ', '.join(filled)[:60] + ')' if filled else ''}, need one; save the one you mean as CSV."
        )
    return next(iter(filled.values())).to_csv(index=False, header=False)
