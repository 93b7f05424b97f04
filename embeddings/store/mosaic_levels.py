"""Overviews of several stores as those of one: which pixels of a coarser level each store gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from fluxlens.embeddings.store.cube_arrays import read_boxes
from fluxlens.embeddings.store.layout import DTYPES, level_layouts
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.store.tiles import halve_resolution

Place = tuple[Store, slice, slice]
"""A store, and its rows and columns in the box around all stores."""


def read_level(
    places: Sequence[Place],
    shape: tuple[int, int],
    day: int,
    level: int,
    rows: slice,
    cols: slice,
    quality: bool,
) -> Iterator[tuple[slice, slice, dict[str, np.ndarray]]]:
    """Read a rectangle of one day at a level from each store that it touches, all at once.

    Parameters
    ----------
    places
        Stores and where they lie.
    shape
        Rows, columns of the box around all stores.
    day
        Its index along time, of all stores.
    level
        How many pixels a side are one.
    rows, cols
        Count those larger pixels of the box, from 0 to its edge.
    quality
        Without it there is only the embedding.

    Yields
    ------
    tuple
        Rows and columns within the rectangle, and the bytes that the store has there: ``embedding`` (y, x, feature)
        int8, and ``quality`` (y, x, layer) uint8.
    """
    names = tuple(DTYPES) if quality else ("embedding",)
    touched, boxes = [], []
    for store, *own in places:
        (row_span, ys), (col_span, xs) = (
            _span(owned, size, level, wanted)
            for owned, size, wanted in zip(own, shape, (rows, cols), strict=True)
        )
        if not (len(ys) and len(xs)):
            continue
        levels = level_layouts(*store.grid_shape)
        if level in levels:
            key = (day, slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1))
            boxes.append((store.arrays, levels[level], key))
            ys, xs = ys - ys[0], xs - xs[0]
        else:
            # The coarsest overview is one chunk, so that halving it further costs little.
            boxes.append((store.arrays, levels[max(levels)], (day, slice(None), slice(None))))
        touched.append((row_span, col_span, ys, xs, max(levels)))
    # One call for all stores, so that those in object stores are waited for together.
    for (row_span, col_span, ys, xs, coarsest), codes in zip(touched, read_boxes(boxes, names), strict=True):
        if coarsest < level:
            codes = _coarsened(codes, level // coarsest)
        # Indices rise by one, but for the last pixel of the box, which may repeat the one before; else a copy is saved.
        straight = all(len(at) == at[-1] - at[0] + 1 for at in (ys, xs))
        selection = (slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1)) if straight else np.ix_(ys, xs)
        yield row_span, col_span, {name: array[selection] for name, array in codes.items()}


def _span(extent: slice, size: int, level: int, wanted: slice) -> tuple[slice, np.ndarray]:
    """Where a store lies in the ``wanted`` coarse pixels along one axis, and which of its own coarse pixels are there.

    A coarse pixel of the box belongs to the store that holds its centre, which shows the own pixel that lies there: the
    same one where the store begins at a multiple of the level.
    """

    # Twice the centre of pixel k, (2 k + 1) level, is a whole number; the last pixel may have its centre outside.
    def first_with_centre(edge: int) -> int:
        return -(-(2 * edge - level) // (2 * level))

    start = max(first_with_centre(extent.start), wanted.start)
    end = -(-size // level) if extent.stop == size else first_with_centre(extent.stop)
    stop = max(start, min(end, wanted.stop))
    # The own pixel below the centre of each coarse pixel, in whole numbers: the last of a store may lie half outside
    # it.
    own = ((2 * np.arange(start, stop) + 1) * level - 2 * extent.start) // (2 * level)
    last = -(-(extent.stop - extent.start) // level) - 1
    return slice(start - wanted.start, stop - wanted.start), own.clip(0, last)


def _coarsened(codes: dict[str, np.ndarray], times: int) -> dict[str, np.ndarray]:
    """Bytes of a whole overview at ``times`` coarser pixels, a power of two."""
    features = codes["embedding"].shape[-1]
    joined = [codes["embedding"].view(np.uint8), *([codes["quality"]] if "quality" in codes else [])]
    values = np.concatenate(joined, axis=-1)[None]  # (time, y, x, feature + layer)
    # Step by step, as the writer made the overviews: a mean of rounded means differs from the mean of all.
    while times > 1:
        values, times = halve_resolution(values, features), times // 2
    out = {"embedding": values[0, ..., :features].view(np.int8)}
    return out | ({"quality": values[0, ..., features:]} if "quality" in codes else {})
