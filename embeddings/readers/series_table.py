"""Series tables: acquisitions of single pixels, plots or sites without neighbours, one row per ``id`` and ``date``.

What people export from Earth Engine for their plots. Bands come under any of the usual names, as reflectance 0-1 or as
digital numbers 0-10000; VV and VH, in dB, come in a table of their own.

Long on purpose: each kind of column (id, date, bands, mask, place, weather) is checked with its own sentence.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import text_table
from fluxlens.embeddings.text_table import plain_name
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.sensors import SENSORS, SensorSpec

ID_NAMES = (
    "id", "plot", "plotid", "parcel", "parcelid", "pointid", "site", "siteid", "sitename", "station", "fieldid",
    "field", "pixel", "pixelid", "name", "label", "featureid", "fid",
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
    "systemindex",
)

LON_NAMES = ("lon", "longitude", "long", "lng", "x", "decimallongitude")

LAT_NAMES = ("lat", "latitude", "y", "decimallatitude")

COMMON_BANDS = {
    "B02": ("blue",),
    "B03": ("green",),
    "B04": ("red",),
    "B05": ("re1", "rededge1", "rededge", "rededge705"),
    "B06": ("re2", "rededge2", "rededge740"),
    "B07": ("re3", "rededge3", "rededge783"),
    "B08": ("nir", "nir1", "nirbroad", "nir10m"),
    "B8A": ("nir08", "nir2", "nirnarrow", "narrownir", "rededge4", "re4", "nirn"),
    "B11": ("swir1", "swir16", "swir1610"),
    "B12": ("swir2", "swir22", "swir2190"),
}
"""Names in use beside B02 and B2, by ``plain_name``: Earth Engine's and STAC's (eo:common_name)."""

CLEAR_SCL = (4, 5, 6)
"""Classes of Sen2Cor's scene classification that are clear: vegetation, bare, water; as in cubes."""

REFLECTANCE_MAX_MEDIAN = 1.5
"""A series of reflectance 0-1 has a lower median, snow included; digital numbers have a higher one."""

DN_MIN_MEDIAN = 30.0

DN_PER_REFLECTANCE = 10_000.0

OFFSET_DN = 1000.0
"""Added to digital numbers by ESA since processing baseline 04.00 (2022-01-25); Earth Engine's S2_SR keeps it."""

OFFSET_FIRST_DAY = 19017
"""2022-01-25 in days since 1970-01-01."""

MIN_BANDS = 2
"""Bands below which a table is not taken for one of Sentinel-2."""


@dataclass(frozen=True)
class Observations:
    """Acquisitions of one sensor for all series, one per series and day, sorted by series and day."""

    series: np.ndarray
    """(n,) int64, position in ``SeriesTable.ids``."""
    day: np.ndarray
    """(n,) int64, days since 1970-01-01 UTC."""
    values: np.ndarray
    """(n, band) float32 in the sensor's unit, bands in the order of its spec; NaN = not measured."""

    def __post_init__(self) -> None:
        if not len(self.series) == len(self.day) == len(self.values):
            raise ValueError(
                f"Got {len(self.series)} series, {len(self.day)} days and {len(self.values)} spectra; give one of each."
            )

    def at(self, keep: np.ndarray) -> Observations:
        """Some of the acquisitions.

        Parameters
        ----------
        keep : numpy.ndarray
            (n,) bool, or positions.
        """
        return Observations(self.series[keep], self.day[keep], self.values[keep])


@dataclass(frozen=True)
class SeriesTable:
    """Series of one or more sensors by id."""

    ids: np.ndarray
    """(series,) str, in the order in which they first appear."""
    sensors: dict[str, Observations]
    lon: np.ndarray
    """(series,) float64 degrees, NaN where not given."""
    lat: np.ndarray

    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last day (series,) int64 with an acquisition of any sensor."""
        first = np.full(len(self.ids), np.iinfo(np.int64).max)
        last = np.full(len(self.ids), np.iinfo(np.int64).min)
        for seen in self.sensors.values():
            np.minimum.at(first, seen.series, seen.day)
            np.maximum.at(last, seen.series, seen.day)
        return first, last


def read_series(
    s2: str | Path | pd.DataFrame | None, s1: str | Path | pd.DataFrame | None = None
) -> SeriesTable:
    """Read series of Sentinel-2 and Sentinel-1.

    Parameters
    ----------
    s2 : path or pandas.DataFrame or None
        Columns for ``id`` and ``date`` and bands B02 ... B12 under a usual name (B2, blue, B02_10m, nir, swir1, ...);
        optionally ``clear`` (or ``SCL``), ``lon``, ``lat`` or Earth Engine's ``.geo``. Reflectance 0-1, or digital
        numbers 0-10000, which are converted with a ``DataWarning``.
    s1 : path or pandas.DataFrame or None
        Columns for ``id`` and ``date``, VV, VH in dB; linear power is converted with a ``DataWarning``.

    Returns
    -------
    SeriesTable
        Rows of one id and day averaged, those not clear or without any valid band left out.

    Raises
    ------
    InputError
        If a column is missing or holds what it cannot, or no row is usable.
    """
    if s2 is None and s1 is None:
        raise InputError("Got no table, need one of Sentinel-2 or Sentinel-1; give one.")
    parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    places: list[pd.DataFrame] = []
    if s2 is not None:
        table, what = _loaded(s2, "Sentinel-2 table")
        ids, days = _ids(table, what), _dates(table, what)
        values = _reflectance(table, days, what)
        keep = _clear(table, what)
        parts["s2"] = _usable(ids, days, values, SENSORS["s2"], keep, what)
        places.append(_places(table, ids, what))
    if s1 is not None:
        table, what = _loaded(s1, "Sentinel-1 table")
        ids, days = _ids(table, what), _dates(table, what)
        values = _backscatter(table, what)
        parts["s1"] = _usable(ids, days, values, SENSORS["s1"], np.ones(len(ids), bool), what)
        places.append(_places(table, ids, what))
    known = pd.unique(np.concatenate([part[0] for part in parts.values()]))
    if "s2" in parts and "s1" in parts:
        # Ids that match nowhere are the usual mistake with two tables; all or some is a refusal or a warning.
        _tell_unmatched(parts["s2"][0], parts["s1"][0])
    # The first place that any row of a series names; rows repeat it.
    place = pd.concat(places).groupby(level=0).first().reindex(known)
    position = pd.Index(known)
    sensors = {}
    for name, (ids, days, values) in parts.items():
        sensors[name] = _one_a_day(position.get_indexer(ids), days, values)
    return SeriesTable(known.astype(str), sensors, place["lon"].to_numpy(float), place["lat"].to_numpy(float))


def read_hidden(hide: str | Path | pd.DataFrame, table: SeriesTable, sensor: str = "s2") -> pd.DataFrame:
    """Which acquisitions are not shown: rows ``id``, ``date`` of a table.

    Parameters
    ----------
    hide : path or pandas.DataFrame
        Columns for ``id`` and ``date``.
    table : SeriesTable
        The series of which acquisitions are hidden.
    sensor : str
        ``s2`` or ``s1``.

    Returns
    -------
    pandas.DataFrame
        ``id`` (str), ``series`` (position in ``table.ids``), ``day`` (days since 1970), a row per row of ``hide``.

    Raises
    ------
    InputError
        If an id is not in the table, or the id has no acquisition of the sensor on the day.
    """
    rows, what = _loaded(hide, "table of hidden dates")
    if rows.empty:
        raise InputError(f"Got {what} without rows, need id,date; add one.")
    ids, days = _ids(rows, what), _dates(rows, what)
    if sensor not in table.sensors:
        raise InputError(f"Got {sensor} to hide, need one of {', '.join(table.sensors)}; hide one of those.")
    # -1 marks an id that the series table does not have.
    series = pd.Index(table.ids).get_indexer(ids)
    if (series < 0).any():
        strange = list(dict.fromkeys(ids[series < 0]))
        raise InputError(
            f"Got {what} with {_some(strange)}, need ids of the series table such as {table.ids[0]}; correct it."
        )
    seen = table.sensors[sensor]
    there = pd.MultiIndex.from_arrays([seen.series, seen.day])
    # A row that is hidden must have been measured: else there is nothing to compare with.
    lost = ~pd.MultiIndex.from_arrays([series, days]).isin(there)
    if lost.any():
        at = int(lost.argmax())
        raise InputError(
            f"Got {int(lost.sum())} rows of {what} without a clear acquisition in the table, the first {ids[at]},"
            f"{np.datetime64(int(days[at]), 'D')}, need dates of the table; remove them."
        )
    return pd.DataFrame({"id": ids, "series": series, "day": days})


def band_columns(columns: list[str], what: str = "the table") -> dict[str, str]:
    """Which column holds which band of Sentinel-2.

    Parameters
    ----------
    columns : list of str
        Column names as they stand in a table.
    what : str
        The table in words, for messages.

    Returns
    -------
    dict of str to str
        Band (B02 ... B12) to column.

    Raises
    ------
    InputError
        If two columns are one band, or the numbers could be Landsat's.
    """
    found: dict[str, str] = {}
    for column in columns:
        # Reducers of Earth Engine and resolutions of Sentinel Hub stand behind the band's name.
        plain = plain_name(re.sub(r"(?i)[_ ]?(mean|median|first|(10|20|60)m)$", "", str(column).strip()))
        plain = plain.removeprefix("sr").removeprefix("s2")
        number = re.fullmatch(r"b(?:and)?0?(\d{1,2}|8a)", plain)
        band = f"B{number.group(1).upper().zfill(2)}" if number else ""
        if not number:
            band = next((key for key, names in COMMON_BANDS.items() if plain in names), "")
        if band not in COMMON_BANDS:
            continue
        # Two columns of one band, such as B4 and red: choosing one would be a guess.
        if band in found:
            raise InputError(
                f"Got {what} with {found[band]} and {column}, which are both {band}, need one; remove the other."
            )
        found[band] = str(column)
    by_number = {
        band for band, column in found.items() if re.search(r"\d$", column) and "swir" not in column.lower()
    }
    # b2 ... b7 alone are the bands of harmonised Landsat and Sentinel-2 tables as well, whose b5 is near infrared
    if by_number == set(found) and found and not set(found) & {"B08", "B8A", "B11", "B12"} and "B05" in found:
        raise InputError(
            f"Got {what} with {', '.join(found.values())} alone, whose b5 is red edge in Sentinel-2 and near infrared"
            " in Landsat, need names that tell them apart; rename the columns to B02 ... B12 or blue ... swir2."
        )
    return found


def read_weather(
    weather: str | Path | pd.DataFrame | xr.Dataset | None,
) -> dict[str | None, xr.Dataset] | None:
    """Daily weather of all series (key None) or of each id.

    Parameters
    ----------
    weather : path, pandas.DataFrame, xarray.Dataset or None
        Columns ``time`` (or ``date``) and some of sw_in (W m-2), tair (degC), vpd (hPa), precip (mm d-1); with a column
        for the id, each series has its own.

    Returns
    -------
    dict or None
        Per id, or None for all, a dataset on ``time`` (days) in these units.

    Raises
    ------
    InputError
        If no such column is there.
    """
    if weather is None:
        return None
    # Already in the units of the contract, as a scene holds it.
    if isinstance(weather, xr.Dataset):
        return {None: weather}
    if not isinstance(weather, pd.DataFrame) and Path(weather).suffix.lower() == ".csv":
        table = text_table.read_table(weather, "weather table")
        # Without ids the file is a weather table like any other, units and all.
        if _column(table, ID_NAMES) is None:
            from fluxlens.embeddings.readers import weather_table

            # the reader of scenes' weather checks the units
            return {None: weather_table.open(weather)}
    table, what = _loaded(weather, "weather table")
    names = [name for name in ("sw_in", "tair", "vpd", "precip") if name in table]
    if not names:
        raise InputError(
            f"Got {what} with {', '.join(map(str, table.columns))[:80]}, need sw_in in W m-2, tair in degC, vpd in hPa"
            " or precip in mm d-1; rename the columns."
        )
    days = _dates(table, what)
    own = _column(table, ID_NAMES)
    ids = _ids(table, what) if own else np.full(len(table), "")
    values = pd.DataFrame({name: text_table.to_numbers(table[name], what) for name in names})
    out: dict[str | None, xr.Dataset] = {}
    for one, rows in values.groupby(ids, sort=False):
        time = days[rows.index].astype("datetime64[D]").astype("datetime64[ns]")
        node = xr.Dataset({name: ("time", rows[name].to_numpy(np.float32)) for name in names}, {"time": time})
        if len(np.unique(time)) < len(time):
            raise InputError(
                f"Got {what} with {len(time)} rows for {len(np.unique(time))} days, need one a day; join them."
            )
        out[str(one) if own else None] = node.sortby("time")
    return out


def _loaded(table: str | Path | pd.DataFrame, what: str) -> tuple[pd.DataFrame, str]:
    """The rows, and the table in words."""
    if isinstance(table, pd.DataFrame):
        named = [name for name in table.index.names if name is not None]
        return (table.reset_index(named) if named else table.reset_index(drop=True)), f"the {what}"
    return text_table.read_table(table, what), f"the {what} {Path(table).name}"


def _column(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """The first column of one of these names."""
    plain = {}
    for column in table.columns:
        plain.setdefault(plain_name(column).replace(":", ""), column)
    return next((plain[name] for name in names if name in plain), None)


def _ids(table: pd.DataFrame, what: str) -> np.ndarray:
    column = _column(table, ID_NAMES)
    if column is None:
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need one that names the series;"
            " add a column id."
        )
    # Each name is cleaned once, not once per row: tables have millions of rows.
    codes, unique = pd.factorize(table[column])
    # 12.0 of a column of numbers with gaps is the id 12
    if pd.api.types.is_float_dtype(table[column].dtype) and (unique == np.floor(unique)).all():
        unique = unique.astype(np.int64)
    names = np.array([str(one).strip() for one in unique], dtype=object)
    out = names[codes] if len(names) else np.empty(0, object)
    empty = (codes < 0) | (out == "")
    if empty.any():
        raise InputError(
            f"Got row {int(empty.argmax()) + 1} of {what} without a name in {column}, need one in each; fill it in."
        )
    return out


def _dates(table: pd.DataFrame, what: str) -> np.ndarray:
    column = _column(table, DATE_NAMES)
    if column is None:
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need dates; add a column date."
        )
    return text_table.to_days(table[column], what)


def _places(table: pd.DataFrame, ids: np.ndarray, what: str) -> pd.DataFrame:
    """Longitude and latitude by id, NaN where not given."""
    lon, lat = _column(table, LON_NAMES), _column(table, LAT_NAMES)
    if lon is not None and lat is not None:
        place = {
            "lon": text_table.to_numbers(table[lon], what),
            "lat": text_table.to_numbers(table[lat], what),
        }
    # Earth Engine writes a GeoJSON geometry in this column instead of two numbers.
    elif ".geo" in table:
        place = _places_of_geo(table[".geo"])
    else:
        place = {"lon": np.full(len(ids), np.nan), "lat": np.full(len(ids), np.nan)}
    out = pd.DataFrame(place, index=ids)
    # Beyond these bounds the numbers are metres, or the two columns are swapped.
    wrong = (out["lat"].abs() > 90) | (out["lon"].abs() > 180)
    if wrong.any():
        at = int(wrong.to_numpy().argmax())
        swapped = abs(out["lon"].iloc[at]) <= 90 and abs(out["lat"].iloc[at]) <= 180
        raise InputError(
            f"Got lon {out['lon'].iloc[at]:g}, lat {out['lat'].iloc[at]:g} in {what}, need degrees; "
            + ("they look swapped: swap the columns." if swapped else "convert them.")
        )
    return out


def _places_of_geo(column: pd.Series) -> dict[str, np.ndarray]:
    """Of Earth Engine's GeoJSON points; NaN where it is something else."""
    codes, unique = pd.factorize(column.astype(str))
    places = np.full((len(unique), 2), np.nan)
    for at, text in enumerate(unique):
        try:
            found = json.loads(text)
            if found["type"] == "Point":
                places[at] = found["coordinates"][:2]
        except (ValueError, KeyError, TypeError):
            continue
    return {"lon": places[codes, 0], "lat": places[codes, 1]}


def _reflectance(table: pd.DataFrame, days: np.ndarray, what: str) -> np.ndarray:
    """(row, band) reflectance in the order of the sensor's bands, NaN where not measured."""
    spec = SENSORS["s2"]
    columns = band_columns([str(name) for name in table.columns], what)
    if len(columns) < MIN_BANDS:
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need bands of Sentinel-2 under a"
            " usual name (B02 ... B12, B2, blue ... swir2); rename them."
        )
    values = np.full((len(table), len(spec.bands)), np.nan)
    for band, column in columns.items():
        values[:, spec.bands.index(band)] = text_table.to_numbers(table[column], what)
    if not np.isfinite(values).any():
        raise InputError(
            f"Got {what} without a single number in its bands, need reflectance 0-1; check the file."
        )
    # The median decides on the unit: snow and clouds reach beyond 1 as reflectance, dark water to 100 as numbers.
    middle = float(np.nanmedian(values))
    if middle <= REFLECTANCE_MAX_MEDIAN:
        return values
    if middle < DN_MIN_MEDIAN:
        raise InputError(
            f"Got bands of {middle:.3g} at the median in {what}, neither reflectance 0-1 nor digital numbers 0-10000,"
            " need one of them; if they are percent, divide by 100."
        )
    # After the unit is known: zero is a valid reflectance, but no digital number.
    values[values == 0] = np.nan  # no data in the products
    words = f"divided by {DN_PER_REFLECTANCE:g}"
    # The offset of newer processing shows: no clear land is darker than 0.1 in blue on all of a table's dates.
    newer = days >= OFFSET_FIRST_DAY
    visible = values[:, [spec.bands.index(band) for band in ("B02", "B03", "B04")]]
    seen = visible[newer][np.isfinite(visible[newer])]
    if len(seen) and np.percentile(seen, 1) >= OFFSET_DN:
        values[newer] -= OFFSET_DN
        words += (
            f" after {OFFSET_DN:g} were taken off the dates from 2022-01-25 on (processing baseline 04.00)"
        )
    warnings.warn(
        f"Got digital numbers ({middle:.0f} at the median) in {what}: {words}.", DataWarning, stacklevel=3
    )
    return values / DN_PER_REFLECTANCE


def _backscatter(table: pd.DataFrame, what: str) -> np.ndarray:
    """(row, band) VV and VH in dB, NaN where not measured."""
    spec = SENSORS["s1"]
    plain = {}
    for column in table.columns:
        # Products name the polarisation with the quantity: VV_gamma0_dB, Sigma0_VH.
        name = re.sub(r"(gamma0?|sigma0?|s1|db|mean)", "", plain_name(column))
        if name in ("vv", "vh"):
            plain.setdefault(name.upper(), column)
    if not plain:
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need VV, VH in dB; rename them."
        )
    values = np.full((len(table), len(spec.bands)), np.nan)
    for band, column in plain.items():
        values[:, spec.bands.index(band)] = text_table.to_numbers(table[column], what)
    if not np.isfinite(values).any():
        raise InputError(f"Got {what} without a single number in VV and VH, need dB; check the file.")
    middle = float(np.nanmedian(values))
    if 0 <= middle < 2:
        warnings.warn(
            f"Got VV, VH of {middle:.3g} at the median in {what}, which are linear power: converted to dB.",
            DataWarning,
            stacklevel=3,
        )
        # Noise subtraction leaves powers of zero or less, which have no decibel.
        return 10 * np.log10(np.where(values > 0, values, np.nan))
    low, high = spec.valid_range
    if not low < middle < 0:
        raise InputError(
            f"Got VV, VH of {middle:.4g} at the median in {what}, need dB (about -5 to -25 over land); convert them."
        )
    return np.where((values >= low) & (values <= high), values, np.nan)


def _clear(table: pd.DataFrame, what: str) -> np.ndarray:
    """Which rows are clear: by a column ``clear`` or ``SCL``, else all."""
    column = _column(table, ("clear",))
    if column is not None:
        values = text_table.to_numbers(table[column], what)
        strange = np.isfinite(values) & (values != 0) & (values != 1)
        if strange.any():
            raise InputError(
                f"Got {values[strange][0]:g} in the column {column} of {what}, need 1 (clear) or 0; correct it."
            )
        return values == 1
    # Sen2Cor's classes: vegetation, bare ground, water.
    column = _column(table, ("scl",))
    if column is not None:
        return np.isin(text_table.to_numbers(table[column], what), CLEAR_SCL)
    return np.ones(len(table), bool)


def _usable(
    ids: np.ndarray, days: np.ndarray, values: np.ndarray, spec: SensorSpec, clear: np.ndarray, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are clear and have a valid band; the others counted in a warning, unless called not clear."""
    low, high = spec.valid_range
    # Out of the sensor's physical range a number is a fill value or an artefact.
    values = np.where((values >= low) & (values <= high), values, np.nan).astype(np.float32)
    known = np.isfinite(values).any(1)
    keep = known & clear
    if (lost := int((clear & ~known).sum())) and keep.any():
        warnings.warn(
            f"{lost} of {len(ids)} rows of {what} have no band within {low:g} to {high:g}: left out.",
            DataWarning,
            stacklevel=3,
        )
    if not keep.any():
        raise InputError(
            f"Got {what} with {len(ids)} rows none clear with a valid band, need one; check clear and units."
        )
    # A plot that is clouded on all dates leaves no row in the output, so it is named here.
    # By hash: numpy compares texts with every known id in turn, minutes for 10,000 series.
    gone = pd.Index(ids).unique().difference(pd.Index(ids[keep]), sort=False)
    if len(gone):
        warnings.warn(
            f"{len(gone)} series of {what} have no usable row: left out ({_some(list(gone))}).",
            DataWarning,
            stacklevel=3,
        )
    return ids[keep], days[keep], values[keep]


def _tell_unmatched(s2: np.ndarray, s1: np.ndarray) -> None:
    """Warn of ids that only one of the tables has; raise where they share none."""
    s2, s1 = pd.unique(s2), pd.unique(s1)
    alone = list(s1[~pd.Index(s1).isin(s2)])
    if len(alone) == len(s1):
        raise InputError(
            f"Got the ids {_some(list(s2))} of Sentinel-2 and {_some(alone)} of Sentinel-1, which share none, need the"
            " same names; rename them."
        )
    if alone:
        warnings.warn(
            f"{len(alone)} series are in the Sentinel-1 table alone ({_some(alone)}): embedded without Sentinel-2.",
            DataWarning,
            stacklevel=3,
        )


def _one_a_day(series: np.ndarray, day: np.ndarray, values: np.ndarray) -> Observations:
    """Sorted; rows of one series and day become their mean, as acquisitions of one day do in cubes."""
    # By series, then by day: all later steps take a series as a slice.
    order = np.lexsort((day, series))
    series, day, values = series[order], day[order], values[order]
    new = np.ones(len(day), bool)
    new[1:] = (series[1:] != series[:-1]) | (day[1:] != day[:-1])
    if not new.all():
        start = np.flatnonzero(new)
        known = np.isfinite(values)
        # Means per series and day in one pass; a loop over groups would take minutes.
        total = np.add.reduceat(np.where(known, values, 0), start, axis=0, dtype=np.float64)
        count = np.add.reduceat(known, start, axis=0, dtype=np.int64)
        values = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
        series, day = series[start], day[start]
    return Observations(series, day, values)


def _some(names: list[str], at_most: int = 5) -> str:
    """The first few names, and how many there are."""
    return ", ".join(map(str, names[:at_most])) + (f", ... ({len(names)})" if len(names) > at_most else "")
