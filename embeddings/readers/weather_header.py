"""Rows below the header of a weather table that are no data: units, and what a logger formed of its readings."""

from __future__ import annotations

import re

import pandas as pd
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.units import Unit, is_stated, parse_unit
from fluxlens.models.errors import InputError

STATISTICS = ("avg", "tot", "smp", "max", "min", "std", "med", "mean", "sum", "total", "average")
"""What tables of Campbell's loggers have below the units."""
ROWS_AT_MOST = 2
DATE = re.compile(r"\d{4}|\d[-/.]\d+[-/.]\d")
"""A year, or three numbers of a date; no unit has either."""
# Words of units that are none of these variables; other brackets, such as (2 m) and (mean), say no unit.
OF_OTHER_UNITS = re.compile(
    r"(?i)^[\d.,/ x*]*(psi|atm|bar|lux|lx|ly|langleys?|btu|ft|u?mol|[µμnm]mol|ppfd|ppm|ppt|kg|g|%|v|mv|volts?)(?![a-z])"
)


def is_of_logger(frame: pd.DataFrame) -> bool:
    """Whether a table begins as TOA5 of Campbell's loggers does, which stamps rows at their end.

    Parameters
    ----------
    frame
        As read, its first line as names of columns.
    """
    return str(next(iter(frame), "")).strip().lower() == "toa5"


def without_units_rows(
    name: str, frame: pd.DataFrame, columns: dict[str, tuple[str, Unit | None]]
) -> tuple[pd.DataFrame, dict[str, tuple[str, Unit | None]]]:
    """Rows of data alone, and the units that the first rows tell.

    Parameters
    ----------
    name
        What errors call the table.
    frame
        (row, column) text.
    columns
        Column and unit by variable, as of ``weather_table.find_columns``.

    Returns
    -------
    tuple
        Rows from the first number on, without later repeats of the rows above it, and the columns; a unit in a name
        counts before that of a row.

    Raises
    ------
    InputError
        Where a row has units of which one is not understood.
    """
    columns = dict(columns)
    used = [column for column, _ in columns.values()]
    heads = []
    while columns and len(frame) and len(heads) < ROWS_AT_MOST and _is_head(frame.iloc[0], used):
        heads.append(frame.iloc[0])
        frame = frame.iloc[1:]
    for row in heads:
        words = {one: str(row[column]).strip() for one, (column, _) in columns.items()}
        if all(word.lower().strip("[]() ") in (*STATISTICS, "") for word in words.values()):
            continue
        for one, word in words.items():
            column, unit = columns[one]
            if unit is None and is_stated(word):
                columns[one] = column, _parse(name, one, column, word)
    for row in heads:
        frame = frame[(frame[used] != row[used]).any(axis=1)]
    return (frame.reset_index(drop=True), columns) if heads else (frame, columns)


def check_stated_units(name: str, columns: dict[str, tuple[str, Unit | None]]) -> None:
    """InputError where the name of a column says a unit that is none of its variable.

    Parameters
    ----------
    name
        What the error calls the table.
    columns
        As of ``weather_table.find_columns``.
    """
    for one, (column, unit) in columns.items():
        bracket = re.search(r"[(\[]([^()\[\]]*)[)\]]", column)
        if unit is None and bracket and OF_OTHER_UNITS.match(bracket[1].strip()):
            _parse(name, one, column, bracket[1])


def _is_head(row: pd.Series, used: list[str]) -> bool:
    """Whether no cell of the variables is a number, one has letters or all are dashes, and the row has no date."""
    if row.astype(str).str.contains(DATE, regex=True).any():
        return False  # a row of data, in which a number is missing or is a word
    cells = row[used].astype(str).str.strip()
    is_number = pd.to_numeric(
        cells.str.replace(",", ".", regex=False).str.rstrip("% "), errors="coerce"
    ).notna()
    words = cells.str.lower()
    has_letters = cells.str.contains(r"[^\W\d]|°", regex=True) & ~words.isin(
        ["nan", "na", "null", "none", "n/a"]
    )
    # Dashes alone are of units too: other columns may have some.
    return not is_number.any() and bool(has_letters.any() or words.isin(["-", "--", "[-]"]).all())


def _parse(name: str, variable: str, column: str, text: str) -> Unit:
    """The unit; InputError where it is none of the variable."""
    unit = parse_unit(variable, text)
    if unit is None:
        raise InputError(
            f"Got {name} with {column} in {text.strip()[:30]!r}, need {schema.units('weather', variable)}; convert it."
        )
    return unit
