"""A folder of NetCDF files, one per sensor and resolution, as a scene.

Files are known by how their names begin:

- ``S2_L2A_10m*``: B02 B03 B04 B08, digital numbers = reflectance x 10000, 0 = no data; optional.
- ``S2_L2A_20m*``: B05 B06 B07 B8A B11 B12 and the scene classification SCL; without the 10 m file the node
  stays on the 20 m grid, with it the 20 m bands are repeated 2 x 2.
- ``S1_GRD-ASCENDING_20m*``, ``S1_GRD-DESCENDING_20m*``: VV VH, dB x 10000, 0 = no data.
- ``L8_SR*``: Landsat 8 surface reflectance, Collection 1, B02 ... B07 and pixel_qa.
- ``AgERA5*``: daily weather (Copernicus Climate Change Service), one or a few pixels, averaged.

Times become UTC days. Tiles of the same day are merged: clear values win, several of a kind are averaged.
Only where an ascending and a descending pass share a day do both keep their hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import meteorology, schema
from embeddings.geometry import Grid, regrid_nearest, spatial_ref
from embeddings.readers import acquisitions
from models.errors import InputError

PROBE_S, PROBE_BYTES_PER_S = 30.0, 5e6
"""A whole file is read in less, even on a slow disk."""
_PROBE = """
import sys, netCDF4
for path in sys.argv[1:]:
    print(path, flush=True)
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            for variable in file.variables.values():
                variable[...]
    except Exception:
        pass
"""
LICENCE = "Copernicus Sentinel data and Copernicus Climate Change Service: free and open, with attribution"


def open(folder: str | Path, offset: int | None = None) -> xr.DataTree:
    """The validated scene of a folder.

    ``offset`` is added to the digital numbers of Sentinel-2 before scaling: -1000 for processing baseline
    04.00 and later where the provider has not applied it; by default the files' attribute ``offset``, else 0.
    """
    folder = Path(folder).resolve()
    files = [path for path in sorted(folder.glob("*.nc")) if path.is_file()]
    _survive(tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files))
    nodes = {
        "s2": _sentinel2(folder, offset),
        "s1": _sentinel1(folder),
        "landsat8": _landsat8(folder),
        "weather": _weather(folder),
    }
    nodes = {name: node for name, node in nodes.items() if node is not None}
    if not {"s2", "s1"} & set(nodes):
        raise InputError(
            f"Got {folder} without Sentinel files, need S2_L2A_20m*.nc or S1_GRD-*.nc; check the folder."
        )
    root = xr.Dataset(attrs=_attrs(folder, nodes))
    datasets = {"/": root, **{f"/{name}": node for name, node in nodes.items()}}
    return schema.validate(xr.DataTree.from_dict(datasets, name=root.attrs["id"]))


@lru_cache(maxsize=64)
def _survive(files: tuple[tuple[str, int, int], ...]) -> None:
    """InputError where reading a file (path, time, bytes) kills or hangs a process: damaged HDF5 can do both."""
    seconds = PROBE_S + sum(size for _, _, size in files) / PROBE_BYTES_PER_S
    # -P: a module beside the user's data is not taken for netCDF4
    command = [sys.executable, "-P", "-c", _PROBE, *(path for path, _, _ in files)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds)
        told, ended = done.stdout, "crashes" if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        told, ended = late.stdout or b"", f"does not end reading within {seconds:.0f} s"
    if ended:
        name = os.path.basename(told.decode().splitlines()[-1]) if told else "the NetCDF library"
        raise InputError(f"Got {name}, which {ended}, need a whole NetCDF file; fetch it again.")


def _sentinel2(folder: Path, offset: int | None) -> xr.Dataset | None:
    coarse = _read(folder, "S2_L2A_20m", (*schema.S2_BANDS_20M, "SCL"))
    fine = _read(folder, "S2_L2A_10m", schema.S2_BANDS_10M)
    if coarse is None and fine is not None:
        raise InputError(
            f"Got {folder} with S2_L2A_10m but no S2_L2A_20m, need its SCL for clear pixels; add the file."
        )
    if coarse is None:
        return None
    parts, bands = [coarse], schema.S2_BANDS_20M
    if fine is not None:
        parts, bands = list(_same_dates(folder, coarse, fine)), schema.S2_BANDS
    grid = Grid.from_cube(parts[-1])
    images = {
        name: regrid_nearest(acquisitions.to_reflectance(part[name], _offset(part, offset)), grid)
        for part in parts
        for name in bands
        if name in part
    }
    reflectance = xr.concat([images[name] for name in bands], dim="band").transpose(*schema.CUBE)
    scl = regrid_nearest(parts[0]["SCL"], grid)
    return acquisitions.optical_node(reflectance, bands, scl.isin(acquisitions.CLEAR_SCL), grid)


def _landsat8(folder: Path) -> xr.Dataset | None:
    names = tuple(f"B0{number}" for number in range(2, 8))
    file = _read(folder, "L8_SR", (*names, "pixel_qa"))
    if file is None:
        return None
    # LaSRC gives int16, -2000 to 16000, -9999 = no data; cast to uint16 somewhere, so that -1 became 65535.
    signed = {name: file[name].astype("int16", copy=False) for name in names}
    images = [acquisitions.to_reflectance(image.where(image > -9999, 0), 0) for image in signed.values()]
    reflectance = xr.concat(images, dim="band").transpose(*schema.CUBE)
    return acquisitions.optical_node(
        reflectance, schema.L8_BANDS, _landsat_clear(file["pixel_qa"]), Grid.from_cube(file)
    )


def _landsat_clear(pixel_qa: xr.DataArray) -> xr.DataArray:
    """Clear by Collection 1 pixel_qa: bit 1 clear or 2 water, confidence of cloud (6-7) and cirrus (8-9) low.

    USGS, Landsat 8 Collection 1 Land Surface Reflectance Code (LaSRC) Product Guide, table 7.
    """
    land_or_water = (pixel_qa & 0b110) > 0
    return land_or_water & (((pixel_qa >> 6) & 3) < 2) & (((pixel_qa >> 8) & 3) < 2)


def _same_dates(folder: Path, coarse: xr.Dataset, fine: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Both files at the times they share: to the second, or by day where no time agrees."""
    common = np.intersect1d(coarse["time"].values, fine["time"].values)
    if not common.size:
        coarse, fine = (_by_day(part) for part in (coarse, fine))
        common = np.intersect1d(coarse["time"].values, fine["time"].values)
    if not common.size:
        raise InputError(
            f"Got {folder} whose 10 m and 20 m Sentinel-2 files share no date, need the same images in both; "
            "fetch them for the same period."
        )
    return tuple(part.isel(time=np.isin(part["time"].values, common)) for part in (coarse, fine))


def _by_day(part: xr.Dataset) -> xr.Dataset:
    return part.assign_coords(time=part["time"].dt.floor("D")).drop_duplicates("time")


def _offset(part: xr.Dataset, offset: int | None) -> int:
    return int(part.attrs.get("offset", 0) if offset is None else offset)


def _sentinel1(folder: Path) -> xr.Dataset | None:
    passes = {orbit: _read(folder, f"S1_GRD-{orbit.upper()}", schema.S1_BANDS) for orbit in schema.ORBITS}
    passes = {orbit: _decibel(part) for orbit, part in passes.items() if part is not None}
    if not passes:
        return None
    grid = Grid.from_cube(next(iter(passes.values())))
    both = [
        regrid_nearest(part, grid).assign_coords(orbit=("time", [orbit] * part.sizes["time"]))
        for orbit, part in passes.items()
    ]
    both = xr.concat(both, dim="time").sortby("time").transpose(*schema.CUBE)
    day = both["time"].dt.floor("D")
    alone = ~day.to_index().duplicated(keep=False)
    both = both.assign_coords(time=both["time"].where(~xr.DataArray(alone, dims="time"), day))
    both.attrs = {"units": "dB", "long_name": "backscatter"}
    return both.to_dataset(name="backscatter").assign_coords(band=list(schema.S1_BANDS), **grid.coords())


def _decibel(file: xr.Dataset) -> xr.DataArray:
    """dB (time, band, y, x) of one orbit; slices of the same day are averaged as power, not as dB."""
    stacked = xr.concat([file[name] for name in schema.S1_BANDS], dim="band").transpose(*schema.CUBE)
    numbers = stacked.values
    decibel = (
        schema.unpack(numbers, acquisitions.STEP) if numbers.dtype.kind in "iu" else numbers.astype("float32")
    )
    decibel = np.where(numbers == 0, np.float32(np.nan), decibel)
    day = stacked["time"].values.astype("datetime64[D]")
    days, first = np.unique(day, return_index=True)
    out = decibel[first]
    for index in np.flatnonzero(np.bincount(np.searchsorted(days, day)) > 1):
        power = acquisitions.nan_mean(10 ** (decibel[day == days[index]] / 10))
        out[index] = 10 * np.log10(power)
    return stacked.isel(time=first).copy(data=out.astype("float32"))


def _weather(folder: Path) -> xr.Dataset | None:
    names = (
        "solar_radiation_flux",
        "temperature_mean",
        "temperature_max",
        "temperature_min",
        "vapour_pressure",
        "precipitation_flux",
    )
    file = _read(folder, "AgERA5", names)
    if file is None:
        return None
    daily = file[list(names)].astype("float64")
    daily = daily.where(daily > -9000).mean(("y", "x")).drop_vars("spatial_ref", errors="ignore")
    daily = daily.assign_coords(time=daily["time"].dt.floor("D")).drop_duplicates("time")
    celsius = {name: daily[f"temperature_{name}"] - 273.15 for name in ("mean", "max", "min")}
    out = xr.Dataset(
        {
            "sw_in": daily["solar_radiation_flux"] / 86400,
            "tair": celsius["mean"],
            "vpd": meteorology.vapour_pressure_deficit_hpa(
                celsius["max"], celsius["min"], daily["vapour_pressure"]
            ),
            "precip": daily["precipitation_flux"],
        }
    ).astype("float32")
    for name in out.data_vars:
        out[name].attrs = {"units": schema.units("weather", str(name))}
    out.attrs = {"source": "AgERA5, Copernicus Climate Change Service (C3S)"}
    return out


def _read(folder: Path, prefix: str, names: tuple[str, ...]) -> xr.Dataset | None:
    """Variables of all files of one kind, in order of time; None where there is no file."""
    paths = sorted(path for path in folder.glob("*.nc") if path.name.lower().startswith(prefix.lower()))
    parts = [_read_file(path, names) for path in paths]
    if not parts:
        return None
    if any(part.sizes["x"] > 1 and Grid.from_cube(part) != Grid.from_cube(parts[0]) for part in parts[1:]):
        raise InputError(f"Got {prefix} files on different grids in {folder}, need one; split the folder.")
    whole = parts[0] if len(parts) == 1 else xr.concat(parts, dim="time", combine_attrs="override")
    return whole.sortby("time")


def _read_file(path: Path, names: tuple[str, ...]) -> xr.Dataset:
    try:
        # Not decoded: SCL carries an integer scale_factor with a _FillValue, at which xarray stumbles.
        with xr.open_dataset(path, mask_and_scale=False) as file:
            missing = [name for name in names if name not in file]
            if missing:
                raise InputError(
                    f"Got {path.name} without {', '.join(missing)}, need {', '.join(names)}; "
                    "fetch it again in full."
                )
            data = file[list(names)].load()
    except InputError:
        raise
    except Exception as error:  # a damaged file makes HDF5 and netCDF4 fail in any way they can
        raise InputError(
            f"Got {path.name}, which cannot be read ({_first_line(error)}), need a whole NetCDF file; "
            "fetch it again."
        ) from error
    if not {"x", "y"} <= set(data.coords):
        raise InputError(f"Got {path.name} without x and y, need pixel centres in metres; fetch it again.")
    return _with_crs(path, _with_time(path, data)).sortby("x").sortby("y", ascending=False)


def _with_time(path: Path, data: xr.Dataset) -> xr.Dataset:
    name = next((name for name in ("time", "timestamp", "t") if name in data.coords), None)
    if name is None:
        raise InputError(f"Got {path.name} without times, need a coordinate 'time'; add it.")
    if not data[name].size:
        raise InputError(f"Got {path.name} without a single date, need at least one; widen the time range.")
    try:
        time = pd.DatetimeIndex(pd.to_datetime(data[name].values)).as_unit("ns")
    except (ValueError, TypeError) as error:
        raise InputError(f"Got {path.name} with times that are no dates, need UTC dates; mend.") from error
    return data.rename({name: "time"} if name != "time" else {}).assign_coords(time=time)


def _with_crs(path: Path, data: xr.Dataset) -> xr.Dataset:
    """The CRS from ``spatial_ref`` or, more often right, from the attribute ``epsg``."""
    if "epsg" in data.attrs:
        return data.assign_coords(spatial_ref=spatial_ref(f"EPSG:{data.attrs['epsg']}"))
    if "spatial_ref" not in data.coords:
        raise InputError(f"Got {path.name} without a CRS, need an attribute 'epsg'; add it.")
    return data


def _attrs(folder: Path, nodes: dict[str, xr.Dataset]) -> dict[str, object]:
    times = np.concatenate([node["time"].values for name, node in nodes.items() if name in schema.SENSORS])
    years = sorted({str(times.min())[:4], str(times.max())[:4]})
    return {
        "id": folder.name,
        "title": f"{folder.name}, {str(times.min())[:10]} to {str(times.max())[:10]}",
        "simulated": 0,
        "source": f"Contains modified Copernicus Sentinel data {'-'.join(years)}"
        + (" and AgERA5 (Copernicus C3S)" if "weather" in nodes else "")
        + (" and Landsat 8 (USGS)" if "landsat8" in nodes else ""),
        "licence": LICENCE,
    }


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:80]
