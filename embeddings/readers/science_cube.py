"""A DeepFeatures ScienceCube (Zarr: one Sentinel-2 cube with daily ERA5-Land) as a scene, lazily.

``s2l2a`` (band, time, y, x) float32 reflectance, ``cloud_mask`` (time, y, x) with 0 clear, 1 thick cloud,
2 thin cloud, 3 shadow, and ``era5_<variable>_<statistic>`` on ``time_era5``. The CRS is ``spatial_ref`` or
the attribute ``utm_zone`` ("32U": zone and latitude band). B01 and B09 are left out: 60 m, made for the air.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import xarray as xr
from fluxlens.embeddings import meteorology
from fluxlens.embeddings.geometry import Grid, spatial_ref
from fluxlens.embeddings.scenes import packing, schema, validation
from fluxlens.models.errors import DataWarning, InputError

ALL_BANDS = ("B01", *schema.S2_BANDS[:8], "B09", *schema.S2_BANDS[8:])
"""Order of the twelve bands where the cube does not name them."""

SUN_AT_MOST_W_M2 = 500.0
"""Daily mean radiation never exceeds this at the ground: more means accumulations that were summed twice."""


def open(path: str | Path) -> xr.DataTree:
    """The validated scene of a ScienceCube.

    Parameters
    ----------
    path
        Its Zarr folder.

    Returns
    -------
    xarray.DataTree
        ``/s2`` (time, band, y, x), reflectance 0-1, lazily, and ``/weather`` (time) where it has usable ERA5-Land.

    Raises
    ------
    InputError
        No readable Zarr, or without ``s2l2a`` or ``cloud_mask``.

    Warns
    -----
    DataWarning
        Images of a day that another one has, and weather that cannot be used; one warning.
    """
    cube, notes = opened(path), []
    # Bands without a mask would teach clouds as land: both are needed.
    missing = [name for name in ("s2l2a", "cloud_mask") if name not in cube]
    if missing:
        raise InputError(
            f"Got {path} without {', '.join(missing)}, need both of a ScienceCube; check the file."
        )
    datasets = {"/": xr.Dataset(attrs=_attrs(path, cube)), "/s2": _sentinel2(path, cube, notes)}
    weather = _weather(cube, notes)
    if weather is not None:
        datasets["/weather"] = weather
    scene = validation.validate(xr.DataTree.from_dict(datasets))
    if notes:
        warnings.warn(f"{Path(path).name}: {'; '.join(notes)}.", DataWarning, stacklevel=2)
    return scene


def opened(path: str | Path, need: str = "one") -> xr.Dataset:
    """The Zarr of a cube, lazily.

    Parameters
    ----------
    path
        Folder.
    need
        What the error calls the thing that is needed.

    Returns
    -------
    xarray.Dataset
        Decoded by xarray: dims band, time, y, x and time_era5, reflectance 0-1.

    Raises
    ------
    InputError
        It is no readable Zarr.
    """
    try:
        # Said outright: xarray would look for consolidated metadata first and warn where there is none.
        return xr.open_zarr(path, chunks={}, consolidated=(Path(path) / ".zmetadata").exists())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Got {path}, which is no readable Zarr ({type(error).__name__}), need {need}; fetch it again."
        ) from error


def in_order(cube: xr.Dataset, notes: list[str]) -> xr.Dataset:
    """One image per UTC day (of two on a day the first), from west to east and north to south.

    Parameters
    ----------
    cube
        With coordinates time, y, x.
    notes
        Gets a sentence with the count of images left out.

    Returns
    -------
    xarray.Dataset
        Sorted, times floored to days.
    """
    cube = cube.assign_coords(time=cube["time"].astype("datetime64[ns]").dt.floor("D"))
    once = cube.sortby("time").drop_duplicates("time")
    if lost := cube.sizes["time"] - once.sizes["time"]:
        notes.append(
            f"{lost} of {cube.sizes['time']} images are of a day that another one has and are left out"
        )
    return once.sortby("x").sortby("y", ascending=False)


def _sentinel2(path: str | Path, cube: xr.Dataset, notes: list[str]) -> xr.Dataset:
    """Bands in the contract's names, one image per UTC day."""
    s2 = cube[["s2l2a", "cloud_mask"]].assign_coords(band=_bands(path, cube), spatial_ref=crs_of(path, cube))
    s2 = s2.sel(band=[name for name in schema.S2_BANDS if name in s2["band"].values])
    # Bands by name before order: cubes of two versions keep them in different orders.
    s2 = in_order(s2, notes)
    reflectance = packing.clip_saturated(s2["s2l2a"].transpose(*schema.CUBE).astype("float32"))
    # Of 0 alone: thin cloud (2) brightens the visible bands too.
    clear = (s2["cloud_mask"].transpose(*schema.MAPS) == 0) & reflectance.notnull().all("band")
    out = xr.Dataset({"reflectance": reflectance, "clear": clear})
    out["reflectance"].attrs = {"units": "1", "long_name": "surface reflectance"}
    keep = {"time", "band", "x", "y", "spatial_ref"}
    return out.drop_vars(set(out.coords) - keep).assign_coords(Grid.from_cube(out).coords())


def _bands(path: str | Path, cube: xr.Dataset) -> list[str]:
    if "band" in cube.coords:
        return [re.sub(r"^B(\d)$", r"B0\1", str(name)) for name in cube["band"].values]
    if cube.sizes["band"] == len(ALL_BANDS):
        return list(ALL_BANDS)
    raise InputError(
        f"Got {path} with {cube.sizes['band']} unnamed bands, need names or all 12; add a coordinate 'band'."
    )


def crs_of(path: str | Path, cube: xr.Dataset) -> xr.Variable:
    """The variable ``spatial_ref`` of a cube, from its own or its attribute ``utm_zone``.

    Parameters
    ----------
    path
        What the error calls the cube.
    cube
        With ``spatial_ref`` or the attribute.

    Returns
    -------
    xarray.Variable
        Scalar, of a CRS in metres.

    Raises
    ------
    InputError
        The attribute is no UTM zone.
    """
    if "spatial_ref" in cube.coords and cube["spatial_ref"].attrs:
        return cube["spatial_ref"].variable.load()
    name = str(cube.attrs.get("utm_zone", ""))
    if re.fullmatch(r"EPSG:\d+", name):
        return spatial_ref(name)
    zone = re.fullmatch(r"(\d{1,2})([C-X])", name)
    if zone is None:
        raise InputError(f"Got {path} with utm_zone {name!r}, need one such as '32U'; add the attribute.")
    # UTM north is EPSG 326zz, south 327zz; latitude bands before N are southern.
    return spatial_ref(f"EPSG:{32600 + int(zone[1]) + (100 if zone[2] < 'N' else 0)}")


def _weather(cube: xr.Dataset, notes: list[str]) -> xr.Dataset | None:
    """Daily weather of ERA5-Land; None, and a note, where radiation or temperature are missing or unusable."""
    era5 = {
        str(name).removeprefix("era5_"): cube[name].load()
        for name in cube.data_vars
        if str(name).startswith("era5_") and cube[name].dims == ("time_era5",)
    }
    missing = [name for name in ("t2m_mean", "ssrd_sum") if name not in era5]
    if missing:
        if era5:
            notes.append(f"its ERA5-Land lacks {' and '.join(missing)} and is left out")
        return None
    # J m-2 over the day to the mean flux in W m-2.
    sw_in = era5["ssrd_sum"] / 86400
    # Left out and not halved: how it was summed the file does not say.
    if float(sw_in.max()) > SUN_AT_MOST_W_M2:
        notes.append(
            f"its ERA5-Land has radiation of {float(sw_in.max()):.0f} W m-2 in a day's mean, which looks summed twice,"
            " and is left out"
        )
        return None
    out = {"sw_in": sw_in, "tair": _celsius(era5["t2m_mean"])}
    # From the extremes of the day, since saturation pressure is convex: the mean temperature would give too little.
    if {"t2m_max", "t2m_min", "d2m_mean"} <= set(era5):
        high, low, dew = (_celsius(era5[name]) for name in ("t2m_max", "t2m_min", "d2m_mean"))
        out["vpd"] = meteorology.vapour_pressure_deficit_hpa(
            high, low, meteorology.saturation_vapour_pressure_hpa(dew)
        )
    if "tp_sum" in era5:
        # Metres to mm; accumulations differ by rounding and give rain of -1e-7 m.
        out["precip"] = (era5["tp_sum"] * 1000).clip(min=0)
    weather = xr.Dataset(out).astype("float32").rename(time_era5="time").sortby("time")
    weather = weather.assign_coords(time=weather["time"].dt.floor("D"))
    for name in weather.data_vars:
        weather[name].attrs = {"units": schema.units("weather", str(name))}
    weather.attrs = {"source": "ERA5-Land, Copernicus Climate Change Service (C3S)"}
    return weather.drop_vars(set(weather.coords) - {"time"})


def _celsius(temperature: xr.DataArray) -> xr.DataArray:
    """degC; cubes hold kelvin or degC, and nothing on land is above 150 degC or below 150 K."""
    return temperature - 273.15 if float(temperature.max()) > 150 else temperature


def _attrs(path: str | Path, cube: xr.Dataset) -> dict[str, object]:
    name = str(cube.attrs.get("id", Path(path).stem))
    return {
        "id": name,
        "title": f"DeepFeatures ScienceCube {name}",
        "simulated": 0,
        "source": "Contains modified Copernicus Sentinel data; ERA5-Land (Copernicus C3S)",
        "licence": "Copernicus data: free and open, with attribution",
    }
