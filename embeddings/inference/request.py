"""What is embedded: grid, days and window of a request, cut into aligned blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid, target_grid
from fluxlens.embeddings.inference.block_files import BlockWindow
from fluxlens.embeddings.scenes.acquisitions import first_and_last_day, from_epoch_day, parse_day
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.fusion import WINDOW_DAYS

BLOCK_PX = 32
"""Side of an aligned block."""

TILES_PX = (4096, 2048, 1024, 512, 256, 128)
"""Blocks are computed tile by tile: a store writes whole tiles, then their overviews, and gathers few at a time."""


@dataclass(frozen=True)
class Block:
    """A finished rectangle of a cube, all requested days."""

    rows: slice
    """Counted from the corner of the requested window."""
    cols: slice
    cube: xr.Dataset
    done: int
    """Blocks finished so far, of ``total``."""
    total: int

    @property
    def share(self) -> float:
        """Finished share of all blocks, 0-1."""
        return self.done / self.total

    @property
    def pixel_days(self) -> int:
        """How many embeddings it holds."""
        return self.cube["sigma"].size


@dataclass(frozen=True)
class Request:
    """What is requested of a scene: which days, which rectangle of the 10 m grid."""

    grid: Grid
    """The scene's whole 10 m grid."""
    first: int
    """First and last day since 1970-01-01, both included."""
    last: int
    rows: slice
    cols: slice
    observed: int
    """Day of the scene's last acquisition; later days of the request are extrapolated."""

    @classmethod
    def from_scene(
        cls,
        scene: xr.DataTree,
        model: Embedder,
        start: str | None = None,
        end: str | None = None,
        window: tuple[slice, slice] | None = None,
        until: str | None = None,
    ) -> Request:
        """The request for a scene, clipped to what it has.

        Parameters
        ----------
        scene
            Validated.
        model
            Whose sensors' acquisitions give the period.
        start, end
            First and last day as YYYY-MM-DD; None: of the acquisitions.
        window
            Rows and columns of the 10 m grid; None: the whole scene.
        until
            Last day as YYYY-MM-DD instead of ``end``, also past the last acquisition, as far as the fusion looks.

        Returns
        -------
        Request

        Raises
        ------
        InputError
            Where nothing remains, or a day is no date.
        """
        grid = target_grid(scene)
        # Over all sensors of the model: the first image of any of them begins the period.
        first, last = first_and_last_day(scene, model.config.sensors)
        observed = last
        if until is not None:
            if end is not None:
                raise InputError(f"Got both end {end} and until {until}, need one of them; leave one out.")
            # ``last`` may grow, ``observed`` stays: the days between them are extrapolated.
            end, last = until, max(last, parse_day(until, last, "until"))
            if last - observed > WINDOW_DAYS:
                raise InputError(
                    f"Got until {_iso(last)}, {last - observed} days past the last acquisition of {_iso(observed)}, "
                    f"need at most {WINDOW_DAYS}, as far as the model looks; choose an earlier day."
                )
        begin, finish = parse_day(start, first, "start"), parse_day(end, last, "end")
        if start is not None and end is not None and finish < begin:
            raise InputError(
                f"end {_iso(finish)} lies before start {_iso(begin)}; give an end on or after the start."
            )
        if finish < first or begin > last:
            raise InputError(
                f"start {_iso(begin)}, end {_iso(finish)} lie outside the scene's acquisitions, {_iso(first)} to"
                f" {_iso(last)}; ask for days inside."
            )
        # Days beyond the acquisitions are extrapolated, which only ``until`` asks for: the request is cut, as the
        # cube's time axis tells.
        begin, finish = max(begin, first), min(finish, last)
        # ``slice.indices`` resolves None and negative bounds and cuts at the grid's edge, as indexing an array does.
        rows, cols = window or (slice(0, grid.ny), slice(0, grid.nx))
        rows, cols = (slice(*s.indices(n)[:2]) for s, n in ((rows, grid.ny), (cols, grid.nx)))
        if rows.stop <= rows.start or cols.stop <= cols.start:
            raise InputError(
                f"the window holds no pixel of the scene's {grid.ny} x {grid.nx}; choose one inside."
            )
        return cls(grid, begin, finish, rows, cols, observed)

    @property
    def days(self) -> np.ndarray:
        """(day) whole days since 1970-01-01."""
        return np.arange(self.first, self.last + 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Days, rows, columns."""
        return len(self.days), self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    def windows(self) -> list[BlockWindow]:
        """The requested window cut along aligned blocks.

        Returns
        -------
        list of BlockWindow
            Those of one map tile follow each other, so that a store has few tiles open.
        """
        cut = [(_overlap(r, self.rows), _overlap(c, self.cols)) for r, c in self.aligned_blocks()]
        # By the largest tile first, then by ever smaller ones inside it, as in a quadtree: whichever size a store has
        # chosen for its tiles, all blocks of one follow each other.
        return sorted(cut, key=lambda window: [s.start // px for px in TILES_PX for s in window])

    def relative(self, window: BlockWindow) -> BlockWindow:
        """The same pixels, counted from the corner of the requested window.

        Parameters
        ----------
        window
            Rows and columns of the 10 m grid.

        Returns
        -------
        BlockWindow
        """
        return tuple(
            slice(s.start - w.start, s.stop - w.start)
            for s, w in zip(window, (self.rows, self.cols), strict=True)
        )

    def aligned_blocks(self) -> list[BlockWindow]:
        """Whole aligned blocks that touch the requested window, row by row."""

        def edges(s: slice, n: int) -> list[slice]:
            # From the multiple of a block below the window, so that blocks do not move with the window.
            starts = range(s.start // BLOCK_PX * BLOCK_PX, s.stop, BLOCK_PX)
            return [slice(a, min(a + BLOCK_PX, n)) for a in starts]

        return [(r, c) for r in edges(self.rows, self.grid.ny) for c in edges(self.cols, self.grid.nx)]


def _iso(day: int) -> str:
    return str(from_epoch_day(np.int64(day)).astype("datetime64[D]"))


def _overlap(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def aligned_block(span: slice, size: int) -> slice:
    """The aligned block around a part of it, cut at the grid's edge.

    Parameters
    ----------
    span
        Rows or columns of the 10 m grid, within one aligned block.
    size
        Of the grid along this axis, in pixels.

    Returns
    -------
    slice
    """
    # The same floor as in ``aligned_blocks``: any part of a block is computed as that block.
    start = span.start // BLOCK_PX * BLOCK_PX
    return slice(start, min(start + BLOCK_PX, size))
