"""A folder of GeoTIFFs, one per date (Earth Engine and openEO exports) or one per date and band, as a scene.

Bands are named in the files' descriptions, in the file name where a file has one band, or in a STAC item beside it. The
date is in the name, as in ``S2_20190512.tif``, ``20190512T105031_T31UES.tif`` or ``openEO_2019-05-12Z.tif``, or in the
names of the bands of a stack (see ``geotiff_bands``).
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
from fluxlens.embeddings.readers.band_names import LANDSAT, LANDSAT_FILE, find_bands
from fluxlens.embeddings.readers.georeference import standard_crs
from fluxlens.embeddings.readers.geotiff_bands import (
    DAY_FIRST,
    date_in,
    read_sidecar_item,
    refuse_counted,
    split_dates,
)
from fluxlens.embeddings.readers.raster_file import check_is_raster
from fluxlens.models.errors import InputError

SUFFIXES = (".tif", ".tiff", ".vrt")
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
        # A point begins what macOS writes beside each file on other disks.
        else sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    )
    notes: list[str] = []
    paths = _without_landsat(paths, notes)
    # 05-12-2019 may be May or December: only a day beyond 12 in a file beside it tells the order
    orders = [match for path in paths if (match := DAY_FIRST.search(path.name))]
    # All files of a folder are named in one order.
    day_first = any(int(match[1]) > 12 for match in orders) and all(int(match[2]) <= 12 for match in orders)
    dated = {path: date_in(path.name, day_first) for path in paths}
    # By date and grid: bands of one image may lie in several files.
    rasters: dict[tuple, list[xr.Dataset]] = {}
    unknown: list[Path] = []
    undated: list[Path] = []
    for path, date in dated.items():
        images = _read(path, date, notes)
        if images is None:
            (undated if date is None else unknown).append(path)
        for stamp, raster in (images or {}).items():
            if stamp is None:
                undated.append(path)
            else:
                rasters.setdefault((stamp, Grid.from_cube(raster)), []).append(raster)
    if not rasters and undated:
        raise InputError(
            f"Got {undated[0].name} without a date in its name, need one such as S2_20190512.tif "
            f"or 2019-05-12.tif; rename it."
        )
    if not rasters:
        raise InputError(_without_names(unknown[0]))
    if undated:
        notes.append(
            f"{len(undated)} of {len(paths)} files have no date in their name and are left out "
            f"({', '.join(path.name for path in undated[:3])})"
        )
    if unknown:
        notes.append(
            f"{len(unknown)} of {len(paths)} files have no band of a known name and are left out "
            f"({', '.join(path.name for path in unknown[:3])})"
        )
    # bands of one date in several files are one image
    merged: dict[pd.Timestamp, list[xr.Dataset]] = {}
    for (date, _), bands in rasters.items():
        merged.setdefault(date, []).append(
            xr.merge(bands, compat="override", combine_attrs="override", join="exact")
        )
    images = [
        (image, f"{date:%Y-%m-%d}")
        for date, tiles in merged.items()
        for image in _mosaics(tiles, date, notes)
    ]
    return cube.scene_of(images, folder.stem if folder.is_file() else folder.name, notes)


def _without_landsat(paths: list[Path], notes: list[str]) -> list[Path]:
    """The files that are not Landsat's by their names; InputError where none is left."""
    landsat = [path for path in paths if LANDSAT_FILE.search(path.name)]
    if landsat and len(landsat) == len(paths):
        raise InputError(
            f"Got {landsat[0].name}, which is Landsat, need Sentinel-2 or Sentinel-1; choose another folder."
        )
    if landsat:
        # B05 of Landsat is near infrared, of Sentinel-2 red edge: read as such it would be wrong in silence.
        notes.append(
            f"{len(landsat)} of {len(paths)} files are Landsat's and are left out ({landsat[0].name}, ...)"
        )
    return [path for path in paths if path not in set(landsat)]


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
        # The array below has one fill value and one scale for all tiles.
        if any(tile[name].attrs != attrs[name] for tile in group for name in bands):
            raise InputError(
                f"Got tiles of {date:%Y-%m-%d} with different scales or no-data values, need the same; "
                "export them alike."
            )
        grids = [Grid.from_cube(tile) for tile in group]
        size = grids[0].size_m
        # The box around all tiles; rounding is safe, since the lattice is the same to a thousandth of a pixel.
        left, top = min(grid.left_m for grid in grids), max(grid.top_m for grid in grids)
        shape = (
            round((top - min(grid.extent[1] for grid in grids)) / size),
            round((max(grid.extent[2] for grid in grids) - left) / size),
        )
        filled, has_data = {}, np.zeros(shape, bool)
        for name, array in bands.items():
            # Without a stated no-data value integers have 0, which no surface reflects, and floats NaN.
            fill_value = attrs[name].get("_FillValue", np.nan if array.dtype.kind == "f" else 0)
            whole = np.full((1, *shape), fill_value, array.dtype)
            for tile, grid in zip(group, grids, strict=True):
                row, col = round((top - grid.top_m) / size), round((grid.left_m - left) / size)
                view = whole[:, row : row + grid.ny, col : col + grid.nx]
                new = tile[name].values
                # Where tiles overlap, the first one with a value counts.
                empty = np.isnan(view) if np.isnan(fill_value) else view == fill_value
                view[:] = np.where(empty, new, view)
                has_data[row : row + grid.ny, col : col + grid.nx] = True
            filled[name] = (("time", "y", "x"), whole, attrs[name])
        target = Grid(grids[0].crs, left, top, size, shape[1], shape[0])
        out.append(xr.Dataset(filled, {"time": group[0]["time"], **target.coords()}, attrs=group[0].attrs))
        if not has_data.all():
            notes.append(
                f"the tiles of {date:%Y-%m-%d} leave {(~has_data).sum()} of {has_data.size} pixels without values"
            )
    return out


def _without_names(path: Path) -> str:
    """The sentence about a file whose bands nothing names."""
    import rasterio

    with rasterio.open(path) as file:
        names = [text for text in file.descriptions if text]
        count = file.count
    described = f"bands are called {', '.join(names[:3])}" if names else f"{count} bands have no names"
    return (
        f"Got {path.name} whose {described}, need descriptions such as B02 or red (rasterio writes them:"
        ' file.descriptions = ("B02", "B03", ...)), one band per file with its name in the file name, or a STAC item'
        f" {path.stem}.json beside it; write one of them."
    )


def _read(
    path: Path, date: pd.Timestamp | None, notes: list[str]
) -> dict[pd.Timestamp | None, xr.Dataset] | None:
    """Images (time 1, y, x) by date, variables by band with the file's scale, offset and no-data value.

    None: no names; a date of None: nothing tells it.
    """
    import rasterio
    from rasterio.errors import RasterioError

    if path.suffix.lower() != ".vrt":
        check_is_raster(path, "GeoTIFF")
    try:
        with warnings.catch_warnings():
            # rasterio 1.4 multiplies transforms in a way affine 3 no longer likes, and names rotated files
            warnings.simplefilter("ignore")
            with rasterio.open(path) as file:
                images = _bands_by_date(file, path, date)
                if images is None:
                    return None
                if set(images) == {None}:
                    # nothing is read of a file that is left out
                    return {None: xr.Dataset()}
                _check_raster(file, path, images)
                transform, crs, tags = file.transform, file.crs, file.tags()
                values, nodata = file.read(), file.nodatavals
                packings = [_packing(file, index) for index in range(file.count)]
    except (RasterioError, OSError) as error:
        raise InputError(
            f"Got {path.name}, which cannot be read ({str(error)[:80]}), need a whole GeoTIFF; fetch it again."
        ) from error
    # Transforms give the outer corner; coordinates are centres.
    x = transform.c + (np.arange(values.shape[2]) + 0.5) * transform.a
    y = transform.f + (np.arange(values.shape[1]) + 0.5) * transform.e
    # Earth Engine writes masked pixels as 0 in all bands of an image where no value for them was asked for.
    may_be_masked = values.dtype.kind == "f" and all(one is None for one in nodata)
    place = {"y": y, "x": x}
    if not crs.is_geographic:
        place["spatial_ref"] = standard_crs(crs.to_wkt(), path.name)
    out = {}
    for stamp, bands in images.items():
        if stamp is None:
            out[stamp] = xr.Dataset()
            continue
        variables = {}
        for index, name in bands.items():
            attrs = dict(zip(("scale_factor", "add_offset"), packings[index], strict=True))
            if nodata[index] is not None and np.isfinite(nodata[index]):
                attrs["_FillValue"] = nodata[index]
            band = values[index]
            if may_be_masked:
                band = np.where((values[list(bands)] == 0).all(axis=0), np.nan, band).astype(values.dtype)
            variables[name] = (("time", "y", "x"), band[None], attrs)
        time = pd.DatetimeIndex([stamp]).as_unit("ns")
        image = xr.Dataset(variables, coords={"time": time, **place}, attrs=dict(tags))
        if crs.is_geographic:
            out[stamp] = reproject.to_utm(image, path.name, notes)
        else:
            out[stamp] = image.sortby("x").sortby("y", ascending=False)
    return out


def _bands_by_date(
    file, path: Path, date: pd.Timestamp | None
) -> dict[pd.Timestamp | None, dict[int, str]] | None:
    """Names of a file's bands by date and position, of dates with a known band; None where nothing names any.

    Names come from the file's descriptions, for a single band from its file name, else from a STAC item beside it.
    """
    names = [str(text or "") for text in file.descriptions]
    if file.count == 1 and not find_bands(names):
        # the Copernicus browser writes one band per file: 2019-05-12-..._Sentinel-2_L2A_B04_(Raw).tiff
        words = re.split(r"[_.() ]+", path.stem)
        names = [next((word for word in words if find_bands([word])), "")]
    images = split_dates(names, date)
    if not any(find_bands(bands.values()) for bands in images.values()):
        refuse_counted(path, names)
        names, dates = read_sidecar_item(path, file.count)
        if not names:
            return None
        images = split_dates(names, date or dates)
    images = {stamp: bands for stamp, bands in images.items() if find_bands(bands.values())}
    refuse_counted(path, names)
    if set(images) != {None} and (landsat := [name for name in names if name in LANDSAT]):
        raise InputError(
            f"Got {path.name} with {landsat[0]}, which is Landsat, need Sentinel-2 or Sentinel-1; choose"
            " another folder."
        )
    return images


def _check_raster(file, path: Path, images: dict[pd.Timestamp | None, dict[int, str]]) -> None:
    """InputError for a file without a CRS, of a rotated or too large image, or with bands of one name."""
    if file.crs is None:
        raise InputError(f"Got {path.name} without a CRS, need one in metres; write it into the file.")
    if file.transform.b or file.transform.d:
        raise InputError(f"Got {path.name}, which is rotated, need north up; warp it to its UTM zone.")
    # A name twice is another date (a stack without dates), unless names tell two resolutions.
    for bands in images.values():
        known = [text for text in bands.values() if find_bands([text])]
        twice = len(known) - len(find_bands(known))
        if twice and not any(re.search(r"_\d\dm$", text) for text in bands.values()):
            raise InputError(
                f"Got {path.name} with {twice} bands of a name that another one has, need one image per"
                " file; split the dates."
            )
    # As the file declares itself: a few bytes may claim any size, and the read would fill the memory.
    bytes_declared = file.count * file.height * file.width * np.dtype(file.dtypes[0]).itemsize
    if bytes_declared > VALUES_BYTES_AT_MOST:
        raise InputError(
            f"Got {path.name} of {bytes_declared / 1e9:,.0f} GB, need at most "
            f"{VALUES_BYTES_AT_MOST / 1e9:.0f} GB an image; cut out your area."
        )


def _packing(file, index: int) -> tuple[float, float]:
    """Scale and offset of a band (from 0): those of the format, else those that tools write among its metadata."""
    scale, offset = file.scales[index], file.offsets[index]
    if (scale, offset) != (1.0, 0.0):
        return scale, offset
    tags = {key.lower(): text for key, text in file.tags(index + 1).items()}
    packing = []
    for keys, default in ((("scale_factor", "scale"), 1.0), (("add_offset", "offset"), 0.0)):
        text = next((tags[key] for key in keys if key in tags), default)
        try:
            packing.append(float(text))
        except ValueError:
            packing.append(default)
    return packing[0], packing[1]
