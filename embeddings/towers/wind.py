"""Half-hourly wind and turbulence of a tower, the input of a flux footprint."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings.towers import netcdf, netcdf_wind
from fluxlens.embeddings.towers.data_files import HOURLY_ONLY, as_paths, candidates, label
from fluxlens.embeddings.towers.sensor_columns import TURBULENCE, has_wind, sensor_columns
from fluxlens.embeddings.towers.stamps import Step
from fluxlens.embeddings.towers.step_starts import to_starts
from fluxlens.embeddings.towers.tower_table import TowerTable
from fluxlens.embeddings.towers.wind_units import check_wind, to_our_wind
from fluxlens.embeddings.towers.years import read_joined, tables_of_years
from fluxlens.models.errors import DataWarning, InputError

NEEDED = ("wind", "direction", "ustar", "heat", "tair")
OF_LENGTH = ("heat", "tair")
# Stability without its height: EddyPro's (z-d)/L, ICOS's ZL.
ZETA = ("ZL", "(Z-D)/L", "ZETA", "ZOL")
MEASURED = ("wind", "direction", "ustar", "heat")
SEA_LEVEL_KPA = 101.325
# J kg-1 K-1, J kg-1 K-1, m s-2 and 1: dry air, gravity, von Karman.
GAS_CONSTANT, HEAT_CAPACITY, GRAVITY, KARMAN = 287.05, 1005.0, 9.81, 0.4


def turbulence(path: str | Path | list[str | Path]) -> pd.DataFrame:
    """Half-hourly wind and turbulence of a tower, as ``footprint.Air.from_turbulence`` takes it.

    Parameters
    ----------
    path : str, Path or list of them
        FLUXNET HH or HR, AmeriFlux BASE, EddyPro's ``_fluxnet_`` or ``_full_output_``; ``.csv``, ``.csv.gz``, a zip, or
        NetCDF of OzFlux.

    Returns
    -------
    pd.DataFrame
        By start of the half-hour, local standard time: ``wind`` m s-1, ``direction`` degrees clockwise from north,
        ``ustar`` m s-1, ``obukhov`` m (of u*, sensible heat and temperature; where heat is missing that of the file)
        and ``sigma_v`` m s-1 where the file has it. NaN where not measured; half-hours without any wind, direction,
        u* and heat are no rows.

    Raises
    ------
    InputError
        Where the file has no half-hours or hours, or lacks one of wind, direction, u*, heat and temperature.
    """
    path, netcdf_paths = netcdf.split_netcdf(as_paths(path))
    if netcdf_paths:
        return _turbulence_of_netcdf(netcdf_paths)
    tables = _tables_with_wind(path)
    table = tables[0]
    options = {ours: sensor_columns(table.header, names) for ours, names in TURBULENCE.items()}
    # The Obukhov length of the file stands for the heat and temperature that it is computed of (ICOS FLUXES files).
    needed = [ours for ours in NEEDED if not (options["length"] and ours in OF_LENGTH)]
    lost = [TURBULENCE[ours][0] for ours in needed if not options[ours]]
    if lost:
        _check_step(table, table.read([]))
        zeta = next((column for column in ZETA if column in table.header), None)
        hint = (
            f" (its {zeta} is of a height the file does not tell: MO_LENGTH serves instead)" if zeta else ""
        )
        raise InputError(f"Got {table.name} without {', '.join(lost)}, need them{hint}; fetch the full set.")
    wanted = list(dict.fromkeys(column for columns in options.values() for column in columns))
    frame = read_joined(label(path), tables, wanted)
    step = _check_step(table, frame)
    frame = to_starts(table, frame, step)
    # By content: the first column with a value; all-missing ones are passed over.
    chosen = {
        ours: next((column for column in columns if frame[column].notna().any()), None)
        for ours, columns in options.items()
    }
    empty = [ours for ours in NEEDED if chosen[ours] is None and not (chosen["length"] and ours in OF_LENGTH)]
    if empty:
        raise InputError(
            f"Got {table.name} whose {', '.join(TURBULENCE[ours][0] for ours in empty)} is missing in all"
            f" {len(frame)} rows,"
            " need values; give another file."
        )
    measured = pd.DataFrame({ours: frame[column] for ours, column in chosen.items() if column is not None})
    stated = {ours: (chosen[ours], table.units.get(chosen[ours], "")) for ours in measured}
    measured = to_our_wind(table.name, measured, stated)
    measured = measured[measured[[column for column in MEASURED if column in measured]].notna().any(axis=1)]
    return _with_obukhov(table.name, measured)


def _turbulence_of_netcdf(paths: list[Path]) -> pd.DataFrame:
    """As ``turbulence``, of NetCDF."""
    path = paths[0]
    frame, step, lost = netcdf_wind.read_wind(paths, label(paths))
    if not step.is_subdaily:
        raise InputError(
            f"Got {path.name}, need half-hourly or hourly wind; give the tower's half-hourly file."
        )
    # A length in the file stands for what it is computed of, as in ``turbulence``.
    lost = [ours for ours in NEEDED if ours in lost and not ("length" in frame and ours in OF_LENGTH)]
    if lost:
        names = ", ".join(netcdf_wind.NAMES[ours][0] for ours in lost)
        raise InputError(
            f"Got {path.name} without values of {names}, need them for a footprint; give the tower's HH, BASE or"
            " EddyPro file."
        )
    measured = frame[frame[[column for column in MEASURED if column in frame]].notna().any(axis=1)]
    return _with_obukhov(path.name, measured)


def _check_step(table: TowerTable, frame: pd.DataFrame) -> Step:
    """The step of a table's rows; InputError where it is not shorter than a day."""
    step = table.step(pd.DatetimeIndex(frame.index))
    if not step.is_subdaily:
        raise InputError(
            f"Got {table.name}, need half-hourly or hourly wind; give the HH file of the full set."
        )
    return step


def _with_obukhov(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The half-hours with the Obukhov length in place of heat, temperature and pressure."""
    frame = check_wind(name, frame)
    missing = frame["ustar"] * np.nan
    tair, pressure = frame.get("tair", missing), frame.get("pressure", missing)
    # EddyPro's full output has K and Pa, others degC and kPa; some sites write hPa.
    if tair.median() > 150:
        tair = tair - 273.15
    scale = 1 if not pressure.median() > 300 else 10 if pressure.median() < 2000 else 1000
    if scale == 10:
        warnings.warn(
            f"the pressure of {name} looks like hPa and is read so, not as kPa", DataWarning, stacklevel=3
        )
    kelvin = tair + 273.15
    density = 1000 * (pressure / scale).fillna(SEA_LEVEL_KPA) / (GAS_CONSTANT * kelvin)
    heat = frame.get("heat", tair * np.nan)
    heat = heat.where(heat != 0, 1e-6)  # neutral: a length beyond all heights, not a division by zero
    length = -density * HEAT_CAPACITY * kelvin * frame["ustar"] ** 3 / (KARMAN * GRAVITY * heat)
    if "length" in frame:
        length = length.fillna(frame["length"].where(frame["length"] != 0))
    out = frame[["wind", "direction", "ustar"]].copy()
    if "sigma_v" in frame:
        out["sigma_v"] = frame["sigma_v"]
    elif "variance_v" in frame:
        out["sigma_v"] = np.sqrt(frame["variance_v"].where(frame["variance_v"] >= 0))
    return out.assign(obukhov=length)


def _tables_with_wind(path: Path | list[Path]) -> list[TowerTable]:
    """The first half-hourly table of a file that has wind, and its other years; the first of all where none has."""
    files = candidates(path, HOURLY_ONLY)
    tables = []
    for file in files[:40]:
        table = TowerTable(file)
        if has_wind(table.header):
            return tables_of_years(label(path), file, table, files)
        tables.append(table)
    return tables[:1]
