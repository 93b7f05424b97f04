"""Routing: which layout and which level answers a query with the fewest bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store.layout import level_layouts

FRAME_BYTES = 4 * 10**6
"""What an image at any zoom may read, before compression."""

REMOTE_FRAME_SHARE = 0.75
"""Of ``FRAME_BYTES`` from an object store, where each chunk is a request: ten, and two for where the chunks lie."""

BoxKey = tuple[slice, slice, slice]
"""Days, rows, columns."""


def bytes_touched(arrays: Iterable[Any], key: BoxKey) -> int:
    """Bytes of all chunks that a read touches, before compression.

    Parameters
    ----------
    arrays
        Zarr arrays (time, y, x, last).
    key
        Integer slices.

    Returns
    -------
    int
    """
    total = 0
    for array in arrays:
        # Chunks and not shards: a shard's index says where each chunk lies, so that a read fetches single chunks of it.
        chunk_bytes = int(np.prod(array.chunks)) * array.dtype.itemsize
        # The last axis (features or layers) is in no key: it is always read whole, and ``zip`` stops before it.
        for index, size, chunk in zip(key, array.shape, array.chunks, strict=False):
            first, last, _ = index.indices(size)
            # ceil(last / chunk) - floor(first / chunk); ``-(-a // b)`` is the ceiling in whole numbers.
            chunk_bytes *= max(0, -(-last // chunk) - first // chunk)
        total += chunk_bytes
    return total


def finest_level(
    arrays: Mapping[str, Mapping[str, Any]],
    shape: tuple[int, int],
    day: int,
    rows: slice,
    cols: slice,
    remote: bool = False,
) -> tuple[int, BoxKey]:
    """The finest level of which a rectangle of one day touches at most ``FRAME_BYTES``.

    Parameters
    ----------
    arrays
        As ``opening.Opened.arrays``.
    shape
        Rows and columns of the cube.
    day
        Index along time.
    rows, cols
        Of the cube's own pixels.
    remote
        Whether the store lies in an object store.

    Returns
    -------
    tuple
        The level, the coarsest where none fits, and the key in its pixels.
    """
    spans = [index.indices(size)[:2] for index, size in zip((rows, cols), shape, strict=True)]
    most_bytes = FRAME_BYTES * (REMOTE_FRAME_SHARE if remote else 1)
    for level, layout in level_layouts(*shape).items():
        # Outwards: a coarse pixel that the rectangle touches belongs to it.
        key = (slice(day, day + 1), *(slice(a // level, -(-b // level)) for a, b in spans))
        # From fine to coarse; without a fit the loop ends at the coarsest, which is then used.
        if bytes_touched(arrays[layout].values(), key) <= most_bytes:
            break
    return level, key


def level_grid(grid: Grid, level: int) -> Grid:
    """The grid of an overview.

    Parameters
    ----------
    grid
        Of the cube.
    level
        How many pixels a side are one.

    Returns
    -------
    Grid
        From the same corner; its last pixels may reach beyond the cube.
    """
    ny, nx = (-(-size // level) for size in grid.shape)
    return Grid(grid.crs, grid.left_m, grid.top_m, grid.size_m * level, nx, ny)


def dask_chunks(array: Any) -> tuple[int, ...]:
    """Chunks to read an array in: whole shards, where it has them, since each shard is one file.

    Parameters
    ----------
    array
        Of Zarr.

    Returns
    -------
    tuple of int
    """
    return array.shards or array.chunks
