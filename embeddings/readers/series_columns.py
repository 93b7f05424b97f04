"""Columns of a series table, by the usual spellings: series, dates, places and masks, each checked.

The file is long for the names in use and what each column is checked for, which stand beside each other.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import text_cells
from fluxlens.embeddings.geometry import wrap_longitudes
from fluxlens.embeddings.readers.band_names import MASKS
from fluxlens.embeddings.readers.cloud_masks import clear_of
from fluxlens.embeddings.text_cells import plain_name
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
)

LON_NAMES = ("lon", "longitude", "long", "lng", "x", "decimallongitude")

LAT_NAMES = ("lat", "latitude", "y", "decimallatitude")

GEOMETRY_NAMES = (".geo", "geometry", "geom", "wkt", "the_geom")
"""Columns of geometries: GeoJSON as Earth Engine writes it, WKT, or the WKB of GeoParquet."""

ONE_PLACE_DEG = 0.05
"""Rows of one id are of one plot: five kilometres apart they are of several."""

CLOUD_TEXTS = {"yes": 1, "no": 0, "cloud": 1, "cloudy": 1, "shadow": 1, "clear": 0, "cloudfree": 0}
"""Words in columns of clouds."""

CLEAR_SCL = (4, 5, 6)
"""Classes of Sen2Cor's scene classification that are clear: vegetation, bare, water; as in cubes."""


def find_column(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """The column of one of some names.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    names : tuple of str
        By ``plain_name``, the preferred one first.

    Returns
    -------
    str or None
        The first name of ``names`` that is there, as it stands in the table.
    """
    plain = {}
    for column in table.columns:
        plain.setdefault(plain_name(column).replace(":", ""), column)
    return next((plain[name] for name in names if name in plain), None)


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
    empty = (codes < 0) | (out == "")
    if empty.any():
        raise InputError(
            f"Got row {int(empty.argmax()) + 1} of {what} without a name in {column}, need one in each; fill it in."
        )
    return out


def _ids_of_places(table: pd.DataFrame, what: str) -> np.ndarray:
    """Labels (row,) by the place of each row, where no column names the series: what ``sampleRegions`` exports."""
    shape = next((name for name in GEOMETRY_NAMES if name in table), None)
    nowhere = dict.fromkeys(("lon", "lat"), np.full(len(table), np.nan))
    place = nowhere if shape is None else _places_of_geometries(table[shape])
    known = np.isfinite(place["lon"]) & np.isfinite(place["lat"])
    if not len(known) or not known.all():
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need one that names the series;"
            " add a column id."
        )
    pairs = pd.MultiIndex.from_arrays([np.round(place[axis], 7) for axis in ("lon", "lat")])
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
    column = find_column(table, DATE_NAMES)
    if (column is None or plain_name(column) == "day") and (dates := _dates_of_parts(table)) is not None:
        return text_cells.to_times(dates, what)
    if column is None:
        # One column per date and band is how Earth Engine and R reshape series.
        dated = [
            str(name) for name in table.columns if re.search(r"(19|20)\d\d[-_]?[01]\d[-_]?[0-3]\d", str(name))
        ]
        advice = "add a column date"
        if len(dated) > 1:
            advice = f"{dated[0]} has its date in its name, so reshape the table to one row per id and date"
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need dates; {advice}."
        )
    return text_cells.to_times(table[column], what)


def _dates_of_parts(table: pd.DataFrame) -> pd.Series | None:
    """Dates (row,) as text of columns of year and day of year, or of year, month and day; None without them."""
    year = find_column(table, ("year", "yr", "yyyy"))
    doy = find_column(table, ("doy", "dayofyear", "julianday", "yday"))
    month, day = (
        find_column(table, ("month", "mon", "mm")),
        find_column(table, ("day", "dom", "dayofmonth", "dd")),
    )
    if year is None or (doy is None and (month is None or day is None)):
        return None
    columns = [year, doy] if doy is not None else [year, month, day]
    texts = [table[name].astype(str).str.strip().str.removesuffix(".0") for name in columns]
    if doy is not None:
        return (texts[0] + texts[1].str.zfill(3)).rename(f"{year}, {doy}")
    return (texts[0] + texts[1].str.zfill(2) + texts[2].str.zfill(2)).rename(f"{year}, {month}, {day}")


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
    out = pd.DataFrame(_read_places(table, what), index=ids)
    out["lon"], wrapped = wrap_longitudes(out["lon"].to_numpy(), out["lat"].to_numpy())
    if wrapped:
        warnings.warn(
            f"{wrapped} longitudes of {what} are beyond 180: taken as degrees from 0 to 360.",
            DataWarning,
            stacklevel=3,
        )
    # Beyond these bounds the numbers are metres, or the two columns are swapped.
    wrong = (out["lat"].abs() > 90) | (out["lon"].abs() > 180)
    if wrong.any():
        at = int(wrong.to_numpy().argmax())
        swapped = abs(out["lon"].iloc[at]) <= 90 and abs(out["lat"].iloc[at]) <= 180
        raise InputError(
            f"Got lon {out['lon'].iloc[at]:g}, lat {out['lat'].iloc[at]:g} in {what}, need degrees; "
            + ("they look swapped: swap the columns." if swapped else "convert them.")
        )
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


def _read_places(table: pd.DataFrame, what: str) -> dict[str, np.ndarray]:
    """``lon``, ``lat`` (row,) of two columns of numbers or one of geometries; NaN without them."""
    lon, lat = find_column(table, LON_NAMES), find_column(table, LAT_NAMES)
    if lon is not None and lat is not None:
        return {
            "lon": text_cells.to_numbers(table[lon], what),
            "lat": text_cells.to_numbers(table[lat], what),
        }
    column = next((name for name in GEOMETRY_NAMES if name in table), None)
    if column is not None:
        return _places_of_geometries(table[column])
    return {"lon": np.full(len(table), np.nan), "lat": np.full(len(table), np.nan)}


def _places_of_geometries(column: pd.Series) -> dict[str, np.ndarray]:
    """Of points, and the middle of polygons, as GeoJSON, WKT or WKB; NaN where it is something else."""
    import shapely

    codes, unique = pd.factorize(column.map(lambda cell: cell if isinstance(cell, bytes) else str(cell)))
    places = np.full((len(unique), 2), np.nan)
    for at, one in enumerate(unique):
        if isinstance(one, bytes):
            shape = shapely.from_wkb(one, on_invalid="ignore")
        elif one.lstrip().startswith("{"):
            shape = shapely.from_geojson(one, on_invalid="ignore")
        else:
            # PostGIS writes the CRS before the text: SRID=4326;POINT (4.06 50.74).
            shape = shapely.from_wkt(re.sub(r"^SRID=4326;", "", one.strip()), on_invalid="ignore")
        if shape is not None and not shape.is_empty and not shape.geom_type.endswith("LineString"):
            places[at] = shape.centroid.x, shape.centroid.y
    return {"lon": places[codes, 0], "lat": places[codes, 1]}


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
        values = text_cells.to_numbers(table[column], what)
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
