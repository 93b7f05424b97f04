"""A table or a cube as one file that tells what it is: CSV, GeoParquet, NetCDF, Zarr or cloud-optimised GeoTIFF."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from embeddings.geometry import Grid
from models.errors import InputError

TABLES = {".csv", ".parquet"}
CUBES = {".nc", ".zarr"}
MAPS = {".tif"}
SUFFIXES = TABLES | CUBES | MAPS
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
FORMULA = re.compile(r"(^|[,;\t\r\n\"])(\s*)(?=[=+\-@＝＋－＠])")
"""Where a spreadsheet may begin a cell, whatever its separator, and takes it for a formula."""


def check_path(path: str | Path, suffixes: set[str] = SUFFIXES) -> Path:
    """A path that can be written to, or an InputError before anything is computed."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"Got --out {path.name}, need one of {', '.join(sorted(suffixes))}; rename it.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a folder that exists; create {path.parent} first.")
    if path.is_dir() and not (path.suffix.lower() == ".zarr" and (path / "zarr.json").exists()):
        raise InputError(f"Got --out {path}, which is a folder, need a file; choose another name.")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside ``path``, renamed onto it when the block ends well and removed when not."""
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise InputError(f"Got the path {path}, need a folder that exists; create {path.parent} first.")
    # The suffix stays last: writers look at it.
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield beside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def write(data: pd.DataFrame | xr.Dataset, path: str | Path) -> None:
    """A table or a dataset as the suffix says; an existing file is replaced only by the whole new one."""
    path = check_path(path)
    suffix = path.suffix.lower()
    if isinstance(data, pd.DataFrame) != (suffix in TABLES):
        kind = "a table" if isinstance(data, pd.DataFrame) else "a cube"
        fitting = TABLES if isinstance(data, pd.DataFrame) else CUBES | MAPS
        raise InputError(f"Got {kind} for {path.name}, need {', '.join(sorted(fitting))}; rename it.")
    writers = {".csv": _csv, ".parquet": _parquet, ".nc": _netcdf, ".zarr": _zarr, ".tif": _geotiff}
    with replacing(path) as beside:
        writers[suffix](data, beside)


# --- tables ---


def _csv(table: pd.DataFrame, path: Path) -> None:
    units = {name: UNITS[name] for name in table.columns if name in UNITS}
    lines = [f"# {key}: {_harmless(' '.join(str(value).split()))}" for key, value in table.attrs.items()]
    lines += [f"# units {name}: {unit}" for name, unit in units.items()]
    text = table.copy()
    for name in text.columns:
        if text[name].dtype == object or pd.api.types.is_string_dtype(text[name].dtype):
            text[name] = [_harmless(value) for value in text[name]]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("\n".join(lines) + "\n")
        text.to_csv(
            file,
            index=False,
            date_format="%Y-%m-%d",
            float_format="%.8g",
            quoting=csv.QUOTE_MINIMAL,
            lineterminator="\n",
        )


def _harmless(value: Any) -> Any:
    """Text in which each part that a spreadsheet would run as a formula has a quote in front."""
    return FORMULA.sub(r"\1\2'", value) if isinstance(value, str) else value


def _parquet(table: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = {key: str(value) for key, value in table.attrs.items()}
    told |= {f"units {name}": UNITS[name] for name in table.columns if name in UNITS}
    plain = table.copy(deep=False)
    plain.attrs = {}
    arrow = pa.Table.from_pandas(plain, preserve_index=False)
    kept = arrow.schema.metadata or {}
    if {"lon", "lat"} <= set(table.columns):
        arrow = arrow.append_column("geometry", _points(table))
        told["geo"] = json.dumps(_geo(table))
    pq.write_table(arrow.replace_schema_metadata({**kept, **told}), path)


def _points(table: pd.DataFrame) -> Any:
    """Each row's place as well-known binary: byte order, kind, lon, lat."""
    import pyarrow as pa

    binary = np.empty(len(table), [("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
    binary["order"], binary["kind"], binary["x"], binary["y"] = 1, 1, table["lon"], table["lat"]
    fixed = pa.binary(binary.dtype.itemsize)
    return pa.Array.from_buffers(fixed, len(table), [None, pa.py_buffer(binary)]).cast(pa.binary())


def _geo(table: pd.DataFrame) -> dict:
    """The file metadata of GeoParquet 1.1.0; without a ``crs`` it is OGC:CRS84, longitude and latitude."""
    bounds = [float(x) for end in ("min", "max") for x in getattr(table[["lon", "lat"]], end)()]
    column = {"encoding": "WKB", "geometry_types": ["Point"], "bbox": bounds}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


# --- cubes ---


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


def _netcdf(cube: xr.Dataset, path: Path) -> None:
    cube = cf(cube)
    packed = {"zlib": True, "complevel": 2}
    encoding = {str(name): {**v.encoding, **packed} for name, v in cube.data_vars.items() if v.ndim}
    cube.to_netcdf(path, engine="netcdf4", encoding=encoding)


def _zarr(cube: xr.Dataset, path: Path) -> None:
    cube = cf(cube)
    text = {name: v.astype(object) for name, v in cube.coords.items() if v.dtype.kind == "U"}
    cube.assign_coords(text).to_zarr(path, mode="w", zarr_format=3, consolidated=False)


# --- maps ---


def _geotiff(cube: xr.Dataset, path: Path) -> None:
    """Bands (y, x) as GDAL's COG driver lays them out: tiles, then overviews, all where a reader expects them."""
    import rasterio

    grid = Grid.from_cube(cube)
    bands = {str(name): values for name, values in cube.data_vars.items() if set(values.dims) == {"y", "x"}}
    profile = {
        "driver": "COG",
        "height": grid.ny,
        "width": grid.nx,
        "count": len(bands),
        "dtype": "float32",
        "crs": grid.crs,
        "transform": transform(grid),
        "nodata": float("nan"),
        "compress": "deflate",
        "overview_resampling": "nearest" if cube.attrs.get("classes") else "average",
    }
    with rasterio.open(path, "w", **profile) as file:
        for index, (name, values) in enumerate(bands.items(), 1):
            file.write(values.transpose("y", "x").values.astype(np.float32), index)
            file.set_band_description(index, name)
            unit = values.attrs.get("units") or UNITS.get(name, "1")
            file.set_band_unit(index, unit)
            file.update_tags(
                index, units=unit, long_name=values.attrs.get("long_name") or LABELS.get(name, name)
            )
        file.update_tags(**{key: str(value) for key, value in cube.attrs.items()})


def transform(grid: Grid) -> Any:
    """From column, row to metres, as GDAL has it."""
    from affine import Affine

    return Affine(grid.size_m, 0.0, grid.left_m, 0.0, -grid.size_m, grid.top_m)
