"""Series tables of other shapes as one row per series and date: one row per band, one column per band and date or pass.

R's ``sits``, Earth Engine's ``toBands`` and zonal statistics write the one or the other.
"""

from __future__ import annotations

import re
import warnings

import pandas as pd
from fluxlens.embeddings.place_columns import find_geometry_column, find_place_columns
from fluxlens.embeddings.readers.band_names import find_bands, split_pass
from fluxlens.embeddings.readers.series_columns import ID_NAMES, ORBIT_NAMES, date_columns
from fluxlens.embeddings.text_cells import find_column, plain_name
from fluxlens.models.errors import DataWarning

MIN_BANDS = 2
"""Bands of one sensor that tell a shape."""
MAX_LABELS = 60
"""Different texts in a column of names of bands; a product has fewer bands, masks and indices."""
VALUE_NAMES = ("value", "values", "val", "reflectance", "backscatter", "mean", "median", "first", "dn")
"""Columns of values beside a column of bands, by ``plain_name``, the preferred one first."""
_DATED = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?:T(\d{6}))?(?!\d)"
)
_DAY_OF_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.]?([0-3]\d\d)(?!\d)")
_POLARISATION = re.compile(r"(?i)v[vh]")
_REDUCER = re.compile(r"(?i)[_ ]?(mean|median|first|p50)$")


def to_one_row_per_date(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """A table with one row per series and date and one column per band.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Returns
    -------
    pandas.DataFrame
        The same table where it has that shape already, or neither of the two others.

    Warns
    -----
    DataWarning
        Which of several columns of values is read.
    """
    if len(_bands(table.columns)) >= MIN_BANDS:
        return table
    if not date_columns(table):
        return _from_columns_per_date(table)
    return _from_rows_per_band(table, what)


def without_units_row(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """A table without a first row of units: it has no digit in any cell, above columns of numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.
    """
    if len(table) < 2 or table.iloc[0].map(str).str.contains(r"\d").any():
        return table
    below = table.iloc[1:50]
    numbers = [name for name in table.columns if pd.to_numeric(below[name], errors="coerce").notna().any()]
    if len(numbers) < MIN_BANDS:
        return table
    units = ", ".join(dict.fromkeys(str(cell) for cell in table[numbers].iloc[0] if str(cell).strip()))
    warnings.warn(
        f"the first row of {what} has no number ({units[:40]}): left out as one of units.",
        DataWarning,
        stacklevel=4,
    )
    return table.iloc[1:].reset_index(drop=True)


def to_one_row_per_pass(table: pd.DataFrame) -> pd.DataFrame:
    """A table of Sentinel-1 without columns of one pass, such as ``VV_asc`` and ``VV_desc``, ``VV_A`` and ``VVD``.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.

    Returns
    -------
    pandas.DataFrame
        The same table where it has no such columns; else a row for each direction that has a value, named in a column
        ``orbit``.
    """
    named: dict[str, dict[str, str]] = {}
    for column in map(str, table.columns):
        polarisation, one_pass = split_pass(column)
        if one_pass:
            named.setdefault(one_pass, {})[column] = polarisation
    if not named:
        return table
    shared = table.drop(columns=[column for columns in named.values() for column in columns])
    # A column that names one direction cannot be right for both.
    stated = [column for column in shared.columns if plain_name(column) in ORBIT_NAMES]
    rows = []
    for one_pass, columns in named.items():
        cells = table[list(columns)].rename(columns=columns)
        filled = (cells.notna() & (cells != "")).any(axis=1)
        rows.append(
            shared.drop(columns=[*cells, *stated], errors="ignore")
            .join(cells)
            .assign(orbit=one_pass.split(":")[0])[filled]
        )
    # Columns without a direction beside them are of passes of their own.
    plain = [column for column in shared.columns if _POLARISATION.fullmatch(plain_name(column))]
    rows += [shared] if plain else []
    return pd.concat(rows, ignore_index=True)


def _bands(names) -> dict[str, str]:
    """Bands and polarisations among names, as of ``find_bands``, without masks."""
    bands = find_bands(_REDUCER.sub("", str(name)) for name in names)
    return {band: name for band, name in bands.items() if not band.startswith("mask:")}


def _from_columns_per_date(table: pd.DataFrame) -> pd.DataFrame:
    """Of columns such as ``B04_20200105``, ``2020-01-05_red`` or ``20200105T105031_..._T31UES_B4``."""
    parsed: dict[tuple[str, str], dict[str, str]] = {}
    for column in table.columns:
        match = _DATED.search(str(column))
        of_year = None if match else _DAY_OF_YEAR.search(str(column))
        if match is None and of_year is None:
            continue
        pattern = _DATED if match else _DAY_OF_YEAR
        words = re.split(r"[\s_.:/-]+", pattern.sub(" ", str(column)))
        words = [word for word in words if word and word != "X"]  # R puts an X before a digit
        # The band is all that is left, or the last or first part of it; the others name the image.
        label, image = "_".join(words), ""
        for band, other_words in ((words[-1:], words[:-1]), (words[:1], words[1:])):
            if not _bands([label]) and _bands(band):
                label, image = band[0], "_".join(other_words)
        if match:
            clock = f"T{match[4][:2]}:{match[4][2:4]}:{match[4][4:]}" if match[4] else ""
            date = "-".join(match.groups()[:3]) + clock
        else:
            date = of_year[1] + of_year[2]
        parsed.setdefault((date, image), {})[str(column)] = label
    columns = [column for labels in parsed.values() for column in labels]
    if len(columns) < 2:
        return table
    undated = table.drop(columns=columns)
    dates = []
    for (date, _), labels in parsed.items():
        cells = table[list(labels)].rename(columns=labels)
        # A plot without an image of the date has empty cells.
        filled = (cells.notna() & (cells != "")).any(axis=1)
        dates.append(undated.assign(date=date).join(cells)[filled])
    return pd.concat(dates, ignore_index=True)


def _from_rows_per_band(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Of a column of names of bands and one of values."""
    texts = [
        name for name in table.columns if pd.api.types.infer_dtype(table[name]) in ("string", "categorical")
    ]
    labels = {name: table[name].unique() for name in texts}
    named = [
        name for name, all_ in labels.items() if len(all_) <= MAX_LABELS and len(_bands(all_)) >= MIN_BANDS
    ]
    keys = [find_column(table, ID_NAMES), *date_columns(table), find_geometry_column(table)]
    keys += [*(find_place_columns(table) or ()), find_column(table, ("systemindex",))]
    keys = list(dict.fromkeys(name for name in keys if name is not None and name not in named))
    values = {plain_name(name): name for name in table.columns if name not in (*keys, *named)}
    of_value = [values[name] for name in VALUE_NAMES if name in values]
    if len(named) != 1 or not of_value or not keys:
        return table
    if len(of_value) > 1:
        warnings.warn(
            f"{what} has the columns {', '.join(of_value)} for each band: {of_value[0]} is read.",
            DataWarning,
            stacklevel=4,
        )
    label, value = named[0], of_value[0]
    # Empty cells of keys are of no group otherwise.
    group = table.groupby(keys, sort=False, dropna=False).ngroup()
    # A second image of a series and date is a row of its own.
    again = table.groupby([group, table[label]], sort=False).cumcount()
    rows = pd.MultiIndex.from_arrays([group, again])
    cells = pd.Series(table[value].to_numpy(), [group, again, table[label]]).unstack()
    # What is the same for all bands of a row stays beside them: masks, names of products.
    rest = table.drop(columns=[label, *of_value]).set_index(rows)
    first = rest.groupby(level=[0, 1], sort=False).first()
    same = (rest == first.reindex(rest.index)) | rest.isna()
    shared = [name for name in rest.columns if name in keys or bool(same[name].all())]
    out = first[shared].join(cells).reset_index(drop=True)
    return out.where(out.notna(), "") if table[value].dtype == object else out
