"""Boxes of a scene computed on demand: one queue for all sessions of this process, each run stopped within a moment."""

import datetime as dt
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from app.data import Data
from embeddings import cache, progress
from embeddings.geometry import Grid
from models.errors import InputError

MODELS = {
    "fusion": "Default",
    "simulated": "Taught by simulations only",
    "landsat": "With Landsat 8",
    "s2": "Sentinel-2 alone",
    "s1": "Sentinel-1 alone",
    "landsat8": "Landsat 8 alone",
}
"""Shipped weights in words, the usual ones first; others go by their names."""
SNAP_PX = 4
"""Edges of a box fall on multiples of that many pixels, which every sensor's grid shares."""
WIDE_PX = 512
"""The engine is asked for whole squares of that side, so that boxes which overlap share blocks in the cache."""
LARGEST_BYTES = 2**30
BYTES = {"features": 1, "rest": 5}
"""Of a pixel and day: each feature; sigma and days from both sensors together."""
FIRST_PACE = 250_000
"""Pixels times (acquisitions + days) per second, a guess until a run has told."""
TOLD_S = 0.5
"""A run that computed for less came from the cache and tells no pace."""
ENTRY = "box-"


def models(data: Data) -> dict[str, str]:
    """Words by name of the shipped weights whose sensors the scene all has, or (where none fits) some of them."""
    from models import checkpoints

    there = set(data.scene.children)
    wanted = {name: set(checkpoints.sensors(name)) for name in checkpoints.shipped()}
    fitting = [name for name, sensors in wanted.items() if sensors <= there]
    fitting = fitting or [name for name, sensors in wanted.items() if sensors & there]
    order = [*(name for name in MODELS if name in fitting), *(name for name in fitting if name not in MODELS)]
    return {name: MODELS.get(name, name) for name in order}


@dataclass(frozen=True)
class Box:
    """What is asked: a rectangle of the store's grid, days first to last, and which model."""

    rows: slice
    cols: slice
    first: dt.date
    last: dt.date
    model: str = "default"

    @classmethod
    def around(cls, grid: Grid, xs: tuple[float, float], ys: tuple[float, float], **asked) -> "Box":
        """The box of whole pixels around two corners in metres, cut to the grid."""
        left, _, _, top = grid.extent
        cols = _snapped(sorted((x - left) / grid.size_m for x in xs), grid.nx)
        rows = _snapped(sorted((top - y) / grid.size_m for y in ys), grid.ny)
        return cls(rows, cols, **asked)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Days, rows, columns."""
        days = (self.last - self.first).days + 1
        return days, self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


def _snapped(ends: list[float], size: int) -> slice:
    start = max(0, min(int(ends[0] // SNAP_PX) * SNAP_PX, size - SNAP_PX))
    return slice(start, min(size, max(int(-(-ends[1] // SNAP_PX)) * SNAP_PX, start + SNAP_PX)))


@dataclass(frozen=True)
class Estimate:
    """What a box costs before it is run."""

    pixels: int
    days: int
    seconds: float
    nbytes: int
    """At most, in both layouts of the store and before compression."""

    def check(self) -> None:
        """InputError where it is too much."""
        room = min(LARGEST_BYTES, shutil.disk_usage(cache.folder()).free // 2)
        if self.nbytes > room:
            raise InputError(
                f"Got a box of up to {self.nbytes / 1e6:,.0f} MB, need at most {room / 1e6:,.0f} MB;"
                " choose a smaller box or fewer days."
            )


class Stopped(Exception):
    """The visitor cancelled."""


@dataclass(eq=False)
class Run:
    """One box on its way; ``state`` is waiting, running, done, cancelled or failed."""

    data: Data
    box: Box
    state: str = "waiting"
    step: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    path: Path | None = None
    model_digest: str = ""
    parts: list = field(default_factory=list)
    """Finished blocks, kept until the store holds them all."""
    begun: float = 0.0
    ended: float = 0.0
    computing_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def seconds(self) -> float:
        """Since it was begun, or as long as it took."""
        return (self.ended or time.monotonic()) - self.begun

    def follow(self) -> None:
        """Computes the box; an error becomes a sentence."""
        self.state, self.begun = "running", time.monotonic()
        try:
            self.path = progress.run(self._steps())
            self.state = "done"
        except Stopped:
            self.state = "cancelled"
        except InputError as error:
            self.state, self.error = "failed", str(error)
        except Exception as error:  # whatever a disk or a device does, the queue goes on
            self.error = f"Got {type(error).__name__} while computing ({error}); try a smaller box."
            self.state = "failed"
        self.ended = time.monotonic()
        if self.stop.is_set():
            self.state = "cancelled"

    def _steps(self) -> progress.Steps[Path]:
        from embeddings import embed
        from models import checkpoints

        self.step = "reading the scene"
        box, scene = self.box, self.data.sensed
        model = checkpoints.load(box.model)
        self.model_digest = model.digest
        wide = tuple(_wide(*pair) for pair in zip((box.rows, box.cols), self.data.grid.shape, strict=True))
        # the scene held in memory lacks what the model does not read; the numbers are those of the whole
        digest = self.data.attrs.get("scene_digest")
        cube = embed.on_demand(scene, model, box.first, box.last, digest, wide, self._check_stop)
        rows, cols = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip((box.rows, box.cols), wide, strict=True)
        )
        cube = cube.isel(y=rows, x=cols)
        cube = cube.assign_coords(self.data.grid.window(box.rows, box.cols).coords())
        where = [box.rows.start, box.rows.stop, box.cols.start, box.cols.stop]
        facts = [cube.attrs[name] for name in ("scene_digest", "model_digest", "software")]
        name = cache.key(ENTRY[:-1], facts, where, box.first, box.last, embed.code_fingerprint())
        return (yield from cache.build_once(name, lambda path: self._build(path, cube)))

    def _build(self, path: Path, cube: xr.Dataset) -> progress.Steps[None]:
        from embeddings import store

        scene = cut(self.data.scene, self.data.grid.window(self.box.rows, self.box.cols))
        for block in store.write_steps(path, cube, self._blocks(cube), scene, cube.attrs["title"]):
            self.parts.append(block)
            self.done = block.done
            yield self.step, block.done / block.total
        self.step = "writing the store"

    def _check_stop(self, _step: object = None) -> None:
        """Raises in the middle of a block, between two strips of pixels; the engine then leaves the device."""
        if self.stop.is_set():
            raise Stopped

    def _blocks(self, cube: xr.Dataset) -> Iterator:
        from embeddings.engine import Block

        rows, cols = (_edges(cube.chunks[dim]) for dim in ("y", "x"))
        self.total, self.step = len(rows) * len(cols), "computing"
        for n, (r, c) in enumerate(((r, c) for r in rows for c in cols), 1):
            self._check_stop()
            started = time.monotonic()
            part = cube.isel(y=r, x=c).compute(scheduler="synchronous")
            self.computing_s += time.monotonic() - started
            yield Block(r, c, part, n, self.total)


def _edges(sizes: tuple[int, ...]) -> list[slice]:
    stops = np.cumsum(sizes).tolist()
    return [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]


def _wide(part: slice, size: int) -> slice:
    return slice(part.start // WIDE_PX * WIDE_PX, min(size, -(-part.stop // WIDE_PX) * WIDE_PX))


def cut(scene: xr.DataTree, grid: Grid) -> xr.DataTree:
    """What the screen shows of a scene inside ``grid``: sensors, weather, and the tower where it stands inside."""
    left, bottom, right, top = grid.extent
    nodes = {}
    for name in ("s2", "s1", "landsat8", "weather", "tower"):
        if name not in scene.children:
            continue
        node = scene[name].to_dataset()
        if {"x", "y"} <= set(node.dims):
            node = node.sel(x=slice(left, right), y=slice(top, bottom))
        elif name == "tower" and {"lon", "lat"} <= set(node.attrs):
            x, y = grid.xy(float(node.attrs["lon"]), float(node.attrs["lat"]))
            if not (left <= x <= right and bottom <= y <= top):
                continue
        nodes[f"/{name}"] = node
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=scene.attrs), **nodes})


class Runs:
    """All runs of this process: one computes, the others wait in the order they were asked."""

    def __init__(self):
        self._waiting: list[Run] = []
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self.pace = FIRST_PACE

    def estimate(self, data: Data, box: Box) -> Estimate:
        """By the pace of the last run of this process."""
        days, ny, nx = box.shape
        each = len(data.features) * BYTES["features"] + BYTES["rest"]
        return Estimate(ny * nx, days, _work(data, box) / self.pace, 2 * ny * nx * days * each)

    def add(self, data: Data, box: Box) -> Run:
        """Asks for a box; InputError where it is too large."""
        self.estimate(data, box).check()
        run = Run(data, box)
        with self._lock:
            self._waiting.append(run)
            self._lock.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="runs on demand")
                self._thread.start()
        return run

    def ahead(self, run: Run) -> int:
        """How many runs come before this one; 0 when it runs."""
        with self._lock:
            return self._waiting.index(run) if run in self._waiting else 0

    def cancel(self, run: Run) -> None:
        """Ends a run, whether it waits or computes; what is half made is removed."""
        run.stop.set()
        run.state = "cancelled"
        with self._lock:
            if run in self._waiting[1:]:
                self._waiting.remove(run)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting:
                    self._lock.wait()
                run = self._waiting[0]  # stays first while it runs: the others count it
            if not run.stop.is_set():
                run.follow()
            if run.state == "done" and run.computing_s > TOLD_S:
                self.pace = _work(run.data, run.box) / run.computing_s
            with self._lock:
                self._waiting.remove(run)


def _work(data: Data, box: Box) -> float:
    """Pixels of the blocks touched times (acquisitions + days)."""
    from embeddings.engine import BLOCK_PX

    def whole(part: slice, size: int) -> int:
        return min(size, -(-part.stop // BLOCK_PX) * BLOCK_PX) - part.start // BLOCK_PX * BLOCK_PX

    ny, nx = data.grid.shape
    return whole(box.rows, ny) * whole(box.cols, nx) * (data.acquisitions + box.shape[0])


RUNS = Runs()
