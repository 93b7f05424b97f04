"""Delimited text as people have it: encoding, separator, decimal mark and preamble are found from the content.

Spreadsheets write ``;`` with decimal commas where the system's language does, UTF-16 with tabs as "Unicode text",
cp1252 on Windows, and a byte order mark before UTF-8. Downloads put ``#`` lines or a header block first. This is the
only reader of such text: series, weather and point tables are read whole (``read_table``, ``read_text_table``);
towers, whose files are larger, take single columns of a stream (``parse_columns``). Bytes become text in
``text_encoding``, cells numbers and dates in ``text_cells``.

The file is long so that one place decides on preamble, separator, decimal mark, and rows that do not fit the header.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from fluxlens.embeddings import workbook
from fluxlens.embeddings.text_cells import to_numbers
from fluxlens.embeddings.text_encoding import HEAD_BYTES, decode_text
from fluxlens.embeddings.unpacking import (
    GZIP_MAGIC,
    ZIP_MAGIC,
    has_magic,
    read_head,
    tables_of_zip,
    unpack_gzip,
    unpack_zip,
)
from fluxlens.models.errors import DataWarning, InputError

MAX_BYTES = 4 * 2**30
"""Largest text (unpacked) or Parquet file that is read; 10,000 series of two years are about 0.2 GB."""
SNIFF_LINES = 1000
"""Lines whose cells are counted before the table is parsed."""
SEPARATOR_LINES = 50
"""Lines that tell the separator."""
MIN_ROWS_TO_JUDGE_END = 10
"""Rows above the last one that tell how long its last cell should be."""
SEPARATORS = (",", ";", "\t", "|")
UNNAMED = "unnamed column"
"""Name of cells beyond the header, followed by their number."""
PARQUET = (".parquet", ".geoparquet", ".pq", ".feather", ".arrow")
"""Suffixes of tables whose columns have types; all others are text."""
# NASA POWER puts its description between these two lines.
_HEADER_BLOCK = re.compile(r"^-?\s*BEGIN HEADER.*?^-?\s*END HEADER[^\n]*\n", re.DOTALL | re.MULTILINE)
_COMMA_NUMBER = re.compile(r"[-+]?[\d.]*,\d+([eE][-+]?\d+)?")
_POINT_NUMBER = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d+\s*$")
_WORKBOOKS = (".xls", ".ods")
"""Of other kinds than Excel's newer files, which are known by their content."""
TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", *PARQUET)
"""Endings of tables in small letters."""


@dataclass(frozen=True)
class Table:
    """The rows of a delimited text and what was recognised about it."""

    frame: pd.DataFrame
    """One column of stripped strings per header cell, in file order; an empty string where a cell is empty."""
    encoding: str
    """Python name of the encoding: ``utf-8-sig``, ``utf-16``, ``utf-16-le``, ``utf-16-be``, ``utf-8``, ``cp1252``."""
    separator: str
    """``,`` ``;`` tab ``|`` or a space (runs of white space)."""
    decimal: str
    """``.`` or ``,``."""
    preamble: tuple[str, ...] = ()
    """Comment and header-block lines before and between the rows, without their line ends."""
    empty_rows: int = 0
    """Rows without any content, which are left out of ``frame``."""
    short_rows: tuple[int, ...] = ()
    """Rows (0-based, of ``frame``) with fewer cells than the header; those they lack are empty."""
    long_rows: tuple[int, ...] = ()
    """Rows with text beyond the last cell of the header."""
    cut_end: str = ""
    """What tells that the file was cut off: part of a sentence; the last row is then left out where it is short."""
    repeated_headers: int = 0
    """Lines that repeat the header, which are left out of ``frame``."""

    def numbers(self, column: str) -> pd.Series:
        """A column as float64, NaN where missing.

        Parameters
        ----------
        column : str
            Name of a column of ``frame``.

        Returns
        -------
        pandas.Series
            float64 (row) with the index of ``frame``, in the units of the file; the codes in ``MISSING_TEXT`` and
            those of ``text_cells.is_missing`` become NaN.

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
        return pd.Series(to_numbers(text, "the table"), self.frame.index, name=column)

    def check_rows(self, what: str, long_is_error: bool = True) -> None:
        """Tell rows that do not fit the header, and an end that looks cut off.

        Parameters
        ----------
        what : str
            The table in words.
        long_is_error : bool
            Whether cells beyond the header are refused: where a comma splits a number, all cells behind it are shifted.

        Raises
        ------
        InputError
            Rows have more cells than the header.

        Warns
        -----
        DataWarning
            With the counts.
        """
        if self.long_rows and long_is_error:
            raise InputError(
                f"Got {what} with {len(self.long_rows)} of {len(self.frame)} rows of more cells than the header, the"
                f" first row {self.long_rows[0] + 1}, need as many; quote cells with {self.separator!r} in them, or"
                " take it out of numbers."
            )
        notes = []
        if self.short_rows:
            notes.append(
                f"{len(self.short_rows)} of {len(self.frame)} rows have fewer cells than the header (the first row"
                f" {self.short_rows[0] + 1}): the cells they lack are missing"
            )
        if self.repeated_headers:
            notes.append(f"{self.repeated_headers} lines repeat the header and are left out")
        notes += [self.cut_end] if self.cut_end else []
        if notes:
            warnings.warn(f"{what}: {'; '.join(notes)}.", DataWarning, stacklevel=4)


def read_table(path: str | Path, what: str = "table", long_is_error: bool = True) -> pd.DataFrame:
    """Read a CSV (any usual encoding and separator) or a Parquet file.

    Parameters
    ----------
    path : str or Path
        File ending in ``.parquet``, text as ``read_text_table`` reads it, or a zip with one of them.
    what : str
        What the file is, for messages.
    long_is_error : bool
        Whether cells beyond the header are refused.

    Returns
    -------
    pandas.DataFrame
        Of a text file all columns are text with decimal points, rows without any content left out; of Parquet the
        columns as they are stored. Cells beyond the header are columns ``unnamed column 1`` and so on.

    Raises
    ------
    InputError
        If the file is not there, is no table, is too large, or has rows of more cells than the header.

    Warns
    -----
    DataWarning
        Rows of fewer cells than the header, and a file that looks cut off, with counts.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Got the {what} {path}, which is not there, need a file; check the path.")
    if path.suffix.lower() in PARQUET:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"Got the {what} {path} of over {MAX_BYTES:,} bytes, need a smaller one; split it."
            )
        return _read_parquet(path, what)
    if path.suffix.lower() in _WORKBOOKS:
        raise InputError(f"Got the {what} {path}, a workbook, need CSV or Parquet; save the sheet as CSV.")
    source: Path | bytes = path
    if has_magic(path, ZIP_MAGIC) and not is_workbook(path):
        member, source = unpack_zip(path, f"the {what} {path}", TABLES)
        if member.lower().endswith(PARQUET):
            return _read_parquet(Path(member), what, source)
    table = read_text_table(source, f"the {what} {path}")
    table.check_rows(f"the {what} {path.name}", long_is_error)
    return _with_points(table)


def is_zipped_table(path: str | Path) -> bool:
    """Whether a file is a zip of tables and of no images.

    Parameters
    ----------
    path : str or Path
        Of a file.
    """
    # Told by what is inside, not by the name: scenes come zipped as well.
    try:
        with zipfile.ZipFile(path) as archive:
            images = (".tif", ".tiff", ".nc", ".jp2", "zarr.json", ".zgroup", ".zarray", ".zattrs")
            is_scene = any(name.lower().endswith(images) for name in archive.namelist())
            return not is_scene and bool(tables_of_zip(archive, TABLES))
    except (zipfile.BadZipFile, OSError):
        return False


def _read_parquet(path: Path, what: str, content: bytes | None = None) -> pd.DataFrame:
    """A Parquet or Feather file, or the content of one in a zip."""
    import pyarrow as pa
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    is_feather = path.suffix.lower() in (".feather", ".arrow")
    try:
        # The whole file: Parquet's footer lies at its end, and a truncated one fails here.
        source = path if content is None else io.BytesIO(content)
        frame = (feather.read_table(source) if is_feather else pq.read_table(source)).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise InputError(
            f"Got the {what} {path}, which cannot be read ({why}), need a whole"
            f" {'Feather' if is_feather else 'Parquet'} file; write it again."
        ) from error
    return with_index(frame)


def with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose index is columns: pandas keeps id and date there, and users see columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows; dates in an index without a name become the column ``date``, where there is none.

    Returns
    -------
    pandas.DataFrame
        Rows counted from 0.
    """
    is_dates = [
        pd.api.types.is_datetime64_any_dtype(level) for level in frame.index.to_frame(index=False).dtypes
    ]
    names = [
        "date" if name is None and is_date and "date" not in frame else name
        for name, is_date in zip(frame.index.names, is_dates, strict=True)
    ]
    frame = frame.rename_axis(names)
    frame = frame.reset_index([name for name in names if name is not None]) if any(names) else frame
    return frame.reset_index(drop=True)


def read_text_table(source: str | Path | bytes, what: str | None = None) -> Table:
    """Read delimited text, whatever its encoding, separator and decimal mark.

    Parameters
    ----------
    source : str, Path or bytes
        Path of a file, or its bytes; gzip, and a zip of one text, are unpacked, and of a workbook the only sheet
        is taken.
    what : str, optional
        The table in words, for messages; default is the file's name.

    Returns
    -------
    Table
        All cells as text, with the encoding, separator and decimal mark that were recognised.

    Raises
    ------
    InputError
        The bytes are no text, there is no row, or the text is larger than ``MAX_BYTES``.
    """
    what = what or (Path(source).name if isinstance(source, str | Path) else "the table")
    try:
        raw = source if isinstance(source, bytes) else _bounded_bytes(Path(source).expanduser())
        if raw.startswith(ZIP_MAGIC) and is_workbook(raw):
            return split_text(workbook.to_csv(raw, what), what)
        if raw.startswith(ZIP_MAGIC):
            raw = unpack_zip(raw, what, TABLES)[1]
        if raw.startswith(GZIP_MAGIC):
            # By its first bytes and not by its name: downloads often lose the suffix.
            raw = unpack_gzip(raw, what)
    except OSError as error:
        raise InputError(
            f"Got {what}, which cannot be read ({error.strerror}), need a table; check the path."
        ) from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"Got {what} of over {MAX_BYTES:,} bytes of text, need a smaller one; split it.")
    text, encoding = decode_text(raw, what)
    return split_text(text, what, encoding)


def is_workbook(source: Path | bytes) -> bool:
    """Whether a zip is a workbook of a spreadsheet.

    Parameters
    ----------
    source : Path or bytes
        The whole file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            return bool({"[Content_Types].xml", "content.xml"} & set(archive.namelist()))
    except zipfile.BadZipFile:
        return False


def column_names(path: str | Path) -> list[str]:
    """Names of the columns of a text table, also packed, by its first rows alone.

    Parameters
    ----------
    path : str or Path
        Of the file.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        Where it is no such table.
    """
    path = Path(path)
    if has_magic(path, ZIP_MAGIC) and is_workbook(path):
        return [str(name) for name in read_text_table(path).frame.columns]
    head = read_head(path, path.name, TABLES, HEAD_BYTES)
    # A row or a letter that is cut in the middle is left out.
    whole = head if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1 + head[1:2].count(0)]
    return [str(name) for name in read_text_table(whole, path.name).frame.columns]


def _bounded_bytes(path: Path) -> bytes:
    """At most one byte more than ``MAX_BYTES`` of a file."""
    with open(path, "rb") as stream:
        return stream.read(MAX_BYTES + 1)


def parse_table(text: str, what: str) -> pd.DataFrame:
    """Split text into columns of text with decimal points; see ``read_table``.

    Parameters
    ----------
    text : str
        Content of a CSV.
    what : str
        The file in words, for messages.
    """
    return _with_points(split_text(text, what))


def split_text(text: str, what: str, encoding: str = "utf-8") -> Table:
    """Split text into columns of text; see ``read_text_table``.

    Parameters
    ----------
    text : str
        Content of a delimited text, line feeds as line ends.
    what : str
        The file in words, for messages.
    encoding : str
        That of the file, kept in the result.
    """
    text, preamble, lines, declared = _without_preamble(text, what)
    header, body = lines[0], [line for line in lines[1:] if line.strip(" \t\x1a")]
    # Tables of several files, put together, repeat their header.
    count = len(body)
    body = (
        [line for line in body if line.strip() != header.strip()] if any(map(str.isalpha, header)) else body
    )
    repeated = count - len(body)
    separator = declared or choose_separator([header, *body[: SEPARATOR_LINES - 1]])
    if "#" in text:
        # A line of the header's width that begins with # is a row, such as that of the plot "#1"; others are comments.
        width = header.count(separator)
        comment = [line.lstrip().startswith("#") and line.count(separator) < max(width, 1) for line in body]
        preamble += [line for line, is_one in zip(body, comment, strict=True) if is_one]
        body = [line for line, is_one in zip(body, comment, strict=True) if not is_one]
    head, table = _split_rows(header, body, separator, what)
    if table.shape[1] == len(head) + 1 and len(table) and _is_counted(table.iloc[:, 0], table.iloc[:, -1]):
        # R's write.table names its rows and gives that column no name, so that all names stand one cell too far left.
        table = table.iloc[:, 1:].set_axis(table.columns[:-1], axis=1)
    # A separator at the end of the header alone makes no column.
    width = max((at + 1 for at, name in enumerate(head) if name), default=0)
    short = _cell_counts(body, separator, len(table)) < width  # (row,)
    cut_end = "" if text.endswith("\n") else _describe_cut_end(table, short, len(head))
    if cut_end and short[-1]:
        table, short = table.iloc[:-1], short[:-1]
    # cells a short row lacks arrive as NaN from some versions of pandas, even without a filter
    table = table.fillna("") if short.any() else table
    # Trailing blanks; those after a separator are skipped by the parser.
    if any(mark in text for mark in (f" {separator}", " \n", ' "')) or text.endswith(" "):
        table = table.apply(lambda column: column.str.strip())
    full, long = np.zeros(len(table), bool), np.zeros(len(table), bool)  # (row,)
    for at, name in enumerate(table.columns):
        filled = (table[name] != "").to_numpy()
        full |= filled
        if at >= len(head):
            long |= filled
    # Before rows are called ragged: a decimal comma makes every row longer than the header.
    joined = _joined_decimals(table[full], head, separator, what)
    rows = [np.flatnonzero(which[full] & (joined is None)).tolist() for which in (short, long)]
    table = (table[full] if joined is None else joined).reset_index(drop=True)
    empty = [name for name in table.columns if str(name).startswith(UNNAMED) and (table[name] == "").all()]
    return Table(
        table.drop(columns=empty),
        encoding,
        separator,
        _decimal_mark(table),
        tuple(preamble),
        len(lines) - 1 - len(body) + int((~full).sum()),
        *map(tuple, rows),
        cut_end,
        repeated,
    )


def _without_preamble(text: str, what: str) -> tuple[str, list[str], list[str], str]:
    """The text without a header block, the lines of its preamble, those from the header on, and a declared separator.

    The separator is empty where the first line declares none.
    """
    preamble: list[str] = []
    block = _HEADER_BLOCK.search(text)
    if block is not None:
        preamble += block.group().splitlines()
        text = text[: block.start()] + text[block.end() :]
    lines = text.split("\n")
    # Excel writes "sep=;" as a first line so that other languages' Excel splits rightly.
    declared = re.fullmatch(r'"?sep=(.)"?', lines[0].strip(), re.IGNORECASE)
    first = 1 if declared else 0
    while first < len(lines) and (
        not lines[first].strip(" \t,;|\x1a") or lines[first].lstrip().startswith("#")
    ):
        preamble += [lines[first]] if lines[first].strip() else []
        first += 1
    if first >= len(lines):
        raise InputError(f"Got {what} without a header, need column names in the first line; add them.")
    return text, preamble, lines[first:], declared[1] if declared else ""


def _describe_cut_end(table: pd.DataFrame, short: np.ndarray, width: int) -> str:
    """What tells that a text without a last line end was cut off, part of a sentence; empty where nothing does.

    ``short`` (row,) bool marks rows of fewer cells than the header, which names ``width`` of them.
    """
    if len(table) < 2:
        return ""
    # Where other rows are short too, a short last row says nothing.
    if short[-1] and not short[:-1].any():
        return "the last row is cut off in the middle and left out: fetch the file again"
    if not short.any() and (cell := cut_cell(table.iloc[:, width - 1])):
        return (
            f"it ends without a line end in {cell!r}, shorter than that cell of all other rows: if the"
            " file was cut off, fetch it again"
        )
    return ""


def _decimal_mark(table: pd.DataFrame) -> str:
    """``.`` or ``,``, whichever more cells have."""
    # Some thousand cells decide; a vote and not the first cell, since texts may hold either mark.
    sample = table.head(2000).to_numpy().ravel()
    comma = sum(bool(_COMMA_NUMBER.fullmatch(cell)) for cell in sample)
    point = sum(bool(_POINT_NUMBER.fullmatch(cell)) for cell in sample)
    return "," if comma > point else "."


def _cell_counts(body: list[str], separator: str, n: int) -> np.ndarray:
    """Cells of each row (row,) as it is written; the parser fills rows up to the header without a word."""
    if separator == " ":
        counts = [len(_spaced_cells(line)) for line in body]
    elif any('"' in line for line in body):
        counts = [len(row) for row in csv.reader(body, delimiter=separator, skipinitialspace=True) if row]
    else:
        counts = [line.count(separator) + 1 for line in body]
    # Line ends inside of quotes, which only the parser follows: then nothing is said of any row.
    return np.array(counts) if len(counts) == n else np.full(n, np.iinfo(np.int64).max)


def _is_counted(first: pd.Series, last: pd.Series) -> bool:
    """Whether the first cells (row,) count rows from 1 and the last, beyond the header, are filled."""
    counted = (first == pd.Series(range(1, len(first) + 1), first.index).astype(str)).all()
    return bool(counted) and bool(last.notna().all()) and bool((last != "").any())


def cut_cell(cells: pd.Series) -> str:
    """The last cell of a file without a line end where its end seems to be missing; empty where not.

    Parameters
    ----------
    cells : pandas.Series of str
        (row,) the last column.

    Returns
    -------
    str
        The cell, where it is shorter than that of each other row (of numbers with decimals: has fewer of them); empty
        for fewer than ten other rows, of which none can be sure.
    """
    last, earlier = str(cells.iloc[-1]), cells.iloc[:-1].dropna().astype(str)
    earlier = earlier[earlier != ""]
    if len(earlier) < MIN_ROWS_TO_JUDGE_END or not last:
        return ""
    # Either mark: which one is decimal is not known yet.
    mark = r"[.,]"
    if earlier.str.contains(mark, regex=True).all():
        decimals = earlier.str.split(mark, regex=True).str[-1].str.len()
        pieces = re.split(mark, last)
        # Writers drop trailing zeros: fewer decimals than in any other cell are a sign, fewer than in most are none.
        is_short = (len(pieces[-1]) if len(pieces) > 1 else 0) < decimals.min()
    else:
        # Texts of one length, such as dates; whole numbers have all lengths.
        is_short = (
            earlier.str.len().nunique() == 1 and len(last) < len(earlier.iloc[0]) and len(earlier.iloc[0]) > 3
        )
    return last if is_short else ""


def _split_rows(header: str, body: list[str], separator: str, what: str) -> tuple[list[str], pd.DataFrame]:
    """Stripped header cells and all cells as text; NaN where a row is short."""
    sep = r"\s+" if separator == " " else separator
    try:
        if separator == " ":
            rows = [_spaced_cells(line) for line in (header, *body[:SNIFF_LINES])]
        else:
            rows = list(csv.reader([header, *body[:SNIFF_LINES]], delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"Got {what}, which is no CSV ({error}), need one; export it again.") from error
    head = [name.strip().strip("\ufeff") for name in rows[0]]
    width = max(map(len, rows))
    # At most twice: the second time with the width counted over all rows.
    for _ in range(2):
        try:
            table = pd.read_csv(
                io.StringIO("\n".join(body)), sep=sep, header=None, names=_distinct(head, width), dtype=object,
                na_filter=False, index_col=False, engine="c", skip_blank_lines=True, skipinitialspace=True,
            )  # fmt: skip
            return head, table
        except pd.errors.EmptyDataError:
            return head, pd.DataFrame(columns=_distinct(head, width), dtype=object)
        except pd.errors.ParserError:
            # a row longer than those sampled: count the cells of all
            try:
                cells = (
                    map(_spaced_cells, body) if separator == " " else csv.reader(body, delimiter=separator)
                )
                width = max(map(len, cells), default=0)
            except csv.Error:
                break
    raise InputError(f"Got {what}, whose lines do not fit its header, need a CSV; export it again.")


def choose_separator(lines: Sequence[str]) -> str:
    """The separator of a table: the candidate that splits most lines into as many cells as the header.

    Parameters
    ----------
    lines : sequence of str
        Header and the first rows.

    Returns
    -------
    str
        One of ``SEPARATORS``, or a space for text aligned with blanks.
    """
    best, score = "", (0.0, 0)
    for candidate in SEPARATORS:
        try:
            # By a CSV reader and not by counting: separators inside quotes separate nothing.
            counts = [len(row) for row in csv.reader(lines, delimiter=candidate) if row]
        except csv.Error:
            continue
        # The header decides the number of cells. A decimal comma splits the rows but not the header.
        if counts and counts[0] > 1:
            candidate_score = float(np.mean([count == counts[0] for count in counts])), counts[0]
            best, score = max((best, score), (candidate, candidate_score), key=lambda one: one[1])
    if score[0] >= 0.5:
        return best
    spaced = [len(_spaced_cells(line)) for line in lines]
    # R's write.table has a cell more in each row than in the header: the number of the row.
    if (
        spaced
        and spaced[0] > 1
        and max(map(spaced[1:].count, (spaced[0], spaced[0] + 1))) > 0.9 * len(spaced[1:])
    ):
        return " "
    return best or ","


def _spaced_cells(line: str) -> list[str]:
    """Cells of a line aligned with blanks; blanks inside of quotes separate nothing."""
    if '"' not in line:
        return line.split()
    return next(csv.reader([line.strip()], delimiter=" ", skipinitialspace=True), [])


def split_cells(line: str, separator: str) -> list[str]:
    """Cells of one line without blanks and quotes; separators inside of quotes separate nothing.

    Parameters
    ----------
    line : str
        With or without its line end.
    separator : str
        One character; a blank for text aligned with blanks.
    """
    line = line.strip("\r\n")
    if separator == " ":
        return _spaced_cells(line)
    cells = line.split(separator)
    # Decimal commas in quotes, between commas; quotes that are not closed are none.
    if '"' in line and any(cell.count('"') % 2 for cell in cells) and line.count('"') % 2 == 0:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip().strip('"').strip() for cell in cells]


def parse_columns(
    source: str | BinaryIO, at: list[int], dtypes: dict[str, str], *, skip_rows: int, max_rows: int,
    separator: str, decimal: str, encoding: str, na_values: list[str], at_once: int | None = None,
    on_rows: Callable[[], None] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Single columns of a large text by pandas' C parser, without holding the text.

    Parameters
    ----------
    source : str or BinaryIO
        A path or a stream. A path in UTF-8 is parsed as it lies on disk; a stream is decoded and encoded again by
        pandas, which takes a third longer.
    at : list of int
        Positions of the columns, ascending.
    dtypes : dict of str to str
        ``float64`` or ``str`` by name, in the order of ``at``.
    skip_rows, max_rows : int
        Lines before the first row; rows that are parsed at most.
    separator, decimal, encoding : str
        As ``choose_separator`` and ``encoding_of`` give them; ``,`` or ``.``.
    na_values : list of str
        Cells that are missing.
    at_once : int, optional
        Rows after each of which ``on_rows`` is called; default is all.
    on_rows : callable, optional
        Told that rows are finished, such as ``BoundedStream.rows_are_done``.

    Returns
    -------
    pandas.DataFrame
        (row, column) in the units of the file; no rows where there are none.

    Raises
    ------
    ValueError
        A cell of a number is none, or rows cannot be split (``pandas.errors.ParserError``).
    """
    options = {
        "sep": r"\s+" if separator == " " else separator, "header": None, "names": list(dtypes), "usecols": at,
        "index_col": False, "skiprows": skip_rows,
        "skip_blank_lines": True, "nrows": max_rows, "dtype": dtypes, "decimal": decimal,
        "na_values": na_values, "skipinitialspace": True, "encoding": encoding, "encoding_errors": "replace",
        "low_memory": True,
    }  # fmt: skip
    try:
        if at_once is None:
            return pd.read_csv(source, **options)
        # Some rows at a time, so that a stream can bound what it gives for them.
        chunks = []
        with pd.read_csv(source, **options, chunksize=at_once) as reader:
            for chunk in reader:
                chunks.append(chunk)
                if on_rows is not None:
                    on_rows()
        return pd.concat(chunks, ignore_index=True)
    except pd.errors.EmptyDataError:
        return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in dtypes.items()})


def _with_points(decoded: Table) -> pd.DataFrame:
    """The rows with decimal points. A decimal comma can only stand where commas do not separate, or in quotes."""
    table = decoded.frame
    # Commas in quotes that cannot be marks of thousands, as in "4,0631", are decimal marks in the whole table.
    has_decimals = decoded.separator != "," or any(
        table[name].str.fullmatch(r"-?(0,\d+|\d+,(\d{1,2}|\d{4,}))").any()
        for name in table.columns
        if table[name].str.contains(",", regex=False).any()
    )
    for name in table.columns:
        # Most columns hold neither mark, and are not gone through a second time.
        if table[name].str.contains("[.,]", regex=True).any():
            table[name] = _without_thousands(table[name], has_decimals)
        if table[name].str.contains(",", regex=False).any():
            whole = table[name].str.fullmatch(_DECIMAL_COMMA.pattern)
            table[name] = table[name].where(~whole, table[name].str.replace(",", ".", regex=False))
    return table


def _without_thousands(cells: pd.Series, has_decimal_commas: bool) -> pd.Series:
    """Text (row,) of numbers without marks between thousands, where these cannot be decimal marks.

    Between commas, ``"2,145"`` in quotes is two thousand; a decimal comma there has other numbers of digits behind it,
    or a zero before it, in some cell of the table. A point is a mark of thousands where numbers without one reach the
    hundreds and stay below a thousand, while as decimals those with one would all be smaller (780, 2.145).
    """
    for mark, is_expected in ((",", not has_decimal_commas), (".", False)):
        marked = cells.str.contains(mark, regex=False)
        escaped = re.escape(mark)
        # Thousands have one form: one to three digits, the first no zero, then groups of three.
        if not marked.any() or not cells[marked].str.fullmatch(rf"-?[1-9]\d{{0,2}}({escaped}\d{{3}})+").all():
            continue
        plain = pd.to_numeric(cells[~marked & (cells != "")], errors="coerce").abs().dropna()
        decimals = pd.to_numeric(
            cells[marked].str.replace(mark, ".", n=1, regex=False), errors="coerce"
        ).abs()
        # Numbers without a mark that end just below 1000, where those with one would go on.
        is_thousand = len(plain) and 100 <= plain.max() < 1000 and plain.median() > decimals.max()
        # Where commas separate cells, one inside a cell is no decimal mark; nor are two in a number.
        if is_expected or is_thousand or decimals.isna().any():
            return cells.where(~marked, cells.str.replace(mark, "", regex=False))
    return cells


def _joined_decimals(table: pd.DataFrame, head: list[str], separator: str, what: str) -> pd.DataFrame | None:
    """Numbers with decimal commas in a comma separated file: twice as many cells as columns, all of digits."""
    n = len(head)
    if separator != "," or table.shape[1] != 2 * n or table.empty:
        return None
    whole, decimals = table.columns[::2], table.columns[1::2]
    # Both halves must be digits in every row; one text column is enough to refuse.
    digits = all(table[name].str.fullmatch(r"\s*[+-]?\d+\s*").all() for name in whole)
    digits = digits and all(table[name].str.fullmatch(r"\d+\s*").all() for name in decimals)
    if not digits:
        return None
    warnings.warn(
        f"{what[0].upper()}{what[1:]} separates columns and decimals by commas: read as {n} numbers a row.",
        DataWarning,
        stacklevel=4,
    )
    pairs = zip(head, whole, decimals, strict=True)
    return pd.DataFrame({name: table[a].str.strip() + "." + table[b].str.strip() for name, a, b in pairs})


def _distinct(head: list[str], width: int) -> list[str]:
    """Names for all cells: those of the header, repeated ones numbered, and names for cells beyond it."""
    names: list[str] = []
    for at in range(max(width, len(head))):
        name = head[at] if at < len(head) and head[at] else f"{UNNAMED} {at + 1}"
        number, distinct = 0, name
        # The file may have a column of that number too.
        while distinct in names:
            number += 1
            distinct = f"{name}.{number}"
        names.append(distinct)
    return names
