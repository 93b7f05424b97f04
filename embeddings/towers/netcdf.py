"""NetCDF of towers: OzFlux (PyFluxPro), PLUMBER2 and FluxDataKit (FluxnetLSM), one place and one time axis each.

Sizes are checked as declared, before any array is read. Units are those of the variables' attributes.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import calendars
from fluxlens.embeddings.text_cells import is_missing, is_missing_weather
from fluxlens.embeddings.towers.daily import attrs_of_tower, to_days
from fluxlens.embeddings.towers.gpp_columns import factor_of_units
from fluxlens.embeddings.towers.netcdf_files import TowerFile, join_files
from fluxlens.embeddings.towers.quality_flags import to_fluxnet_flags
from fluxlens.embeddings.towers.stamps import Step, infer_step, ordered
from fluxlens.embeddings.towers.stated_units import to_our_weather
from fluxlens.embeddings.unpacking import MAX_ROWS
from fluxlens.models.errors import DataWarning, InputError

SUFFIXES = (".nc", ".nc4", ".cdf")
MAGIC = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
# Names in small letters, the preferred first. GPP without a method is that of night-time respiration in PLUMBER2
# (Ukkola et al. 2022, doi:10.5194/essd-14-449-2022) and OzFlux (SOLO and Lloyd-Taylor fit night-time respiration,
# Isaac et al. 2017, doi:10.5194/bg-14-2903-2017); LL is Lasslop's light response.
GPP_NAMES = {
    "gpp_nt": ("gpp_nt_vut_ref", "gpp_nt_cut_ref", "gpp_nt", "gpp", "gpp_solo", "gpp_lt"),
    "gpp_dt": ("gpp_dt_vut_ref", "gpp_dt_cut_ref", "gpp_dt", "gpp_ll"),
}
WEATHER_NAMES = {
    "sw_in": ("swdown", "fsd", "sw_in_f", "sw_in"),
    "tair": ("tair", "ta_f", "ta"),
    "vpd": ("vpd", "vpd_f"),
    "precip": ("precip", "rainf", "p_f", "p"),
}
# Flags of the net exchange: 0 measured, 1 filled well (FluxnetLSM, ONEFlux).
QUALITY = ("nee_vut_ref_qc", "nee_qc", "gpp_qc")
# PyFluxPro's flags: those that end in 0 are good, measured or filled (Isaac et al. 2017).
QUALITY_OZFLUX = ("gpp_qcflag", "gpp_solo_qcflag", "gpp_lt_qcflag", "nee_qcflag", "fco2_qcflag", "fc_qcflag")
# A clock and the zone behind it in CF's units of time.
ZONE_OF_EPOCH = re.compile(
    r"(\d{1,2}:\d{2}(?::\d{2}(?:\.\d*)?)?)\s*[+-](?!00?:?(?:00)?$)\d{1,2}(?::?\d{2})?$"
)


def is_netcdf(path: Path) -> bool:
    """Whether a file is NetCDF by its first bytes or its name.

    Parameters
    ----------
    path : Path
        Need not exist.
    """
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return stream.read(8).startswith(MAGIC) or path.suffix.lower() in SUFFIXES


def split_netcdf(path: Path | list[Path]) -> tuple[Path | list[Path], list[Path]]:
    """A tower's tables and its NetCDF files: one of the two is read.

    Parameters
    ----------
    path : Path or list of Path
        As of ``data_files.as_paths``.

    Returns
    -------
    Path or list of Path
        The tables; empty where all is NetCDF.
    list of Path
        The NetCDF files; empty where there are tables.

    Warns
    -----
    DataWarning
        NetCDF beside tables, which is not read.
    """
    paths = path if isinstance(path, list) else [path]
    netcdf_paths = [one for one in paths if is_netcdf(one)]
    tables = [one for one in paths if one not in netcdf_paths]
    if tables and netcdf_paths:
        listed = ", ".join(one.name for one in netcdf_paths[:3])
        warnings.warn(
            f"{len(netcdf_paths)} NetCDF files are not read beside {len(tables)} tables such as {tables[0].name}:"
            f" {listed}; give the one or the others",
            DataWarning,
            stacklevel=3,
        )
        return tables, []
    return ([], netcdf_paths) if netcdf_paths else (path, [])


@contextlib.contextmanager
def open_tower(path: Path) -> Iterator[tuple[xr.Dataset, dict[str, str], pd.DatetimeIndex]]:
    """A tower's NetCDF file, opened; nothing but its times is read.

    Parameters
    ----------
    path : Path
        One site.

    Yields
    ------
    tuple of xr.Dataset, dict of str to str, pd.DatetimeIndex
        The file as it is (time and dims of length one, in its own units), its variables by their names in small
        letters, and its times (time,).

    Raises
    ------
    InputError
        Where the file is damaged, has no time or more steps than a tower's.
    """
    name = path.name
    try:
        data = _open_dataset(path)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"Got {name}, a damaged NetCDF file, need a whole one; fetch it again.") from error
    with data:
        variables = {str(key).lower(): str(key) for key in data.variables}
        dims = {str(dim).lower(): size for dim, size in data.sizes.items()}
        if "time" not in variables or "time" not in dims:
            raise InputError(
                f"Got {name} with the dimensions {', '.join(dims) or 'none'}, need a tower's time; give a"
                " tower's NetCDF file."
            )
        if dims["time"] > MAX_ROWS:
            raise InputError(
                f"Got {name} with {dims['time']:,} declared times, need at most {MAX_ROWS:,}; give a tower's file."
            )
        time = _times(name, data[variables["time"]])
        yield data, variables, time


def _open_dataset(path: Path) -> xr.Dataset:
    """A file, or its group of days: PyFluxPro's summaries have groups of days, months and years."""
    # Nothing is decoded or read here: declared sizes come first.
    options = {"decode_times": False, "mask_and_scale": True, "engine": "netcdf4", "cache": False}
    data = xr.open_dataset(path, **options)
    if data.sizes:
        return data
    import netCDF4

    with netCDF4.Dataset(path) as file:
        daily = next((group for group in file.groups if group.lower() in ("daily", "day")), None)
    if daily is None:
        return data
    root = dict(data.attrs)
    data.close()
    days = xr.open_dataset(path, group=daily, **options)
    return days.assign_attrs(root | days.attrs)


def read_netcdf(paths: list[Path], name: str) -> xr.Dataset:
    """The daily tower series of the NetCDF files of one tower, as ``towers.read`` gives them.

    Parameters
    ----------
    paths : list of Path
        One file, or its years, or its fluxes and its weather; ``time`` any length of step, other dims of length one.
    name : str
        What several files are called in messages.

    Returns
    -------
    xr.Dataset
        On daily ``time``; lon, lat and igbp in the attrs where the files have them.

    Raises
    ------
    InputError
        Where a file is damaged, has several places, more steps than a tower's, or GPP without units; where none has
        GPP, or they are of several towers.

    Warns
    -----
    DataWarning
        Files that do not fit the others, see ``netcdf_files.join_files``.
    """
    tower_files = [_read_file(path) for path in paths]
    if not any(file.fluxes for file in tower_files):
        got = (
            tower_files[0].path.name
            if len(tower_files) == 1
            else f"{len(tower_files)} NetCDF files of {name}"
        )
        raise InputError(f"Got {got} without GPP, need a variable such as GPP; give a file with fluxes.")
    frame, joined = join_files(name, tower_files)
    first = joined[0]
    tower = to_days(first.path.name, frame.rename_axis("time"), first.step).to_xarray()
    for ours, (key, _) in first.fluxes.items():
        tower[ours].attrs["source_column"] = key
    # What one file does not tell another may.
    attrs = {key: value for file in reversed(joined) for key, value in file.attrs.items()}
    tower.attrs = attrs_of_tower(first.path.name, first.step)
    tower.attrs |= {key: attrs[key] for key in ("lon", "lat") if key in attrs}
    site = next((file.site for file in joined if file.site), "")
    _, units = next(iter(first.fluxes.values()))
    tower.attrs |= {
        "site": site or tower.attrs["site"],
        "network": "OzFlux" if "ozflux" in first.path.name.lower() else tower.attrs["network"],
        "gpp_source_units": f"{units} (told by the file)",
    }
    if len(joined) > 1:
        tower.attrs["source"] = f"{first.path.name} and {len(joined) - 1} more"
    igbp = attrs.get("IGBP_veg_short") or attrs.get("igbp")
    return tower.assign_attrs(igbp=str(igbp).strip()) if igbp else tower


def _read_file(path: Path) -> TowerFile:
    """One file in our units, by start of its steps; without GPP where it has none."""
    name = path.name
    with open_tower(path) as (data, variables, time):
        frame = pd.DataFrame(index=time)
        step = infer_step(name, time.unique().sort_values())
        fluxes = _add_gpp(frame, name, data, variables, step)
        _add_quality(frame, name, data, variables, step)
        stated = _add_weather(frame, name, data, variables)
        attrs = dict(data.attrs) | _place(data, variables)
    numbers = frame.columns.difference(["qc"])
    frame[numbers] = frame[numbers].apply(lambda one: one.mask(is_missing_weather(one.to_numpy(float))))
    frame = to_our_weather(name, ordered(name, frame), stated, step, must_state=True)
    # Stamped at the end of a step, the last half-hour of a day would count to the next day.
    if is_stamped_at_end(attrs) and step.is_subdaily:
        frame.index = frame.index - pd.Timedelta(days=1) / step.per_day
    return TowerFile(path, frame, step, fluxes, attrs)


def _add_gpp(
    frame: pd.DataFrame, name: str, data: xr.Dataset, variables: dict[str, str], step: Step
) -> dict[str, tuple[str, str]]:
    """Add GPP in gC m-2 d-1; returns by column its variable and units in the file."""
    sources: dict[str, tuple[str, str]] = {}
    # Names are tried in order of preference. One that is there but all NaN does not count: files of a network share
    # one list of variables, whatever a site has measured.
    for ours, names in GPP_NAMES.items():
        for key in (variables[key] for key in names if key in variables):
            values = read_numbers(name, data[key])
            if np.isfinite(values).any():
                attrs = data[key].attrs
                units = str(attrs.get("units", "")).strip()
                # CF's name of GPP as a mass says carbon, and its units kg m-2 s-1 alone.
                is_carbon = str(attrs.get("standard_name", "")).endswith("expressed_as_carbon")
                factor = factor_of_units(units, step, is_carbon)
                if factor is None:
                    raise InputError(
                        f"Got {name} with {key} in {units or 'no units'}, need units such as umol m-2"
                        " s-1 or gC m-2 d-1;"
                        " write them as the variable's attribute."
                    )
                frame[ours], sources[ours] = values * factor, (key, units)
                break
    return sources


def _add_quality(
    frame: pd.DataFrame, name: str, data: xr.Dataset, variables: dict[str, str], step: Step
) -> None:
    """Add the quality where the file has one.

    There are two kinds: a share or class per day as FLUXNET has it, or OzFlux's flags per step. Of these a last digit
    of 0 is a measurement; all else is filled and becomes 2.
    """
    key = next((variables[key] for key in QUALITY if key in variables), None)
    if key is not None:
        flags = read_numbers(name, data[key])
        # Days have shares of good half-hours in place of flags.
        flags = to_fluxnet_flags(name, key, flags, data[key].attrs) if step.is_subdaily else flags
        if flags is not None:
            frame["qc"] = flags
        return
    key = next((variables[key] for key in QUALITY_OZFLUX if key in variables), None)
    if key is not None:
        flag = pd.Series(read_numbers(name, data[key]), frame.index)
        frame["qc"] = (flag % 10 != 0).astype(float).where(flag.notna()) * 2


def _add_weather(
    frame: pd.DataFrame, name: str, data: xr.Dataset, variables: dict[str, str]
) -> dict[str, tuple[str, str]]:
    """Add the weather in the units of the file; returns by column its variable and units."""
    stated: dict[str, tuple[str, str]] = {}
    for ours, names in WEATHER_NAMES.items():
        key = next((variables[key] for key in names if key in variables), None)
        if key is not None:
            frame[ours] = read_numbers(name, data[key])
            stated[ours] = key, str(data[key].attrs.get("units", ""))
    return stated


def read_numbers(name: str, variable: xr.DataArray) -> np.ndarray:
    """One variable as float64, NaN where missing; its declared size is checked before it is read.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    variable : xr.DataArray
        On time; other dims of length one.

    Returns
    -------
    numpy.ndarray
        (time,) in the variable's units.
    """
    length = int(np.prod([size for dim, size in variable.sizes.items() if str(dim).lower() != "time"]))
    if length != 1 or "time" not in [str(dim).lower() for dim in variable.dims]:
        raise InputError(
            f"Got {name} with {variable.name} at {length} places, need one tower; select one and write it alone."
        )
    if variable.dtype.kind not in "fiu":
        raise InputError(f"Got {name} with {variable.name} that is no number, need numbers; repair it.")
    try:
        values = variable.values.reshape(-1).astype("float64")
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"Got {name}, a damaged NetCDF file, need a whole one; fetch it again.") from error
    low, high = _valid_range(variable)
    return np.where(is_missing(values) | (values < low) | (values > high), np.nan, values)


def _valid_range(variable: xr.DataArray) -> tuple[float, float]:
    """CF's bounds of valid numbers in the variable's units, infinite where there are none."""
    # Of packed numbers they are told in packed units, or are not, as people have understood it.
    if variable.encoding.get("scale_factor", 1) != 1 or variable.encoding.get("add_offset", 0) != 0:
        return -np.inf, np.inf
    attrs = variable.attrs
    bounds = attrs.get("valid_range", (attrs.get("valid_min", -np.inf), attrs.get("valid_max", np.inf)))
    # PyFluxPro writes "-50,100".
    numbers = bounds.split(",") if isinstance(bounds, str) else np.ravel(bounds)
    low, high = pd.to_numeric(pd.Series(list(numbers)[:2]).reindex([0, 1]), errors="coerce").astype(float)
    return (low, high) if low < high else (-np.inf, np.inf)


def _times(name: str, variable: xr.DataArray) -> pd.DatetimeIndex:
    """Decoded times, rounded to the minute: days as fractions are never exact."""
    if variable.ndim != 1 or variable.dtype.kind not in "fiu":
        raise InputError(
            f"Got {name} with a time that is no axis of numbers, need one such as days since a date; repair."
        )
    try:
        # The clock as it is written, as of stamps in text: a zone behind it would move days to those of Greenwich.
        attrs = variable.attrs | {
            "units": ZONE_OF_EPOCH.sub(r"\1", str(variable.attrs.get("units", "")).strip())
        }
        # CF units and calendars have many forms; xarray knows them.
        decoded = xr.decode_cf(xr.Dataset({}, {"time": ("time", variable.values, attrs)}))
        values = decoded["time"].values
    except (ValueError, TypeError, OverflowError, OSError, KeyError) as error:
        calendar = str(variable.attrs.get("calendar", ""))[:20]
        raise InputError(
            f"Got {name} with times in {str(variable.attrs.get('units', 'no units'))[:40]!r}"
            f"{f' of the calendar {calendar}' if calendar else ''}, need CF units in the standard calendar; repair"
            " them."
        ) from error
    times = calendars.to_standard_times(values, name)
    if times.hasnans:
        raise InputError(f"Got {name} with {int(times.isna().sum())} missing times, need all; repair them.")
    return times.round("min").as_unit("ns").rename("time")


def is_stamped_at_end(attrs: dict) -> bool:
    """Whether stamps are the ends of steps: PyFluxPro's are, and it names itself.

    Parameters
    ----------
    attrs : dict
        Of the file.
    """
    keys = {str(key).lower() for key in attrs}
    return bool(
        keys & {"nc_nrecs", "pyfluxpro_version", "qc_version", "nc_level", "processing_level"}
        and "time_step" in keys
    )


def _place(data: xr.Dataset, variables: dict[str, str]) -> dict[str, float]:
    """lon and lat in degrees, from the variables or the attrs; empty where one is missing or off the globe."""
    lonlat = {}
    attrs = {str(key).lower(): value for key, value in data.attrs.items()}
    for ours, names, limit in (
        ("lon", ("longitude", "lon", "site_longitude"), 180),
        ("lat", ("latitude", "lat", "site_latitude"), 90),
    ):
        for key in names:
            value = attrs.get(key)
            if key in variables and data[variables[key]].size == 1:
                value = data[variables[key]].values.ravel()[0]
            number = pd.to_numeric(pd.Series([str(value)]), errors="coerce")[0]
            if np.isfinite(number) and abs(number) <= limit:
                lonlat[ours] = float(number)
                break
    return lonlat if len(lonlat) == 2 else {}
