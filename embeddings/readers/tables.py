"""Delimited text as people have it: encoding, delimiter, decimal mark and preamble are recognised, not assumed.

Spreadsheets write ``;`` with decimal commas where the system's language does, UTF-16 with tabs as "Unicode text",
cp1252 on Windows, and a byte order mark before UTF-8. Downloads put ``#`` lines or a header block first.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.models.errors import InputError

MISSING = ("", "na", "nan", "n/a", "null", "none", "-", "-999", "-9999", "-99999", "-6999", "#n/a", "#value!")
"""Texts that stand for a missing value; numbers are compared by value, so ``-999.0`` and ``-9.999E+03`` count too."""
MISSING_NUMBERS = (-999.0, -9999.0, -99999.0, -6999.0)
DELIMITERS = (",", ";", "\t", "|")
MAX_BYTES = 1 << 30
"""Text larger than 1 GiB is refused before it is unpacked: no daily or half-hourly table of one place is as large."""
HEADER_BLOCK = re.compile(r"^-?\s*BEGIN HEADER.*?^-?\s*END HEADER[^\n]*\n", re.DOTALL | re.MULTILINE)
"""NASA POWER puts its description between these two lines."""


@dataclass(frozen=True)
class Table:
    """The rows of a delimited text and what was recognised about it."""

    frame: pd.DataFrame
    """One column of stripped strings per header cell, in file order; an empty string where a cell is empty."""
    encoding: str
    """Python name of the encoding: ``utf-8-sig``, ``utf-16``, ``utf-8`` or ``cp1252``."""
    delimiter: str
    """``,`` ``;`` tab ``|`` or a space (runs of white space)."""
    decimal: str
    """``.`` or ``,``."""
    preamble: tuple[str, ...] = ()
    """Comment and header-block lines before and between the rows, without their line ends."""
    empty_rows: int = 0
    """Rows without a single character, which are left out of ``frame``."""
    ragged_rows: tuple[int, ...] = field(default=())
    """Rows (0-based, of ``frame``) with more or fewer cells than the header."""

    def numbers(self, column: str) -> pd.Series:
        """A column as float64, NaN where missing.

        Parameters
        ----------
        column
            Name of a column of ``frame``.

        Returns
        -------
        pandas.Series
            float64 with the index of ``frame``; the codes in ``MISSING`` become NaN.

        Raises
        ------
        InputError
            A cell is neither a number nor a missing code; the first one is named.
        """
        text = self.frame[column]
        if self.decimal == ",":
            # a full stop can only separate thousands where the comma is the decimal mark
            swapped = text.str.contains(",", regex=False)
            text = text.where(~swapped, text.str.replace(".", "", regex=False))
            text = text.str.replace(",", ".", regex=False)
        known = ~text.str.lower().isin(MISSING)
        values = pd.to_numeric(text.where(known), errors="coerce").astype("float64")
        wrong = known & values.isna()
        if wrong.any():
            cell = self.frame[column][wrong].iloc[0]
            raise InputError(
                f"Got {cell[:40]!r} in column {column} ({int(wrong.sum())} such cells), need numbers; correct them."
            )
        return values.where(~values.isin(MISSING_NUMBERS) & np.isfinite(values))


def read_table(
    source: str | Path | bytes, comment: str = "#", header: bool = True, name: str | None = None
) -> Table:
    """Read delimited text, whatever its encoding, delimiter and decimal mark.

    Parameters
    ----------
    source
        Path of a file (``.gz`` is unpacked), or its bytes.
    comment
        Lines that begin with this are kept in ``Table.preamble`` and are no rows.
    header
        Whether the first line names the columns; else they are called ``0``, ``1``, ...
    name
        What errors call the table; default is the file's name.

    Returns
    -------
    Table
        All cells as text, with the encoding, delimiter and decimal mark that were recognised.

    Raises
    ------
    InputError
        The bytes are no text, there is no row, or the text is larger than ``MAX_BYTES``.
    """
    name = name or (Path(source).name if isinstance(source, str | Path) else "the table")
    text, encoding = _decode(_content(source, name), name)
    preamble: list[str] = []
    block = HEADER_BLOCK.search(text)
    if block is not None:
        preamble += block.group().splitlines()
        text = text[: block.start()] + text[block.end() :]
    lines = text.splitlines()
    # Excel writes "sep=;" as a first line so that other languages' Excel splits rightly.
    declared = re.fullmatch(r'"?sep=(.)"?', lines[0].strip(), re.IGNORECASE) if lines else None
    if declared:
        lines = lines[1:]
    preamble += [line for line in lines if comment and line.lstrip().startswith(comment)]
    lines = [line for line in lines if not (comment and line.lstrip().startswith(comment))]
    filled = [line for line in lines if line.strip(" \t,;|\r\x1a")]
    if not filled:
        raise InputError(f"Got {name} without a row, need a table with a header; check the file.")
    delimiter = declared[1] if declared else _delimiter(filled)
    if delimiter == " ":
        rows = [line.split() for line in filled]
    else:
        try:
            rows = list(
                csv.reader(io.StringIO("\n".join(filled)), delimiter=delimiter, skipinitialspace=True)
            )
        except csv.Error as error:
            raise InputError(
                f"Got {name}, whose rows cannot be split ({error}), need a CSV; save it as one."
            ) from error
    names = _column_names(rows[0]) if header else [str(index) for index in range(max(map(len, rows)))]
    body = [[cell.strip() for cell in row] for row in (rows[1:] if header else rows)]
    width = max([len(names), *map(len, body)])
    # trailing empty cells are what spreadsheets add; any other extra cell gets a column of its own
    while width > len(names) and not any(row[width - 1] for row in body if len(row) >= width):
        width -= 1
    ragged = tuple(index for index, row in enumerate(body) if len(row) < len(names) or any(row[len(names) :]))
    names += [f"unnamed_{index}" for index in range(len(names), width)]
    body = [(row + [""] * width)[:width] for row in body]
    frame = (
        pd.DataFrame(body, columns=names, dtype=object) if body else pd.DataFrame(columns=names, dtype=object)
    )
    return Table(
        frame,
        encoding,
        delimiter,
        _decimal(body),
        tuple(preamble),
        len(lines) - len(filled),
        ragged,
    )


def _content(source: str | Path | bytes, name: str) -> bytes:
    """The bytes of a file, unpacked where they are gzip, never more than ``MAX_BYTES``."""
    try:
        raw = source if isinstance(source, bytes) else Path(source).expanduser().read_bytes()
    except OSError as error:
        raise InputError(
            f"Got {name}, which cannot be read ({error.strerror}), need a table; check the path."
        ) from error
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(raw)) as packed:
                raw = packed.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"Got {name}, a damaged gzip file, need a whole one; fetch it again.") from error
    if len(raw) > MAX_BYTES:
        raise InputError(
            f"Got {name} of more than {MAX_BYTES >> 30} GiB of text, need less; split it by year."
        )
    return raw


def _decode(raw: bytes, name: str) -> tuple[str, str]:
    """Text and encoding: by byte order mark, then UTF-16 by its zeros, then UTF-8, then cp1252."""
    if (
        raw[:4] in (b"PK\x03\x04", b"\x89HDF")
        or raw[:3] == b"CDF"
        or raw[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    ):
        raise InputError(
            f"Got {name}, a binary file (spreadsheet, archive or NetCDF), need text; save it as CSV."
        )
    candidates = ["utf-8", "cp1252"]
    if raw[:3] == b"\xef\xbb\xbf":
        candidates = ["utf-8-sig"]
    elif raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        candidates = ["utf-16"]
    elif raw[1:200:2].count(0) > 20:
        candidates = ["utf-16-le"]
    elif raw[0:200:2].count(0) > 20:
        candidates = ["utf-16-be"]
    for encoding in candidates:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n"), encoding
    raise InputError(
        f"Got {name}, which is no text in UTF-8, UTF-16 or Windows-1252, need a CSV; save it as one."
    )


def _delimiter(lines: list[str]) -> str:
    """The candidate that splits the first lines into the same number (> 1) of cells; a space for aligned text."""
    sample = lines[:50]
    best, score = "", (0.0, 0)
    for candidate in DELIMITERS:
        counts = [len(row) for row in csv.reader(sample, delimiter=candidate)]
        # The header decides the number of cells. A decimal comma splits the rows but not the header.
        if counts[0] > 1:
            agree = float(np.mean([count == counts[0] for count in counts]))
            best, score = max((best, score), (candidate, (agree, counts[0])), key=lambda one: one[1])
    if best and score[0] >= 0.5:
        return best
    spaced = [len(line.split()) for line in sample]
    if spaced[0] > 1 and np.mean([count == spaced[0] for count in spaced]) > 0.9:
        return " "
    return best or ","


def _column_names(cells: list[str]) -> list[str]:
    """Stripped header cells; empty ones and repeats get names of their own, so that no column is lost."""
    out: list[str] = []
    for index, cell in enumerate(cell.strip().strip("\ufeff") for cell in cells):
        cell = cell or f"unnamed_{index}"
        repeat = cell
        count = 1
        while repeat in out:
            count += 1
            repeat = f"{cell}.{count}"
        out.append(repeat)
    # spreadsheets pad the header with empty cells at its end
    while len(out) > 1 and not cells[len(out) - 1].strip():
        out.pop()
    return out


def _decimal(body: list[list[str]]) -> str:
    """``,`` where numbers with a comma (quoted, beside a comma as delimiter) outnumber those with a full stop."""
    cells = [cell for row in body[:2000] for cell in row]
    comma = sum(bool(re.fullmatch(r"[-+]?[\d.]*,\d+([eE][-+]?\d+)?", cell)) for cell in cells)
    point = sum(bool(re.fullmatch(r"[-+]?\d*\.\d+([eE][-+]?\d+)?", cell)) for cell in cells)
    return "," if comma > point else "."
