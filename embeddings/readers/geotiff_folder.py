"""A folder of GeoTIFFs, one per date (Earth Engine and openEO exports) or one per date and band, as a scene.

Bands are named in the files' descriptions, or in the file name where a file has one band. The date is in the name, as
in ``S2_20190512.tif``, ``20190512T105031_T31UES.tif`` or ``openEO_2019-05-12Z.tif``.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import cube
from fluxlens.embeddings.readers.band_names import find_bands
from fluxlens.embeddings.readers.georeference import standard_crs
from fluxlens.embeddings.readers.raster_file import check_is_raster
from fluxlens.models.errors import InputError

SUFFIXES = (".tif", ".tiff")
DATE = re.compile(
    r"(?<!\d)(20\d\d)[-_]?([01]\d)[-_]?([0-3]\d)(?:[T_-]?([0-2]\d)[:_-]?([0-5]\d)[:_-]?([0-5]\d))?(?!\d)"
)


def open(folder: str | Path) -> xr.DataTree:
    """The scene of a folder of GeoTIFFs.

    Parameters
    ----------
    folder
        Holds the files; or one file.

    Returns
    -------
    xarray.DataTree
        Nodes ``/s2`` and ``/s1`` as far as the bands go.

    Raises
    ------
    InputError
        A name without a date, bands without names, or files on different grids.

    Warns
    -----
    DataWarning
        Files that were left out, and what was assumed.
    """
    folder = Path(folder).resolve()
    paths = (
        [folder]
        if folder.is_file()
        else sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    )
    notes: list[str] = []
    dated = {path: _date(path.name) for path in paths}
    undated = [path.name for path, date in dated.items() if date is None]
    if len(undated) == len(paths):
        raise InputError(
            f"Got {paths[0].name} without a date in its name, need one such as S2_20190512.tif "
            f"or 2019-05-12.tif; rename it."
        )
    if undated:
        notes.append(
            f"{len(undated)} of {len(paths)} files have no date in their name and are left out "
            f"({', '.join(undated[:3])})"
        )
    rasters: dict[tuple, list[xr.Dataset]] = {}
    unknown = []
    for path, date in dated.items():
        if date is None:
            continue
        raster = _read(path, date)
        if raster is None:
            unknown.append(path.name)
            continue
        rasters.setdefault((date, Grid.from_cube(raster)), []).append(raster)
    if not rasters:
        raise InputError(
            f"Got {unknown[0]} whose bands have no known names, need descriptions such as B02 or "
            f"red, or one band per file "
            "with its name in the file name; write the descriptions."
        )
    if unknown:
        notes.append(
            f"{len(unknown)} of {len(paths)} files have no band of a known name and are left out "
            f"({', '.join(unknown[:3])})"
        )
    # bands of one date in several files are one image
    images = [
        (xr.merge(parts, compat="override", combine_attrs="override"), f"{date:%Y-%m-%d}")
        for (date, _), parts in rasters.items()
    ]
    return cube.scene_of(images, folder.stem if folder.is_file() else folder.name, notes)


def _date(name: str) -> pd.Timestamp | None:
    """The first date of a file name, with its time where there is one."""
    for found in DATE.finditer(name):
        year, month, day, *clock = found.groups()
        text = f"{year}-{month}-{day}" + (f"T{clock[0]}:{clock[1]}:{clock[2]}" if clock[0] else "")
        stamp = pd.to_datetime(text, errors="coerce")
        if not pd.isna(stamp):
            return stamp
    return None


def _read(path: Path, date: pd.Timestamp) -> xr.Dataset | None:
    """One image (time 1, y, x), variables by band with the file's own scale, offset and "
    "no-data value; None: no names."""
    import rasterio
    from rasterio.errors import RasterioError

    if path.suffix.lower() in SUFFIXES:
        check_is_raster(path, "GeoTIFF")
    try:
        with warnings.catch_warnings():
            # rasterio 1.4 multiplies transforms in a way affine 3 no longer likes, and names rotated files
            warnings.simplefilter("ignore")
            with rasterio.open(path) as file:
                names = [str(text or "") for text in file.descriptions]
                if file.count == 1 and not find_bands(names):
                    # the Copernicus browser writes one band per file: 2019-05-12-..._Sentinel-2_L2A_B04_(Raw).tiff
                    parts = re.split(r"[_.() ]+", path.stem)
                    names = [next((part for part in parts if find_bands([part])), "")]
                if not find_bands(names):
                    return None
                transform, crs, tags = file.transform, file.crs, file.tags()
                if crs is None:
                    raise InputError(
                        f"Got {path.name} without a CRS, need one in metres; write it into the file."
                    )
                if transform.b or transform.d:
                    raise InputError(
                        f"Got {path.name}, which is rotated, need north up; warp it to its UTM zone."
                    )
                values, scales, offsets, nodata = file.read(), file.scales, file.offsets, file.nodatavals
    except (RasterioError, OSError) as error:
        raise InputError(
            f"Got {path.name}, which cannot be read ({str(error)[:80]}), need a whole GeoTIFF; fetch it again."
        ) from error
    x = transform.c + (np.arange(values.shape[2]) + 0.5) * transform.a
    y = transform.f + (np.arange(values.shape[1]) + 0.5) * transform.e
    empty = None
    if values.dtype.kind == "f" and all(one is None for one in nodata):
        # Earth Engine writes masked pixels as 0 in all bands where no value for them was asked for
        empty = (values == 0).all(axis=0)
    variables = {}
    for index, name in enumerate(names):
        if not name:
            continue
        attrs = {"scale_factor": scales[index], "add_offset": offsets[index]}
        if nodata[index] is not None and np.isfinite(nodata[index]):
            attrs["_FillValue"] = nodata[index]
        band = values[index] if empty is None else np.where(empty, np.nan, values[index]).astype(values.dtype)
        variables[name] = (("time", "y", "x"), band[None], attrs)
    out = xr.Dataset(
        variables, coords={"time": pd.DatetimeIndex([date]).as_unit("ns"), "y": y, "x": x}, attrs=dict(tags)
    )
    out = out.assign_coords(spatial_ref=standard_crs(crs.to_wkt(), path.name))
    return out.sortby("x").sortby("y", ascending=False)
