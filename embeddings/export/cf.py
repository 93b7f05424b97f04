"""CF conventions 1.11 for exported cubes: units, long and standard names, flags, formula terms."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

UNITS = {
    "time": "UTC day",
    "lon": "degrees_east",
    "lat": "degrees_north",
    "x": "m",
    "y": "m",
    "sigma": "1 (reflectance 0-1)",
    "days_from_s2": "d (-1: none)",
    "days_from_s1": "d (-1: none)",
    "observed": "1 (of a clear Sentinel-2 acquisition on the day; 0: filled from other days)",
    "gpp": "gC m-2 d-1",
    "gpp_lo": "gC m-2 d-1",
    "gpp_hi": "gC m-2 d-1",
    "gpp_spread": "gC m-2 d-1 (standard deviation over what is seen)",
    "spread": "1 (root mean square over features of their standard deviation over what is seen)",
    "share": "1 (of what is seen, 1 = all of it in the scene)",
    "ood": "1 (unlike what the GPP model was trained on)",
    "ndvi": "1 (of a Sentinel-2 acquisition on the day, masked or not)",
    "ndvi_told": "1 (read off the embedding of the day, observed or filled)",
    "clear": "1 (of that acquisition; 0: cloud, shadow or snow masked)",
    "VV": "dB",
    "VH": "dB",
    "sw_in": "W m-2",
    "tair": "degC",
    "vpd": "hPa",
    "precip": "mm d-1",
    "tower_gpp_nt": "gC m-2 d-1",
    "tower_gpp_dt": "gC m-2 d-1",
    "tower_qc": "1 (share of measured or well filled net exchange)",
}
"""The unit, and in brackets what a reader of the bare column must know."""

LABELS = {
    "time": "UTC day",
    "name": "name of the point",
    "lon": "longitude",
    "lat": "latitude",
    "sigma": "expected root-mean-square error of the reflectance the embedding reconstructs",
    "days_from_s2": "days to the nearest clear Sentinel-2 acquisition",
    "days_from_s1": "days to the nearest Sentinel-1 acquisition",
    "observed": "clear Sentinel-2 acquisition on the day",
    "gpp": "gross primary production",
    "gpp_lo": "gross primary production, lower end of the 90 % band",
    "gpp_hi": "gross primary production, upper end of the 90 % band",
    "gpp_spread": "standard deviation of gross primary production over what is seen",
    "spread": "root mean square over features of their standard deviation over what is seen",
    "share": "share of what is seen that lies in the scene",
    "ood": "unlike what the GPP model was trained on",
    "ndvi": "normalised difference vegetation index of the acquisition on the day",
    "ndvi_told": "normalised difference vegetation index as the embedding tells it",
    "clear": "whether that acquisition is clear",
    "VV": "backscatter, vertical sent and received",
    "VH": "backscatter, vertical sent, horizontal received",
    "sw_in": "incoming shortwave radiation",
    "tair": "air temperature",
    "vpd": "vapour pressure deficit",
    "precip": "precipitation",
    "tower_gpp_nt": "gross primary production measured at the tower, night-time partitioning",
    "tower_gpp_dt": "gross primary production measured at the tower, day-time partitioning",
    "tower_qc": "share of measured or well filled net exchange at the tower",
}

CARBON = "gross_primary_productivity_of_biomass_expressed_as_carbon"

STANDARD_NAMES = {
    "time": "time",
    "lon": "longitude",
    "lat": "latitude",
    "x": "projection_x_coordinate",
    "y": "projection_y_coordinate",
    **dict.fromkeys(("gpp", "gpp_lo", "gpp_hi", "tower_gpp_nt", "tower_gpp_dt"), CARBON),
    "sw_in": "surface_downwelling_shortwave_flux_in_air",
    "tair": "air_temperature",
    "vpd": "water_vapor_saturation_deficit_in_air",
}
"""Of the CF standard name table."""

FLAGS = {"observed": "filled observed", "ood": "known unlike_training", "clear": "masked clear"}
"""CF flag meanings of 0 and 1."""


def cf(cube: xr.Dataset) -> xr.Dataset:
    """The cube by the CF conventions 1.11, how it is stored in ``.encoding``.

    Units are those UDUNITS reads, codes for "none" become missing values, booleans become flags, and series at points
    are the discrete geometry ``timeSeries`` (section 9).
    """
    cube = cube.drop_encoding().copy()
    if "point" in cube.dims:
        cube = cube.assign_coords(point=("point", np.arange(cube.sizes["point"], dtype=np.int32)))
        cube["point"].attrs = {"long_name": "number of the point", "cf_role": "timeseries_id"}
        cube.attrs["featureType"] = "timeSeries"
    for name in cube.data_vars:
        if str(name).startswith("days_from_"):
            cube[name] = cube[name].where(cube[name] >= 0).astype(np.float32)
            cube[name].attrs = {"long_name": LABELS.get(str(name), ""), "units": "d"}
        if name in FLAGS and "seen" not in cube.attrs:
            cube[name] = cube[name].fillna(-1).astype(np.int8)
            meanings = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": FLAGS[str(name)]}
            cube[name].attrs = {"long_name": LABELS[str(name)], **meanings}
            cube[name].encoding["_FillValue"] = np.int8(-1)
    for name, values in cube.variables.items():
        _describe(str(name), values)
        if {"x", "point"} & set(values.dims) and name in cube.data_vars and "spatial_ref" in cube.coords:
            values.encoding["grid_mapping"] = "spatial_ref"
        if name in cube.coords:
            values.encoding["_FillValue"] = None
    if "time" in cube.coords:
        counted = {"units": "days since 1970-01-01", "dtype": "int32", "calendar": "proleptic_gregorian"}
        cube["time"].encoding.update(counted)
    if "spatial_ref" in cube.coords:
        cube.attrs["coordinates"] = "spatial_ref"  # else xarray would read it back as data
    told = f"{cube.attrs.get('created', '')} {cube.attrs.get('software', 'fluxlens')}: written".strip()
    source = f"model {cube.attrs['model']}" if cube.attrs.get("model") else "fluxlens"
    cube.attrs = {"source": source, "history": told} | cube.attrs | {"Conventions": "CF-1.11"}
    return cube


def _describe(name: str, values: xr.Variable) -> None:
    """Standard name, long name and unit, as far as a variable has none."""
    attrs = values.attrs
    if re.fullmatch(r"e\d+", name):
        attrs.setdefault("long_name", f"feature {name[1:]} of the embedding")
        attrs.setdefault("units", "1")
    if name in STANDARD_NAMES:
        attrs.setdefault("standard_name", STANDARD_NAMES[name])
    if name in LABELS:
        attrs.setdefault("long_name", LABELS[name])
    if name in UNITS and name not in ("time", *FLAGS):
        attrs.setdefault("units", UNITS[name].split(" (")[0])
    if str(attrs.get("units", "")).startswith("gC "):
        attrs.update(units=attrs["units"][0] + attrs["units"][2:], comment="mass of carbon")
    for axis in ("x", "y"):
        if name == axis and values.dims == (axis,):
            attrs["axis"] = axis.upper()
    if name == "time":
        attrs |= {"axis": "T", "units_metadata": "leap_seconds: none"}
