"""A tower's table as Parquet: its columns by their names, cells as the text reader gives them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from fluxlens.embeddings.unpacking import MAX_ROWS, check_unpacked
from fluxlens.models.errors import InputError

MAGIC = b"PAR1"
INDEX = "__index_level_0__"
"""pandas' name of an index without one."""


def read_header(name: str, path: Path) -> list[str]:
    """Names of the columns of a Parquet file.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    path : Path
        Of the file.

    Returns
    -------
    list of str
        As they stand in the file; an index of dates without a name is ``DATETIME``.

    Raises
    ------
    InputError
        For a damaged file, and one past the bounds of ``embeddings.unpacking``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # The footer alone: rows and sizes are known before anything is unpacked.
        facts = pq.read_metadata(path)
        schema = facts.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged_error(name) from error
    if facts.num_rows > MAX_ROWS:
        raise InputError(
            f"Got {name} of more than {MAX_ROWS:,} rows, need a tower's half-hours or days; thin it."
        )
    unpacked = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
    check_unpacked(name, unpacked, path.stat().st_size)
    return [
        "DATETIME" if field.name == INDEX and pa.types.is_timestamp(field.type) else field.name
        for field in schema
    ]


def read_columns(name: str, path: Path, at: list[int], dtypes: dict[str, str]) -> pd.DataFrame:
    """Some columns of a Parquet file, as ``text_table.parse_columns`` gives those of text.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    path : Path
        Of the file.
    at : list of int
        Positions of the columns, ascending.
    dtypes : dict of str to str
        ``float64`` or ``str`` by name, in the order of ``at``.

    Returns
    -------
    pandas.DataFrame
        (row, column) in the units of the file.

    Raises
    ------
    InputError
        For a damaged file.
    ValueError
        A cell of a number is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            table = file.read([names[i] for i in at])
    except (pa.ArrowException, OSError) as error:
        raise _damaged_error(name) from error
    columns = {}
    for i, (column, kind) in zip(at, dtypes.items(), strict=True):
        cells = pd.Series(table[names[i]].to_pandas()).reset_index(drop=True)
        columns[column] = pd.to_numeric(cells).astype("float64") if kind == "float64" else _as_text(cells)
    return pd.DataFrame(columns)


def _damaged_error(name: str) -> InputError:
    return InputError(f"Got {name}, a damaged Parquet file, need a whole one; fetch or write it again.")


def _as_text(cells: pd.Series) -> pd.Series:
    """Cells (row,) as text files write them: dates in ISO 8601, whole numbers without a point; NaN where missing."""
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        style = "%Y-%m-%d %H:%M:%S" + ("%z" if cells.dt.tz is not None else "")
        return cells.dt.strftime(style).astype("str")
    if pd.api.types.is_float_dtype(cells.dtype):
        # A column of whole numbers with gaps; day numbers and hours keep their decimals.
        # ``repr`` has the fewest digits that give the same number again.
        return cells.map(lambda one: f"{one:.0f}" if one == round(one) else repr(one), na_action="ignore")
    return cells.where(cells.isna(), cells.astype("str"))
