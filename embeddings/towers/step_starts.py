"""Rows of a tower's table by the start of their step, for its GPP and for its wind alike."""

from __future__ import annotations

import warnings

import pandas as pd
from fluxlens.embeddings import clocks
from fluxlens.embeddings.towers.stamps import Step
from fluxlens.embeddings.towers.tower_table import TowerTable
from fluxlens.models.errors import DataWarning


def to_starts(table: TowerTable, frame: pd.DataFrame, step: Step) -> pd.DataFrame:
    """Rows stamped at the start of each step.

    Parameters
    ----------
    table : TowerTable
        Its names tell what its stamps are: ``TIMESTAMP_END``, a logger's, EddyPro's; else the first and the last tell.
    frame : pandas.DataFrame
        (row, column) by time, as read.
    step : Step
        Of the rows.

    Returns
    -------
    pandas.DataFrame
        (row, column), moved by one step where rows are stamped at their end.

    Warns
    -----
    DataWarning
        Where the first and last stamp decided.
    """
    if not step.is_subdaily or table.time == "TIMESTAMP_START":
        return frame
    length = pd.Timedelta(days=1) / step.per_day
    # EddyPro's full output has no GPP: date and time of a table with GPP are of its own making.
    is_eddypro = {"DATE", "TIME"} <= set(table.header) and not any("GPP" in name for name in table.header)
    if not (table.time == "TIMESTAMP_END" or table.is_of_logger or (table.time == "DATE" and is_eddypro)):
        if not clocks.are_ends(pd.DatetimeIndex(frame.index), length):
            return frame
        warnings.warn(
            f"stamps of {table.name} run from {frame.index[0]:%H:%M} of the first day to midnight after the last:"
            " taken for the end of each step",
            DataWarning,
            stacklevel=4,
        )
    return frame.set_axis(frame.index - length, axis=0)
