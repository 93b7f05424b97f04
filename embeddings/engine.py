"""The engine: a scene's acquisitions are encoded once, and every day of every pixel is asked, block by block.

Blocks are aligned to the scene's grid and to days since 1970, whatever is asked, so that the same pixel and day get the
same numbers, bit for bit, from a full run, a window, a single month or a single click.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import xarray as xr

import embeddings
from embeddings import schema
from embeddings.cache import finish
from embeddings.device import QUEUES
from embeddings.geometry import Grid, target_grid
from embeddings.inputs import Series, days_of, read, span, times_of
from models.batch import FusionOutput, Tokens
from models.embedder import Embedder
from models.encoder import HALO_PX
from models.errors import InputError
from models.fusion import WINDOW_DAYS

GROUP_DAYS = 32
"""Days asked together: they share the acquisitions they look at."""
STRIP_PX = 128
"""Pixels asked together: what is known of them stays in the processor's cache."""
TURN = 16
"""Acquisitions encoded in one turn of the device."""
BLOCK_PX = 32
TILES_PX = (4096, 2048, 1024, 512, 256, 128)
"""Blocks are computed tile by tile: a store writes whole tiles, then their overviews, and gathers few at a time."""
SIGMA_STEP = 0.0005
SIGMA_TOP = 254 * SIGMA_STEP


@dataclass(frozen=True)
class Block:
    """A finished rectangle, all asked days."""

    rows: slice
    cols: slice
    cube: xr.Dataset
    done: int
    total: int

    @property
    def share(self) -> float:
        return self.done / self.total

    @property
    def pixel_days(self) -> int:
        """How many embeddings it holds."""
        return self.cube["sigma"].size


Part = tuple[slice, slice]
"""Rows and columns of the scene's 10 m grid, within one aligned block."""


@dataclass(frozen=True)
class Request:
    """What is asked of a scene: which days, which rectangle of the 10 m grid."""

    grid: Grid
    first: int
    last: int
    rows: slice
    cols: slice

    @classmethod
    def of(cls, scene: xr.DataTree, model: Embedder, start=None, end=None, window=None) -> Request:
        """Defaults: from the first to the last acquisition, the whole scene. InputError when nothing remains."""
        grid = target_grid(scene)
        first, last = span(scene, model.config.sensors)
        begin, finish = _day(start, first, "start"), _day(end, last, "end")
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
        return np.arange(self.first, self.last + 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Days, rows, columns."""
        return len(self.days), self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    def parts(self) -> list[Part]:
        """The window cut along aligned blocks; those of one map tile follow each other, so that few tiles are open."""
        asked = [(_overlap(r, self.rows), _overlap(c, self.cols)) for r, c in self.blocks()]
        return sorted(asked, key=lambda part: [s.start // px for px in TILES_PX for s in part])

    def inside(self, part: Part) -> Part:
        """The same part, counted from the window's corner."""
        return tuple(
            slice(s.start - w.start, s.stop - w.start)
            for s, w in zip(part, (self.rows, self.cols), strict=True)
        )

    def blocks(self) -> list[Part]:
        """Aligned blocks that touch the window, whole."""

        def edges(s: slice, n: int) -> list[slice]:
            starts = range(s.start // BLOCK_PX * BLOCK_PX, s.stop, BLOCK_PX)
            return [slice(a, min(a + BLOCK_PX, n)) for a in starts]

        return [(r, c) for r in edges(self.rows, self.grid.ny) for c in edges(self.cols, self.grid.nx)]


@dataclass(frozen=True)
class Work:
    """All that the numbers of a request follow from; called with a part, its arrays."""

    scene: xr.DataTree
    model: Embedder
    request: Request
    causal: bool = False

    def __call__(self, part: Part) -> dict[str, np.ndarray]:
        return finish(self.steps(part))

    def read(self, part: Part) -> dict[str, Series]:
        """The acquisitions of each sensor there is over the part's whole block and a halo."""
        specs, grid = self.model.config.specs.items(), self.request.grid
        found = {name: read(self.scene, spec, grid, *self._whole(part), HALO_PX) for name, spec in specs}
        return {name: series for name, series in found.items() if series is not None and len(series.day)}

    def steps(
        self, part: Part, series: Callable[[], dict[str, Series]] | None = None
    ) -> Generator[None, None, dict[str, np.ndarray]]:
        """Pauses several times a second; closed in a pause, it leaves the device at once.

        ``series`` gives what ``read`` does, where that was begun before.
        """
        tokens = {}
        for name, one in (series() if series else self.read(part)).items():
            tokens[name] = yield from _encode(self.model, name, one)
        rows, cols = self._whole(part)
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        arrays = yield from _embed_pixels(self.model, tokens, shape, self.request.days, self.causal)
        cut = (
            slice(None),
            slice(part[0].start - rows.start, part[0].stop - rows.start),
            slice(part[1].start - cols.start, part[1].stop - cols.start),
        )
        return {name: array[cut] for name, array in arrays.items()}

    def _whole(self, part: Part) -> Part:
        grid = self.request.grid
        return _aligned(part[0], grid.ny), _aligned(part[1], grid.nx)


def run(
    scene: xr.DataTree, model: Embedder, start=None, end=None, window=None, causal: bool = False
) -> Iterator[Block]:
    """Embeds block by block. ``window`` is (rows, cols) on the 10 m grid; ``causal`` looks at the past only."""
    request = Request.of(scene, model, start, end, window)
    attrs = _attrs(scene, model, causal)
    parts, work = request.parts(), Work(scene, model, request, causal)
    for i, (rows, cols) in enumerate(parts):
        cube = _cube(request, model, rows, cols, work((rows, cols)), attrs)
        yield Block(*request.inside((rows, cols)), cube, i + 1, len(parts))


def compute(
    scene: xr.DataTree, model: Embedder, start=None, end=None, window=None, causal: bool = False
) -> xr.Dataset:
    """The whole answer in memory."""
    request = Request.of(scene, model, start, end, window)
    arrays = {
        name: np.empty(full, dtype) for name, (full, dtype) in _layout(request.shape, model.features).items()
    }
    for block in run(scene, model, start, end, window, causal):
        for name, array in arrays.items():
            array[:, block.rows, block.cols] = block.cube[name].values
    return _cube(request, model, request.rows, request.cols, arrays, _attrs(scene, model, causal))


def lazy(
    scene: xr.DataTree,
    model: Embedder,
    start=None,
    end=None,
    window=None,
    causal: bool = False,
    digest: str | None = None,
    through: Callable[[Work, Part], dict[str, np.ndarray]] | None = None,
) -> xr.Dataset:
    """The same Dataset with dask arrays: each aligned block is computed when it is read.

    ``digest`` is the scene's, where it is known; ``through`` is called for a block instead of the work itself.
    """
    import dask
    import dask.array as da

    request = Request.of(scene, model, start, end, window)
    ask = through or Work.__call__
    # one object of the graph, not one per block; a tuple would be looked through for things to compute
    work = dask.delayed(Work(scene, model, request, causal), traverse=False)
    lines: dict[int, dict[str, list]] = {}
    for part in request.parts():
        made = dask.delayed(ask)(work, part)
        size = (len(request.days), part[0].stop - part[0].start, part[1].stop - part[1].start)
        line = lines.setdefault(part[0].start, {name: [] for name in _VARIABLES})
        for name, (full, dtype) in _layout(size, model.features).items():
            line[name].append(da.from_delayed(made[name], full, dtype))
    arrays = {
        name: da.concatenate([da.concatenate(line[name], axis=2) for line in lines.values()], axis=1)
        for name in _VARIABLES
    }
    return _cube(request, model, request.rows, request.cols, arrays, _attrs(scene, model, causal, digest))


def template(
    scene: xr.DataTree, model: Embedder, start=None, end=None, window=None, causal: bool = False
) -> xr.Dataset:
    """Coordinates, dtypes and attributes of the answer around one zero that stands for all."""
    request = Request.of(scene, model, start, end, window)
    arrays = {
        name: np.broadcast_to(np.zeros((), dtype), full)
        for name, (full, dtype) in _layout(request.shape, model.features).items()
    }
    return _cube(request, model, request.rows, request.cols, arrays, _attrs(scene, model, causal))


_VARIABLES = {"embedding": np.int8, "sigma": np.float32, "days_from_s2": np.int16, "days_from_s1": np.int16}


def _layout(shape: tuple[int, int, int], features: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of each variable for (time, y, x) of ``shape``."""
    return {n: ((*shape, features) if n == "embedding" else shape, dtype) for n, dtype in _VARIABLES.items()}


def encode(model: Embedder, name: str, series: Series) -> Tokens:
    """Tokens of all acquisitions, one at a time so that none depends on which others are there."""
    return finish(_encode(model, name, series))


def _encode(model: Embedder, name: str, series: Series) -> Generator[None, None, Tokens]:
    device = model.scale.device
    h, w = (n - 2 * HALO_PX for n in series.usable.shape[1:])
    inner = series.usable[:, HALO_PX : HALO_PX + h, HALO_PX : HALO_PX + w]
    seen = np.flatnonzero(inner.any((1, 2)))
    token = torch.empty(len(seen), h * w, model.config.specs[name].token, device=device)

    def some(first: int) -> Iterator[None]:
        for i, t in enumerate(seen[first : first + TURN], first):
            with torch.inference_mode():
                values = torch.from_numpy(series.values[t : t + 1]).to(device)
                usable = torch.from_numpy(series.usable[t : t + 1]).to(device)
                token[i] = model.encode(name, values, usable)[0].flatten(1).T
            yield

    yield from QUEUES[device.type].map(some, range(0, len(seen), TURN))
    usable = torch.from_numpy(inner[seen].reshape(len(seen), h * w)).to(device)
    return Tokens(token[None], usable[None], torch.from_numpy(series.day[seen])[None].to(device))


def _embed_pixels(
    model: Embedder, tokens: dict[str, Tokens], shape: tuple[int, int], days: np.ndarray, causal: bool
) -> Generator[None, None, dict[str, np.ndarray]]:
    """Asks every day of every pixel; returns the quantised arrays of the cube."""
    pixels = shape[0] * shape[1]
    out = {
        name: np.empty((full[0], pixels, *full[3:]), dtype)
        for name, (full, dtype) in _layout((len(days), *shape), model.features).items()
    }

    def asked(strip: slice) -> Iterator[None]:
        for where, answer in ask(model, tokens, strip, days, causal):
            with torch.inference_mode():
                steps = (answer.z[0] / model.scale).round_().clamp_(-127, 127)
                out["embedding"][where] = steps.to(torch.int8).cpu().numpy()
                steps = (model.sigma(answer)[0] / SIGMA_STEP).round_().clamp_(0, 254)
                out["sigma"][where] = steps.cpu().numpy() * np.float32(SIGMA_STEP)
            yield

    # a GPU is filled by a block, a core's cache by a strip
    wide = STRIP_PX if model.scale.device.type == "cpu" else BLOCK_PX**2
    strips = [slice(a, min(a + wide, pixels)) for a in range(0, pixels, wide)]
    yield from QUEUES[model.scale.device.type].map(asked, strips)
    for sensor in ("s2", "s1"):
        out[f"days_from_{sensor}"][:] = nearest(tokens[sensor], days, causal) if sensor in tokens else -1
    return {name: array.reshape(len(days), *shape, *array.shape[2:]) for name, array in out.items()}


def ask(
    model: Embedder, tokens: dict[str, Tokens], strip: slice, days: np.ndarray, causal: bool = False
) -> Iterator[tuple[tuple[slice, slice], FusionOutput]]:
    """Answers for a strip of pixels, and which (days, pixels) they are, by groups of consecutive ``days``.

    Groups are aligned to days since 1970 and asked whole, so that a day's numbers do not depend on what else is asked.
    Where the device's memory does not hold the strip, its halves are asked one after the other.
    """
    first, last = int(days[0]), int(days[-1])
    try:
        with torch.inference_mode():
            written = model.contextualise({name: t.pixels(strip) for name, t in tokens.items()}, causal)
        for group in range(first // GROUP_DAYS * GROUP_DAYS, last + 1, GROUP_DAYS):
            start, stop = max(group, first), min(group + GROUP_DAYS, last + 1)
            with torch.inference_mode():
                answer = model.query(written, torch.arange(group, group + GROUP_DAYS)[None], causal)
            yield (slice(start - first, stop - first), strip), answer.days(slice(start - group, stop - group))
        return
    except torch.OutOfMemoryError as error:
        if strip.stop - strip.start == 1:
            raise InputError(
                f"Got {len(days)} days, of which the device's memory does not hold a single pixel, need more of it or "
                "fewer days; choose --device cpu or other days."
            ) from error
    # outside of the except, whose traceback holds what was computed
    written = answer = None
    middle = (strip.start + strip.stop) // 2
    for half in (slice(strip.start, middle), slice(middle, strip.stop)):
        yield from ask(model, tokens, half, days, causal)


def nearest(tokens: Tokens, days: np.ndarray, causal: bool = False) -> np.ndarray:
    """Days (day, pixel) to the nearest usable acquisition that is looked at, -1 where there is none."""
    day, usable = tokens.day[0].cpu().numpy(), tokens.valid[0].cpu().numpy()
    far = WINDOW_DAYS + 1
    first = int(days[0]) - far
    length = int(days[-1]) + far + 1 - first
    keep = (day >= first) & (day < first + length)
    past = np.full((length, usable.shape[1]), far, np.int16)
    past[day[keep] - first] = np.where(usable[keep], 0, far)
    future = past[::-1].copy()
    for away in (past,) if causal else (past, future):
        # day by day: a fifth of the time of minimum.accumulate, which goes value by value
        for before, here in pairwise(away):
            np.minimum(here, before + np.int16(1), out=here)
    nearer = past if causal else np.minimum(past, future[::-1])
    nearer = nearer[far : far + len(days)]
    return np.where(nearer < far, nearer, np.int16(-1))


def embed_spectra(
    model: Embedder,
    bands: np.ndarray,
    names: tuple[str, ...],
    days: np.ndarray | None = None,
    sensor: str = "s2",
) -> np.ndarray:
    """Embeddings (n, feature) float32 of single spectra without neighbours in space or time.

    ``bands`` (n, len(names)) in the sensor's unit; each spectrum is asked for its own day.
    """
    spec = model.config.specs[sensor]
    side = 2 * HALO_PX + 1
    values = np.full((len(bands), len(spec.bands), side, side), np.nan, np.float32)
    for i, name in enumerate(names):
        values[:, spec.bands.index(name), HALO_PX, HALO_PX] = bands[:, i]
    usable = ~np.isnan(values).all(1)
    with torch.inference_mode():
        token = model.encode(sensor, torch.from_numpy(values), torch.from_numpy(usable))[:, :, 0, 0]
        day = torch.zeros(1, 1, dtype=torch.int64)
        tokens = Tokens(token[None, None], torch.ones(1, 1, len(bands), dtype=torch.bool), day)
        return model.embed({sensor: tokens}, day).z[0, 0].numpy()


def values(cube: xr.Dataset) -> xr.DataArray:
    """The embedding as float32 numbers: int8 steps times each feature's scale."""
    return cube["embedding"].astype(np.float32) * cube["scale"].astype(np.float32)


def _cube(
    request: Request, model: Embedder, rows: slice, cols: slice, arrays: dict, attrs: dict
) -> xr.Dataset:
    grid = request.grid.window(rows, cols)
    where = ("time", "y", "x")
    features = [f"e{i:02d}" for i in range(model.features)]
    described = {
        "embedding": {"long_name": "daily embedding, int8 steps of `scale`", "units": "1"},
        "sigma": {
            "long_name": "expected root-mean-square error of the reflectance this embedding reconstructs",
            "units": "1",
        },
        "days_from_s2": {
            "long_name": "days to the nearest clear Sentinel-2 acquisition, -1 = none",
            "units": "d",
        },
        "days_from_s1": {"long_name": "days to the nearest Sentinel-1 acquisition, -1 = none", "units": "d"},
    }
    data = {
        name: ((*where, "feature") if name == "embedding" else where, array, described[name])
        for name, array in arrays.items()
    }
    coords = {
        "time": ("time", times_of(request.days), {"long_name": "UTC day", "standard_name": "time"}),
        **grid.coords(),
        "feature": ("feature", features),
        "scale": (
            "feature",
            model.scale.cpu().numpy(),
            {"long_name": "value of one int8 step", "units": "1"},
        ),
    }
    return xr.Dataset(data, coords, attrs)


def _attrs(scene: xr.DataTree, model: Embedder, causal: bool, digest: str | None = None) -> dict:
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


def _day(value, default: int, what: str) -> int:
    if value is None:
        return default
    try:
        return int(days_of(np.datetime64(str(value), "D")))
    except ValueError as error:
        raise InputError(f"{what} is {value!r}, not a date; write it as YYYY-MM-DD.") from error


def _iso(day: int) -> str:
    return str(times_of(np.int64(day)).astype("datetime64[D]"))


def _overlap(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def _aligned(part: slice, size: int) -> slice:
    start = part.start // BLOCK_PX * BLOCK_PX
    return slice(start, min(start + BLOCK_PX, size))
