"""Overviews of several stores as those of one: which pixels of a coarser level each store gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.store.layout import QUALITY, level_layouts
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.store.tiles import halve_resolution

READERS = 8
"""Stores read at once: each waits for its own disk or object store."""

Place = tuple[Store, slice, slice]
"""A store, and its rows and columns in the box around all stores."""


def read_level(
    places: Sequence[Place],
    shape: tuple[int, int],
    day: Any,
    level: int,
    rows: slice,
    cols: slice,
    quality: bool,
) -> Iterator[tuple[slice, slice, xr.Dataset]]:
    """Read a rectangle of one day at a level from each store that it touches, several at once.

    Parameters
    ----------
    places
        Stores and where they lie.
    shape
        Rows, columns of the box around all stores.
    day
        Of all stores.
    level
        How many pixels a side are one.
    rows, cols
        Count those larger pixels of the box, from 0 to its edge.
    quality
        Without it there is only the embedding.

    Yields
    ------
    tuple
        Rows and columns within the rectangle, and what the store has there, (y, x[, feature]), in units of the cube.
    """
    jobs = []
    for store, *own in places:
        spans = [
            _span(part, size, level, wanted)
            for part, size, wanted in zip(own, shape, (rows, cols), strict=True)
        ]
        if all(len(span[1]) for span in spans):
            jobs.append((store, spans))

    def read(job: tuple[Store, list]) -> tuple[slice, slice, xr.Dataset]:
        store, ((here, ys), (there, xs)) = job
        part = slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)
        found = _read_part(store, day, level, *part, quality)
        # Indices rise by one, but for the last pixel of the box, which may repeat the one before; else a copy is saved.
        if len(ys) != part[0].stop - part[0].start or len(xs) != part[1].stop - part[1].start:
            found = found.isel(y=ys - ys[0], x=xs - xs[0])
        return here, there, found

    if len(jobs) < 2:
        yield from map(read, jobs)
        return
    with ThreadPoolExecutor(min(READERS, len(jobs))) as pool:
        yield from pool.map(read, jobs)


def _span(part: slice, size: int, level: int, wanted: slice) -> tuple[slice, np.ndarray]:
    """Where a store lies in the ``wanted`` coarse pixels along one axis, and which of its own coarse pixels are there.

    A coarse pixel of the box belongs to the store that holds its centre, which shows the own pixel that lies there: the
    same one where the store begins at a multiple of the level.
    """

    # Twice the centre of pixel k, (2 k + 1) level, is a whole number; the last pixel may have its centre outside.
    def first_with_centre(edge: int) -> int:
        return -(-(2 * edge - level) // (2 * level))

    start = max(first_with_centre(part.start), wanted.start)
    end = -(-size // level) if part.stop == size else first_with_centre(part.stop)
    stop = max(start, min(end, wanted.stop))
    own = ((2 * np.arange(start, stop) + 1) * level - 2 * part.start) // (2 * level)
    last = -(-(part.stop - part.start) // level) - 1
    return slice(start - wanted.start, stop - wanted.start), own.clip(0, last)


def _read_part(store: Store, day: Any, level: int, rows: slice, cols: slice, quality: bool) -> xr.Dataset:
    """A rectangle of a store at a level, which may be coarser than its coarsest overview."""
    coarsest = max(level_layouts(*store.grid_shape))
    if level <= coarsest:
        return store.tile(day, level, rows, cols, quality)
    # The coarsest overview is one chunk, so that halving it further costs little.
    found = store.tile(day, coarsest, slice(None), slice(None), quality)
    features = found.sizes["feature"]
    codes = [found["embedding"].values.view(np.uint8)]
    if quality:
        codes += [encode(found[name].values)[..., None] for name, (encode, _) in QUALITY.items()]
    values = np.concatenate(codes, axis=-1)[None]  # (time, y, x, feature + layer)
    while coarsest < level:
        values, coarsest = halve_resolution(values, features), 2 * coarsest
    cut = values[0, rows, cols]  # (y, x, feature + layer)
    out = {"embedding": (("y", "x", "feature"), cut[..., :features].view(np.int8))}
    if quality:
        for layer, (name, (_, decode)) in enumerate(QUALITY.items()):
            out[name] = (("y", "x"), decode(cut[..., features + layer]))
    return xr.Dataset(out)
