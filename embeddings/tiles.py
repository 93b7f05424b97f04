"""Pieces of a cube in files, until they cover a tile of the store, and the writing of that tile.

A piece is a rectangle over all days, ``(time, y, x, feature + layer)`` bytes: int8 features, then the layers of
``quality``. Whoever sees the files may write the tile, in this process or in a fork of its session on a worker.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SLAB_BYTES = 64 * 2**20
"""Maps are written in slabs of days of about this size."""


@dataclass(frozen=True)
class Piece:
    """A file and the pixels it holds, of one level of resolution."""

    file: Path
    rows: slice
    cols: slice


@dataclass(frozen=True)
class Tile:
    """A square of one layout, the pieces that cover it, and where its half resolution goes."""

    layout: str
    """``maps``, ``series`` or an overview."""
    rows: slice
    cols: slice
    pieces: tuple[Piece, ...]
    half: Path | None = None

    def write(self, session: Any) -> Any:
        """Write the tile through an Icechunk session, or a fork of one, and return it."""
        import zarr

        import embeddings.codec  # noqa: F401 (makes it known to zarr)

        group = zarr.open_group(session.store, path=self.layout, mode="r+", zarr_format=3)
        embedding, quality = group["embedding"], group["quality"]
        if self.layout == "series":
            for rows, cols in self._shards(*embedding.shards[1:3]):
                self._put(embedding, quality, slice(0, embedding.shape[0]), rows, cols)
            return session
        last = embedding.shape[3] + quality.shape[3]
        height, width = self.rows.stop - self.rows.start, self.cols.stop - self.cols.start
        step = max(1, SLAB_BYTES // (height * width * last))
        slabs = (slice(a, min(a + step, embedding.shape[0])) for a in range(0, embedding.shape[0], step))
        written = (self._put(embedding, quality, days, self.rows, self.cols) for days in slabs)
        if self.half is None:
            for _ in written:
                pass
        else:
            shape = (embedding.shape[0], -(-height // 2), -(-width // 2), last)
            save(self.half, shape, (halved(codes, embedding.shape[3]) for codes in written))
        return session

    def _put(self, embedding: Any, quality: Any, days: slice, rows: slice, cols: slice) -> np.ndarray:
        features = embedding.shape[3]
        codes = self._gathered(days, rows, cols, features + quality.shape[3])
        embedding[days, rows, cols] = codes[..., :features].view(np.int8)
        quality[days, rows, cols] = codes[..., features:]
        return codes

    def _gathered(self, days: slice, rows: slice, cols: slice, last: int) -> np.ndarray:
        shape = (days.stop - days.start, rows.stop - rows.start, cols.stop - cols.start, last)
        out = np.empty(shape, np.uint8)
        for piece in self.pieces:
            r, c = _meet(rows, piece.rows), _meet(cols, piece.cols)
            if r.start < r.stop and c.start < c.stop:
                held = np.load(piece.file, mmap_mode="r")
                part = held[days, _from(r, piece.rows.start), _from(c, piece.cols.start)]
                out[:, _from(r, rows.start), _from(c, cols.start)] = part
        return out

    def _shards(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        for top in range(self.rows.start, self.rows.stop, height):
            for left in range(self.cols.start, self.cols.stop, width):
                yield (
                    slice(top, min(top + height, self.rows.stop)),
                    slice(left, min(left + width, self.cols.stop)),
                )


class Mosaic:
    """The pieces of one level of resolution that no whole tile has taken yet."""

    def __init__(self, ny: int, nx: int, tile_px: int) -> None:
        self.tile_px = tile_px
        self.seen = np.zeros((ny, nx), bool)
        self.pieces: dict[tuple[int, int], list[Piece]] = defaultdict(list)

    def tiles(self, piece: Piece) -> list[tuple[int, int]]:
        """Those that the piece touches."""
        i, j = (range(s.start // self.tile_px, -(-s.stop // self.tile_px)) for s in (piece.rows, piece.cols))
        return [(a, b) for a in i for b in j]

    def add(self, piece: Piece) -> Iterator[tuple[slice, slice, tuple[Piece, ...]]]:
        """Rows, columns and pieces of each tile that is whole by this piece."""
        self.seen[piece.rows, piece.cols] = True
        for tile in self.tiles(piece):
            self.pieces[tile].append(piece)
            rows, cols = (
                slice(k * self.tile_px, min((k + 1) * self.tile_px, size))
                for k, size in zip(tile, self.seen.shape, strict=True)
            )
            if self.seen[rows, cols].all():
                yield rows, cols, tuple(self.pieces.pop(tile))


def save(file: Path, shape: tuple[int, ...], slabs: Iterable[np.ndarray], durable: bool = False) -> None:
    """Bytes of ``shape`` in slabs along its first axis as a file in numpy's format, whole or not there."""
    beside = file.with_suffix(".tmp")
    with open(beside, "wb") as out:
        np.lib.format.write_array_header_1_0(
            out, {"descr": "|u1", "fortran_order": False, "shape": tuple(map(int, shape))}
        )
        for slab in slabs:
            out.write(
                np.ascontiguousarray(slab).data
            )  # tells of a full disk what numpy's own writing does not
        if durable:
            out.flush()
            os.fsync(out.fileno())  # after a power cut the name must not stand for an empty file
    os.replace(beside, file)


def halved(codes: np.ndarray, features: int) -> np.ndarray:
    """Half the resolution of (time, y, x, feature + layer): the mean embedding, the worst quality."""
    odd = [(0, 0), *((0, side % 2) for side in codes.shape[1:3]), (0, 0)]
    codes = np.pad(codes, odd, mode="edge") if any(high for _, high in odd) else codes
    values, layers = codes[..., :features].view(np.int8), codes[..., features:]
    total = np.add(values[:, ::2], values[:, 1::2], dtype=np.int16)
    total = total[:, :, ::2] + total[:, :, 1::2]
    mean = np.rint(total / np.float32(4)).astype(np.int8)
    # bytes of quality grow with doubt; missing is the largest
    worst = np.maximum(layers[:, ::2], layers[:, 1::2])
    worst = np.maximum(worst[:, :, ::2], worst[:, :, 1::2])
    return np.concatenate([mean.view(np.uint8), worst], axis=-1)


def _meet(part: slice, other: slice) -> slice:
    return slice(max(part.start, other.start), min(part.stop, other.stop))


def _from(part: slice, origin: int) -> slice:
    return slice(part.start - origin, part.stop - origin)
