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
from fluxlens.embeddings.readers import cube, reproject
from fluxlens.embeddings.readers.band_names import find_bands
from fluxlens.embeddings.readers.georeference import standard_crs
from fluxlens.embeddings.readers.raster_file import check_is_raster
from fluxlens.models.errors import InputError

SUFFIXES = (".tif", ".tiff", ".vrt")
CLOCK = r"(?:[T_-]?([0-2]\d)[:_-]?([0-5]\d)[:_-]?([0-5]\d))?(?!\d)"
DATE = re.compile(r"(?<!\d)(20\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)" + CLOCK)
DAY_OF_YEAR = re.compile(r"(?<!\d)(20\d\d)[-_.]?([0-3]\d\d)" + CLOCK)
"""As in names of HLS and MODIS products: ``HLS.S30.T31UES.2019132T105031.v2.0.B04.tif``."""
DAY_FIRST = re.compile(r"(?<!\d)([0-3]\d)[-_.]([01]\d)[-_.](20\d\d)(?!\d)")
VALUES_BYTES_AT_MOST = 2**33
"""8 GiB: an image is read whole, and a sparse file may declare any size."""


def open(folder: str | Path) -> xr.DataTree:
    """The scene of a folder of GeoTIFFs.

    Parameters
    ----------
    folder
        Holds the files; or one file.

    Returns
    -------
    xarray.DataTree
        Nodes ``/s2`` (reflectance 0-1) and ``/s1`` (dB), dims time, band, y, x, as far as the bands go.

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
    # 05-12-2019 may be May or December: only a day beyond 12 in a file beside it tells the order
    orders = [found for path in paths if (found := DAY_FIRST.search(path.name))]
    # All files of a folder are named in one order.
    day_first = any(int(found[1]) > 12 for found in orders) and all(int(found[2]) <= 12 for found in orders)
    dated = {path: _date(path.name, day_first) for path in paths}
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
    # By date and grid: bands of one image may lie in several files.
    rasters: dict[tuple, list[xr.Dataset]] = {}
    unknown = []
    for path, date in dated.items():
        if date is None:
            continue
        raster = _read(path, date, notes)
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
    merged: dict[pd.Timestamp, list[xr.Dataset]] = {}
    for (date, _), parts in rasters.items():
        merged.setdefault(date, []).append(
            xr.merge(parts, compat="override", combine_attrs="override", join="exact")
        )
    images = [
        (image, f"{date:%Y-%m-%d}")
        for date, tiles in merged.items()
        for image in _mosaics(tiles, date, notes)
    ]
    return cube.scene_of(images, folder.stem if folder.is_file() else folder.name, notes)


def _mosaics(tiles: list[xr.Dataset], date: pd.Timestamp, notes: list[str]) -> list[xr.Dataset]:
    """Tiles of one date with the same bands and attributes on one lattice as one image; others as they are."""
    groups: dict[tuple, list[xr.Dataset]] = {}
    for tile in tiles:
        grid = Grid.from_cube(tile)
        # The place of the lattice to a millimetre of the pixel: only tiles that share edges can be laid side by side.
        phase = tuple(round(edge / grid.size_m % 1, 3) % 1 for edge in (grid.left_m, grid.top_m))
        key = (grid.crs, grid.size_m, phase, tuple(sorted(map(str, tile.data_vars))))
        # Only tiles of the same bands and lattice are laid beside each other.
        groups.setdefault(key, []).append(tile)
    out = []
    for group in groups.values():
        if len(group) == 1:
            out += group
            continue
        bands = {str(one): group[0][one] for one in group[0].data_vars}
        attrs = {name: array.attrs for name, array in bands.items()}
        if any(tile[name].attrs != attrs[name] for tile in group for name in bands):
            raise InputError(
                f"Got tiles of {date:%Y-%m-%d} with different scales or no-data values, need the same; "
                "export them alike."
            )
        grids = [Grid.from_cube(tile) for tile in group]
        size = grids[0].size_m
        left, top = min(grid.left_m for grid in grids), max(grid.top_m for grid in grids)
        shape = (
            round((top - min(grid.extent[1] for grid in grids)) / size),
            round((max(grid.extent[2] for grid in grids) - left) / size),
        )
        filled, seen = {}, np.zeros(shape, bool)
        for name, array in bands.items():
            told = attrs[name].get("_FillValue", np.nan if array.dtype.kind == "f" else 0)
            whole = np.full((1, *shape), told, array.dtype)
            for tile, grid in zip(group, grids, strict=True):
                row, col = round((top - grid.top_m) / size), round((grid.left_m - left) / size)
                part = whole[:, row : row + grid.ny, col : col + grid.nx]
                new = tile[name].values
                # Where tiles overlap, the first one with a value counts.
                empty = np.isnan(part) if np.isnan(told) else part == told
                part[:] = np.where(empty, new, part)
                seen[row : row + grid.ny, col : col + grid.nx] = True
            filled[name] = (("time", "y", "x"), whole, attrs[name])
        target = Grid(grids[0].crs, left, top, size, shape[1], shape[0])
        out.append(xr.Dataset(filled, {"time": group[0]["time"], **target.coords()}, attrs=group[0].attrs))
        if not seen.all():
            notes.append(
                f"the tiles of {date:%Y-%m-%d} leave {(~seen).sum()} of {seen.size} pixels without values"
            )
    return out


def _date(name: str, day_first: bool) -> pd.Timestamp | None:
    """The first date of a file name, with its time where there is one.

    Year, month, day; else year and day of year; else day, month, year where ``day_first``.
    """
    for found in DATE.finditer(name):
        year, month, day, *clock = found.groups()
        text = f"{year}-{month}-{day}" + (f"T{clock[0]}:{clock[1]}:{clock[2]}" if clock[0] else "")
        stamp = pd.to_datetime(text, errors="coerce")
        if not pd.isna(stamp):
            return stamp
    for found in DAY_OF_YEAR.finditer(name):
        year, day, *clock = found.groups()
        text = f"{year} {day} " + (" ".join(clock) if clock[0] else "00 00 00")
        stamp = pd.to_datetime(text, format="%Y %j %H %M %S", errors="coerce")
        if not pd.isna(stamp):
            return stamp
    found = DAY_FIRST.search(name) if day_first else None
    stamp = pd.to_datetime(f"{found[3]}-{found[2]}-{found[1]}", errors="coerce") if found else pd.NaT
    return None if pd.isna(stamp) else stamp


def _read(path: Path, date: pd.Timestamp, notes: list[str]) -> xr.Dataset | None:
    """One image (time 1, y, x), variables by band with the file's own scale, offset and "
    "no-data value; None: no names."""
    import rasterio
    from rasterio.errors import RasterioError

    if path.suffix.lower() != ".vrt":
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
                # A name twice is another date (an Earth Engine stack), unless names tell two resolutions.
                known = [key for key in (find_bands([text]) for text in names) if key]
                twice = len(known) - len({tuple(key) for key in known})
                if twice and not any(re.search(r"_\d\dm$", text) for text in names):
                    raise InputError(
                        f"Got {path.name} with {twice} bands of a name that another one has, need one image per file; "
                        "split the dates."
                    )
                bytes_declared = file.count * file.height * file.width * np.dtype(file.dtypes[0]).itemsize
                if bytes_declared > VALUES_BYTES_AT_MOST:
                    raise InputError(
                        f"Got {path.name} of {bytes_declared / 1e9:,.0f} GB, need at most "
                        f"{VALUES_BYTES_AT_MOST / 1e9:.0f} GB an image; cut out your area."
                    )
                values, scales, offsets, nodata = file.read(), file.scales, file.offsets, file.nodatavals
    except (RasterioError, OSError) as error:
        raise InputError(
            f"Got {path.name}, which cannot be read ({str(error)[:80]}), need a whole GeoTIFF; fetch it again."
        ) from error
    # Transforms give the outer corner; coordinates are centres.
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
    if crs.is_geographic:
        return reproject.to_utm(out, path.name, notes)
    out = out.assign_coords(spatial_ref=standard_crs(crs.to_wkt(), path.name))
    return out.sortby("x").sortby("y", ascending=False)
