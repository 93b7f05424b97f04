"""Series tables: acquisitions of single pixels, plots or sites without neighbours, one row per ``id`` and ``date``.

What people export from Earth Engine for their plots. Bands come under any of the usual names, as reflectance 0-1 or as
digital numbers 0-10000; VV and VH, in dB, come in a table of their own. Columns are read by
``series_columns`` and ``series_bands``. The file is long for the warnings that count each row left out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import text_cells, text_table
from fluxlens.embeddings.readers import weather_table, weather_units
from fluxlens.embeddings.readers.optical import SAME_IMAGE
from fluxlens.embeddings.readers.series_bands import to_backscatter, to_reflectance
from fluxlens.embeddings.readers.series_columns import (
    ID_NAMES,
    date_columns,
    is_clear,
    to_epoch_days,
    to_ids,
    to_orbits,
    to_places,
    to_utc_times,
)
from fluxlens.embeddings.readers.series_shapes import (
    to_one_row_per_date,
    to_one_row_per_pass,
    without_units_row,
)
from fluxlens.embeddings.readers.weather_header import check_stated_units, without_units_rows
from fluxlens.embeddings.readers.weather_shapes import to_one_column_per_variable
from fluxlens.embeddings.text_cells import find_column
from fluxlens.embeddings.units import Unit
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.sensors import SENSORS, SensorSpec


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
        for observations in self.sensors.values():
            np.minimum.at(first, observations.series, observations.day)
            np.maximum.at(last, observations.series, observations.day)
        return first, last


def read_series(
    s2: str | Path | pd.DataFrame | None, s1: str | Path | pd.DataFrame | None = None
) -> SeriesTable:
    """Read series of Sentinel-2 and Sentinel-1.

    Parameters
    ----------
    s2 : path or pandas.DataFrame or None
        Columns for ``id`` and ``date`` and bands B02 ... B12 under a usual name (B2, blue, B02_10m, nir, swir1, ...);
        optionally ``clear`` (or ``SCL``), ``lon``, ``lat`` or Earth Engine's ``.geo``; or one row per band, or one
        column per band and date, as of ``series_shapes``. Reflectance 0-1, or digital
        numbers 0-10000, which are converted with a ``DataWarning``.
    s1 : path or pandas.DataFrame or None
        Columns for ``id`` and ``date``, VV, VH in dB; linear power is converted with a ``DataWarning``.

    Returns
    -------
    SeriesTable
        Rows of one id and day averaged (counted in a ``DataWarning``); those not clear or without any valid band are
        left out.

    Raises
    ------
    InputError
        If a column is missing or holds what it cannot, or no row is usable.
    """
    if s2 is None and s1 is None:
        raise InputError("Got no table, need one of Sentinel-2 or Sentinel-1; give one.")
    sensor_rows: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}
    places: list[pd.DataFrame] = []
    words: dict[str, str] = {}
    if s2 is not None:
        table, what = _loaded(s2, "Sentinel-2 table")
        table = to_one_row_per_date(table, what)
        ids, times = to_ids(table, what), to_utc_times(table, what)
        values = to_reflectance(table, times.astype("datetime64[D]").astype(np.int64), what)
        # Sentinel-2 takes its images by day, on descending passes alone.
        orbits = np.full(len(ids), "")
        sensor_rows["s2"] = _usable(ids, times, values, orbits, SENSORS["s2"], is_clear(table, what), what)
        places.append(to_places(table, ids, what))
        words["s2"] = what
    if s1 is not None:
        table, what = _loaded(s1, "Sentinel-1 table")
        table = to_one_row_per_pass(to_one_row_per_date(table, what))
        ids, times = to_ids(table, what), to_utc_times(table, what)
        values = to_backscatter(table, what)
        orbits = to_orbits(table)
        sensor_rows["s1"] = _usable(ids, times, values, orbits, SENSORS["s1"], np.ones(len(ids), bool), what)
        places.append(to_places(table, ids, what))
        words["s1"] = what
    known = pd.unique(np.concatenate([rows[0] for rows in sensor_rows.values()]))
    if "s2" in sensor_rows and "s1" in sensor_rows:
        # Ids that match nowhere are the usual mistake with two tables; all or some is a refusal or a warning.
        _warn_unmatched(sensor_rows["s2"][0], sensor_rows["s1"][0])
    # The first place that any row of a series names; rows repeat it.
    place = pd.concat(places).groupby(level=0).first().reindex(known)
    position = pd.Index(known)
    sensors = {}
    for name, (ids, *rows) in sensor_rows.items():
        sensors[name] = _one_a_day(position.get_indexer(ids), *rows, words[name], SENSORS[name])
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
    ids, days = to_ids(rows, what), to_epoch_days(rows, what)
    if sensor not in table.sensors:
        raise InputError(f"Got {sensor} to hide, need one of {', '.join(table.sensors)}; hide one of those.")
    # -1 marks an id that the series table does not have.
    series = pd.Index(table.ids).get_indexer(ids)
    if (series < 0).any():
        unknown = list(dict.fromkeys(ids[series < 0]))
        raise InputError(
            f"Got {what} with {_some(unknown)}, need ids of the series table such as {table.ids[0]}; correct it."
        )
    observations = table.sensors[sensor]
    observed = pd.MultiIndex.from_arrays([observations.series, observations.day])
    # A row that is hidden must have been measured: else there is nothing to compare with.
    lost = ~pd.MultiIndex.from_arrays([series, days]).isin(observed)
    if lost.any():
        at = int(lost.argmax())
        raise InputError(
            f"Got {int(lost.sum())} rows of {what} without a clear acquisition in the table, the first {ids[at]},"
            f"{np.datetime64(int(days[at]), 'D')}, need dates of the table; remove them."
        )
    return pd.DataFrame({"id": ids, "series": series, "day": days})


def read_weather(
    weather: str | Path | pd.DataFrame | xr.Dataset | None,
) -> dict[str | None, xr.Dataset] | None:
    """Daily weather of all series (key None) or of each id.

    Parameters
    ----------
    weather : path, pandas.DataFrame, xarray.Dataset or None
        Columns ``time`` (or ``date``) and some of sw_in (W m-2), tair (degC), vpd (hPa), precip (mm d-1) under any name
        and in any unit that ``weather_table.open`` knows; with a column for the id, each series has its own.

    Returns
    -------
    dict or None
        Per id, or None for all, a dataset on ``time`` (days) in these units.

    Raises
    ------
    InputError
        If no such column is there, or its numbers cannot be in the unit they are taken for.
    """
    if weather is None:
        return None
    # Already in the units of the contract, as a scene holds it.
    if isinstance(weather, xr.Dataset):
        return {None: weather}
    is_text = not isinstance(weather, pd.DataFrame) and Path(weather).suffix.lower() not in text_table.PARQUET
    # A row of units is kept, since weather is converted by it.
    table, what = _loaded(weather, "weather table", has_units=True)
    keys = [find_column(table, ID_NAMES), *date_columns(table)]
    table = to_one_column_per_variable(
        table, [key for key in keys if key is not None], what, weather_table.find_columns
    )
    if find_column(table, ID_NAMES) is None:
        # The reader of scenes' weather: units, preambles and hourly rows. It reads a text file by itself.
        if is_text:
            return {None: weather_table.open(weather)}
        return {None: weather_table.read_frame(table, what)}
    table, columns = _weather_columns(table, what)
    ids, days = to_ids(table, what), to_epoch_days(table, what)
    values = _weather_of_contract(table, columns, days, what)
    out = _by_series(values, ids, days, what)
    _note_series_without(values, ids, what)
    return out


def _by_series(
    values: pd.DataFrame, ids: np.ndarray, days: np.ndarray, what: str
) -> dict[str | None, xr.Dataset]:
    """Weather (row, variable) of rows of some series and days as a dataset on ``time`` for each."""
    # Sorted once and cut into slices: a groupby takes a millisecond a series, half a minute for 10,000.
    codes, names = pd.factorize(ids)
    order = np.lexsort((days, codes))
    codes, days = codes[order], days[order]
    twice = (np.diff(codes) == 0) & (np.diff(days) == 0)
    if twice.any():
        of = codes[int(twice.argmax())]
        rows = days[codes == of]
        raise InputError(
            f"Got {what} with {len(rows)} rows of {names[of]} for {len(np.unique(rows))} days, need one a day; join"
            " them."
        )
    columns = {name: values[name].to_numpy(np.float32)[order] for name in values}
    time = days.astype("datetime64[D]").astype("datetime64[ns]")
    # Where the code changes a series begins; ``prepend`` makes the first row one.
    edges = np.append(np.flatnonzero(np.diff(codes, prepend=-1)), len(codes))
    return {
        str(name): xr.Dataset(
            {variable: ("time", column[begin:end]) for variable, column in columns.items()},
            {"time": time[begin:end]},
        )
        for name, begin, end in zip(names, edges[:-1], edges[1:], strict=True)
    }


def _note_series_without(values: pd.DataFrame, ids: np.ndarray, what: str) -> None:
    """One warning of series that lack a variable throughout, while others have it."""
    codes, names = pd.factorize(ids)
    notes = []
    for variable in values:
        count = np.bincount(codes[values[variable].notna().to_numpy()], minlength=len(names))
        if (count == 0).any():
            lost = [str(name) for name in names[count == 0]]
            notes.append(
                f"{len(lost)} of {len(names)} series have no value of {variable} in {what} ({_some(lost)})"
            )
    if notes:
        warnings.warn(f"{'; '.join(notes)}: GPP of those goes without it.", DataWarning, stacklevel=3)


def _weather_columns(
    table: pd.DataFrame, what: str
) -> tuple[pd.DataFrame, dict[str, tuple[str, Unit | None]]]:
    """Rows of data, and the column and the stated unit of each variable of weather."""
    lower = [str(column).strip().lower() for column in table.columns]
    names = dict(zip(lower, table.columns, strict=True))
    found = weather_table.find_columns(table.set_axis(lower, axis=1))
    columns = {variable: (names[column], unit) for variable, (column, unit) in found.items()}
    check_stated_units(what, columns)
    table, columns = without_units_rows(what, table, columns)
    # A row of dashes says no unit, and is no row.
    return without_units_row(table, what), columns


def _weather_of_contract(
    table: pd.DataFrame, columns: dict[str, tuple[str, Unit | None]], days: np.ndarray, what: str
) -> pd.DataFrame:
    """Columns sw_in, tair, vpd, precip (row) in the units of the contract, of a table with a row per id and day."""
    if not columns:
        raise InputError(
            f"Got {what} with {', '.join(map(str, table.columns))[:80]}, need sw_in in W m-2, tair in degC, vpd in hPa"
            " or precip in mm d-1; rename the columns."
        )
    numbers = {name: text_cells.to_numbers(table[column], what) for name, (column, _) in columns.items()}
    values = pd.DataFrame(numbers).apply(weather_table.without_no_data)
    notes: list[str] = []
    values = weather_table.without_empty(values, columns, what, notes)
    for name in values:
        unit = columns[name][1]
        if unit is not None:
            values[name] = unit.convert(values[name])
    # All ids together: a table has one unit, and days of many places tell it better than those of one.
    daily = values.groupby(days.astype("datetime64[D]").astype("datetime64[ns]")).mean()
    weather_units.check_units(daily, columns, what, notes)
    if notes:
        warnings.warn(f"{what}: {'; '.join(notes)}.", DataWarning, stacklevel=3)
    return values


def _loaded(table: str | Path | pd.DataFrame, what: str, has_units: bool = False) -> tuple[pd.DataFrame, str]:
    """The rows, with a row of units only where asked for, and the table in words."""
    if isinstance(table, pd.DataFrame):
        return text_table.with_index(table), f"the {what}"
    name = f"the {what} {Path(table).name}"
    rows = text_table.read_table(table, what)
    return rows if has_units else without_units_row(rows, name), name


def _usable(
    ids: np.ndarray,
    times: np.ndarray,
    values: np.ndarray,
    orbits: np.ndarray,
    spec: SensorSpec,
    clear: np.ndarray,
    what: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are clear and have a valid band; the others counted in a warning, unless called not clear."""
    low, high = spec.valid_range
    # Out of the sensor's physical range a number is a fill value or an artefact.
    outside = np.isfinite(values) & ((values < low) | (values > high))
    values = np.where(outside, np.nan, values).astype(np.float32)
    known = np.isfinite(values).any(1)
    keep = known & clear
    notes = []
    if (lost := int((clear & ~known).sum())) and keep.any():
        notes.append(
            f"{lost} of {len(ids)} rows of {what} have no band within {low:g} to {high:g}, or 0 in all bands: left out."
        )
    # Rows that keep other bands: only these values are missing.
    if (count := int(outside[keep].sum())) and keep.any():
        rows = int(outside[keep].any(axis=1).sum())
        notes.append(
            f"{count} values in {rows} of {len(ids)} rows of {what} lie outside {low:g} to {high:g}: taken as missing."
        )
    if notes:
        warnings.warn(" ".join(notes), DataWarning, stacklevel=3)
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
    return ids[keep], times[keep], values[keep], orbits[keep]


def _warn_unmatched(s2: np.ndarray, s1: np.ndarray) -> None:
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


def _one_a_day(
    series: np.ndarray, times: np.ndarray, values: np.ndarray, orbits: np.ndarray, what: str, spec: SensorSpec
) -> Observations:
    """Sorted; rows of one image, and of one series and day, become their mean, as in cubes; a warning counts them.

    Of radar the mean is that of the power: the mean of decibels is lower, by 0.3 dB where two passes differ by 3.
    ``orbits`` (row,) str names the direction of flight, empty where unknown: passes of two on one day are counted.
    """
    # By series, then by time: all later steps take a series as a slice.
    order = np.lexsort((times, series))
    series, times, values, orbits = series[order], times[order], values[order], orbits[order]
    day = times.astype("datetime64[D]").astype(np.int64)
    other_series = np.ones(len(day), bool)
    other_series[1:] = series[1:] != series[:-1]
    # Granules of one image are seconds apart. East of Australia such seconds lie on both sides of midnight UTC: the
    # image has the day on which it began.
    image = other_series.copy()
    image[1:] |= np.diff(times) > SAME_IMAGE
    day = day[np.maximum.accumulate(np.where(image, np.arange(len(day)), 0))]
    new = other_series.copy()
    new[1:] |= day[1:] != day[:-1]
    if not new.all():
        again = ~new
        identical = int((again[1:] & ((values[1:] == values[:-1]) | np.isnan(values[1:])).all(axis=1)).sum())
        how = "averaged as power" if spec.unit == "dB" else "averaged"
        # Beside the row before, of the same day: another direction of flight, or hours later.
        is_known = (orbits[1:] != "") & (orbits[:-1] != "")
        is_other = (is_known & (orbits[1:] != orbits[:-1])) | (np.diff(times) > SAME_IMAGE)
        other = int((again[1:] & is_other).sum()) if spec.unit == "dB" else 0
        passes = f", {other} of another pass" if other else ""
        warnings.warn(
            f"{int(again.sum())} of {len(day)} rows of {what} are of a series and day that another row has"
            f" ({identical} of them alike{passes}): {how}{', as in cubes' if other else ''}.",
            DataWarning,
            stacklevel=3,
        )
        start = np.flatnonzero(new)
        known = np.isfinite(values)
        # Means per series and day in one pass; a loop over groups would take minutes.
        amount = 10 ** (values.astype(np.float64) / 10) if spec.unit == "dB" else values
        total = np.add.reduceat(np.where(known, amount, 0), start, axis=0, dtype=np.float64)
        count = np.add.reduceat(known, start, axis=0, dtype=np.int64)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        if spec.unit == "dB":
            # Rows alone on their day keep their bits.
            alone = np.diff(np.append(start, len(new))) == 1
            mean = np.where(alone[:, None], values[start], 10 * np.log10(mean))
        series, day, values = series[start], day[start], mean.astype(np.float32)
    return Observations(series, day, values)


def _some(names: list[str], at_most: int = 5) -> str:
    """The first few names, and how many there are."""
    return ", ".join(map(str, names[:at_most])) + (f", ... ({len(names)})" if len(names) > at_most else "")
