"""Tables as spreadsheets and exports write them: encoding, separator and decimal sign are found from the content."""

from __future__ import annotations

import csv
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.models.errors import DataWarning, InputError

MAX_BYTES = 4 * 2**30
"""Largest text or Parquet file that is read; 10,000 series of two years are about 0.2 GB."""
SNIFF_LINES = 1000
"""Lines whose cells are counted before the table is parsed."""
UNNAMED = "unnamed column"
"""Name of cells beyond the header, followed by their number."""
MISSING_TEXT = ("", "na", "n/a", "nan", "null", "none", "-", "--")
MISSING_BELOW = -9000.0
"""Numbers below are the codes for missing values in use (-9999, -99999)."""
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d+\s*$")


def read_table(path: str | Path, what: str = "table") -> pd.DataFrame:
    """Read a CSV (any usual encoding and separator) or a Parquet file.

    Parameters
    ----------
    path : str or Path
        File ending in ``.parquet``, or text: comma, semicolon or tab separated; UTF-8 with or without BOM, UTF-16 or
        cp1252; lines that start with ``#`` before the header are metadata.
    what : str
        What the file is, for messages.

    Returns
    -------
    pandas.DataFrame
        Of a text file all columns are text with decimal points, rows without any content left out; of Parquet the
        columns as they are stored. Cells beyond the header are columns ``unnamed column 1`` and so on.

    Raises
    ------
    InputError
        If the file is not there, is no table, or is too large.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Got the {what} {path}, which is not there, need a file; check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"Got the {what} {path} of over {MAX_BYTES:,} bytes, need a smaller one; split it.")
    if path.suffix.lower() in (".parquet", ".geoparquet", ".pq"):
        return _read_parquet(path, what)
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise InputError(f"Got the {what} {path}, a workbook, need CSV or Parquet; save the sheet as CSV.")
    return parse_table(decode_text(path.read_bytes(), f"the {what} {path}"), f"the {what} {path}")


def _read_parquet(path: Path, what: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise InputError(
            f"Got the {what} {path}, which cannot be read ({why}), need a whole Parquet file; write it again."
        ) from error


def decode_text(content: bytes, what: str) -> str:
    """Text of a file's bytes: UTF-16 and UTF-8 by their marks, else UTF-8, else cp1252.

    Parameters
    ----------
    content : bytes
        The whole file.
    what : str
        The file in words, for messages.

    Raises
    ------
    InputError
        If the bytes are no text of these encodings.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ("utf-16",)
    elif content[:3] == b"\xef\xbb\xbf":
        encodings = ("utf-8-sig",)
    elif b"\0" in content[:200]:
        # UTF-16 without a mark: every other byte of western text is zero
        encodings = ("utf-16-le" if content[1:2] == b"\0" else "utf-16-be",)
    else:
        # cp1252 accepts almost any bytes, so it comes last
        encodings = ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"Got {what}, which is not text, need a CSV; export it again as CSV (UTF-8).")


def parse_table(text: str, what: str) -> pd.DataFrame:
    """Split text into columns of text; see ``read_table``.

    Parameters
    ----------
    text : str
        Content of a CSV.
    what : str
        The file in words, for messages.
    """
    lines = text.splitlines()
    first = 0
    separator = ""
    while first < len(lines) and (not lines[first].strip() or lines[first].startswith("#")):
        first += 1
    if first < len(lines) and (told := re.fullmatch(r'"?sep=(.)"?', lines[first].strip())):
        separator, first = told.group(1), first + 1  # Excel's own hint
    if first >= len(lines):
        raise InputError(f"Got {what} without a header, need column names in the first line; add them.")
    separator = separator or max("\t;,", key=lines[first].count)
    try:
        head, *sample = list(csv.reader(lines[first : first + SNIFF_LINES], delimiter=separator))
    except csv.Error as error:
        raise InputError(f"Got {what}, which is no CSV ({error}), need one; export it again.") from error
    head = [name.strip() for name in head]
    width = max([len(head), *map(len, sample)])
    body = "\n".join(lines[first + 1 :])
    for _ in range(2):
        names = _distinct(head, width)
        try:
            table = pd.read_csv(
                io.StringIO(body), sep=separator, header=None, names=names, dtype=str, na_filter=False,
                index_col=False, engine="c", skip_blank_lines=True,
            )  # fmt: skip
            break
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=names, dtype=str)
        except pd.errors.ParserError:
            # a row longer than those sampled: count the cells of all
            width = max((len(row) for row in csv.reader(lines[first + 1 :], delimiter=separator)), default=0)
    else:
        raise InputError(f"Got {what}, whose lines do not fit its header, need a CSV; export it again.")
    # cells a short row lacks arrive as NaN even without a filter
    table = table.astype(object).where(table.notna(), "")
    full = np.zeros(len(table), bool)
    for name in table.columns:
        if full.all():
            break
        full |= (table[name].str.strip() != "").to_numpy()
    table = table[full].reset_index(drop=True)
    table = _joined_decimals(table, head, separator, what)
    # a decimal comma can only stand where commas do not separate, or in quotes
    for name in table.columns if separator != "," or '"' in body else ():
        if table[name].str.contains(",", regex=False).any():
            whole = table[name].str.fullmatch(_DECIMAL_COMMA.pattern)
            table[name] = table[name].where(~whole, table[name].str.replace(",", ".", regex=False))
    empty = [name for name in table.columns if str(name).startswith(UNNAMED) and (table[name] == "").all()]
    return table.drop(columns=empty)


def _joined_decimals(table: pd.DataFrame, head: list[str], separator: str, what: str) -> pd.DataFrame:
    """Numbers with decimal commas in a comma separated file: twice as many cells as columns, all of digits."""
    n = len(head)
    if separator != "," or table.shape[1] != 2 * n or table.empty:
        return table
    whole, part = table.columns[::2], table.columns[1::2]
    digits = all(table[name].str.fullmatch(r"\s*[+-]?\d+\s*").all() for name in whole)
    digits = digits and all(table[name].str.fullmatch(r"\d+\s*").all() for name in part)
    if not digits:
        return table
    warnings.warn(
        f"{what[0].upper()}{what[1:]} separates columns and decimals by commas: read as {n} numbers a row.",
        DataWarning,
        stacklevel=4,
    )
    pairs = zip(head, whole, part, strict=True)
    return pd.DataFrame({name: table[a].str.strip() + "." + table[b].str.strip() for name, a, b in pairs})


def _distinct(head: list[str], width: int) -> list[str]:
    """Names for all cells: those of the header, repeated ones numbered, and names for cells beyond it."""
    names: list[str] = []
    for at in range(width):
        name = head[at] if at < len(head) and head[at] else f"{UNNAMED} {at + 1}"
        names.append(f"{name}.{names.count(name)}" if name in names else name)
    return names


def plain_name(name: str) -> str:
    """A column's name in lower case without units in brackets and without spaces, ``_``, ``-`` and ``.``.

    Parameters
    ----------
    name : str
        As in ``Longitude (deg)``, which becomes ``longitude``.
    """
    return re.sub(r"[\s_.\-]+", "", re.sub(r"[(\[].*?[)\]]", "", str(name))).lower()


def to_numbers(column: pd.Series, what: str) -> np.ndarray:
    """A column as float64, NaN where it is empty or holds a code for missing.

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
        # spreadsheets and Python write logical values as words
        values[lower.index[lower == "true"]] = 1.0
        values[lower.index[lower == "false"]] = 0.0
        strange = text[~lower.isin([*MISSING_TEXT, "true", "false"])]
        if len(strange):
            raise InputError(
                f"Got {strange.iloc[0]!r} in the column {column.name} of {what}, need a number or nothing; correct it."
            )
    out = values.to_numpy(dtype=float, na_value=np.nan, copy=True)
    out[~np.isfinite(out) | (out < MISSING_BELOW)] = np.nan
    return out


def to_days(column: pd.Series, what: str) -> np.ndarray:
    """UTC days since 1970-01-01 (int64) of a column of dates.

    Parameters
    ----------
    column : pandas.Series
        Dates or times: ISO 8601, ``YYYYMMDD``, day-first or month-first with ``/`` or ``.`` where only one of the two
        is possible, or milliseconds since 1970 as Earth Engine's ``system:time_start``.
    what : str
        The table in words, for messages.

    Raises
    ------
    InputError
        If a cell is no date, or day and month cannot be told apart.
    """
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        text = column.astype(str).str.strip().str.removesuffix(".0")
        # few distinct dates stand in many rows
        codes, unique = pd.factorize(text)
        stamps = _parse_dates(pd.Series(unique), str(column.name), what).to_numpy()[codes]
        stamps = pd.Series(stamps)
    else:
        stamps = column.reset_index(drop=True)
    if stamps.dt.tz is not None:
        stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    if stamps.isna().any():
        row = int(stamps.isna().to_numpy().argmax())
        raise InputError(
            f"Got row {row + 1} of {what} without a date ({column.iloc[row]!r} in {column.name}), need YYYY-MM-DD;"
            " correct it."
        )
    return stamps.to_numpy().astype("datetime64[D]").astype(np.int64)


def _parse_dates(text: pd.Series, name: str, what: str) -> pd.Series:
    """Timestamps of distinct texts; NaT where a text is none."""
    if text.str.fullmatch(r"\d{12,13}").all():
        return pd.to_datetime(text.astype("int64"), unit="ms")
    if text.str.fullmatch(r"\d{8}").all():
        return pd.to_datetime(text, format="%Y%m%d", errors="coerce")
    split = text.str.extract(r"^(\d{1,2})([./-])(\d{1,2})[./-](\d{4})(?:\D.*)?$")
    if split[0].notna().all() and len(split):
        first, second = split[0].astype(int), split[2].astype(int)
        if first.max() <= 12 and second.max() <= 12 and (split[1] != ".").any():
            raise InputError(
                f"Got dates such as {text.iloc[0]!r} in the column {name} of {what}, whose day and month cannot be told"
                " apart, need YYYY-MM-DD; rewrite them."
            )
        day, month = (second, first) if second.max() > 12 else (first, second)
        return pd.to_datetime({"year": split[3].astype(int), "month": month, "day": day}, errors="coerce")
    # Earth Engine's system:index begins with the acquisition, 20210401T103021_...
    text = text.str.replace(r"^(\d{4})(\d{2})(\d{2})T\d{6}.*$", r"\1-\2-\3", regex=True)
    stamps = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    return stamps.dt.tz_localize(None)
