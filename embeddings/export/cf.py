"""CF conventions 1.11 for exported cubes: units, long and standard names, flags, formula terms."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr
from fluxlens.embeddings.export.columns import EXPORT_VARIABLES


def cf(cube: xr.Dataset) -> xr.Dataset:
    """The cube by the CF conventions 1.11, how it is stored in ``.encoding``.

    Units are those UDUNITS reads, codes for "none" become missing values, booleans become flags, and series at points
    are the discrete geometry ``timeSeries`` (section 9 of the conventions,
    https://cfconventions.org/cf-conventions/cf-conventions.html).

    Parameters
    ----------
    cube
        (point, time[, feature]) or (time, y, x[, feature]) as of ``extract.cube_of``, or any other dataset; units of
        ``EXPORT_VARIABLES`` unless its own attributes say others.

    Returns
    -------
    xarray.Dataset
        A copy with the same dims; ``days_from_*`` are float32 days, NaN for none; flags are int8.
    """
    cube = cube.drop_encoding().copy()
    if "point" in cube.dims:
        # CF's form of time series at places: each needs an identifier (section 9.5).
        cube = cube.assign_coords(point=("point", np.arange(cube.sizes["point"], dtype=np.int32)))
        cube["point"].attrs = {"long_name": "number of the point", "cf_role": "timeseries_id"}
        cube.attrs["featureType"] = "timeSeries"
    for name in cube.data_vars:
        if str(name).startswith("days_from_"):
            # Stores write -1 for "none"; readers of CF expect a missing value, which integers cannot hold.
            cube[name] = cube[name].where(cube[name] >= 0).astype(np.float32)
            cube[name].attrs = {"long_name": _long_name(str(name)), "units": "d"}
        # Of a footprint a flag is a weighted mean, a share and not a flag any more.
        if (flags := _flags(str(name))) and "seen" not in cube.attrs:
            cube[name] = cube[name].fillna(-1).astype(np.int8)
            meanings = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": flags}
            cube[name].attrs = {"long_name": _long_name(str(name)), **meanings}
            cube[name].encoding["_FillValue"] = np.int8(-1)
    for name, values in cube.variables.items():
        _describe(str(name), values)
        if {"x", "point"} & set(values.dims) and name in cube.data_vars and "spatial_ref" in cube.coords:
            values.encoding["grid_mapping"] = "spatial_ref"
        if name in cube.coords:
            values.encoding["_FillValue"] = None  # CF allows no missing values in coordinates
    if "time" in cube.coords:
        counted = {"units": "days since 1970-01-01", "dtype": "int32", "calendar": "proleptic_gregorian"}
        cube["time"].encoding.update(counted)
    if "spatial_ref" in cube.coords:
        cube.attrs["coordinates"] = "spatial_ref"  # else xarray would read it back as data
    history = f"{cube.attrs.get('created', '')} {cube.attrs.get('software', 'fluxlens')}: written".strip()
    source = f"model {cube.attrs['model']}" if cube.attrs.get("model") else "fluxlens"
    cube.attrs = {"source": source, "history": history} | cube.attrs | {"Conventions": "CF-1.11"}
    return cube


def _describe(name: str, values: xr.Variable) -> None:
    """Standard name, long name and unit, as far as a variable has none."""
    attrs = values.attrs
    if re.fullmatch(r"e\d+", name):
        attrs.setdefault("long_name", f"feature {name[1:]} of the embedding")
        attrs.setdefault("units", "1")
    if known := EXPORT_VARIABLES.get(name):
        if known.standard_name:
            attrs.setdefault("standard_name", known.standard_name)
        if known.long_name:
            attrs.setdefault("long_name", known.long_name)
        # xarray writes the units of times; flags have none
        if known.units and name != "time" and not known.flags:
            attrs.setdefault("units", known.units)
    # UDUNITS reads "gC" as gram-coulomb: the unit is the gram, and of what is said in words (CF section 3.1)
    if str(attrs.get("units", "")).startswith("gC "):
        attrs.update(units=attrs["units"][0] + attrs["units"][2:], comment="mass of carbon")
    for axis in ("x", "y"):
        if name == axis and values.dims == (axis,):
            attrs["axis"] = axis.upper()
    if name == "time":
        attrs |= {"axis": "T", "units_metadata": "leap_seconds: none"}


def _long_name(name: str) -> str:
    return EXPORT_VARIABLES[name].long_name if name in EXPORT_VARIABLES else ""


def _flags(name: str) -> str:
    return EXPORT_VARIABLES[name].flags if name in EXPORT_VARIABLES else ""
