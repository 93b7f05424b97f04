"""Coarser true colour of a wide scene, written beside it in a store, so that looking at all of it reads little."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from embeddings.readers.zarr import NO_DATA

BANDS = ("B04", "B03", "B02")
TILE_PX = 256
"""Side of a chunk; a scene of twice as many pixels a side is read as it is."""
CLEAR = 255
"""Of a coarse pixel that is clear all over."""
GROUP = "photos"


def write(store: Any) -> None:
    """Halves the red, green and blue of the stored scene, and its mask, until an image is one chunk."""
    import zarr

    root = zarr.open_group(store, mode="a", zarr_format=3)
    scene = root["scene"].get("s2")
    if (
        scene is None
        or not set(BANDS) <= set(scene["band"][:])
        or max(scene["clear"].shape[1:]) <= 2 * TILE_PX
    ):
        return
    image, clear, level = scene["reflectance"], scene["clear"], 1
    bands: Any = [scene["band"][:].tolist().index(band) for band in BANDS]
    count, some, step = clear.shape[0], image.chunks[0], image.attrs["scale_factor"]
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
            fine = [slice(2 * part.start, 2 * part.stop) for part in (rows, cols)]
            coarse[days, :, rows, cols] = _halved(image.oindex[days, bands, *fine])
            seen = clear[days, *fine] * np.float32(CLEAR if clear.dtype == bool else 1)
            share[days, rows, cols] = np.rint(_fours(seen).mean((-3, -1)))
        image, clear, bands = coarse, share, slice(None)


def open(store: Any) -> dict[int, xr.Dataset]:
    """``reflectance`` (time, band, y, x) of ``BANDS`` and the share ``clear``, by how many pixels a side are one.

    Lazily; empty where the scene has none.
    """
    import zarr

    root = zarr.open_group(store, mode="r", zarr_format=3)
    levels = sorted(map(int, root[GROUP].group_keys())) if GROUP in root else []
    return {n: xr.open_zarr(store, group=f"{GROUP}/{n}", consolidated=False, chunks=None) for n in levels}


def _array(group: Any, name: str, shape: tuple[int, ...], dtype: str, **attrs: Any) -> Any:
    """A chunk holds a part of one date in all bands."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    *others, ny, nx = shape[1:]
    return group.create_array(
        name,
        shape=shape,
        chunks=(1, *others, min(TILE_PX, ny), min(TILE_PX, nx)),
        dtype=dtype,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        dimension_names=["time", *["band"] * len(others), "y", "x"],
        attributes=attrs,
    )


def _halved(values: np.ndarray) -> np.ndarray:
    """Means of two by two pixels (..., y, x), of those that are known."""
    fours = _fours(values)
    known = fours != NO_DATA
    count = known.sum((-3, -1))
    total = np.where(known, fours, 0).sum((-3, -1), dtype="float32")
    return np.where(count > 0, np.rint(total / np.maximum(count, 1)), NO_DATA).astype("int16")


def _fours(values: np.ndarray) -> np.ndarray:
    """(..., y, x) as (..., y / 2, 2, x / 2, 2); an odd edge stands twice."""
    odd = [(0, 0)] * (values.ndim - 2) + [(0, side % 2) for side in values.shape[-2:]]
    values = np.pad(values, odd, mode="edge")
    *first, ny, nx = values.shape
    return values.reshape(*first, ny // 2, 2, nx // 2, 2)
