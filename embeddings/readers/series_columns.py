"""Columns of a series table, by the usual spellings: series, dates, places and masks, each checked.

The file is long for the names in use and what each column is checked for, which stand beside each other.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import named_zones, text_cells, year_days
from fluxlens.embeddings.date_columns import DATE_WORDS, find_parts
from fluxlens.embeddings.place_columns import columns_of_places, find_geometry_column, read_places
from fluxlens.embeddings.readers.band_names import MASKS
from fluxlens.embeddings.readers.cloud_masks import clear_of
from fluxlens.embeddings.scenes.compositing import CLEAR_SCL
from fluxlens.embeddings.text_cells import find_column, plain_name
from fluxlens.models.errors import DataWarning, InputError

ID_NAMES = (
    "id", "plot", "plotid", "parcel", "parcelid", "pointid", "site", "siteid", "sitename", "station", "fieldid",
    "field", "pixel", "pixelid", "sampleid", "polygonid", "objectid", "stationid", "stationsid", "treeid", "pid", "uid",
    "featureid", "fid", "name", "label",
)  # fmt: skip
"""Columns that name a series, by ``plain_name``; the first that is there counts."""

DATE_NAMES = (
    "date",
    "time",
    "datetime",
    "timestamp",
    "day",
    "acquisitiondate",
    "systemtimestart",
    "millis",
    "imagedate",
    "sensingdate",
    "sensingtime",
    "acquired",
    "systemindex",
    *map(plain_name, year_days.NAMES),
    *DATE_WORDS,
    # Names of images and products have their date in them.
    "product",
    "productid",
    "producturi",
    "image",
    "imageid",
    "imagename",
    "sceneid",
    "granuleid",
)

GROUP_NAMES = ("site", "siteid", "sitename", "station", "stationid", "farm", "region", "parcel", "parcelid")
"""Columns of what holds several plots: plots of two of them may have one name."""

ORBIT_NAMES = (
    "orbitpropertiespass", "orbit", "pass", "orbitpass", "orbitdirection", "orbitstate", "satorbitstate", "direction",
    "flightdirection",
)  # fmt: skip
"""Columns of the direction of flight, by ``plain_name`` without colons."""

ONE_PLACE_DEG = 0.05
"""Rows of one id are of one plot: five kilometres apart they are of several."""

CLOUD_TEXTS = {"yes": 1, "no": 0, "cloud": 1, "cloudy": 1, "shadow": 1, "clear": 0, "cloudfree": 0}
"""Words in columns of clouds."""

CLEAR_TEXTS = {word: 1 for word in ("yes", "Yes", "YES")} | {word: 0 for word in ("no", "No", "NO")}
"""Words in a column ``clear``, beside true and false."""


def to_ids(table: pd.DataFrame, what: str) -> np.ndarray:
    """Which series each row belongs to.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Returns
    -------
    numpy.ndarray
        (row,) labels (str), stripped.

    Raises
    ------
    InputError
        Where no column names the series, or a row has no name.
    """
    column = find_column(table, ID_NAMES)
    if column is None:
        return _ids_of_places(table, what)
    # Each name is cleaned once, not once per row: tables have millions of rows.
    codes, unique = pd.factorize(table[column])
    # 12.0 of a column of numbers with gaps is the id 12
    if pd.api.types.is_float_dtype(table[column].dtype) and (unique == np.floor(unique)).all():
        unique = unique.astype(np.int64)
    names = np.array([str(one).strip() for one in unique], dtype=object)
    # The same numbers as text
    if len(names) and all(re.fullmatch(r"\d+\.0", one) for one in names if one):
        names = np.array([one.removesuffix(".0") for one in names], dtype=object)
    out = names[codes] if len(names) else np.empty(0, object)
    out = _with_groups(table, column, out, what)
    empty = (codes < 0) | (out == "")
    if empty.any():
        raise InputError(
            f"Got row {int(empty.argmax()) + 1} of {what} without a name in {column}, need one in each; fill it in."
        )
    return out


def _with_groups(table: pd.DataFrame, column: str, ids: np.ndarray, what: str) -> np.ndarray:
    """Labels (row,), behind those of their site where plots of several sites have one name: plot 1 of each."""
    group = find_column(table, tuple(name for name in GROUP_NAMES if name != plain_name(column)))
    if group is None or not len(ids):
        return ids
    of_id, of_group = (pd.factorize(one)[0] for one in (ids, table[group]))
    keys = pd.DataFrame({"id": of_id, "group": of_group})
    if len(keys.drop_duplicates()) == of_id.max() + 1:
        return ids
    # On one date a plot is in one place; what changes from date to date is no site.
    dates = date_columns(table)
    keys = keys.join(table[dates].reset_index(drop=True)).drop_duplicates()
    if not (keys.groupby(["id", *dates]).size() > 1).any():
        return ids
    groups = table[group].astype(str).str.strip().to_numpy(object)
    warnings.warn(
        f"rows of one {column} and date are of several {group} in {what}: its series are called by both, such as"
        f" {groups[0]} {ids[0]}.",
        DataWarning,
        stacklevel=4,
    )
    return np.where(ids == "", "", groups + " " + ids)


def _ids_of_places(table: pd.DataFrame, what: str) -> np.ndarray:
    """Labels (row,) by the place of each row, where no column names the series: what ``sampleRegions`` exports."""
    place = read_places(table, what) if find_geometry_column(table) else None
    if place is None or not len(table) or not np.isfinite(place).all():
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need one that names the series;"
            " add a column id."
        )
    pairs = pd.MultiIndex.from_arrays([np.round(axis, 7) for axis in place])
    codes, unique = pairs.factorize()
    warnings.warn(
        f"no column of {what} names the series: its {len(unique)} places do, as lon_lat.",
        DataWarning,
        stacklevel=3,
    )
    return np.array([f"{lon:.7g}_{lat:.7g}" for lon, lat in unique], dtype=object)[codes]


def to_epoch_days(table: pd.DataFrame, what: str) -> np.ndarray:
    """The day of each row; see ``to_utc_times``.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Returns
    -------
    numpy.ndarray
        (row,) int64, days since 1970-01-01 UTC.
    """
    return to_utc_times(table, what).astype("datetime64[D]").astype(np.int64)


def to_utc_times(table: pd.DataFrame, what: str) -> np.ndarray:
    """The time of each row.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Returns
    -------
    numpy.ndarray
        (row,) datetime64[s] UTC, midnight where the table has dates alone.

    Raises
    ------
    InputError
        Where there is no column of dates, or a date cannot be told.
    """
    columns = date_columns(table)
    if not columns:
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need dates; add a column date."
        )
    if len(columns) == 1:
        zone = named_zones.find_column(table.columns)
        return text_cells.to_times(table[columns[0]], what, None if zone is None else table[zone])
    texts = [table[name].astype(str).str.strip().str.removesuffix(".0") for name in columns]
    if len(columns) == 2:
        # 2020 and 5 become 2020005, which is read as year and day of the year.
        return text_cells.to_times((texts[0] + texts[1].str.zfill(3)).rename(", ".join(columns)), what)
    parts = texts[0] + texts[1].str.zfill(2) + texts[2].str.zfill(2)
    return text_cells.to_times(parts.rename(", ".join(columns)), what)


def date_columns(table: pd.DataFrame) -> list[str]:
    """The column of dates, or those of year and day of year, or of year, month and day.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.

    Returns
    -------
    list of str
        One, two or three names; none where the table has no dates.
    """
    column, parts = find_column(table, DATE_NAMES), find_parts(table.columns)
    # A column `day` beside a year is the day of the month, not a date.
    if (column is None or column == parts.get("day")) and "year" in parts:
        for fields in (("year", "doy"), ("year", "month", "day")):
            if set(fields) <= set(parts):
                return [parts[field] for field in fields]
    return [] if column is None else [column]


def to_orbits(table: pd.DataFrame) -> np.ndarray:
    """The direction of flight of each row of Sentinel-1, by which passes of one day are told apart.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.

    Returns
    -------
    numpy.ndarray
        (row,) str: ``ascending``, ``descending``, or empty where nothing tells.
    """
    column = find_column(table, ORBIT_NAMES)
    if column is None:
        return np.full(len(table), "")
    text = table[column].astype(str).str.strip().str.lower()
    kinds = [text.str.match(rf"{letter}$|{word}") for letter, word in (("a", "asc"), ("d", "desc"))]
    return np.select([kind.to_numpy(bool) for kind in kinds], ["ascending", "descending"], "")


def to_places(table: pd.DataFrame, ids: np.ndarray, what: str) -> pd.DataFrame:
    """Where each row lies.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    ids : numpy.ndarray
        (row,) labels (str) of ``to_ids``.
    what : str
        The table in words, for messages.

    Returns
    -------
    pandas.DataFrame
        ``lon``, ``lat`` in degrees (row,), indexed by id; NaN where not given.

    Raises
    ------
    InputError
        Where the numbers are no degrees, or look swapped.
    """
    place = read_places(table, what)
    if place is None and (named := columns_of_places(table)):
        warnings.warn(
            f"{', '.join(named)} of {what} look like places and are not understood: its series have none; write columns"
            " lon and lat.",
            DataWarning,
            stacklevel=3,
        )
    lon, lat = (np.full(len(table), np.nan),) * 2 if place is None else place
    out = pd.DataFrame({"lon": lon, "lat": lat}, index=ids)
    _refuse_many_places(out, what)
    return out


def _refuse_many_places(places: pd.DataFrame, what: str) -> None:
    """InputError where rows of one id (index) lie kilometres apart: a class was taken for a name."""
    by_id = places.dropna().groupby(level=0)
    spread = (by_id.max() - by_id.min()).max(axis=1)
    # At 180 degrees the two ends of a plot have longitudes of both signs.
    far = spread[(spread > ONE_PLACE_DEG) & (spread < 359)]
    if len(far):
        raise InputError(
            f"Got {what} whose {len(far)} of {len(spread)} ids have rows at places apart, such as {far.index[0]} over"
            f" {far.iloc[0]:.3g} degrees, need one place per id; add a column id that names each plot."
        )


def is_clear(table: pd.DataFrame, what: str) -> np.ndarray:
    """Which rows are clear: by a column ``clear`` or ``SCL``, else by a flag, probability or score of clouds, else all.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Returns
    -------
    numpy.ndarray
        (row,) bool mask.

    Raises
    ------
    InputError
        Where ``clear`` holds other numbers than 0 and 1.

    Warns
    -----
    DataWarning
        Rows that say nothing, and rows that another column than ``clear`` and ``SCL`` calls cloudy.
    """
    column = find_column(table, ("clear",))
    if column is not None:
        values = text_cells.to_numbers(table[column].replace(CLEAR_TEXTS), what)
        is_other = np.isfinite(values) & (values != 0) & (values != 1)
        # Shares and probabilities are refused rather than cut: at which share a pixel is clear is the user's to say.
        if is_other.any():
            raise InputError(
                f"Got {values[is_other][0]:g} in the column {column} of {what}, need 1 (clear) or 0; correct it."
            )
        _warn_empty(values, column, what)
        return values == 1
    # Sen2Cor's classes: vegetation, bare ground, water.
    column = find_column(table, ("scl",))
    if column is not None:
        values = text_cells.to_numbers(table[column], what)
        _warn_empty(values, column, what)
        between = np.isfinite(values) & (values != np.round(values))
        if between.any():
            warnings.warn(
                f"{int(between.sum())} of {len(values)} rows of {what} have no whole class in {column}, such as"
                f" {values[between][0]:g} (a mean over pixels, perhaps): left out as not clear.",
                DataWarning,
                stacklevel=3,
            )
        return np.isin(values, CLEAR_SCL)
    return _clear_by_other_masks(table, what)


def _clear_by_other_masks(table: pd.DataFrame, what: str) -> np.ndarray:
    """Rows (row,) that a flag, a probability or a score of clouds calls clear, told in a warning; all without one."""
    # QA60 last: it misses most, and was empty from January 2022 to February 2024.
    names = [name for name in table.columns if MASKS.get(plain_name(name), "scl") != "scl"]
    not_read: list[str] = []
    for name in sorted(names, key=lambda one: MASKS[plain_name(one)] == "qa60"):
        kind = MASKS[plain_name(name)]
        clear = _clear_of_mask(table[name], kind, what)
        if clear is None:
            not_read += [str(name)] if _has_classes(table[name]) else []
            continue
        if not clear.all():
            words = "cloudy, or empty," if kind == "qa60" else "cloudy"
            warnings.warn(
                f"{int((~clear).sum())} of {len(clear)} rows of {what} are {words} by their column {name}: left out.",
                DataWarning,
                stacklevel=4,
            )
        return clear
    if not_read:
        warnings.warn(
            f"{', '.join(not_read)} of {what} look like masks of clouds and are not understood: all rows count as"
            " clear; write a column clear of 1 and 0.",
            DataWarning,
            stacklevel=4,
        )
    return np.ones(len(table), bool)


def _has_classes(column: pd.Series) -> bool:
    """Whether a column has words or a few whole numbers; others are shares of an image, and say nothing of a plot."""
    values = pd.to_numeric(column, errors="coerce").dropna()
    return not len(values) or bool((values == values.round()).all() and values.nunique() <= 12)


def _clear_of_mask(column: pd.Series, kind: str, what: str) -> np.ndarray | None:
    """Rows (row,) that a mask of a kind of ``MASKS`` calls clear; None where its values are none of that kind."""
    try:
        values = text_cells.to_numbers(column.replace(CLOUD_TEXTS), what)
    except InputError:
        return None
    if kind == "cloud":
        values[values == 255] = np.nan  # no data of Sentinel Hub's CLM
    known = values[np.isfinite(values)]
    # A flag has two values. A share of the image in clouds is none: it says nothing of the plot.
    is_flag = bool(known.size) and bool(np.isin(known, (0, 1)).all())
    if not known.size or (kind in ("clear", "cloud") and not is_flag) or known.min() < 0:
        return None
    if kind == "qa60":
        # A mean of bits is 0 where all pixels are clear, and no bits elsewhere.
        return values == 0
    # Classes and bits; a mean over pixels is neither.
    if kind in ("fmask", "force", "cloudless") and (known != np.round(known)).any():
        return None
    # Which encoding it is shows in a sample of an image: here each label stands in it once.
    labels, row = np.unique(values, return_inverse=True)
    image = xr.DataArray(labels[:, None, None], dims=("time", "y", "x"))
    notes: list[str] = []
    clear = clear_of(kind, image, str(column.name), notes).values[:, 0, 0]
    return clear[row] & np.isfinite(values)


def _warn_empty(values: np.ndarray, column: str, what: str) -> None:
    """A warning with the count of rows (row,) of a mask that say nothing."""
    if unknown := int(np.isnan(values).sum()):
        warnings.warn(
            f"{unknown} of {len(values)} rows of {what} are empty in {column}: left out as not clear.",
            DataWarning,
            stacklevel=4,
        )
