"""The years of one product of a tower, in a zip, a folder or a list of files, as one table."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
from fluxlens.embeddings.towers.data_files import DataFile, product
from fluxlens.embeddings.towers.tower_table import TowerTable
from fluxlens.embeddings.unpacking import MAX_ROWS
from fluxlens.models.errors import DataWarning, InputError

TOLERANCE = 1e-3
"""Relative and absolute difference within which two files have the same value: releases print other digits."""


def tables_of_years(name: str, file: DataFile, table: TowerTable, files: list[DataFile]) -> list[TowerTable]:
    """A table, and those of the same product and columns in other years.

    Parameters
    ----------
    name : str
        Of the zip or folder, for messages.
    file, table : DataFile, TowerTable
        The best one.
    files : list of DataFile
        All candidates.

    Returns
    -------
    list of TowerTable
        ``table`` first.

    Warns
    -----
    DataWarning
        Years that cannot be read or have other columns, with their count.
    """
    same = [one for one in files if one is not file and product(one.name) == product(file.name)]
    tables = [table]
    left_out: list[str] = []
    for one in same:
        try:
            other = TowerTable(one)
        except InputError:
            left_out.append(f"{one.name} (cannot be read)")
            continue
        # Years of one product have the same columns and units; else their numbers are not of one kind.
        has_same_columns = set(other.header) == set(table.header) and other.units == table.units
        if has_same_columns and other.time == table.time:
            tables.append(other)
        else:
            left_out.append(f"{one.name} (other columns)")
    if left_out:
        warnings.warn(
            f"{name} holds {len(same) + 1} tables of other years, of which {len(left_out)} are not read"
            f" beside {file.name}: {', '.join(left_out[:3])}",
            DataWarning,
            stacklevel=5,
        )
    return tables


def read_joined(name: str, tables: list[TowerTable], columns: list[str]) -> pd.DataFrame:
    """Columns of the tables of one product, one after the other; only the longest where rows of one time differ.

    Parameters
    ----------
    name : str
        Of the zip or folder, for messages.
    tables : list of TowerTable
        As of ``tables_of_years``; afterwards those that were read, in the order of time.
    columns : list of str
        Of the tables.

    Returns
    -------
    pandas.DataFrame
        (row, column) in the units of the file, on the times of the rows.

    Raises
    ------
    InputError
        Where there are more than ``MAX_ROWS`` rows.

    Warns
    -----
    DataWarning
        Years that overlap, with the counts of rows, and holes of more than two months between them.
    """
    frames = [table.read(columns) for table in tables]
    # By the rows and not by the names, whose years have several forms.
    order = sorted(range(len(tables)), key=lambda at: frames[at].index.min())
    overlap = any(
        frames[after].index.min() <= frames[before].index.max() for before, after in pairwise(order)
    )
    if overlap:
        again, other = _count_repeated(frames)
        rows = sum(map(len, frames))
        repeats = f"{name} holds {len(tables)} tables of other years that overlap: {again} of {rows} rows are of a time"
        if other:
            # Two processings of one tower: joined, a year would be of one and the next of the other.
            # Of two of one length the first, which was ranked before the others.
            longest = max(range(len(tables)), key=lambda at: (len(frames[at]), -at))
            left_out = [f"{tables[at].name} ({len(frames[at])} rows)" for at in order if at != longest]
            warnings.warn(
                f"{repeats} that another table has, {other} of them with other values; only {tables[longest].name}"
                f" ({len(frames[longest])} rows) is read, not {', '.join(left_out[:3])}",
                DataWarning,
                stacklevel=5,
            )
            # The caller's list as well: it says which files were read.
            tables[:] = [tables[longest]]
            return frames[longest]
        if again:
            warnings.warn(
                f"{repeats} that another table has, all alike: read once", DataWarning, stacklevel=5
            )
    tables[:] = [tables[at] for at in order]
    starts = [frames[at].index.min() for at in order[1:]]
    ends = [frames[at].index.max() for at in order[:-1]]
    # Two months: the longest step between rows.
    holes = [(end, start) for end, start in zip(ends, starts, strict=True) if (start - end).days > 62]
    if holes:
        warnings.warn(
            f"{name} holds {len(tables)} tables, joined, without rows between {holes[0][0]:%Y-%m-%d} and"
            f" {holes[0][1]:%Y-%m-%d}" + (f" and {len(holes) - 1} more holes" if holes[1:] else ""),
            DataWarning,
            stacklevel=5,
        )
    whole = pd.concat([frames[at] for at in order])
    if overlap:
        # Rows of one time are alike here: which of them stays makes no difference.
        whole = whole[~whole.index.duplicated()].sort_index()
    if len(whole) > MAX_ROWS:
        raise InputError(
            f"Got {name} of {len(whole):,} rows in {len(tables)} tables, need at most {MAX_ROWS:,}; thin it."
        )
    return whole


def _count_repeated(frames: list[pd.DataFrame]) -> tuple[int, int]:
    """Rows of a time that an earlier table has, and how many of them have other values."""
    again = other = 0
    earlier = frames[0]
    for frame in frames[1:]:
        shared = frame.index.intersection(earlier.index)
        is_equal = np.isclose(
            frame.loc[shared],
            earlier.loc[shared, frame.columns],
            rtol=TOLERANCE,
            atol=TOLERANCE,
            equal_nan=True,
        ).all(axis=1)
        again, other = again + len(shared), other + int((~is_equal).sum())
        # A third file is compared with all before it, each time once.
        earlier = pd.concat([earlier, frame.drop(index=shared)])
    return again, other
