"""The pixels of a pass on the grid of the request: reflectance with its clear mask, or backscatter in dB."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers.baselines import OFFSET
from fluxlens.embeddings.scenes import compositing, schema
from fluxlens.embeddings.stac import access, grd
from fluxlens.embeddings.stac.assets import asset, calibration, is_ground_range
from fluxlens.embeddings.stac.search import Pass, has_offset
from fluxlens.models.errors import InputError

DARKEST_DB = -60.0
"""dB, below which numbers are codes for no data."""
THREADS = 8
"""Files read at the same time: they wait for the network, not for the processor."""

for _library in ("odc", "rasterio"):  # their log messages about a failure are replaced by our one sentence
    logging.getLogger(_library).addHandler(logging.NullHandler())


def read(one: Pass, grid: Grid) -> tuple[xr.Dataset, list[str]]:
    """Read one pass onto a grid.

    Parameters
    ----------
    one : Pass
        Images of one sensor and day.
    grid : Grid
        10 m grid of the scene, UTM.

    Returns
    -------
    dataset : xarray.Dataset
        One date: ``reflectance`` (time, band, y, x) 0-1 and ``clear`` (time, y, x) of Sentinel-2, or ``backscatter``
        (time, band, y, x) in dB at 20 m of Sentinel-1; NaN where no image has a value.
    left_out : list of str
        A sentence for each image that cannot be read.

    Raises
    ------
    InputError
        Where a server does not answer or wants an account.
    """
    images, left_out = [], []
    # An image that cannot be read costs itself, not the date: others may cover the square.
    for item in one.items:
        try:
            images.append(
                _read_with_retry(item, grid, _read_sentinel2 if one.sensor == "s2" else _read_sentinel1)
            )
        except access.UnreadableFile as broken:
            left_out.append(f"{item.id}: {broken}")
    merge = _optical if one.sensor == "s2" else _radar
    return merge(images, grid).assign_coords(time=[one.time]), left_out


def _optical(images: list[tuple[xr.DataArray, xr.DataArray]], grid: Grid) -> xr.Dataset:
    """Reflectance and clear mask, clear pixels of any image first; nothing but NaN of no image."""
    # A date without a readable image is kept, empty, so that it is not fetched again.
    if not images:
        nothing = _array(np.zeros((len(schema.S2_BANDS), *grid.shape), "uint16"), schema.S2_BANDS, grid)
        images = [(compositing.to_reflectance(nothing, 0), nothing[0] > 0)]
    reflectance, clear = (
        xr.concat([image[position].drop_vars("band", errors="ignore") for image in images], "time")
        for position in (0, 1)
    )
    # All are of one day: any time of it makes them one.
    same = {"time": np.zeros(len(images), "datetime64[ns]")}
    return compositing.optical_node(
        reflectance.assign_coords(same), schema.S2_BANDS, clear.assign_coords(same), grid
    )


def _radar(images: list[np.ndarray], grid: Grid) -> xr.Dataset:
    """Backscatter on the 20 m grid: images averaged as power, then dB."""
    coarse = Grid(grid.crs, grid.left_m, grid.top_m, 20.0, grid.nx // 2, grid.ny // 2)
    empty = np.full((len(schema.S1_BANDS), *coarse.shape), np.nan)
    # Speckle averages out as power; a mean of decibels would be biased low.
    power = compositing.nan_mean(np.stack(images or [empty]))
    decibel = (10 * np.log10(power)).astype("float32")[None]
    attrs = {"units": "dB", "long_name": "backscatter"}
    return xr.Dataset(
        {"backscatter": (schema.CUBE, decibel, attrs)},
        coords={"band": list(schema.S1_BANDS), **coarse.coords()},
    )


def _read_sentinel2(item: Any, grid: Grid) -> tuple[xr.DataArray, xr.DataArray]:
    """Reflectance (band, y, x) and where the scene classification calls it clear (y, x)."""
    # Bands and classification in one call: their files are read at the same time.
    numbers = _array(
        _load(item, (*schema.S2_BANDS, "SCL"), grid, "uint16", 0), (*schema.S2_BANDS, "SCL"), grid
    )
    bands, scl = numbers.isel(band=slice(-1)), numbers.sel(band="SCL")
    # Digital numbers are whole: reflectance 0-1 as floats is cut to 0, which is no data.
    if (scl > 0).any() and int(bands.max()) <= 1:
        raise access.UnreadableFile(
            "its bands are 0 where its classification has classes: no digital numbers"
        )
    offset = OFFSET if has_offset(item) else 0
    return compositing.to_reflectance(bands, offset), scl.isin(compositing.CLEAR_SCL)


def _read_sentinel1(item: Any, grid: Grid) -> np.ndarray:
    """Linear power (band, y, x) at 20 m, the mean of 2 x 2 pixels of 10 m."""
    # Ground range images are neither calibrated nor on a map; terrain-corrected ones are both.
    if is_ground_range(item):
        hrefs = [_href(item, band) for band in schema.S1_BANDS]
        tables = [calibration(item, band) for band in schema.S1_BANDS]
        if not all(tables):
            # Without it their numbers would pass for linear power.
            raise access.UnreadableFile("it is a ground range image without calibration")
        tables = [item.assets[name].get_absolute_href() for name in tables]
        power = np.stack([grd.sigma_nought(*both, grid) for both in zip(hrefs, tables, strict=True)])
    else:
        power = _load(item, schema.S1_BANDS, grid, "float32", np.nan)
        # Some providers list dB, which is negative over land; power is not, but for noise around 0.
        power[power < DARKEST_DB] = np.nan
        if np.isfinite(power).any() and np.nanmedian(power) < -1:
            power = 10 ** (power / 10)
    power = np.where(power > 0, power, np.nan)
    return compositing.nan_mean(np.stack([power[:, row::2, col::2] for row in (0, 1) for col in (0, 1)]))


def _load(item: Any, bands: Iterable[str], grid: Grid, dtype: str, nodata: float) -> np.ndarray:
    """Values (band, y, x) on the grid: each pixel takes that of the source pixel it lies in."""
    import odc.stac
    from affine import Affine
    from odc.geo.geobox import GeoBox

    names = [_name(item, band) for band in bands]
    onto = GeoBox(grid.shape, Affine(grid.size_m, 0, grid.left_m, 0, -grid.size_m, grid.top_m), grid.crs)
    asset_facts = {"data_type": dtype, "nodata": nodata}
    with warnings.catch_warnings():
        # odc-geo 0.5 and rasterio 1.4 use what affine 3 and shapely 2.2 no longer like, and name the array they
        # fill not georeferenced.
        warnings.simplefilter("ignore")
        loaded = odc.stac.load(
            [item],
            bands=names,
            geobox=onto,
            dtype=dtype,
            nodata=nodata,
            resampling="nearest",
            patch_url=access.sign,
            pool=THREADS,
            stac_cfg={"*": {"assets": {"*": asset_facts}, "warnings": "ignore"}},
        )
    return np.stack([loaded[name].values[0] for name in names])


def _read_with_retry(item: Any, grid: Grid, image: Callable[[Any, Grid], Any]) -> Any:
    """An item's image; a failure is looked into, and where its server is well, tried once more.

    GDAL asks busy and silent servers again by itself, but remembers those it gave up: the second time it must not.
    """
    import rasterio

    for memory in ({}, {"CPL_VSIL_CURL_NON_CACHED": "/vsicurl/"}):
        try:
            with rasterio.Env(**access.gdal_options(), **memory):
                return image(item, grid)
        except (InputError, access.UnreadableFile, MemoryError):
            raise
        except Exception as error:  # a damaged file makes GDAL and odc fail in any way they can
            why = type(error).__name__
            # Asks for the first byte of each file, to tell a missing file from a silent server.
            for band in _bands(item):
                access.read_bytes(_href(item, band), f"its {asset(item, band)}")
    raise access.UnreadableFile(f"a file of it cannot be read ({why})")


def _bands(item: Any) -> tuple[str, ...]:
    return schema.S1_BANDS if asset(item, "VV") else (*schema.S2_BANDS, "SCL")


def _name(item: Any, band: str) -> str:
    """Name of the asset of a band; UnreadableFile where the item has none."""
    name = asset(item, band)
    if name is None:
        raise access.UnreadableFile(f"it has no {band}")
    return name


def _href(item: Any, band: str) -> str:
    """Signed address of a band; UnreadableFile where the item has none."""
    asset_of_band = item.assets[_name(item, band)]
    address = asset_of_band.get_absolute_href()
    if address is None:
        raise access.UnreadableFile(
            f"the address {asset_of_band.href} is relative, and the item tells none of its own"
        )
    return access.sign(address)


def _array(values: np.ndarray, bands: tuple[str, ...], grid: Grid) -> xr.DataArray:
    return xr.DataArray(values, dims=schema.CUBE[1:], coords={"band": list(bands), **grid.coords()})
