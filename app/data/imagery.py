"""Sentinel-2 and Sentinel-1 images of a scene: true colour for maps, NDVI and backscatter for charts."""

import datetime as dt
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data import scene as scene_module
from fluxlens.app.data.byte_cache import ByteLimitedCache
from fluxlens.app.data.layer_image import Viewport
from fluxlens.app.data.scene import SceneData

BLOCK_SAMPLES = 4
"""Of a block of image pixels that becomes one pixel of a coarse viewport, at most that many a side are read."""
CLEAR_SHARE = 0.9
"""True colour shows the nearest image with at least this share of clear pixels."""


class Imagery:
    """Images of one scene, read for a viewport or a few pixels at a time.

    Parameters
    ----------
    scene : SceneData
        The scene whose images are read; it may have neither sensor.

    Attributes
    ----------
    photo_cache : ByteLimitedCache
        True-colour images, by (acquisition, viewport).
    """

    def __init__(self, scene: SceneData):
        self.scene, self.grid = scene, scene.grid
        self.photo_cache = ByteLimitedCache(self._read_true_colour, scene_module.CACHE_BYTES // 2)

    # --- Sentinel-2 ---

    @cached_property
    def s2(self) -> xr.Dataset | None:
        return self.scene.node("s2")

    @property
    def rgb_bands(self) -> list[str]:
        """Red, green, blue; empty where one of them is missing."""
        bands = ["B04", "B03", "B02"]
        return bands if self.s2 is not None and set(bands) <= set(self.s2.band.values.tolist()) else []

    @cached_property
    def nir_band(self) -> str | None:
        """The near-infrared band used for NDVI: B08 (10 m) before B8A (20 m)."""
        bands = [] if self.s2 is None else self.s2.band.values
        return next((band for band in ("B08", "B8A") if band in bands), None)

    @property
    def has_ndvi(self) -> bool:
        return self.nir_band is not None and "B04" in self.s2.band.values

    @cached_property
    def _images(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Reflectance (time, band, y, x) of the bands that are shown, and the clear mask; in memory after ``load``."""
        bands = [band for band in ("B02", "B03", "B04", self.nir_band) if band in self.s2.band.values]
        return self.s2["reflectance"].sel(band=bands), self.s2["clear"]

    @cached_property
    def _overviews(self) -> dict[int, xr.Dataset]:
        """True-colour overviews of a wide scene, by scene pixels a side in one of their pixels."""
        return self.scene.store.true_colour_overviews()

    @cached_property
    def _clear_shares(self) -> np.ndarray:
        """(acquisition,) share of clear pixels, from the coarsest overview or a thinned grid."""
        if self._overviews:
            return self._overviews[max(self._overviews)].clear.mean(("y", "x")).values
        strides = {dim: slice(None, None, max(1, self.s2.sizes[dim] // 128)) for dim in ("y", "x")}
        # Not of ``_images``, which need bands that a scene without true colour may lack.
        return self.s2["clear"].isel(strides).mean(("y", "x")).values

    @cached_property
    def clear_shares(self) -> pd.Series | None:
        """Share of clear pixels, 0-1, by the day of its acquisitions, UTC; None without Sentinel-2."""
        if self.s2 is None or "clear" not in self.s2 or not self.s2.sizes["time"]:
            return None
        days = pd.DatetimeIndex(self.s2.time.values).normalize()
        # Two tiles or swaths of one day: the clearer one is what the screen shows.
        return pd.Series(self._clear_shares, days).groupby(level=0).max()

    @property
    def clear_days(self) -> list[dt.date]:
        """Days with an image that is clear, or as clear as the scene ever gets; in order."""
        shares = self.clear_shares
        if shares is None:
            return []
        return [day.date() for day in shares.index[shares >= min(CLEAR_SHARE, shares.max())]]

    def nearest_clear_image(self, day: dt.date) -> int:
        """Index of the acquisition nearest to noon of ``day`` that is clear, or as clear as the scene ever gets."""
        share = self._clear_shares
        # A scene that is never clear still shows its clearest image.
        candidates = np.flatnonzero(share >= min(CLEAR_SHARE, share.max()))
        noon = np.datetime64(pd.Timestamp(day) + pd.Timedelta(hours=12))
        return int(candidates[np.abs(self.s2.time.values[candidates] - noon).argmin()])

    def true_colour(
        self, day: dt.date, viewport: Viewport | None = None
    ) -> tuple[np.ndarray, np.ndarray, pd.Timestamp]:
        """The clear image nearest to a day.

        Parameters
        ----------
        day : date
            UTC.
        viewport : Viewport, optional
            Part and resolution; None: the whole scene at full resolution.

        Returns
        -------
        reflectance : numpy.ndarray
            (y, x, 3) red, green, blue, 0-1.
        clear : numpy.ndarray
            (y, x) bool.
        acquired : pandas.Timestamp
            When the image was taken, UTC.
        """
        return self.photo_cache(self.nearest_clear_image(day), viewport)

    def _read_true_colour(self, index: int, viewport: Viewport | None):
        images, clear = self._images
        acquired = pd.Timestamp(clear.time.values[index])
        bands = {"band": self.rgb_bands}
        if viewport is not None:
            # image pixels a side in one viewport pixel; sensors of 20 m have fewer than the viewport's level
            image_level = viewport.level * self.s2.sizes["x"] / self.grid.nx
            # The coarsest overview that is still at least as fine as the screen; 0: the images themselves.
            overview = max((level for level in self._overviews if level <= image_level), default=0)
            if overview:
                images, clear = self._overviews[overview]["reflectance"], self._overviews[overview]["clear"]
                bands = {}  # an overview has no others
        values, clear = images.isel(time=index).transpose("y", "x", "band"), clear.isel(time=index)
        if viewport is None:
            values, clear = values.sel(bands), clear.values
        else:
            spans = tuple(zip(self.grid.shape, (viewport.rows, viewport.cols), strict=True))
            values = _average_blocks(values, spans, viewport.level, bands)
            clear = _average_blocks(clear, spans, viewport.level)
        shape = self.scene.shape(viewport)
        return (
            _repeat_to_shape(np.asarray(values), shape),
            # Averaged blocks are clear where most of their pixels are.
            _repeat_to_shape(clear > 0.5, shape),
            acquired,
        )

    def clear_at(self, at: dict) -> xr.DataArray:
        """Clear mask (time[, pixel]) at coordinates; ``at`` has x and y in metres, scalars or along ``pixel``."""
        clear = self._images[1]
        return clear.isel(_nearest_positions(clear, at)).load()

    def ndvi_at(self, at: dict) -> xr.DataArray:
        """NDVI (time[, pixel]) float32 of every acquisition, clear or not, at coordinates as in ``clear_at``."""
        images = self._images[0]
        bands = images.get_index("band").get_indexer(["B04", self.nir_band])
        spectra = images.isel(_nearest_positions(images, at) | {"band": bands}).transpose("band", ...).load()
        # NumPy from here on: a tap waits for it, and Xarray's arithmetic took longer than reading the pixel.
        red, nir = spectra.values  # (time[, pixel]) each, as dims that follow the band
        total = nir + red
        # Below 1 % reflectance the ratio is noise: deep shadow and water after over-correction.
        with np.errstate(divide="ignore", invalid="ignore"):
            ndvi = np.where(total > 0.01, (nir - red) / total, np.nan).astype("float32")
        return spectra.isel(band=0, drop=True).copy(data=ndvi)

    # --- Sentinel-1 ---

    @cached_property
    def backscatter(self) -> xr.DataArray | None:
        """(time, band, y, x) dB, in memory after ``load``."""
        node = self.scene.node("s1")
        return None if node is None else node["backscatter"]

    @property
    def has_radar(self) -> bool:
        return self.backscatter is not None

    def radar_at(self, at: dict) -> dict:
        """Variables VV and VH (passage) in dB, with their coordinate; means over ``pixel`` where ``at`` has it.

        Parameters
        ----------
        at : dict
            x and y in metres, scalars or along ``pixel``.
        """
        if self.backscatter is None:
            return {}
        values = self.backscatter.isel(_nearest_positions(self.backscatter, at)).load()
        if "pixel" in values.dims:
            # dB is a logarithm: the mean of an area is that of the power
            values = 10 * np.log10((10 ** (values / 10)).mean("pixel"))
        bands = [band for band in ("VV", "VH") if band in values.band.values]
        # Radar has times of its own, as its own dim beside that of the images.
        columns = {band: ("passage", values.sel(band=band).values) for band in bands}
        return {"passage": pd.DatetimeIndex(values.time.values)} | columns

    def load(self) -> None:
        """Read the images into memory where they fit; until then every tap reads its own pixel."""
        # In memory a tap takes milliseconds; from chunks on a disk some tenths of a second.
        if self.backscatter is not None and self.backscatter.nbytes <= scene_module.CACHE_BYTES:
            self.backscatter.load()
        if self.s2 is not None and self._images[0].nbytes <= 2 * scene_module.CACHE_BYTES:
            for array in self._images:
                array.load()


def _nearest_positions(array: xr.DataArray, at: dict) -> dict[str, Any]:
    """Positions along y and x of the pixels of an ``array`` that are nearest to coordinates, for ``isel``.

    ``at`` has x and y in metres, scalars or (pixel). Nearest and not exact: sensors of 20 m have their own grid.
    """
    positions = {}
    for dim in ("y", "x"):
        wanted = xr.DataArray(at[dim])
        found = array.get_index(dim).get_indexer(np.atleast_1d(wanted.values), method="nearest")
        # A scalar takes the dim away, as it does in ``sel``.
        positions[dim] = xr.Variable(wanted.dims, found) if wanted.dims else int(found[0])
    return positions


def _average_blocks(array: xr.DataArray, spans: tuple, level: int, labels: dict | None = None) -> np.ndarray:
    """A part of an image (y, x, ...) with each block of pixels averaged to one; large blocks are thinned first.

    Parameters
    ----------
    array : xarray.DataArray
        (y, x, ...), on its own grid: coarser or finer than the scene's.
    spans : tuple
        For y and x: (pixels of the scene along that side, slice of the viewport in pixels of ``level``).
    level : int
        Scene pixels a side in one pixel of the result.
    labels : dict, optional
        What is selected along further dims: of the part and not before, since it copies what is in memory.
    """
    blocks = []
    for dim, (size, span) in zip(("y", "x"), spans, strict=True):
        # Pixels of this array in one pixel of the result: below 1 where a 20 m sensor is shown at 10 m.
        ratio = array.sizes[dim] / size * level
        block = max(1, round(ratio))
        # A mean of some samples a side is as good on screen as that of hundreds.
        step = max(1, block // BLOCK_SAMPLES)
        array = array.isel({dim: slice(int(span.start * ratio), int(np.ceil(span.stop * ratio)), step)})
        blocks.append(block // step)
    values = array.sel(labels or {}).values.astype("float32")
    if blocks == [1, 1]:
        return values
    # The last block of a side may be cut by the edge of the scene; its last pixel is repeated to fill it.
    missing = [(0, -n % block) for n, block in zip(values.shape, blocks, strict=False)]
    if any(end for _, end in missing):
        values = np.pad(values, missing + [(0, 0)] * (values.ndim - 2), mode="edge")
    # A sum of strided views, of the first pixels of all blocks, of the second ones, ...: a mean over axes as short as
    # a block takes NumPy five times as long.
    total = sum(
        values[row :: blocks[0], col :: blocks[1]] for row in range(blocks[0]) for col in range(blocks[1])
    )
    return total / np.float32(blocks[0] * blocks[1])


def _repeat_to_shape(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeat coarser pixels (y, x, ...) onto a grid of ``shape``."""
    times = [max(1, -(-n // size)) for n, size in zip(shape, array.shape, strict=False)]
    repeated = array.repeat(times[0], axis=0) if times[0] > 1 else array
    repeated = repeated.repeat(times[1], axis=1) if times[1] > 1 else repeated
    return repeated[: shape[0], : shape[1]]
