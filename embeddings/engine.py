"""Inference: encode each acquisition once, then evaluate the fusion for every (day, pixel), one block at a time.

Blocks are 32 x 32 pixels, aligned to the scene's grid, and groups of days are aligned to days since 1970, whatever is
requested. The same pixel and day therefore gets the same numbers, bit for bit, from a full run, a window, a single
month or a single click: matrix products of another size may round differently.

This file has the request, the cube and the batched forward pass together (over 400 lines) until it becomes a package.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import xarray as xr

import embeddings
from embeddings import progress, schema
from embeddings.device import QUEUES
from embeddings.geometry import Grid, target_grid
from embeddings.inputs import (
    AcquisitionSeries,
    first_and_last_day,
    from_epoch_day,
    read_acquisitions,
    to_epoch_day,
)
from embeddings.quantise import FEATURE_LIMIT, SIGMA_LIMIT, SIGMA_STEP
from embeddings.variables import CUBE_VARIABLES, SCALE
from models.batch import FusionOutput, Tokens
from models.embedder import Embedder
from models.encoder import HALO_PX
from models.errors import InputError
from models.fusion import WINDOW_DAYS

GROUP_DAYS = 32
"""Days predicted together: they share the acquisitions within reach."""
STRIP_PX = 128
"""Pixels predicted together on a CPU: keys and values of their acquisitions stay in the processor's cache."""
ENCODE_BATCH = 16
"""Acquisitions encoded in one turn of the device queue."""
BLOCK_PX = 32
"""Side of an aligned block."""
TILES_PX = (4096, 2048, 1024, 512, 256, 128)
"""Blocks are computed tile by tile: a store writes whole tiles, then their overviews, and gathers few at a time."""

BlockWindow = tuple[slice, slice]
"""Rows and columns of the scene's 10 m grid, within one aligned block."""


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

    @classmethod
    def from_scene(
        cls,
        scene: xr.DataTree,
        model: Embedder,
        start: str | None = None,
        end: str | None = None,
        window: tuple[slice, slice] | None = None,
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

        Returns
        -------
        Request

        Raises
        ------
        InputError
            Where nothing remains, or a day is no date.
        """
        grid = target_grid(scene)
        first, last = first_and_last_day(scene, model.config.sensors)
        begin, finish = _parse_day(start, first, "start"), _parse_day(end, last, "end")
        if start is not None and end is not None and finish < begin:
            raise InputError(
                f"end {_iso(finish)} lies before start {_iso(begin)}; give an end on or after the start."
            )
        if finish < first or begin > last:
            raise InputError(
                f"start {_iso(begin)}, end {_iso(finish)} lie outside the scene's acquisitions, {_iso(first)} to"
                f" {_iso(last)}; ask for days inside."
            )
        begin, finish = max(begin, first), min(finish, last)
        rows, cols = window or (slice(0, grid.ny), slice(0, grid.nx))
        rows, cols = (slice(*s.indices(n)[:2]) for s, n in ((rows, grid.ny), (cols, grid.nx)))
        if rows.stop <= rows.start or cols.stop <= cols.start:
            raise InputError(
                f"the window holds no pixel of the scene's {grid.ny} x {grid.nx}; choose one inside."
            )
        return cls(grid, begin, finish, rows, cols)

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
            starts = range(s.start // BLOCK_PX * BLOCK_PX, s.stop, BLOCK_PX)
            return [slice(a, min(a + BLOCK_PX, n)) for a in starts]

        return [(r, c) for r in edges(self.rows, self.grid.ny) for c in edges(self.cols, self.grid.nx)]


@dataclass(frozen=True)
class BlockTask:
    """All that the numbers of a request follow from; called with a window, it computes its arrays."""

    scene: xr.DataTree
    model: Embedder
    request: Request
    causal: bool = False
    """Use acquisitions of the past and the day itself only."""

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
        found = {
            name: read_acquisitions(self.scene, spec, grid, *self._whole_block(window), HALO_PX)
            for name, spec in specs
        }
        return {name: series for name, series in found.items() if series is not None and len(series.day)}

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
            The variables of the cube: ``embedding`` (day, y, x, feature) int8, the others (day, y, x).
        """
        tokens = {}
        for name, series in (read() if read else self.read(window)).items():
            tokens[name] = yield from _encode(self.model, name, series)
        rows, cols = self._whole_block(window)
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        arrays = yield from _embed_pixels(self.model, tokens, shape, self.request.days, self.causal)
        cut = (
            slice(None),
            slice(window[0].start - rows.start, window[0].stop - rows.start),
            slice(window[1].start - cols.start, window[1].stop - cols.start),
        )
        return {name: array[cut] for name, array in arrays.items()}

    def _whole_block(self, window: BlockWindow) -> BlockWindow:
        grid = self.request.grid
        return _aligned(window[0], grid.ny), _aligned(window[1], grid.nx)


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
    attrs = _attrs(scene, model, causal)
    windows, task = request.windows(), BlockTask(scene, model, request, causal)
    for i, (rows, cols) in enumerate(windows):
        cube = _cube(request, model, rows, cols, task((rows, cols)), attrs)
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
        name: np.empty(full, dtype) for name, (full, dtype) in _layout(request.shape, model.features).items()
    }
    for block in embed_blocks(scene, model, start, end, window, causal):
        for name, array in arrays.items():
            array[:, block.rows, block.cols] = block.cube[name].values
    return _cube(request, model, request.rows, request.cols, arrays, _attrs(scene, model, causal))


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
    for part in request.windows():
        block = dask.delayed(compute_block or BlockTask.__call__)(task, part)
        size = (len(request.days), part[0].stop - part[0].start, part[1].stop - part[1].start)
        line = lines.setdefault(part[0].start, {name: [] for name in _DTYPES})
        for name, (full, dtype) in _layout(size, model.features).items():
            line[name].append(da.from_delayed(block[name], full, dtype))
    arrays = {
        name: da.concatenate([da.concatenate(line[name], axis=2) for line in lines.values()], axis=1)
        for name in _DTYPES
    }
    return _cube(request, model, request.rows, request.cols, arrays, _attrs(scene, model, causal, digest))


def empty_cube(
    scene: xr.DataTree,
    model: Embedder,
    start: str | None = None,
    end: str | None = None,
    window: tuple[slice, slice] | None = None,
    causal: bool = False,
) -> xr.Dataset:
    """Coordinates, dtypes and attributes of the embedding cube, without its numbers.

    Parameters
    ----------
    scene, model, start, end, window, causal
        As of :func:`embed_blocks`.

    Returns
    -------
    xarray.Dataset
        As of :func:`compute`, each array one zero broadcast to its shape, which takes no memory.
    """
    request = Request.from_scene(scene, model, start, end, window)
    arrays = {
        name: np.broadcast_to(np.zeros((), dtype), full)
        for name, (full, dtype) in _layout(request.shape, model.features).items()
    }
    return _cube(request, model, request.rows, request.cols, arrays, _attrs(scene, model, causal))


_DTYPES = {"embedding": np.int8, "sigma": np.float32, "days_from_s2": np.int16, "days_from_s1": np.int16}
"""Of the cube's variables in memory."""


def _layout(shape: tuple[int, int, int], features: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of each variable for (time, y, x) of ``shape``."""
    return {n: ((*shape, features) if n == "embedding" else shape, dtype) for n, dtype in _DTYPES.items()}


def encode(model: Embedder, name: str, series: AcquisitionSeries) -> Tokens:
    """Encode all acquisitions of a sensor, one at a time so that none depends on which others are there.

    Parameters
    ----------
    model
        On its device.
    name
        The sensor's.
    series
        (time, band, y + 2 halo, x + 2 halo).

    Returns
    -------
    Tokens
        Of one area: (1, time, pixel, channel) without the halo and without acquisitions that have no valid pixel.
    """
    return progress.run(_encode(model, name, series))


def _encode(model: Embedder, name: str, series: AcquisitionSeries) -> Generator[None, None, Tokens]:
    """As ``encode``, pausing after each turn of the device queue."""
    device = model.scale.device
    h, w = (n - 2 * HALO_PX for n in series.valid.shape[1:])
    inner = series.valid[:, HALO_PX : HALO_PX + h, HALO_PX : HALO_PX + w]  # (time, y, x)
    kept = np.flatnonzero(inner.any((1, 2)))
    token = torch.empty(
        len(kept), h * w, model.config.specs[name].token, device=device
    )  # (time, pixel, channel)

    def encode_batch(first: int) -> Iterator[None]:
        for i, t in enumerate(kept[first : first + ENCODE_BATCH], first):
            with torch.inference_mode():
                values = torch.from_numpy(series.values[t : t + 1]).to(device)  # (1, band, y, x) with halo
                valid = torch.from_numpy(series.valid[t : t + 1]).to(device)  # (1, y, x) with halo
                token[i] = model.encode(name, values, valid)[0].flatten(1).T  # (pixel, channel)
            yield

    yield from QUEUES[device.type].map(encode_batch, range(0, len(kept), ENCODE_BATCH))
    valid = torch.from_numpy(inner[kept].reshape(len(kept), h * w)).to(device)  # (time, pixel)
    return Tokens(token[None], valid[None], torch.from_numpy(series.day[kept])[None].to(device))


def _embed_pixels(
    model: Embedder, tokens: dict[str, Tokens], shape: tuple[int, int], days: np.ndarray, causal: bool
) -> Generator[None, None, dict[str, np.ndarray]]:
    """Predict every day of every pixel of (y, x) ``shape``; returns the quantised arrays of the cube."""
    pixels = shape[0] * shape[1]
    out = {
        name: np.empty((full[0], pixels, *full[3:]), dtype)  # (day, pixel[, feature])
        for name, (full, dtype) in _layout((len(days), *shape), model.features).items()
    }

    def predict_strip(strip: slice) -> Iterator[None]:
        for where, output in predict_days(model, tokens, strip, days, causal):
            with torch.inference_mode():
                steps = (output.z[0] / model.scale).round_().clamp_(-FEATURE_LIMIT, FEATURE_LIMIT)
                out["embedding"][where] = steps.to(torch.int8).cpu().numpy()  # (day, pixel, feature)
                steps = (model.sigma(output)[0] / SIGMA_STEP).round_().clamp_(0, SIGMA_LIMIT)
                out["sigma"][where] = steps.cpu().numpy() * np.float32(SIGMA_STEP)  # (day, pixel)
            yield

    # a GPU is filled by a block, a core's cache by a strip
    wide = STRIP_PX if model.scale.device.type == "cpu" else BLOCK_PX**2
    strips = [slice(a, min(a + wide, pixels)) for a in range(0, pixels, wide)]
    yield from QUEUES[model.scale.device.type].map(predict_strip, strips)
    for sensor in ("s2", "s1"):
        distance = days_to_nearest(tokens[sensor], days, causal) if sensor in tokens else -1
        out[f"days_from_{sensor}"][:] = distance
    return {name: array.reshape(len(days), *shape, *array.shape[2:]) for name, array in out.items()}


def predict_days(
    model: Embedder, tokens: dict[str, Tokens], strip: slice, days: np.ndarray, causal: bool = False
) -> Iterator[tuple[tuple[slice, slice], FusionOutput]]:
    """Evaluate the fusion for a strip of pixels, by groups of consecutive days.

    Groups are aligned to days since 1970 and computed whole, so that a day's numbers do not depend on which other days
    are requested. Where the device's memory does not hold the strip, its halves are computed one after the other.

    Parameters
    ----------
    model
        On its device.
    tokens
        By sensor, (1, time, pixel, channel).
    strip
        Of the pixels of ``tokens``.
    days
        (day) consecutive, since 1970-01-01.
    causal
        Use acquisitions of the past and the day itself only.

    Yields
    ------
    tuple
        Which (days, pixels) these are, and the fusion's output for them: ``z`` (1, day, pixel, feature).

    Raises
    ------
    InputError
        Where the device's memory does not hold a single pixel.
    """
    first, last = int(days[0]), int(days[-1])
    try:
        with torch.inference_mode():
            written = model.contextualise({name: t.pixels(strip) for name, t in tokens.items()}, causal)
        for group in range(first // GROUP_DAYS * GROUP_DAYS, last + 1, GROUP_DAYS):
            start, stop = max(group, first), min(group + GROUP_DAYS, last + 1)
            with torch.inference_mode():
                output = model.query(written, torch.arange(group, group + GROUP_DAYS)[None], causal)
            yield (slice(start - first, stop - first), strip), output.days(slice(start - group, stop - group))
        return
    except torch.OutOfMemoryError as error:
        if strip.stop - strip.start == 1:
            raise InputError(
                f"Got {len(days)} days, of which the device's memory does not hold a single pixel, need more of it or "
                "fewer days; choose --device cpu or other days."
            ) from error
    # Outside of the except clause: the traceback there holds what was computed, and with it the device's memory.
    written = output = None
    middle = (strip.start + strip.stop) // 2
    for half in (slice(strip.start, middle), slice(middle, strip.stop)):
        yield from predict_days(model, tokens, half, days, causal)


def days_to_nearest(tokens: Tokens, days: np.ndarray, causal: bool = False) -> np.ndarray:
    """Distance in days to the nearest valid acquisition.

    Parameters
    ----------
    tokens
        (1, time, pixel, channel) of one sensor.
    days
        (day) consecutive, since 1970-01-01.
    causal
        Look at the past and the day itself only.

    Returns
    -------
    numpy.ndarray
        int16 (day, pixel); -1 where there is none within ``WINDOW_DAYS``, as far as the fusion looks.
    """
    day, valid = tokens.day[0].cpu().numpy(), tokens.valid[0].cpu().numpy()  # (time), (time, pixel)
    far = WINDOW_DAYS + 1
    first = int(days[0]) - far
    length = int(days[-1]) + far + 1 - first
    keep = (day >= first) & (day < first + length)
    # distance transform in two sweeps: 0 on days of an acquisition, then one more per day away from it
    past = np.full((length, valid.shape[1]), far, np.int16)
    past[day[keep] - first] = np.where(valid[keep], 0, far)
    future = past[::-1].copy()
    for distance in (past,) if causal else (past, future):
        # day by day: a fifth of the time of minimum.accumulate, which goes value by value
        for before, current in pairwise(distance):
            np.minimum(current, before + np.int16(1), out=current)
    nearer = past if causal else np.minimum(past, future[::-1])
    nearer = nearer[far : far + len(days)]
    return np.where(nearer < far, nearer, np.int16(-1))


def embed_spectra(
    model: Embedder, bands: np.ndarray, names: tuple[str, ...], sensor: str = "s2"
) -> np.ndarray:
    """Embeddings of single spectra without neighbours in space or time.

    Each spectrum is the only acquisition of its series and is evaluated on its own day. The fusion knows days only by
    their distance to each other, so that which day it was does not matter.

    Parameters
    ----------
    model
        On the CPU.
    bands
        (n, band) in the sensor's unit, NaN where not measured.
    names
        Of the bands.
    sensor
        Name of the sensor.

    Returns
    -------
    numpy.ndarray
        (n, feature) float32.
    """
    spec = model.config.specs[sensor]
    side = 2 * HALO_PX + 1
    values = np.full((len(bands), len(spec.bands), side, side), np.nan, np.float32)
    for i, name in enumerate(names):
        values[:, spec.bands.index(name), HALO_PX, HALO_PX] = bands[:, i]
    valid = ~np.isnan(values).all(1)  # (n, y, x)
    with torch.inference_mode():
        token = model.encode(sensor, torch.from_numpy(values), torch.from_numpy(valid))[:, :, 0, 0]
        day = torch.zeros(1, 1, dtype=torch.int64)
        # spectra take the place of pixels: (1, time, n, channel)
        tokens = Tokens(token[None, None], torch.ones(1, 1, len(bands), dtype=torch.bool), day)
        return model.embed({sensor: tokens}, day).z[0, 0].numpy()


def _cube(
    request: Request, model: Embedder, rows: slice, cols: slice, arrays: dict, attrs: dict
) -> xr.Dataset:
    """The embedding cube of arrays (time, y, x[, feature]) over rows and columns of the scene's grid."""
    dims = ("time", "y", "x")
    data = {
        name: ((*dims, "feature") if name == "embedding" else dims, array, CUBE_VARIABLES[name].attrs)
        for name, array in arrays.items()
    }
    coords = {
        "time": ("time", from_epoch_day(request.days), {"long_name": "UTC day", "standard_name": "time"}),
        **request.grid.window(rows, cols).coords(),
        "feature": ("feature", [f"e{i:02d}" for i in range(model.features)]),
        "scale": ("feature", model.scale.cpu().numpy(), SCALE.attrs),
    }
    return xr.Dataset(data, coords, attrs)


def _attrs(scene: xr.DataTree, model: Embedder, causal: bool, digest: str | None = None) -> dict:
    """Attributes of the cube: what its numbers follow from."""
    simulated = int(scene.attrs.get("simulated", 0))
    title = scene.attrs.get("title", scene.attrs.get("id", "scene"))
    return {
        "title": f"Daily embeddings of {title}",
        "simulated": simulated,
        "model": model.name,
        "model_digest": model.digest,
        "scene_id": str(scene.attrs.get("id", "")),
        "scene_digest": digest or schema.digest(scene),
        "software": f"fluxlens {embeddings.__version__}",
        "causal": int(causal),
        "quantisation": "embedding value = int8 * scale(feature)",
        "Conventions": "CF-1.11",
    }


def _parse_day(value: object, default: int, name: str) -> int:
    if value is None:
        return default
    try:
        return int(to_epoch_day(np.datetime64(str(value), "D")))
    except ValueError as error:
        raise InputError(f"{name} is {value!r}, not a date; write it as YYYY-MM-DD.") from error


def _iso(day: int) -> str:
    return str(from_epoch_day(np.int64(day)).astype("datetime64[D]"))


def _overlap(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def _aligned(part: slice, size: int) -> slice:
    """The aligned block around a part of it, cut at the grid's edge."""
    start = part.start // BLOCK_PX * BLOCK_PX
    return slice(start, min(start + BLOCK_PX, size))
