"""Blocks of a cube as files, until they cover a tile of the store, and the writing of that tile.

A file holds a rectangle over all days, ``(time, y, x, feature + layer)`` bytes: int8 features, then the layers of
``quality``. Any process that sees the files may write the tile: this one, or a worker in a fork of its session.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fluxlens.models.atomic import atomic_path

SLAB_BYTES = 64 * 2**20
"""Maps are written in slabs of days of about this size, so that memory does not grow with the number of days."""


@dataclass(frozen=True)
class BlockFile:
    """A file and the pixels it holds, of one level of resolution."""

    file: Path
    rows: slice
    cols: slice


@dataclass(frozen=True)
class Tile:
    """A square of one layout, the files that cover it, and where its half resolution goes."""

    layout: str
    """``maps``, ``series`` or an overview."""
    rows: slice
    cols: slice
    files: tuple[BlockFile, ...]
    overview: Path | None = None
    """File to write the tile at half the resolution to, for the next coarser level."""
    days: tuple[slice, ...] | None = None
    """Which days of maps are written; None: all. Series hold all days in a chunk and are always written whole."""

    def write(self, session: Any) -> Any:
        """Write the tile.

        Parameters
        ----------
        session
            Of Icechunk, or a fork of one.

        Returns
        -------
        session
            The same, with the tile written but not committed.
        """
        import fluxlens.embeddings.codec  # noqa: F401 (makes it known to zarr)
        import zarr

        group = zarr.open_group(session.store, path=self.layout, mode="r+", zarr_format=3)
        embedding, quality = group["embedding"], group["quality"]
        if self.layout == "series":
            # Series: shard by shard, all days of it at once, since a shard is encoded as a whole.
            for rows, cols in self._shards(*embedding.shards[1:3]):
                self._put(embedding, quality, slice(0, embedding.shape[0]), rows, cols)
            return session
        last = embedding.shape[3] + quality.shape[3]
        height, width = self.rows.stop - self.rows.start, self.cols.stop - self.cols.start
        # At least one day, however wide the tile is.
        step = max(1, SLAB_BYTES // (height * width * last))
        if self.overview is None:
            for days in self._slabs(embedding.shape[0], step):
                self._put(embedding, quality, days, self.rows, self.cols)
        else:
            # a generator: each slab goes to the store, and its half resolution to the file, before the next is read
            shape = (embedding.shape[0], -(-height // 2), -(-width // 2), last)
            save(self.overview, shape, self._put_all(embedding, quality, step, shape))
        return session

    def _slabs(self, total: int, step: int) -> Iterator[slice]:
        """Days to write, at most ``step`` at a time."""
        for slab in self.days if self.days is not None else (slice(0, total),):
            yield from (slice(a, min(a + step, slab.stop)) for a in range(slab.start, slab.stop, step))

    def _put_all(
        self, embedding: Any, quality: Any, step: int, half: tuple[int, ...]
    ) -> Iterator[np.ndarray]:
        """Write the ``days``; yields half the resolution of all days in slabs, ``half`` is the shape of all of it.

        The next level's file holds all days, as a block's; of those that stay it holds zeros, which nobody reads.
        """
        done, total, features = 0, half[0], embedding.shape[3]
        # The empty slab at the end fills up with zeros after the last run of days.
        for days in [*self._slabs(total, step), slice(total, total)]:
            for a in range(done, days.start, step):
                yield np.zeros((min(step, days.start - a), *half[1:]), np.uint8)
            if days.start < days.stop:
                yield halve_resolution(self._put(embedding, quality, days, self.rows, self.cols), features)
            done = days.stop

    def _put(self, embedding: Any, quality: Any, days: slice, rows: slice, cols: slice) -> np.ndarray:
        """Write a box to both arrays; returns its bytes."""
        features = embedding.shape[3]
        codes = self._gather(days, rows, cols, features + quality.shape[3])
        # A view: int8 and uint8 of one byte are the same bits, and a copy of a slab would double its memory.
        embedding[days, rows, cols] = codes[..., :features].view(np.int8)
        quality[days, rows, cols] = codes[..., features:]
        return codes

    def _gather(self, days: slice, rows: slice, cols: slice, last: int) -> np.ndarray:
        """Bytes of a box from all files that touch it, (time, y, x, last)."""
        shape = (days.stop - days.start, rows.stop - rows.start, cols.stop - cols.start, last)
        # Not filled: the tile is complete, so that its files cover every pixel.
        out = np.empty(shape, np.uint8)
        for block in self.files:
            r, c = _intersection(rows, block.rows), _intersection(cols, block.cols)
            if r.start < r.stop and c.start < c.stop:
                # Mapped: only the days of this slab are read from each file.
                stored = np.load(block.file, mmap_mode="r")
                codes = stored[days, _shifted(r, block.rows.start), _shifted(c, block.cols.start)]
                out[:, _shifted(r, rows.start), _shifted(c, cols.start)] = codes
        return out

    def _shards(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        for top in range(self.rows.start, self.rows.stop, height):
            for left in range(self.cols.start, self.cols.stop, width):
                yield (
                    slice(top, min(top + height, self.rows.stop)),
                    slice(left, min(left + width, self.cols.stop)),
                )


class TileAssembler:
    """Collects the files of one level of resolution until they cover whole tiles.

    Parameters
    ----------
    ny, nx
        Pixels of the level.
    tile_px
        Side of a tile.
    """

    def __init__(self, ny: int, nx: int, tile_px: int) -> None:
        self.tile_px = tile_px
        self.covered = np.zeros((ny, nx), bool)
        self._files: dict[tuple[int, int], list[BlockFile]] = defaultdict(list)

    def tiles(self, block: BlockFile) -> list[tuple[int, int]]:
        """Row and column number of each tile that a block touches.

        Parameters
        ----------
        block
            Of this level.

        Returns
        -------
        list of tuple of int
        """
        # From the tile of the first pixel to that of the last: ``-(-stop // px)`` rounds up.
        i, j = (range(s.start // self.tile_px, -(-s.stop // self.tile_px)) for s in (block.rows, block.cols))
        return [(a, b) for a in i for b in j]

    def add(self, block: BlockFile) -> Iterator[tuple[slice, slice, tuple[BlockFile, ...]]]:
        """Take a block.

        Parameters
        ----------
        block
            Of this level.

        Yields
        ------
        tuple
            Rows, columns and files of each tile that this block completes.
        """
        # Pixel by pixel and not by counting blocks, since those at the edge of the grid are cut.
        self.covered[block.rows, block.cols] = True
        for tile in self.tiles(block):
            self._files[tile].append(block)
            rows, cols = (
                slice(k * self.tile_px, min((k + 1) * self.tile_px, size))
                for k, size in zip(tile, self.covered.shape, strict=True)
            )
            if self.covered[rows, cols].all():
                yield rows, cols, tuple(self._files.pop(tile))


def save(file: Path, shape: tuple[int, ...], slabs: Iterable[np.ndarray], durable: bool = False) -> None:
    """Write bytes as a file in numpy's format, completely or not at all.

    Parameters
    ----------
    file
        Path of the file.
    shape
        Of the whole array.
    slabs
        uint8, the array in pieces along its first axis.
    durable
        As of :func:`atomic_path`.
    """
    with atomic_path(file, durable) as temporary, open(temporary, "wb") as out:
        # NumPy's own format, written in slabs: ``np.save`` wants the whole array, and readers map it as any .npy file.
        np.lib.format.write_array_header_1_0(
            out, {"descr": "|u1", "fortran_order": False, "shape": tuple(map(int, shape))}
        )
        for slab in slabs:
            # its error names a full disk, which that of numpy's own writing does not
            out.write(np.ascontiguousarray(slab).data)


def halve_resolution(codes: np.ndarray, features: int) -> np.ndarray:
    """Half the resolution: the mean embedding and the worst quality of 2 x 2 pixels.

    Parameters
    ----------
    codes
        uint8 (time, y, x, feature + layer) as of ``layout.to_bytes``; of an odd side the last pixel counts twice.
    features
        How many of the last axis are features.

    Returns
    -------
    numpy.ndarray
        uint8, the same with half of y and x.
    """
    odd = [(0, 0), *((0, side % 2) for side in codes.shape[1:3]), (0, 0)]
    codes = np.pad(codes, odd, mode="edge") if any(high for _, high in odd) else codes
    values, layers = codes[..., :features].view(np.int8), codes[..., features:]
    # the sum of four int8 fits int16
    total = np.add(values[:, ::2], values[:, 1::2], dtype=np.int16)
    total = total[:, :, ::2] + total[:, :, 1::2]
    # Half to even, as everywhere in NumPy; a mean of four quantised steps is no longer exact anyway.
    mean = np.rint(total / np.float32(4)).astype(np.int8)
    # bytes of quality grow with uncertainty, and missing is the largest: the worst is the maximum
    worst = np.maximum(layers[:, ::2], layers[:, 1::2])
    worst = np.maximum(worst[:, :, ::2], worst[:, :, 1::2])
    return np.concatenate([mean.view(np.uint8), worst], axis=-1)


def _intersection(span: slice, other: slice) -> slice:
    return slice(max(span.start, other.start), min(span.stop, other.stop))


def _shifted(span: slice, origin: int) -> slice:
    return slice(span.start - origin, span.stop - origin)
