"""Weather tables with one row per variable, as databases and R's tidy tables write them, as one column per variable."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd
from fluxlens.embeddings.readers.series_shapes import MAX_LABELS
from fluxlens.embeddings.text_cells import find_column
from fluxlens.models.errors import InputError

VALUE_NAMES = ("value", "values", "val", "wert", "messwert", "valeur", "valor", "datavalue", "mean")
"""Columns of values beside a column of names of variables, by ``plain_name``, the preferred one first."""
UNIT_NAMES = ("unit", "units", "einheit", "unite", "unidad", "uom")


def to_one_column_per_variable(
    table: pd.DataFrame, keys: list[str], what: str, find_variables: Callable[[pd.DataFrame], dict]
) -> pd.DataFrame:
    """A weather table with a row per date and a column per variable.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    keys : list of str
        Columns that name a row of the result: of dates, and of the series where there is one.
    what : str
        The table in words, for messages.
    find_variables : callable
        Variables among the columns, in small letters, of a table: ``weather_table.find_columns``.

    Returns
    -------
    pandas.DataFrame
        The same table where it has that shape already, or neither; else ``keys`` and a column for each variable, with
        its unit in brackets where a column tells it.

    Raises
    ------
    InputError
        Where a variable stands twice for one date, or in two units.
    """

    def is_known(names: Iterable) -> bool:
        lower = dict.fromkeys(str(name).strip().lower() for name in names)
        return bool(find_variables(pd.DataFrame(columns=list(lower))))

    value = find_column(table, VALUE_NAMES)
    # Beside columns of variables, one called value is of something else.
    if value is None or not keys or is_known(table.columns):
        return table
    # A column called name or label may be taken for the series; its content tells what it is.
    texts = [
        column
        for column in table.columns
        if column != value and pd.api.types.infer_dtype(table[column]) in ("string", "categorical")
    ]
    named = [
        column
        for column in texts
        if table[column].nunique() <= MAX_LABELS and is_known(table[column].dropna().unique())
    ]
    keys = [key for key in keys if key not in named]
    # Of two columns of names neither is surely that of the values.
    if len(named) != 1 or not keys:
        return table
    labels = table[named[0]].astype(str).str.strip()
    unit = find_column(table, UNIT_NAMES)
    if unit is not None:
        units = table[unit].fillna("").astype(str).str.strip()
        by_label = units.groupby(labels).agg(lambda one: sorted(set(one)))
        several = by_label[by_label.map(len) > 1]
        if len(several):
            raise InputError(
                f"Got {what} with {several.index[0]} in {len(several.iloc[0])} units"
                f" ({', '.join(several.iloc[0][:3])}), need one unit a variable; convert it."
            )
        # Into the name, where the reader of columns looks for a unit.
        labels = labels.where(units == "", labels + " (" + units + ")")
    twice = table[keys].assign(_label=labels).duplicated()
    if twice.any():
        at = int(twice.to_numpy().argmax())
        raise InputError(
            f"Got {what} with {int(twice.sum())} rows of a date and variable that another row has, the first"
            f" {labels.iloc[at]} of {', '.join(table[keys].astype(str).iloc[at])}, need each once; keep one place and"
            " one kind of value."
        )
    rows = pd.MultiIndex.from_frame(table[keys])
    # In the order of the file: messages count its rows.
    wide = pd.Series(table[value].to_numpy(), [rows.to_flat_index(), labels]).unstack(sort=False)
    out = pd.DataFrame(wide.index.to_list(), columns=keys, index=wide.index).join(wide).reset_index(drop=True)
    # Tables of text have empty cells in place of NaN.
    return out.where(out.notna(), "") if table[value].dtype == object else out
