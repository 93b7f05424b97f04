"""Lines of a tower's table that are no rows: its header once more where files were put together, and comments."""

from __future__ import annotations

import warnings

import pandas as pd
from fluxlens.models.errors import DataWarning


def without_stray_rows(name: str, frame: pd.DataFrame, stamp: str) -> pd.DataFrame:
    """Rows of a table without comments, and without lines that repeat its header and units.

    Parameters
    ----------
    name : str
        Of the file, for the warning.
    frame : pandas.DataFrame
        (row, column) as parsed, stamps as text.
    stamp : str
        The first column of stamps, in capitals.

    Returns
    -------
    pandas.DataFrame
        (row, column) of ``frame``.

    Warns
    -----
    DataWarning
        With the counts.
    """
    # Ten years of half-hours are 175,000 rows, nearly always without any.
    if frame[stamp].str.isdigit().all():
        return frame
    cells = frame[stamp].astype("str").str.strip().str.strip('"')
    is_comment = cells.str.startswith("#") & ~cells.str.fullmatch(r"#[^\W\d][\w/]*[!?]?")
    is_header = cells.str.upper() == stamp
    # Below its header and above it stand the units and groups of columns, without a date as well.
    if is_header.any():
        is_near_header = is_header.copy()
        for rows in (-1, 1, 2):
            is_near_header |= is_header.shift(rows, fill_value=False)
        is_header |= is_near_header & (frame[stamp].isna() | ~cells.str.contains(r"\d", regex=True))
    if is_comment.any() or is_header.any():
        parts = (
            [f"{int(is_header.sum())} lines that repeat the header or its units"] if is_header.any() else []
        )
        parts += [f"{int(is_comment.sum())} comments"] if is_comment.any() else []
        warnings.warn(f"left out of {name}: {' and '.join(parts)}", DataWarning, stacklevel=4)
        return frame[~(is_comment | is_header)].copy()
    return frame
