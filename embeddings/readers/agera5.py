"""Daily weather of AgERA5: one file of all variables, or the Climate Data Store's daily files of one variable each.

The store names them ``Solar-Radiation-Flux_C3S-glob-agric_AgERA5_20190401_final-v1.1.nc``, with a variable
``Solar_Radiation_Flux`` (time, lat, lon) on a grid of 0.1 degrees. The pixel nearest to the scene counts.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import meteorology
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import raster_file, weather_units
from fluxlens.embeddings.readers.cf_packing import unpack
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.units import parse_unit
from fluxlens.models.errors import InputError

VARIABLES: dict[str, tuple[str, ...]] = {
    "solar_radiation_flux": ("solar_radiation_flux",),
    "temperature_mean": ("temperature_mean", "temperature_air_2m_mean_24h", "temperature_air_2m_mean"),
    "temperature_max": ("temperature_max", "temperature_air_2m_max_24h", "temperature_air_2m_max"),
    "temperature_min": ("temperature_min", "temperature_air_2m_min_24h", "temperature_air_2m_min"),
    "vapour_pressure": ("vapour_pressure", "vapour_pressure_mean", "vapour_pressure_24_hour_mean"),
    "precipitation_flux": ("precipitation_flux",),
}  # fmt: skip
DEFAULT_UNITS = {
    "solar_radiation_flux": "J m-2 d-1", "temperature_mean": "K", "temperature_max": "K", "temperature_min": "K",
    "vapour_pressure": "hPa", "precipitation_flux": "mm d-1",
}  # fmt: skip
KIND = {"solar_radiation_flux": "sw_in", "vapour_pressure": "vpd", "precipitation_flux": "precip"}
"""Which variable of the scene has units of the same kind; temperatures are ``tair``."""
NEAR_DEG = 0.15
"""A place lies within half a cell (0.05 degrees) of its grid, or a cell beyond the edge of a cut-out."""


def daily_files(files: list[Path]) -> list[Path]:
    """Files that the Climate Data Store names as AgERA5.

    Parameters
    ----------
    files
        NetCDF files of a folder.

    Returns
    -------
    list of Path
        Those with AgERA5 in the name, but not at its beginning.
    """
    return [path for path in files if re.search(r".[-_]agera5", path.name, re.IGNORECASE)]


def combined(paths: list[Path], notes: list[str]) -> xr.Dataset:
    """The weather of files with all variables on a projected grid of one or a few pixels, averaged.

    Parameters
    ----------
    paths
        Files whose name begins with AgERA5.
    notes
        Sentences on what was left out are appended.

    Returns
    -------
    xarray.Dataset
        ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa, ``precip`` mm d-1 (time), float32.

    Raises
    ------
    InputError
        A file lacks a variable.
    """
    by_file = []
    for path in paths:
        data = raster_file.load(path)
        # One file holds all variables in this layout; one without some is another product.
        missing = [name for name in VARIABLES if name not in data]
        if missing:
            raise InputError(
                f"Got {path.name} without {', '.join(missing)}, need {', '.join(VARIABLES)}; fetch it again in full."
            )
        data = raster_file.standardise(data, path.name, notes)
        values = {name: _in_units(name, unpack(data[name]).astype("float64")) for name in VARIABLES}
        # One to four cells of 11 km around the scene, all as near as each other.
        daily = xr.Dataset(values).mean(("y", "x"))
        by_file.append(daily.drop_vars(set(daily.coords) - {"time"}))
    # A day on the border of two files is in both.
    whole = xr.concat(by_file, dim="time").sortby("time")
    return _weather(whole.assign_coords(time=whole["time"].dt.floor("D")).drop_duplicates("time"), notes)


def of_days(paths: list[Path], grid: Grid, notes: list[str]) -> xr.Dataset | None:
    """The weather of daily files of one variable each, at the pixel nearest to a scene.

    Parameters
    ----------
    paths
        Files as ``daily_files`` finds them.
    grid
        Of the scene.
    notes
        Sentences on what was left out are appended.

    Returns
    -------
    xarray.Dataset or None
        As ``combined``, with the variables there are; None where nothing could be read.
    """
    if not paths:
        return None
    left, bottom, right, top = grid.extent
    # Cells are 11 km wide: the one nearest to the middle stands for the scene.
    lon, lat = grid.lonlat((left + right) / 2, (bottom + top) / 2)
    series: dict[str, list[tuple[pd.Timestamp, float]]] = {}
    odd: list[str] = []
    far: list[str] = []
    for path in paths:
        data = raster_file.load(path)
        name, variable = _known(data)
        # Named with a count below: a folder may hold other downloads.
        if name is None:
            odd.append(path.name)
            continue
        values = _at(data[variable], lon, lat)
        if values is None:
            far.append(path.name)
            continue
        times = raster_file.parse_times(np.atleast_1d(values["time"].values), path.name)
        daily = _in_units(name, unpack(values).astype("float64"))
        series.setdefault(name, []).extend(zip(times.floor("D"), np.atleast_1d(daily.values), strict=True))
    for names, why in ((odd, "hold no known variable"), (far, "do not reach the scene")):
        if names:
            notes.append(
                f"{len(names)} of {len(paths)} AgERA5 files {why} and are left out ({', '.join(names[:2])} ...)"
            )
    if not series:
        return None
    table = pd.DataFrame({name: pd.Series(dict(values)) for name, values in series.items()}).sort_index()
    # Downloads stop in the middle: a day may have some of its variables only, and keeps those.
    gaps = table.isna().any(axis=1).sum()
    if gaps:
        notes.append(f"{gaps} of {len(table)} days of AgERA5 lack a variable")
    daily = xr.Dataset(
        {name: ("time", table[name].values) for name in table},
        coords={"time": pd.DatetimeIndex(table.index).as_unit("ns")},
    )
    return _weather(daily, notes)


def _known(data: xr.Dataset) -> tuple[str | None, Hashable | None]:
    """Our name and the file's name of the variable it holds."""
    for variable in data.data_vars:
        plain = re.sub(r"[-\s]", "_", str(variable)).lower()
        for name, names in VARIABLES.items():
            if plain in names:
                return name, variable
    return None, None


def _at(array: xr.DataArray, lon: float, lat: float) -> xr.DataArray | None:
    """(time,) of the nearest cell; None where the file does not reach the place."""
    names = {str(one).lower(): one for one in array.coords}
    for axis, value in (("lon", lon), ("lat", lat)):
        dim = next(
            (
                names[one]
                for one in (axis, f"{axis}gitude", f"{axis}itude", "x" if axis == "lon" else "y")
                if one in names
            ),
            None,
        )
        # A curvilinear grid has latitude and longitude in two dims, which nearest indexing does not serve.
        if dim is None or array[dim].ndim != 1 or dim not in array.dims:
            return None
        places = array[dim].values.astype("float64")
        # longitudes may run from 0 to 360
        distance_deg = np.abs((places - value + 180) % 360 - 180) if axis == "lon" else np.abs(places - value)
        if not distance_deg.size or distance_deg.min() > NEAR_DEG:
            return None
        array = array.isel({dim: int(distance_deg.argmin())})
    # ``valid_time`` is ECMWF's name since 2024.
    time = next((names[one] for one in ("time", "t", "valid_time") if one in names), None)
    if time is None:
        return None
    return array.rename({time: "time"} if time != "time" else {})


def _in_units(name: str, values: xr.DataArray) -> xr.DataArray:
    """Radiation in W m-2, temperature in degC, pressure in hPa, rain in mm d-1, by the variable's own units."""
    kind = KIND.get(name, "tair")
    # What the file says of its unit is believed before the product's usual one.
    unit = parse_unit(kind, str(values.attrs.get("units", "")))
    unit = unit or parse_unit(kind, DEFAULT_UNITS[name])
    return unit.convert(values)


def _weather(daily: xr.Dataset, notes: list[str]) -> xr.Dataset:
    """The variables of the contract, each where what it takes is there."""
    out = {}
    if "solar_radiation_flux" in daily:
        out["sw_in"] = daily["solar_radiation_flux"]
    if "temperature_mean" in daily:
        out["tair"] = daily["temperature_mean"]
    if {"temperature_max", "temperature_min", "vapour_pressure"} <= set(daily):
        out["vpd"] = meteorology.vapour_pressure_deficit_hpa(
            *(daily[name] for name in ("temperature_max", "temperature_min", "vapour_pressure"))
        )
    else:
        notes.append("AgERA5 without vapour pressure and extreme temperatures gives no vpd")
    if "precipitation_flux" in daily:
        out["precip"] = daily["precipitation_flux"]
    frame = xr.Dataset(out).to_dataframe()
    for name in out:
        # A unit that is stated but cannot be true over a season is named.
        likely = weather_units.check_season(name, frame[name], frame.get("tair"))
        if likely is not None:
            notes.append(f"{name} of AgERA5 looks like {likely[0]}, although the file says otherwise")
    weather = xr.Dataset(out).astype("float32")
    for name in weather.data_vars:
        weather[name].attrs = {"units": schema.units("weather", str(name))}
    weather.attrs = {"source": "AgERA5, Copernicus Climate Change Service (C3S)"}
    return weather
