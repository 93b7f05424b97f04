"""Inference: encode each acquisition once, then evaluate the fusion for every (day, pixel), one block at a time.

Blocks are 32 x 32 pixels, aligned to the scene's grid, and groups of days are aligned to days since 1970, whatever is
requested. The same pixel and day therefore gets the same numbers, bit for bit, from a full run, a window, a single
month or a single click: matrix products of another size may round differently.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference.batched_forward import embed_pixels_steps, encode_steps
from fluxlens.embeddings.inference.block_files import BlockWindow
from fluxlens.embeddings.inference.cube import DTYPES, build_cube, cube_attrs, shapes_and_dtypes
from fluxlens.embeddings.inference.request import Block, Request, aligned_block
from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries, from_epoch_day, read_acquisitions
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX


@dataclass(frozen=True)
class BlockTask:
    """All that the numbers of a request follow from; called with a window, it computes its arrays."""

    scene: xr.DataTree
    model: Embedder
    request: Request
    causal: bool = False
    """Use acquisitions of the past and the day itself only."""
    day_slices: tuple[slice, ...] = (slice(None),)
    """Which of the request's days are computed."""

    @property
    def days(self) -> np.ndarray:
        """(day) those that are computed, whole days since 1970-01-01."""
        return np.concatenate(
            [self.request.days[day_slice] for day_slice in self.day_slices] or [self.request.days[:0]]
        )

    def __call__(self, window: BlockWindow) -> dict[str, np.ndarray]:
        return progress.run(self.steps(window))

    def read(self, window: BlockWindow) -> dict[str, AcquisitionSeries]:
        """Read the acquisitions of a window's whole aligned block and the encoder's halo.

        Parameters
        ----------
        window
            Within one aligned block.

        Returns
        -------
        dict
            By sensor, without those that have no acquisition.
        """
        specs, grid = self.model.config.specs.items(), self.request.grid
        by_sensor = {
            name: read_acquisitions(self.scene, spec, grid, *self._whole_block(window), HALO_PX)
            for name, spec in specs
        }
        # A sensor without acquisitions is left out altogether; the fusion has an output of its own for that.
        return {name: series for name, series in by_sensor.items() if series is not None and len(series.day)}

    def steps(
        self, window: BlockWindow, read: Callable[[], dict[str, AcquisitionSeries]] | None = None
    ) -> Generator[None, None, dict[str, np.ndarray]]:
        """Compute the arrays of a window.

        Parameters
        ----------
        window
            Within one aligned block, which is computed as a whole and then cut.
        read
            Returns what :meth:`read` does, where reading was begun before.

        Yields
        ------
        None
            Several times a second; closed in such a pause, it leaves the device at once.

        Returns
        -------
        dict of numpy.ndarray
            The variables of the cube, days of ``day_slices``: ``embedding`` (day, y, x, feature) int8, the others
            (day, y, x).
        """
        tokens = {}  # by sensor: (1, time, pixel, channel)
        for name, series in (read() if read else self.read(window)).items():
            # A sensor at a time: spectra of all of them together would double the memory of a block.
            tokens[name] = yield from encode_steps(self.model, name, series)
        # Also for a single pixel: see the module's docstring.
        rows, cols = self._whole_block(window)
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        computed = []
        for day_slice in self.day_slices:
            # The acquisitions are encoded once above, and their tokens serve all stretches of days.
            days = self.request.days[day_slice]
            # (day, y, x[, feature]) of one stretch of days; they are joined below.
            computed.append((yield from embed_pixels_steps(self.model, tokens, shape, days, self.causal)))
        arrays = (
            {name: np.concatenate([by_name[name] for by_name in computed]) for name in computed[0]}
            if computed[1:]
            else computed[0]
        )
        # The whole block was computed, so that its numbers do not depend on the window; the window is cut from it.
        cut = (
            slice(None),
            slice(window[0].start - rows.start, window[0].stop - rows.start),
            slice(window[1].start - cols.start, window[1].stop - cols.start),
        )
        return {name: array[cut] for name, array in arrays.items()}

    def _whole_block(self, window: BlockWindow) -> BlockWindow:
        grid = self.request.grid
        return aligned_block(window[0], grid.ny), aligned_block(window[1], grid.nx)


def embed_blocks(
    scene: xr.DataTree,
    model: Embedder,
    start: str | None = None,
    end: str | None = None,
    window: tuple[slice, slice] | None = None,
    causal: bool = False,
) -> Iterator[Block]:
    """Embed a scene block by block.

    Parameters
    ----------
    scene, model, start, end, window
        As of :meth:`Request.from_scene`.
    causal
        Use acquisitions of the past and the day itself only.

    Yields
    ------
    Block
        In the order of :meth:`Request.windows`.
    """
    request = Request.from_scene(scene, model, start, end, window)
    # Once for all blocks: the digest of the scene reads every image.
    attrs = cube_attrs(scene, model, causal)
    windows, task = request.windows(), BlockTask(scene, model, request, causal)
    for i, (rows, cols) in enumerate(windows):
        cube = build_cube(request, model, rows, cols, task((rows, cols)), attrs)
        yield Block(*request.relative((rows, cols)), cube, i + 1, len(windows))


def compute(
    scene: xr.DataTree,
    model: Embedder,
    start: str | None = None,
    end: str | None = None,
    window: tuple[slice, slice] | None = None,
    causal: bool = False,
) -> xr.Dataset:
    """Embed a scene in memory.

    Parameters
    ----------
    scene, model, start, end, window, causal
        As of :func:`embed_blocks`.

    Returns
    -------
    xarray.Dataset
        The embedding cube.
    """
    request = Request.from_scene(scene, model, start, end, window)
    arrays = {
        name: np.empty(full, dtype)
        for name, (full, dtype) in shapes_and_dtypes(request.shape, model.features).items()
    }
    for block in embed_blocks(scene, model, start, end, window, causal):
        for name, array in arrays.items():
            # Blocks arrive in any shape at the edges; each lies where it says.
            array[:, block.rows, block.cols] = block.cube[name].values
    return build_cube(request, model, request.rows, request.cols, arrays, cube_attrs(scene, model, causal))


def lazy_cube(
    scene: xr.DataTree,
    model: Embedder,
    start: str | None = None,
    end: str | None = None,
    window: tuple[slice, slice] | None = None,
    causal: bool = False,
    digest: str | None = None,
    compute_block: Callable[[BlockTask, BlockWindow], dict[str, np.ndarray]] | None = None,
) -> xr.Dataset:
    """The embedding cube with dask arrays: each aligned block is computed when it is read.

    Parameters
    ----------
    scene, model, start, end, window, causal
        As of :func:`embed_blocks`.
    digest
        The scene's, where it is known: taking it reads the whole scene.
    compute_block
        Called for a block instead of the task itself, such as with a cache.

    Returns
    -------
    xarray.Dataset
        As of :func:`compute`.
    """
    import dask
    import dask.array as da

    request = Request.from_scene(scene, model, start, end, window)
    # one object of the graph, not one per block; a tuple would be looked through for things to compute
    task = dask.delayed(BlockTask(scene, model, request, causal), traverse=False)
    lines: dict[int, dict[str, list]] = {}  # rows of blocks by their first row
    for block_window in request.windows():
        block = dask.delayed(compute_block or BlockTask.__call__)(task, block_window)
        size = (
            len(request.days),
            block_window[0].stop - block_window[0].start,
            block_window[1].stop - block_window[1].start,
        )
        # Windows come tile by tile, not row by row; each block goes to its row of blocks, in which they follow from
        # west to east.
        line = lines.setdefault(block_window[0].start, {name: [] for name in DTYPES})
        for name, (full, dtype) in shapes_and_dtypes(size, model.features).items():
            line[name].append(da.from_delayed(block[name], full, dtype))
    arrays = {
        name: da.concatenate([da.concatenate(line[name], axis=2) for line in lines.values()], axis=1)
        for name in DTYPES
    }
    return build_cube(
        request, model, request.rows, request.cols, arrays, cube_attrs(scene, model, causal, digest)
    )


def empty_cube(
    scene: xr.DataTree,
    model: Embedder,
    start: str | None = None,
    end: str | None = None,
    window: tuple[slice, slice] | None = None,
    causal: bool = False,
    until: str | None = None,
    digest: str | None = None,
) -> xr.Dataset:
    """Coordinates, dtypes and attributes of the embedding cube, without its numbers.

    Parameters
    ----------
    scene, model, start, end, window, causal
        As of :func:`embed_blocks`.
    until
        As of :meth:`Request.from_scene`.
    digest
        The scene's, where it is known: taking it reads the whole scene.

    Returns
    -------
    xarray.Dataset
        As of :func:`compute`, each array one zero broadcast to its shape, which takes no memory. Where days lie past
        the last acquisition, the attribute ``extrapolated_from`` is the first of them, YYYY-MM-DD.
    """
    request = Request.from_scene(scene, model, start, end, window, until)
    arrays = {
        name: np.broadcast_to(np.zeros((), dtype), full)
        for name, (full, dtype) in shapes_and_dtypes(request.shape, model.features).items()
    }
    attrs = cube_attrs(scene, model, causal, digest)
    # Marked: such days rest on the past alone, which nothing else in the cube tells.
    if request.last > request.observed:
        attrs["extrapolated_from"] = str(
            from_epoch_day(np.int64(request.observed + 1)).astype("datetime64[D]")
        )
    return build_cube(request, model, request.rows, request.cols, arrays, attrs)
