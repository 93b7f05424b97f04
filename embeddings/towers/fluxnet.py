"""Flux tower files of the FLUXNET family as daily series of GPP, its quality and the weather at the tower.

Read are ``FLX_...``, ``AMF_...``, ``ICOSETC_...`` and FluxDataKit files (Pastorello et al. 2020, Scientific Data
7:225), plain, gzipped, zipped or as Parquet, columns in any order, -9999 as missing, and the NetCDF of OzFlux and
PLUMBER2. GPP is partitioned from net exchange in two ways: by night-time respiration (``gpp_nt``, Reichstein et al.
2005) and by the light response of day-time exchange (``gpp_dt``, Lasslop et al. 2010); their difference is a structural
uncertainty. Small negative night-time values are kept. Days are days of local standard time, as in the files.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import xarray as xr
from fluxlens.embeddings.date_columns import find_parts
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.text_cells import is_missing_weather
from fluxlens.embeddings.towers import netcdf, plausibility
from fluxlens.embeddings.towers.daily import attrs_of_tower, to_days
from fluxlens.embeddings.towers.data_files import BASE, ICOS_FLUXES, as_paths, candidates, label
from fluxlens.embeddings.towers.gpp_columns import (
    METHANE,
    NOT_TOLD,
    GppColumns,
    check_methane,
    choose_gpp,
    has_gpp,
    is_partitioned,
    is_reddyproc,
    source_units,
)
from fluxlens.embeddings.towers.sensor_columns import WEATHER_NAMES, sensor_columns, team_gpp_columns
from fluxlens.embeddings.towers.stamps import Step, parse_stamps
from fluxlens.embeddings.towers.stated_units import to_our_weather
from fluxlens.embeddings.towers.step_starts import to_starts
from fluxlens.embeddings.towers.tower_table import TowerTable
from fluxlens.embeddings.towers.years import read_joined, tables_of_years
from fluxlens.models.errors import DataWarning, InputError

WEATHER_COLUMNS = {"sw_in": "SW_IN_F", "tair": "TA_F", "vpd": "VPD_F", "precip": "P_F"}
REDDYPROC_WEATHER = {"sw_in": ("RG_F", "RG"), "tair": ("TAIR_F", "TAIR"), "vpd": ("VPD_F", "VPD")}
LONG_NAMES = {
    "qc": "share of measured or well gap-filled net exchange",
    "sw_in": "incoming shortwave radiation",
    "tair": "air temperature",
    "vpd": "vapour pressure deficit",
    "precip": "precipitation",
}


def read(path: str | Path | list[str | Path], sites: pd.DataFrame | None = None) -> xr.Dataset:
    """The tower series of one file: days formed of complete days of finer steps; weeks and months as they are.

    Parameters
    ----------
    path : str, Path or list of them
        A ``.csv``, ``.csv.gz``, ``.parquet``, ``.zip`` or ``.nc``. Of a zip the daily file is taken, else the finest.
        Years of one product in a zip, in a folder or in a list are joined, and NetCDF of weather with that of fluxes; a
        folder has one tower.
    sites : pd.DataFrame, optional
        Of ``towers.sites``: adds lon, lat (degrees) and igbp of the site to the attrs.

    Returns
    -------
    xr.Dataset
        On ``time`` (start of each day, week or month, local standard time): ``gpp_nt``, ``gpp_dt`` and their
        percentiles (``gpp_nt_05`` ... ``gpp_dt_95``) in gC m-2 d-1, each only where it has data; ``qc`` 0-1, the share
        of measured or well filled net exchange; ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa and ``precip`` mm d-1.
        Weeks and months have the coordinate ``last_day``. Attrs tell the columns (``source_column`` of each flux),
        their units in the file and where that is known from (``gpp_source_units``).

    Raises
    ------
    InputError
        Where the file is none, or is damaged, ambiguous or implausible.

    Warns
    -----
    DataWarning
        With the count of repeated stamps, incomplete days and whatever else was left out.
    """
    path, netcdf_paths = netcdf.split_netcdf(as_paths(path))
    tower = netcdf.read_netcdf(netcdf_paths, label(netcdf_paths)) if netcdf_paths else _read_text(path)
    for name in tower.data_vars:
        tower[name].attrs = {**_attrs_of_variable(str(name)), **tower[name].attrs}
    plausibility.check(str(tower.attrs["source"]), tower)
    return tower if sites is None else _with_place(tower, sites)


def _read_text(path: Path | list[Path]) -> xr.Dataset:
    """The tower of the best text table of a file."""
    tables = _tables_with_gpp(path)
    table = tables[0]
    choice = choose_gpp(table)
    weather = _weather_columns(table)
    columns = choice.columns | {
        f"{ours}|{theirs}": theirs for ours, options in weather.items() for theirs in options
    }
    frame = read_joined(label(path), tables, list(dict.fromkeys(columns.values())))
    frame = frame[list(columns.values())].set_axis(list(columns), axis=1)
    frame = frame.apply(lambda one: one.mask(is_missing_weather(one.to_numpy(float))))
    # Of several sensors the first with a value, and the units that the file tells of it.
    stated = {}
    for ours, options in weather.items():
        keys = [f"{ours}|{theirs}" for theirs in options]
        key = next((key for key in keys if frame[key].notna().any()), keys[0] if keys else None)
        frame = frame.rename(columns={key: ours}).drop(columns=[other for other in keys if other != key])
        if key is not None:
            column = key.partition("|")[2]
            stated[ours] = column, table.units.get(column, "")
    step = table.step(pd.DatetimeIndex(frame.index))
    # Rows stamped at their end are moved to their start, as all others are.
    frame = to_our_weather(table.name, to_starts(table, frame, step), stated, step)
    # Content decides: a column that is there may hold nothing but -9999.
    choice, frame = choice.with_data(table.name, frame)
    units, stated_by, factor = source_units(table.name, table.units, choice, step)
    is_own = table.time in ("DATE", find_parts(table.header).get("year"))
    if (
        (is_own or choice.threshold == NOT_TOLD)
        and choice.threshold
        and stated_by.endswith("files of FLUXNET")
    ):
        warnings.warn(
            f"GPP of {table.name} is taken for {units}; days of FluxDataKit are umol m-2 s-1 and those of FLUXNET"
            " gC m-2 d-1: write the units in a row below the header",
            DataWarning,
            stacklevel=3,
        )
    fluxes = [column for column in frame if column.startswith("gpp")]
    # Before days are formed, so that sums and means are of one unit.
    frame[fluxes] *= factor
    frame = to_days(table.name, frame, step)
    if "qc" in frame and not frame["qc"].notna().any():
        warnings.warn(
            f"{choice.columns['qc']} of {table.name} is all missing; its days cannot be filtered by quality",
            DataWarning,
            stacklevel=3,
        )
        frame = frame.drop(columns="qc")
    tower = frame.to_xarray()
    if step.code in ("WW", "MM"):
        tower = tower.assign_coords(last_day=("time", _last_days(tables, tower.indexes["time"], step)))
    for method, column in choice.fluxes.items():
        tower[f"gpp_{method}"].attrs["source_column"] = column
        if not choice.threshold:
            tower[f"gpp_{method}"].attrs["long_name"] = (
                "gross primary production, partitioned by the site's team"
            )
    tower.attrs = attrs_of_tower(table.name, step) | {"gpp_source_units": f"{units} ({stated_by})"}
    if len(tables) > 1:
        tower.attrs["source"] = f"{table.name} and {len(tables) - 1} more"
    if choice.threshold:
        return tower.assign_attrs(ustar_threshold=choice.threshold)
    _warn_of_team(table, choice)
    return tower


def _weather_columns(table: TowerTable) -> dict[str, list[str]]:
    """Columns of each weather variable that a table has, the preferred one first."""
    if is_reddyproc(table.header):
        return {
            ours: [name for name in names if name in table.header]
            for ours, names in REDDYPROC_WEATHER.items()
        }
    # FLUXNET's filled columns; BASE keeps those of single sensors.
    weather = {ours: [theirs] for ours, theirs in WEATHER_COLUMNS.items() if theirs in table.header}
    if is_partitioned(table.header):
        return weather
    return {ours: sensor_columns(table.header, names) for ours, names in WEATHER_NAMES.items()} | weather


def _warn_of_team(table: TowerTable, choice: GppColumns) -> None:
    """One warning that GPP is a team's own, which has no flags, and of columns of other sensors beside it."""
    column = next(iter(choice.fluxes.values()))
    unread = [other for other in team_gpp_columns(table.header) if other != column]
    not_read = f"; not read: {', '.join(unread[:4])}" if unread else ""
    warnings.warn(
        f"GPP of {table.name} is {column}, as the site's team partitioned it, without flags of quality{not_read}",
        DataWarning,
        stacklevel=4,
    )


def _tables_with_gpp(path: Path | list[Path]) -> list[TowerTable]:
    """The first table of a file that has columns of GPP, and those of the same product and columns in other years.

    InputError with the reason of the best one where none has.
    """
    reason: InputError | None = None
    # The best candidates first; a folder of downloads may hold hundreds of other files.
    files = candidates(path)[:40]
    for file in files:
        try:
            table = TowerTable(file)
            check_methane(table.name, table.header, table.units)
        except InputError as error:
            # The first reason is that of the most likely file, and the one worth telling.
            reason = reason or error
            continue
        if has_gpp(table.header):
            return tables_of_years(label(path), file, table, files)
        reason = reason or _without_gpp(table)
    assert reason is not None
    raise reason


def _without_gpp(table: TowerTable) -> InputError:
    """The error that says what a table without the columns of GPP is."""
    name, gpp_columns = table.name, [column for column in table.header if column.startswith("GPP")]
    need = "need GPP_NT_VUT_REF, GPP_DT_VUT_REF or GPP_PI"
    # From the most specific to the most general: each product has another way out.
    if BASE.search(name):
        return InputError(
            f"Got {name} without GPP, {need}: this AmeriFlux BASE serves for the footprint only; fetch the"
            " site's FLUXNET product."
        )
    if ICOS_FLUXES.search(name):
        return InputError(
            f"Got {name} without GPP, {need}: FLUXES files of ICOS serve for the footprint only; fetch the station's"
            " FLUXNET product (in its ARCHIVE zip)."
        )
    if METHANE in name.upper():
        return InputError(
            f"Got {name}, a file of FLUXNET-CH4 (methane), {need}; fetch the site's FLUXNET product."
        )
    if {"DATE", "TIME"} <= set(table.header) or name.lower().startswith("eddypro"):
        return InputError(
            f"Got {name}, EddyPro output without GPP, {need}: it serves for the footprint only; partition"
            " it, or fetch the"
            " site's FLUXNET product."
        )
    # Other variants of GPP are there, but no reference: they are named.
    if gpp_columns:
        return InputError(
            f"Got {name} whose columns of GPP are {', '.join(gpp_columns[:4])}, {need}; fetch the FULLSET or"
            " SUBSET product."
        )
    return InputError(f"Got {name} without GPP, {need}; fetch the FULLSET or SUBSET product.")


def _last_days(tables: list[TowerTable], starts: pd.DatetimeIndex, step: Step) -> pd.DatetimeIndex:
    """The last day of each week or month: by the file, else by the calendar."""
    if step.code == "MM":
        return (starts + pd.offsets.MonthEnd(0)).normalize()
    if {"TIMESTAMP_START", "TIMESTAMP_END"} <= set(tables[0].header):
        ends = pd.concat([table.read([], text=("TIMESTAMP_END",))["TIMESTAMP_END"] for table in tables])
        ends = ends[~ends.index.duplicated()].sort_index()  # tables that overlap repeat weeks
        return parse_stamps(tables[0].name, ends).normalize()
    # FLUXNET's weeks start on 1 January; the 52nd has eight days, in leap years nine, which the next start tells.
    ends = starts + pd.Timedelta(days=6)
    if ((starts.day_of_year - 1) % 7 == 0).all():
        # Weeks of that calendar: the last of a year ends with it, also where no further row tells so.
        new_year = pd.DatetimeIndex([pd.Timestamp(year, 12, 31) for year in starts.year])
        return ends.where(starts.day_of_year <= 7 * 50 + 1, new_year)
    following = starts[1:] - pd.Timedelta(days=1)
    length = (following - starts[:-1]).days + 1
    return pd.DatetimeIndex(
        [
            *(b if days in (8, 9) else a for a, b, days in zip(ends[:-1], following, length, strict=True)),
            ends[-1],
        ]
    )


def _attrs_of_variable(name: str) -> dict[str, str]:
    """Units and long name of a variable."""
    long_name = LONG_NAMES.get(name)
    if long_name is None:
        _, method, *share = name.split("_")
        long_name = f"gross primary production, {schema.GPP_PARTITIONINGS[method]}" + (
            f", percentile {share[0]}" if share else ""
        )
    return {"units": schema.units("tower", name), "long_name": long_name}


def _with_place(tower: xr.Dataset, sites: pd.DataFrame) -> xr.Dataset:
    """The tower with lon, lat and igbp of its site, where the table knows it."""
    if tower.attrs["site"] not in sites.index:
        return tower
    row = sites.loc[tower.attrs["site"]]
    place = {"lon": float(row["lon"]), "lat": float(row["lat"])}
    return tower.assign_attrs(place | ({"igbp": str(row["igbp"])} if "igbp" in row else {}))
