"""A user's table of weather as the node of a scene: daily, or hourly and half-hourly rows made daily.

Read are plain tables, tables of one row per variable, NASA POWER's point files, FLUXNET files (``SW_IN_F``, ``TA_F``,
``VPD_F``, ``P_F``) and exports of Open-Meteo and ERA5. Units come from the column name (``vpd_kPa``, ``precip (m)``),
from the file's header, or are those of the contract; values without a unit must be plausible over the season. The file
is long for the names of columns in use and for what is told of each step from text to days, which has no other reader.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import clocks, meteorology, named_zones
from fluxlens.embeddings.date_columns import find_parts
from fluxlens.embeddings.readers import weather_units
from fluxlens.embeddings.readers.weather_header import check_stated_units, is_of_logger, without_units_rows
from fluxlens.embeddings.readers.weather_shapes import to_one_column_per_variable
from fluxlens.embeddings.readers.weather_stamps import TIMES, find_time_columns, parse_stamps
from fluxlens.embeddings.scenes import schema, validation
from fluxlens.embeddings.text_cells import is_missing, is_missing_weather
from fluxlens.embeddings.text_table import Table, read_text_table
from fluxlens.embeddings.units import DAY_S, Unit, parse_unit
from fluxlens.models.errors import DataWarning, InputError

PLACE_OF_SENSOR = re.compile(r"(_pi)?(_f)?(_\d+_\d+_(\d+|a))$|_pi(_f)?$|_(avg|tot|smp)$")
"""Ends of names in AmeriFlux BASE and EddyPro's biomet files, and in tables of Campbell's loggers."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "sw_in": (
        "sw_in", "sw_in_f", "sw_in_f_mds", "sw_in_era", "shortwave_radiation_sum", "shortwave_radiation",
        "surface_solar_radiation_downwards",
        "surface_solar_radiation_downwards_sum", "ssrd", "ssrd_sum", "rsds", "swdown", "allsky_sfc_sw_dwn",
        "surface_solar_radiation_downwards_hourly",
        "solar_radiation_flux", "solar_radiation", "global_radiation", "globalstrahlung", "srad", "swin", "rg", "rg_f",
        "rs", "ghi", "qq", "slrw", "slrkw", "slrmj",
    ),
    "tair": (
        "tair", "ta_f", "ta_f_mds", "ta", "ta_era", "t2m", "t2m_mean", "temperature_2m_mean", "temperature_2m",
        "2m_temperature", "mean_2m_air_temperature",
        "temperature_air", "temperature_mean", "mean_temperature", "air_temperature", "temperature",
        "tavg", "tmean", "tmed", "temp", "tas", "tair_f", "tg", "tmk", "lufttemperatur", "airtc", "airtf",
    ),
    "vpd": ("vpd", "vpd_f", "vpd_f_mds", "vpd_era", "vapour_pressure_deficit", "vapor_pressure_deficit", "vpd_mean"),
    "precip": (
        "precip", "p_f", "p", "p_era", "precipitation_sum", "precipitation", "precipitation_flux", "prectotcorr",
        "prectot", "total_precipitation", "total_precipitation_sum", "tp", "tp_sum", "rainfall",
        "rain_sum", "rain", "pr", "total_precipitation_hourly", "prcp", "prec", "rr", "rsk", "niederschlag",
        "p_rain",
    ),
}  # fmt: skip
"""Column names of each variable (lower case), the preferred first. Names that end in a unit are found as well."""

KNOWN_UNITS = {
    "shortwave_radiation_sum": "MJ m-2 d-1",
    "allsky_sfc_sw_dwn": "MJ m-2 d-1",
    "ssrd": "J m-2", "ssrd_sum": "J m-2",
    "surface_solar_radiation_downwards": "J m-2", "surface_solar_radiation_downwards_sum": "J m-2",
    "surface_solar_radiation_downwards_hourly": "J m-2", "total_precipitation_hourly": "m",
    "t2m_era": "K",
    "slrkw": "kW m-2", "slrmj": "MJ m-2", "airtf": "degF",
    "tp": "m", "tp_sum": "m", "total_precipitation": "m", "total_precipitation_sum": "m",
    "pr": "kg m-2 s-1", "tas": "K",
}  # fmt: skip
"""Units of names that belong to one product; a unit in the file wins, and the values decide whether it can be so."""


PRODUCT_TEMPERATURES = (
    "temperature_2m",
    "t2m",
    "temperature_2m_mean",
    "2m_temperature",
    "mean_2m_air_temperature",
)
"""Names of ERA5's air temperature, which Earth Engine and the Climate Data Store give in K."""

MIN_KELVIN = 150.0

EXTREMES = (("tmmx", "tmmn"), ("tmax", "tmin"), ("tasmax", "tasmin"), ("t2m_max", "t2m_min"),
            ("temperature_2m_max", "temperature_2m_min"), ("maximum temperature", "minimum temperature"),
            ("maximum_temperature", "minimum_temperature"), ("temp_max", "temp_min"), ("max_temp", "min_temp"),
            ("tx", "tn"), ("ta_max", "ta_min"))  # fmt: skip
"""Names of a day's highest and lowest temperature, whose middle stands for the mean: gridMET, Daymet, CMIP, POWER."""

DEW_POINTS = (
    "dewpoint_temperature_2m",
    "d2m",
    "dew_point_2m",
    "dewpoint",
    "dew_point",
    "2m_dewpoint_temperature",
    "tdew",
    "t2mdew",
)

HUMIDITIES = ("relative_humidity_2m", "rh2m", "relative_humidity", "rh", "hurs", "hu", "upm", "rh_mean")


def open(path: str | Path) -> xr.Dataset:
    """Daily weather of a table.

    Parameters
    ----------
    path
        A delimited text with a column of dates (or year, month, day) and some of the columns in ``COLUMNS``.

    Returns
    -------
    xarray.Dataset
        Some of ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa and ``precip`` mm d-1, float32 on daily ``time``.

    Raises
    ------
    InputError
        No known column, a cell that is no number or no date, two rows of one day, rows more than a day apart
        throughout, or values that cannot be in the unit of the contract.

    Warns
    -----
    DataWarning
        Incomplete days, or dates moved from UTC stamps of local midnight.
    """
    try:
        table = read_text_table(path)
    except InputError as error:
        if "a workbook" in str(error):
            raise
        raise InputError(f"Got {path}, which is no table, need a CSV of daily weather; {error}") from error
    # Lines above a second header, such as Open-Meteo's, have cells of their own.
    if find_time_columns(table.frame.rename(columns=lambda name: str(name).strip().lower())):
        table.check_rows(f"the weather table {Path(path).name}")
    return read_frame(table, Path(path).name)


def read_frame(table: Table | pd.DataFrame, name: str) -> xr.Dataset:
    """Daily weather of a table in memory; as ``open``.

    Parameters
    ----------
    table
        Rows as text, or a DataFrame with numbers and dates (row, column).
    name
        What messages call it.

    Returns
    -------
    xarray.Dataset
        As of ``open``: ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa, ``precip`` mm d-1 on ``time``.
    """
    if isinstance(table, pd.DataFrame):
        # One path for files and frames: numbers as text read back as the same numbers.
        table = Table(table.reset_index(drop=True).astype(str), "utf-8", ",", ".")
    frame = _below_preamble(table.frame)
    # The same name in capitals and small letters is one name: FLUXNET writes TA_F, users write ta_f.
    frame.columns = [str(column).strip().lower() for column in frame.columns]
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(
            f"Got {name} with two columns called {twice[0]}, need each once; remove or rename one."
        )
    # Units may stand in the header, in a column's name or in lines above the table; Campbell loggers and flux software
    # put them into the first row, which has to go before anything is known by its cells.
    columns = find_columns(frame, table.preamble)
    frame, columns = without_units_rows(name, frame, columns)
    check_stated_units(name, columns)
    # One column of dates, or several that make one together.
    stamp = find_time_columns(frame)
    if stamp and not columns:
        frame = to_one_column_per_variable(frame, stamp, name, find_columns)
        frame.columns = [str(column).lower() for column in frame.columns]
        columns = find_columns(frame, table.preamble)
    if not stamp or not (columns or _extremes(frame)):
        known = ", ".join(f"{one} in {schema.units('weather', one)}" for one in schema.WEATHER)
        raise InputError(
            f"Got {name} with columns {', '.join(frame.columns)[:80]}, need time and some of {known}; rename them."
        )
    frame, columns, notes = _with_derived(table, frame, columns)
    try:
        values = pd.DataFrame({one: _column(table, frame, column) for one, (column, _) in columns.items()})
        stamps, zone = parse_stamps(frame, stamp, name)
    except (InputError, ValueError, TypeError) as error:
        if "no date" in str(error) or "twice" in str(error):
            raise
        raise InputError(
            f"Got {name} with a value that is no number or no date, need daily rows; mend it ({error})."
        ) from error
    years = stamps.year
    if len(years) and not (years.min() >= 1800 and years.max() <= 2200):
        odd = int(years.min() if years.min() < 1800 else years.max())
        raise InputError(
            f"Got {name} with dates of the year {odd}, need dates from 1800 to 2200; correct them."
        )
    values = without_empty(values, columns, name, notes)
    is_end = stamp == ["timestamp_end"] or is_of_logger(table.frame)
    daily = _daily(values.set_axis(stamps), columns, zone, is_end, name, notes)
    # After days are formed: a sum of MJ per half-hour is not a sum of W m-2.
    for one, (_, unit) in columns.items():
        if unit is not None and one in daily:
            daily[one] = unit.convert(daily[one])
    weather_units.check_units(daily, columns, name, notes)
    if notes:
        warnings.warn(f"{name}: {'; '.join(notes)}.", DataWarning, stacklevel=2)
    node = xr.Dataset(
        {
            one: ("time", daily[one].values.astype("float32"), {"units": schema.units("weather", one)})
            for one in daily
        },
        coords={"time": pd.DatetimeIndex(daily.index).as_unit("ns").values},
        attrs={"source": name},
    )
    return validation.check_node(schema.NODES["weather"], node.sortby("time"))


def _bare_names(frame: pd.DataFrame) -> dict[str, str]:
    """Columns by their names without the unit in brackets."""
    return {re.sub(r"\s*[(\[].*", "", column): column for column in frame.columns}


def _celsius(values: np.ndarray) -> np.ndarray:
    """Temperatures (row,) in degC, of kelvin or degC by their size."""
    return values - 273.15 if np.nanmedian(values) > MIN_KELVIN else values


def _extremes(frame: pd.DataFrame) -> tuple[str, str] | None:
    """Columns of a day's highest and lowest temperature."""
    bare = _bare_names(frame)
    return next(((bare[high], bare[low]) for high, low in EXTREMES if high in bare and low in bare), None)


def _with_derived(
    table: Table, frame: pd.DataFrame, columns: dict[str, tuple[str, Unit | None]]
) -> tuple[pd.DataFrame, dict[str, tuple[str, Unit | None]], list[str]]:
    """Rows and columns with what Daymet and gridMET give in other terms, and notes on it.

    Daymet (Thornton et al. 2022) averages radiation over daylight, whose length in seconds stands beside, and gives
    the vapour pressure in Pa; both have the day's extremes of temperature and no mean.
    """
    frame, columns, notes = frame.copy(), dict(columns), []
    bare = _bare_names(frame)
    numbers = {}

    def read(column: str) -> np.ndarray:
        if column not in numbers:
            numbers[column] = _column(table, frame, column)
        return numbers[column]

    def put(variable: str, name: str, values: np.ndarray, unit: Unit) -> None:
        # Cells again, in the table's own decimal mark: all later steps read text.
        text = pd.Series(values, frame.index).astype(str).replace("nan", "")
        frame[name] = text.str.replace(".", table.decimal, regex=False)
        columns[variable] = (name, unit)

    if "tair" not in columns and (pair := _extremes(frame)):
        high, low = read(pair[0]), read(pair[1])
        # As FAO-56 (Allen et al. 1998, equation 9) has the daily mean.
        put("tair", "mean of extremes", _celsius((high + low) / 2), Unit(1.0))
        notes.append(f"tair is the middle of {pair[0]} and {pair[1]}")
    if {"dayl", "srad"} <= set(bare) and columns.get("sw_in", ("",))[0] == bare["srad"]:
        put("sw_in", "srad over 24 h", read(bare["srad"]) * read(bare["dayl"]) / DAY_S, Unit(1.0))
        notes.append("sw_in is srad, a mean over daylight, times dayl over a day")
    if {"dayl", "vp"} <= set(bare) and "vpd" not in columns and (pair := _extremes(frame)):
        high, low = (xr.DataArray(read(one)) for one in pair)
        # Pa to hPa.
        deficit = meteorology.vapour_pressure_deficit_hpa(high, low, xr.DataArray(read(bare["vp"]) / 100))
        put("vpd", "vpd of vp", deficit.values, Unit(1.0))
    # gridMET calls millimetres pr, as CMIP does kg m-2 s-1, whose days of rain are 1e-5 to 1e-3.
    if columns.get("precip", ("",))[0] == "pr" and np.nanmax(read("pr"), initial=0.0) > 0.05:
        columns["precip"] = ("pr", None)
    if "vpd" not in columns and "tair" in columns:
        _put_vpd(frame, bare, columns, read, put, notes)
    used = {*(column for column, _ in columns.values()), *named_zones.COLUMNS}
    lacking = [one for one in schema.WEATHER if one not in columns]
    words = re.compile(r"rad|rs$|sw|ssrd|par|ppfd|light|temp|^t[a-z]?$|vpd|hum|^rh|dew|rain|prec|prcp")
    unread = [one for one in frame.columns if one not in used and words.search(str(one))]
    if lacking and unread:
        notes.append(
            f"no column of it is {' or '.join(lacking)}; not read: {', '.join(map(str, unread[:4]))}"
        )
    return frame, columns, notes


def _put_vpd(frame, bare, columns, read, put, notes: list[str]) -> None:
    """VPD from the dew point, or from relative humidity, of each row, beside the temperature of the same row."""
    dew = next((bare[one] for one in DEW_POINTS if one in bare), None)
    humidity = next((bare[one] for one in HUMIDITIES if one in bare), None)
    if dew is None and humidity is None:
        return
    column, unit = columns["tair"]
    tair = read(column) if unit is None else unit.convert(read(column))
    saturated = meteorology.saturation_vapour_pressure_hpa(tair)
    if pair := _extremes(frame):
        # Convex in temperature: of a day's extremes it is higher than of the mean, and right (FAO-56, equation 12).
        saturated = sum(meteorology.saturation_vapour_pressure_hpa(_celsius(read(one))) for one in pair) / 2
    if dew is not None:
        actual = meteorology.saturation_vapour_pressure_hpa(_celsius(read(dew)))
    else:
        share = read(humidity)
        if not 1.5 < np.nanmax(share, initial=0.0) <= 120:
            return
        actual = saturated * share / 100
    put("vpd", f"vpd of {dew or humidity}", np.maximum(saturated - actual, 0), Unit(1.0))
    # NASA POWER has no VPD and documents this way to it: nothing to tell.
    if dew is None or bare.get("t2mdew") != dew:
        notes.append(f"vpd is computed from {dew or humidity} and {column}")


def without_empty(values: pd.DataFrame, columns: dict, name: str, notes: list[str]) -> pd.DataFrame:
    """The variables that have a value in some row; a note names the others, which are as good as not there.

    Parameters
    ----------
    values
        (row, variable) numbers in the unit of the file, NaN where missing.
    columns
        As of ``find_columns``.
    name
        What messages call the table.
    notes
        Gets the note.

    Returns
    -------
    DataFrame
        (row, variable) of ``values``, without the others.

    Raises
    ------
    InputError
        Where no variable has a value.
    """
    empty = [one for one in values if not values[one].notna().any()]
    names = ", ".join(columns[one][0] for one in empty)
    if len(empty) == values.shape[1]:
        raise InputError(
            f"Got {name} whose {names} has no value in any of {len(values)} rows, need numbers; check the code for"
            " missing values."
        )
    if empty:
        notes.append(f"{names} has no value in any of {len(values)} rows and is left out")
    return values.drop(columns=empty)


def _below_preamble(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows below the header that has a column of dates: Open-Meteo puts the place in two lines above it."""
    if any(str(name).strip().lower() in TIMES for name in frame):
        return frame
    # Providers write up to two dozen lines about the data above the header.
    for index in range(min(len(frame), 30)):
        cells = [str(cell).strip() for cell in frame.iloc[index]]
        lower = [cell.lower() for cell in cells]
        parts = set(find_parts(cells))
        if (
            any(cell in TIMES for cell in lower)
            or {"year", "doy"} <= parts
            or {"year", "month", "day"} <= parts
        ):
            below = frame.iloc[index + 1 :]
            # Files put together repeat the header.
            below = below[(below.astype(str).apply(lambda one: one.str.strip()) != cells).any(axis=1)]
            below = below.reset_index(drop=True)
            below.columns = [cell or f"unnamed_{place}" for place, cell in enumerate(cells)]
            return below
    return frame


def find_columns(frame: pd.DataFrame, preamble: tuple[str, ...] = ()) -> dict[str, tuple[str, Unit | None]]:
    """Which column holds which variable, and the unit that is said of it.

    Parameters
    ----------
    frame
        With column names in small letters.
    preamble
        Lines above the table, which may say units.

    Returns
    -------
    dict
        ``sw_in``, ``tair``, ``vpd``, ``precip`` to column and unit (None where nothing is said).
    """
    stated = _units_of_preamble(preamble)
    out: dict[str, tuple[str, Unit | None]] = {}
    for variable, names in COLUMNS.items():
        ranked: list[tuple[float, str, Unit | None]] = []
        for column in frame.columns:
            base, _, bracket = re.match(r"([^(\[]*)([(\[])?([^)\]]*)", column).groups()
            base = re.sub(r"[\s\-.]+", "_", base.strip(" _"))
            # AmeriFlux marks who reviewed a sensor and where it stands, loggers what they form of its readings.
            plain = PLACE_OF_SENSOR.sub("", base)
            if base not in names and plain in names and _has_numbers(frame[column]):
                text = bracket or KNOWN_UNITS.get(plain, "")
                unit = parse_unit(variable, text) if text else None
                ranked.append((names.index(plain) + 0.5, column, unit))
                continue
            if base in names:
                text = bracket or stated.get(base, "") or KNOWN_UNITS.get(base, "")
                ranked.append((names.index(base), column, parse_unit(variable, text) if text else None))
                continue
            # longest name first, so that sw_in_f_mj is SW_IN_F in MJ and not SW_IN in "f mj"
            for alias in sorted(names, key=len, reverse=True):
                unit = plain.startswith(f"{alias}_") and _suffix_unit(variable, plain[len(alias) + 1 :])
                if unit:
                    ranked.append((names.index(alias), column, unit))
                    break
        # Several columns may fit, such as TA_F and TA_ERA: the preferred name wins.
        if ranked:
            _, column, unit = min(ranked, key=lambda one: one[0])
            # The same name in two products: ERA5 has K and Open-Meteo degC, which no day of one shares with the other.
            if unit is None and column in PRODUCT_TEMPERATURES:
                middle = pd.to_numeric(frame[column].head(1000), errors="coerce").median()
                unit = parse_unit(variable, "K") if middle > MIN_KELVIN else None
            out[variable] = (column, unit)
    return out


def _has_numbers(cells: pd.Series) -> bool:
    """Whether a column (row,) has a number that is no code for missing, or no rows."""
    numbers = pd.to_numeric(cells.astype(str).str.replace(",", ".", regex=False), errors="coerce")
    return not len(cells) or not is_missing(numbers.to_numpy(float)).all()


def _suffix_unit(variable: str, suffix: str) -> Unit | None:
    """The unit at the end of a column name; ``_mj`` and ``_j`` alone are per square metre and day."""
    short = {
        "mj": "MJ m-2 d-1",
        "j": "J m-2 d-1",
        "kj": "kJ m-2 d-1",
        "kwh": "kWh m-2 d-1",
        "wm2": "W m-2",
        "w": "W m-2",
    }
    # The minus of an exponent became an underscore with those between words: mm_h_1 was mm_h-1.
    suffix = re.sub(r"(?<=[a-z])_([12])(?=_|$)", r"-\1", suffix)
    text = short.get(suffix, suffix) if variable == "sw_in" else suffix
    return parse_unit(variable, re.sub(r"m2(?=_|$)", "m-2", text).replace("_", " "))


def _units_of_preamble(preamble: tuple[str, ...]) -> dict[str, str]:
    """Units that header lines give: POWER's ``T2M   MERRA-2 ... (C)`` and ``# sw_in: MJ m-2 d-1``."""
    out = {}
    for line in preamble:
        # NASA POWER: name, two spaces or more, words, the unit in brackets at the end.
        power = re.match(r"^\W*([A-Za-z]\w+)\s{2,}.*\(([^()]+)\)\s*$", line)
        plain = re.match(r"^\W*([A-Za-z]\w+)\s*(?:[:=]\s*|[\[(])\s*([^\])]+?)[\])]?\s*$", line)
        match = power or plain
        if match:
            out[match[1].lower()] = match[2]
    return out


def _column(table: Table, frame: pd.DataFrame, column: str) -> np.ndarray:
    # Humidity with the sign of percent; of other variables that is no number.
    cells = frame[column]
    if next(iter(_bare_names(frame[[column]]))) in HUMIDITIES:
        cells = cells.astype(str).str.rstrip("% ")
    subset = Table(cells.to_frame(column), table.encoding, table.separator, table.decimal)
    return without_no_data(subset.numbers(column)).to_numpy()


def without_no_data(values: pd.Series) -> pd.Series:
    """Numbers of weather with NaN for the codes of weather services and NetCDF, beside those of all tables.

    Parameters
    ----------
    values
        (row,) in any unit of weather.
    """
    return values.where(~is_missing_weather(values.to_numpy(float)))


def _daily(
    values: pd.DataFrame, columns: dict, utc: bool, is_end: bool, name: str, notes: list[str]
) -> pd.DataFrame:
    """One row per day: daily rows by their date, finer ones averaged or summed where the day is complete."""
    values = values.sort_index()
    stamps = pd.DatetimeIndex(values.index)
    steps = np.diff(stamps.values).astype("timedelta64[s]").astype(float)
    # The median and not the first step, since tables have gaps.
    step_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else DAY_S
    if step_s > 6 * 3600:
        # Monthly tables cannot be read as days: most of the year would be missing.
        if step_s >= 5 * DAY_S and len(stamps) > 2:
            raise InputError(
                f"Got {name} with a row every {step_s / DAY_S:.0f} days, need daily rows; use the daily file."
            )
        return _by_date(values, stamps, utc, name, notes)
    values = _without_repeats(values, name, notes)
    stamps = pd.DatetimeIndex(values.index)
    # Rows stamped at their end belong to the day in which they began.
    step = pd.Timedelta(step_s, "s")
    if not is_end and clocks.are_ends(stamps, step):
        notes.append(
            f"its stamps run from {stamps[0]:%H:%M} of the first day to midnight after the last and are taken for the"
            " ends of steps"
        )
        is_end = True
    stamps = stamps - step if is_end else stamps
    # A day with holes has no mean: missing night rows would raise its radiation.
    grouped = values.groupby(stamps.floor("D"))
    need = round(DAY_S / step_s)
    out = {}
    for one in values:
        unit = columns[one][1]
        # Rain without a unit is an amount per row: nobody writes hourly rows as mm per day.
        amount = unit.amount if unit is not None else one == "precip"
        if amount and need >= 8 and _is_cumulated(values[one], step_s):
            raise InputError(
                f"Got {name} whose {columns[one][0]} grows from row to row of each day, as ERA5-Land's totals since"
                " midnight do, need amounts of each row; take the differences of neighbouring rows."
            )
        day = grouped[one].sum() if amount else grouped[one].mean()
        count = grouped[one].count()
        partial = int(((count < need) & (count > 0)).sum())
        if partial:
            notes.append(f"{partial} of {len(count)} days of {one} are incomplete and left out")
        out[one] = day.where(count >= need)
    daily = pd.DataFrame(out)
    empty = [one for one in daily if daily[one].isna().all()]
    # A variable without a whole day is as good as not there, as long as another has one; the notes above count them.
    daily = daily.drop(columns=empty) if len(empty) < daily.shape[1] else daily
    # Half-hours with a hole every day leave no day; the reason is told.
    if daily.isna().all(axis=None):
        raise InputError(
            f"Got {name} without a complete day of {need} rows, need whole days; fetch more rows."
        )
    return daily


def _without_repeats(values: pd.DataFrame, name: str, notes: list[str]) -> pd.DataFrame:
    """Rows (row, variable) without those that say once more what another row of their time says."""
    again = values.index.duplicated()
    if not again.any():
        return values
    twice = f"Got {name} with {values.index[again][0]:%Y-%m-%d %H:%M} twice"
    if clocks.are_of_summer_time(pd.DatetimeIndex(values.index[again])):
        raise InputError(
            f"{twice}, as clocks have it where summer time ends, need standard time; move the stamps of summer, or"
            " write offsets such as +02:00 behind them all."
        )
    is_copy = values.assign(_time=values.index).duplicated().to_numpy()
    if (again & ~is_copy).any():
        raise InputError(f"{twice} ({int(again.sum())} such rows), need one row a step; remove them.")
    notes.append(f"{int(again.sum())} rows repeat another one and are left out")
    return values[~again]


def _is_cumulated(values: pd.Series, step_s: float) -> bool:
    """Whether an amount (row,) never falls within any day, stamped at the beginning or at the end of steps."""
    for shift in (0.0, step_s):
        days = (values.index - pd.Timedelta(shift, "s")).floor("D")
        fell = (values.diff() < 0).where(
            days.to_series(values.index).eq(days.to_series(values.index).shift()), False
        )
        # On five days or more: of single ones it may rain at the end.
        grown = values.groupby(days).max() > values.groupby(days).min()
        if not fell.any() and grown.sum() >= 5:
            return True
    return False


def _by_date(
    values: pd.DataFrame, stamps: pd.DatetimeIndex, utc: bool, name: str, notes: list[str]
) -> pd.DataFrame:
    """Daily rows by date; UTC stamps late in the day are midnights of a zone east of Greenwich, so of the next day."""
    if utc and len(stamps) > 1 and bool(((stamps.hour >= 18) & (stamps.minute == 0)).all()):
        stamps = stamps.ceil("D")
        notes.append("its UTC stamps in the evening are read as midnights of the next local day")
    days = stamps.floor("D")
    if days.has_duplicates:
        twice = days[days.duplicated()]
        raise InputError(
            f"Got {name} with {twice[0]:%Y-%m-%d} twice ({len(twice)} such days), need one row a day; average them."
        )
    return values.set_axis(days)
