"""A table or a cube as one file that tells what it is: CSV, GeoParquet, NetCDF, Zarr or cloud-optimised GeoTIFF."""

from __future__ import annotations

import csv
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.export.cf import cf
from fluxlens.embeddings.export.columns import EXPORT_VARIABLES, column_units
from fluxlens.embeddings.export.paths import CUBES, MAPS, TABLES, check_path, replacing
from fluxlens.embeddings.geometry import Grid, transform
from fluxlens.models.errors import InputError

FORMULA = re.compile(r"(^|[,;\t\r\n\"])(\s*)(?=[=+\-@＝＋－＠])")
"""Where a spreadsheet may begin a cell, whatever its separator, and takes it for a formula."""


def write(data: pd.DataFrame | xr.Dataset, path: str | Path) -> None:
    """Write a table or a dataset as the suffix says; an existing file is replaced only by the whole new one.

    Parameters
    ----------
    data
        A table with one row per place and day; or a dataset (point, time), (time, y, x) or for ``.tif`` (y, x). Units
        are those of ``EXPORT_VARIABLES``, and of the variables' own attributes where they have some.
    path
        ``.csv`` or ``.parquet`` of a table, ``.nc``, ``.zarr`` or ``.tif`` of a dataset.

    Raises
    ------
    InputError
        Where the suffix does not fit or the folder does not exist.
    """
    path = check_path(path)
    suffix = path.suffix.lower()
    # The suffix names the format, and not every format holds every kind of answer.
    if isinstance(data, pd.DataFrame) != (suffix in TABLES):
        kind = "a table" if isinstance(data, pd.DataFrame) else "a cube"
        fitting = TABLES if isinstance(data, pd.DataFrame) else CUBES | MAPS
        raise InputError(f"Got {kind} for {path.name}, need {', '.join(sorted(fitting))}; rename it.")
    writers = {".csv": _csv, ".parquet": _parquet, ".nc": _netcdf, ".zarr": _zarr, ".tif": _geotiff}
    with replacing(path) as temporary:
        writers[suffix](data, temporary)


def _csv(table: pd.DataFrame, path: Path) -> None:
    units = column_units([*table.columns])
    # Metadata of a CSV file are comment lines, which pandas, R and spreadsheets skip or show.
    lines = [f"# {key}: {_harmless(' '.join(str(value).split()))}" for key, value in table.attrs.items()]
    lines += [f"# units {name}: {unit}" for name, unit in units.items()]
    text = table.copy()
    for name in text.columns:
        # Numbers cannot be formulas; only text is made harmless.
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

    facts = {key: str(value) for key, value in table.attrs.items()}
    facts |= {f"units {name}": unit for name, unit in column_units([*table.columns]).items()}
    plain = table.copy(deep=False)
    # pandas would write the attributes a second time, as JSON of its own.
    plain.attrs = {}
    arrow = pa.Table.from_pandas(plain, preserve_index=False)
    metadata = arrow.schema.metadata or {}
    # GeoParquet 1.1: a column of WKB points and its description make the table a layer in any GIS.
    if {"lon", "lat"} <= set(table.columns):
        arrow = arrow.append_column("geometry", _points(table))
        facts["geo"] = json.dumps(_geo(table))
    pq.write_table(arrow.replace_schema_metadata({**metadata, **facts}), path)


def _points(table: pd.DataFrame) -> Any:
    """Each row's place as well-known binary: byte order, kind, lon, lat."""
    import pyarrow as pa

    # Well-known binary of all points at once, as one array of fixed records.
    binary = np.empty(len(table), [("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
    binary["order"], binary["kind"], binary["x"], binary["y"] = 1, 1, table["lon"], table["lat"]
    fixed = pa.binary(binary.dtype.itemsize)
    return pa.Array.from_buffers(fixed, len(table), [None, pa.py_buffer(binary)]).cast(pa.binary())


def _geo(table: pd.DataFrame) -> dict:
    """The file metadata of GeoParquet 1.1.0; without a ``crs`` it is OGC:CRS84, longitude and latitude."""
    bounds = [float(x) for end in ("min", "max") for x in getattr(table[["lon", "lat"]], end)()]
    column = {"encoding": "WKB", "geometry_types": ["Point"], "bbox": bounds}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _netcdf(cube: xr.Dataset, path: Path) -> None:
    cube = cf(cube)
    # Level 2: higher levels take several times as long for a few percent.
    packed = {"zlib": True, "complevel": 2}
    encoding = {str(name): {**v.encoding, **packed} for name, v in cube.data_vars.items() if v.ndim}
    cube.to_netcdf(path, engine="netcdf4", encoding=encoding)


def _zarr(cube: xr.Dataset, path: Path) -> None:
    cube = cf(cube)
    # Zarr v3 has no fixed-width text; strings of any length are stored as objects.
    text = {name: v.astype(object) for name, v in cube.coords.items() if v.dtype.kind == "U"}
    with warnings.catch_warnings():
        # xarray and Zarr read and write consolidated metadata of version 3, which has no final specification yet; other
        # readers ignore them. Without them `xr.open_zarr(path)` warns that opening is slow.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        cube.assign_coords(text).to_zarr(path, mode="w", zarr_format=3, consolidated=True)


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
        # A mean of class numbers would be another class.
        "overview_resampling": "nearest" if cube.attrs.get("classes") else "average",
    }
    with rasterio.open(path, "w", **profile) as file:
        for index, (name, values) in enumerate(bands.items(), 1):
            file.write(values.transpose("y", "x").values.astype(np.float32), index)
            file.set_band_description(index, name)
            known = EXPORT_VARIABLES.get(name)
            unit = values.attrs.get("units") or (known.column_units if known else "1")
            long_name = values.attrs.get("long_name") or (known.long_name if known else "") or name
            file.set_band_unit(index, unit)
            file.update_tags(index, units=unit, long_name=long_name)
        file.update_tags(**{key: str(value) for key, value in cube.attrs.items()})
