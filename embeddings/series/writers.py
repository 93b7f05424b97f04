"""Tables of series in files: written in parts, in place only when whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

ROW_GROUP_ROWS = 200_000
"""Rows of one table handed on, and of one row group of a Parquet file."""


class TableWriter:
    """Tables with the same columns appended to one file; see ``open_table``.

    Parameters
    ----------
    path : Path
        File to write, not there yet; ``.parquet``, else CSV.
    attrs : dict
        Metadata of the file.
    """

    def __init__(self, path: Path, attrs: dict[str, Any]) -> None:
        self.path, self.attrs = path, attrs
        self.rows = self.series = 0
        self._parquet: Any = None

    def __call__(self, table: pd.DataFrame) -> None:
        """Append a table.

        Parameters
        ----------
        table : pandas.DataFrame
            Rows of whole series.
        """
        self.rows += len(table)
        self.series += table["id"].nunique()
        if self.path.suffix.lower() == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            arrow = pa.Table.from_pandas(table, preserve_index=False)
            if self._parquet is None:
                metadata = {key: str(value) for key, value in self.attrs.items()}
                schema = arrow.schema.with_metadata({**(arrow.schema.metadata or {}), **metadata})
                self._parquet = pq.ParquetWriter(self.path, schema)
            # Cast: a part whose column is all missing would else come with the type null.
            self._parquet.write_table(arrow.cast(self._parquet.schema), row_group_size=ROW_GROUP_ROWS)
            return
        self._append_csv(table)

    def _append_csv(self, table: pd.DataFrame) -> None:
        """Append rows as text by pyarrow, which formats numbers ten times faster than pandas."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import csv

        columns = {}
        for name in map(str, table.columns):
            column = table[name]
            if pd.api.types.is_datetime64_any_dtype(column.dtype):
                # Days alone: all rows are at midnight UTC, and a clock would be noise.
                columns[name] = pa.array(column.to_numpy().astype("datetime64[D]"))
            elif pd.api.types.is_float_dtype(column.dtype):
                # Shortest text that gives the same float32; missing values are empty cells.
                columns[name] = pa.array(column.to_numpy(np.float32), from_pandas=True)
            elif column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
                columns[name] = pa.array(_harmless(column).to_numpy(), pa.string(), from_pandas=True)
            else:
                columns[name] = pa.array(column.to_numpy())
        new = not self.path.exists()
        with self.path.open("ab") as file:
            if new:
                # White space joined: a line break in a value would end the comment and begin a row.
                lines = [" ".join(f"# {key}: {value}".split()) for key, value in self.attrs.items()]
                file.write("".join(f"{line}\n" for line in [*lines, ",".join(columns)]).encode())
            # Its style "needed" puts quotes around all text, so it is chosen where a cell has a mark to protect.
            texts = [one for one in columns.values() if pa.types.is_string(one.type)]
            marked = any(pc.any(pc.match_substring_regex(one, '[",\r\n]')).as_py() for one in texts)
            options = csv.WriteOptions(include_header=False, quoting_style="needed" if marked else "none")
            csv.write_csv(pa.table(columns), file, options)

    def close(self) -> None:
        """Finish the file."""
        if self._parquet is not None:
            self._parquet.close()


def check_table_path(path: str | Path) -> Path:
    """The path of a table to be written, checked before any computing.

    Parameters
    ----------
    path : str or Path
        File to write.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Where it does not end in ``.parquet`` or ``.csv``, or its folder does not exist.
    """
    place = Path(path)
    if place.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(f"Got --out {place.name}, need .parquet or .csv for a series table; rename it.")
    if not place.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a folder that exists; create {place.parent} first.")
    if place.is_dir():
        raise InputError(f"Got --out {path}, which is a folder, need a file; choose another name.")
    return place


@contextmanager
def open_table(path: str | Path, attrs: dict[str, Any]) -> Iterator[TableWriter]:
    """A ``TableWriter`` whose file appears at ``path`` when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        File ending in ``.parquet`` or ``.csv`` in a folder that exists.
    attrs : dict
        Metadata of the file: of Parquet the schema's, of CSV lines that begin with ``#``.
    """
    # Resolved, so that a link keeps pointing at the file it names and the rename stays within one file system.
    with atomic_path(check_table_path(path).resolve()) as temporary:
        writer = TableWriter(temporary, attrs)
        try:
            yield writer
        finally:
            # Before the rename: only a closed Parquet file has its footer.
            writer.close()


def write_table(table: pd.DataFrame, path: str | Path) -> str:
    """Write a table with ``attrs`` as ``.parquet`` or ``.csv``; returns one line about it.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``embed_series`` or ``reconstruct_series`` return it.
    path : str or Path
        File to write.
    """
    with open_table(path, table.attrs) as writer:
        writer(table)
    return f"{len(table):,} rows of {table['id'].nunique():,} series"


def _harmless(column: pd.Series) -> pd.Series:
    """Text that a spreadsheet would run as a formula gets a quote in front (OWASP, CSV injection)."""
    codes, unique = pd.factorize(column)
    safe = np.array(
        [f"'{text}" if str(text)[:1] in "=+-@＝＋－＠" and text else text for text in unique], object
    )
    # A missing cell has the code -1 and stays missing.
    return pd.Series(pd.api.extensions.take(safe, codes, allow_fill=True), column.index)
