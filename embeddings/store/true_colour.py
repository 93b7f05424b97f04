"""True-colour overviews of a wide scene, written beside it in a store, so that showing all of it reads little."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import block_mean
from fluxlens.embeddings.readers.zarr import NO_DATA

BANDS = ("B04", "B03", "B02")
"""Red, green, blue of Sentinel-2."""

TILE_PX = 256
"""Side of a chunk; a scene of twice as many pixels a side has no overviews and is read as it is."""

CLEAR = 255
"""Byte of a coarse pixel that is clear all over."""

GROUP = "photos"
"""Of the store: part of the file format."""


def write_overviews(store: Any) -> None:
    """Halve red, green and blue of a stored scene, and its mask, until an image is one chunk.

    Parameters
    ----------
    store
        A writable Zarr store with the scene below ``scene``; small scenes and those without Sentinel-2 are left alone.
    """
    import zarr

    # In the scene's own group, so that a copy of the store carries them along.
    root = zarr.open_group(store, mode="a", zarr_format=3)
    scene = root["scene"].get("s2")
    if (
        scene is None
        or not set(BANDS) <= set(scene["band"][:])
        or max(scene["clear"].shape[1:]) <= 2 * TILE_PX
    ):
        return
    image, clear, level = scene["reflectance"], scene["clear"], 1
    # Of the full image the three bands are picked; a level has only these, and the slice at the end takes all.
    bands: Any = [scene["band"][:].tolist().index(band) for band in BANDS]
    # As many dates at a time as a chunk of the scene holds, so that each chunk is read once.
    count, some, step = clear.shape[0], image.chunks[0], image.attrs["scale_factor"]
    # Each level from the one before, not from the full image: the whole pyramid then reads a third more than its base.
    while max(clear.shape[1:]) > TILE_PX:
        level *= 2
        shape = tuple(-(-side // 2) for side in clear.shape[1:])
        group = root.create_group(f"{GROUP}/{level}")
        coarse = _array(
            group, "reflectance", (count, 3, *shape), "int16", scale_factor=step, missing_value=NO_DATA
        )
        share = _array(group, "clear", (count, *shape), "uint8", scale_factor=1 / CLEAR)
        for first, top, left in product(range(0, count, some), *(range(0, side, TILE_PX) for side in shape)):
            days, rows, cols = (
                slice(first, first + some),
                slice(top, top + TILE_PX),
                slice(left, left + TILE_PX),
            )
            fine = [slice(2 * span.start, 2 * span.stop) for span in (rows, cols)]
            # Outer indexing: Zarr's plain brackets take at most one list beside slices.
            mean = block_mean(image.oindex[days, bands, *fine], missing=NO_DATA)
            coarse[days, :, rows, cols] = np.rint(mean).astype("int16")
            # The mask of the scene is 0 or 1, that of a level already 0 to 255: both become shares of 255.
            clear_share = clear[days, *fine] * np.float32(CLEAR if clear.dtype == bool else 1)
            share[days, rows, cols] = np.rint(block_mean(clear_share))
        image, clear, bands = coarse, share, slice(None)


def open_overviews(store: Any) -> dict[int, xr.Dataset]:
    """Open the overviews of a store.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    dict
        By level (2, 4 ...: how many pixels a side are one) lazy datasets of ``reflectance`` (time, band, y, x) 0-1 of
        ``BANDS`` and ``clear`` (time, y, x), the share of clear pixels 0-1. Empty where the scene has none.
    """
    import zarr

    root = zarr.open_group(store, mode="r", zarr_format=3)
    levels = sorted(map(int, root[GROUP].group_keys())) if GROUP in root else []
    return {n: xr.open_zarr(store, group=f"{GROUP}/{n}", consolidated=False, chunks=None) for n in levels}


def _array(group: Any, name: str, shape: tuple[int, ...], dtype: str, **attrs: Any) -> Any:
    """A new array; a chunk holds a part of one date in all bands."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    *band_sizes, ny, nx = shape[1:]
    return group.create_array(
        name,
        shape=shape,
        # All bands of one date together: a picture needs the three at once.
        chunks=(1, *band_sizes, min(TILE_PX, ny), min(TILE_PX, nx)),
        dtype=dtype,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        dimension_names=["time", *["band"] * len(band_sizes), "y", "x"],
        attributes=attrs,
    )
