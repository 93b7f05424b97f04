"""Boxes of a scene embedded on demand: one queue for all sessions of this process, each job cancellable at once."""

import datetime as dt
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.app.data.scene import SceneData
from fluxlens.embeddings import cache, progress
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.scenes.crop import crop
from fluxlens.models.errors import InputError

MODEL_LABELS = {
    "fusion": "Default",
    "simulated": "Trained on simulations only",
    "landsat": "With Landsat 8",
    "s2": "Sentinel-2 alone",
    "s1": "Sentinel-1 alone",
    "landsat8": "Landsat 8 alone",
}
"""Labels of the shipped weights, in the order of the list; others go by their names."""
SNAP_PX = 4
"""Edges of a box are multiples of that many pixels, where pixels of all sensors (10, 20, 30, 40 m) meet."""
ALIGN_PX = 512
"""The engine computes whole squares of that side, so that boxes which overlap share blocks in the cache."""
LARGEST_BYTES = 2**30
FEATURE_BYTES, QUALITY_BYTES = 1, 5
"""Bytes of one pixel and day: of each feature; of sigma and the days from both sensors together."""
FIRST_THROUGHPUT = 250_000
"""Pixels x (acquisitions + days) per second, a guess until a job of this process has been timed."""
MIN_TIMED_S = 0.5
"""A job that computed for less was served by the cache and says nothing about throughput."""
ENTRY_PREFIX = "box-"


def available_models(scene: SceneData) -> dict[str, str]:
    """Labels of the shipped weights that can be run on a scene, by name.

    Parameters
    ----------
    scene : SceneData
        Its sensors decide: weights whose sensors it all has, or (where none fits) some of them.
    """
    from fluxlens.models import checkpoints

    sensors_of_scene = set(scene.tree.children)
    # Weights of earlier releases are for the stores that they made, not for new ones.
    current = [name for name in checkpoints.shipped() if name not in checkpoints.EARLIER]
    needed = {name: set(checkpoints.sensors(name)) for name in current}
    fitting = [name for name, sensors in needed.items() if sensors <= sensors_of_scene]
    # Weights for two sensors also run on one of them, less well; offered only where nothing fits better.
    fitting = fitting or [name for name, sensors in needed.items() if sensors & sensors_of_scene]
    order = [
        *(name for name in MODEL_LABELS if name in fitting),
        *(name for name in fitting if name not in MODEL_LABELS),
    ]
    return {name: MODEL_LABELS.get(name, name) for name in order}


@dataclass(frozen=True)
class EmbedBox:
    """What is to be embedded: a rectangle of the store's grid, days ``first`` to ``last``, and the model."""

    rows: slice
    cols: slice
    first: dt.date
    last: dt.date
    model: str = "default"

    @classmethod
    def from_corners(
        cls, grid: Grid, xs: tuple[float, float], ys: tuple[float, float], **choices
    ) -> "EmbedBox":
        """The box of whole pixels around two corners, cut to the grid.

        Parameters
        ----------
        grid : Grid
            Grid of the store.
        xs, ys : tuple of float
            Coordinates of the corners in any order, metres.
        **choices
            ``first``, ``last`` and ``model``.
        """
        left, _, _, top = grid.extent
        cols = _snap(sorted((x - left) / grid.size_m for x in xs), grid.nx)
        rows = _snap(sorted((top - y) / grid.size_m for y in ys), grid.ny)
        return cls(rows, cols, **choices)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(days, rows, columns)."""
        days = (self.last - self.first).days + 1
        return days, self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


def _snap(span: list[float], size: int) -> slice:
    """Pixels around a span, grown to multiples of ``SNAP_PX`` and at least that many, inside 0 .. ``size``."""
    # Down to a multiple, but never so near to the far edge that less than ``SNAP_PX`` would be left.
    start = max(0, min(int(span[0] // SNAP_PX) * SNAP_PX, size - SNAP_PX))
    return slice(start, min(size, max(int(-(-span[1] // SNAP_PX)) * SNAP_PX, start + SNAP_PX)))


@dataclass(frozen=True)
class Estimate:
    """What a box costs before it is run."""

    pixels: int
    days: int
    seconds: float
    nbytes: int
    """Upper bound, in both layouts of the store and before compression."""

    def check(self) -> None:
        """Raise InputError where the box is too large for the disk or the limit."""
        # Half of the free disk is left to others.
        room = min(LARGEST_BYTES, shutil.disk_usage(cache.folder()).free // 2)
        if self.nbytes > room:
            raise InputError(
                f"Got a box of up to {self.nbytes / 1e6:,.0f} MB, need at most {room / 1e6:,.0f} MB;"
                " choose a smaller box or fewer days."
            )


class Cancelled(Exception):
    """The user cancelled the job."""


@dataclass(eq=False)
class EmbedJob:
    """One box on its way through the queue."""

    scene: SceneData
    box: EmbedBox
    state: str = "waiting"
    """waiting, running, done, cancelled or failed."""
    stage: str = ""
    """What is being done, for the screen."""
    done: int = 0
    """Finished blocks."""
    total: int = 0
    """All blocks."""
    error: str = ""
    path: Path | None = None
    """The store, once it is done."""
    model_digest: str = ""
    blocks: list = field(default_factory=list)
    """Finished blocks, drawn on the map until the store holds them all."""
    started: float = 0.0
    ended: float = 0.0
    computing_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def seconds(self) -> float:
        """Seconds since the start, or the seconds it took."""
        return (self.ended or time.monotonic()) - self.started

    def run(self) -> None:
        """Embed the box; an error becomes a sentence in ``error``."""
        self.state, self.started = "running", time.monotonic()
        try:
            self.path = progress.run(self._steps())
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except InputError as error:
            self.state, self.error = "failed", str(error)
        except Exception as error:  # whatever a disk or a device does, the queue goes on
            self.error = f"Got {type(error).__name__} while computing ({error}); try a smaller box."
            self.state = "failed"
        self.ended = time.monotonic()
        # A cancel that came after the last check must not show a store that the user no longer wants.
        if self.stop.is_set():
            self.state = "cancelled"

    def _steps(self) -> progress.Steps[Path]:
        from fluxlens.embeddings.inference import on_demand
        from fluxlens.models import checkpoints

        self.stage = "reading the scene"
        box, sensors = self.box, self.scene.sensor_tree
        model = checkpoints.load(box.model)
        self.model_digest = model.digest
        # Blocks are cached by their place on the grid of the whole scene: an aligned box shares them with every other.
        aligned = tuple(
            _align(*pair) for pair in zip((box.rows, box.cols), self.scene.grid.shape, strict=True)
        )
        # The sensors in memory are not the whole scene; with the digest of the whole scene the cube says the same
        # of itself, and shares cached blocks, as if it had been made of that.
        digest = self.scene.attrs.get("scene_digest")
        cube = on_demand.on_demand(sensors, model, box.first, box.last, digest, aligned, self._check_stop)
        rows, cols = (
            slice(span.start - whole.start, span.stop - whole.start)
            for span, whole in zip((box.rows, box.cols), aligned, strict=True)
        )
        # From the aligned box back to the one drawn; blocks that it cuts are computed whole.
        cube = cube.isel(y=rows, x=cols)
        # Coordinates of the scene's grid, bit for bit those that the map shows.
        cube = cube.assign_coords(self.scene.grid.window(box.rows, box.cols).coords())
        where = [box.rows.start, box.rows.stop, box.cols.start, box.cols.stop]
        facts = [cube.attrs[name] for name in ("scene_digest", "model_digest", "software")]
        # All that the store follows from, the code included: the same box drawn again is opened, not computed.
        name = cache.key(ENTRY_PREFIX[:-1], facts, where, box.first, box.last, on_demand.code_fingerprint())
        return (yield from cache.build_once(name, lambda path: self._build_store(path, cube)))

    def _check_stop(self, _step: object = None) -> None:
        """Raises in the middle of a block, between two strips of pixels; the engine then leaves the device."""
        if self.stop.is_set():
            raise Cancelled

    def _build_store(self, path: Path, cube: xr.Dataset) -> progress.Steps[None]:
        from fluxlens.embeddings import store

        # The store carries the images of its box: it is opened without the scene it was cut from.
        scene = crop_scene(self.scene.tree, self.scene.grid.window(self.box.rows, self.box.cols))
        for block in store.write_steps(path, cube, self._compute_blocks(cube), scene, cube.attrs["title"]):
            self.blocks.append(block)
            self.done = block.done
            yield self.stage, block.done / block.total
        self.stage = "writing the store"

    def _compute_blocks(self, cube: xr.Dataset) -> Iterator:
        from fluxlens.embeddings.inference.request import Block

        rows, cols = (_chunk_slices(cube.chunks[dim]) for dim in ("y", "x"))
        self.total, self.stage = len(rows) * len(cols), "computing"
        for n, (r, c) in enumerate(((r, c) for r in rows for c in cols), 1):
            self._check_stop()
            started = time.monotonic()
            # In this thread: the engine has threads of its own, and the time is that of one block.
            block = cube.isel(y=r, x=c).compute(scheduler="synchronous")
            self.computing_s += time.monotonic() - started
            yield Block(r, c, block, n, self.total)


def _chunk_slices(sizes: tuple[int, ...]) -> list[slice]:
    stops = np.cumsum(sizes).tolist()
    return [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]


def _align(span: slice, size: int) -> slice:
    """A slice grown to multiples of ``ALIGN_PX``, inside 0 .. ``size``."""
    return slice(span.start // ALIGN_PX * ALIGN_PX, min(size, -(-span.stop // ALIGN_PX) * ALIGN_PX))


def crop_scene(scene: xr.DataTree, grid: Grid) -> xr.DataTree:
    """The part of a scene inside a grid, with what the screen shows of it.

    Parameters
    ----------
    scene : xarray.DataTree
        Sensors, weather and tower.
    grid : Grid
        In the CRS of the scene.

    Returns
    -------
    xarray.DataTree
        Sensors cropped; weather whole; the tower only where it is inside.
    """
    shown = [name for name in ("s2", "s1", "landsat8", "weather", "tower") if name in scene.children]
    attrs = scene["tower"].attrs if "tower" in shown else {}
    if {"lon", "lat"} <= set(attrs):
        left, bottom, right, top = grid.extent
        x, y = grid.xy(float(attrs["lon"]), float(attrs["lat"]))
        # A tower outside would be compared with pixels that the store does not hold.
        if not (left <= x <= right and bottom <= y <= top):
            shown.remove("tower")
    nodes = {f"/{name}": scene[name].to_dataset() for name in shown}
    return crop(xr.DataTree.from_dict({"/": xr.Dataset(attrs=scene.attrs), **nodes}), grid)


class EmbedQueue:
    """All jobs of this process: one computes, the others wait in the order they were added.

    Attributes
    ----------
    throughput : float
        Pixels x (acquisitions + days) per second of the last timed job.
    """

    def __init__(self):
        self._jobs: list[EmbedJob] = []
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self.throughput = FIRST_THROUGHPUT

    def estimate(self, scene: SceneData, box: EmbedBox) -> Estimate:
        """Size and time of a box, by the throughput of the last job of this process.

        Parameters
        ----------
        scene : SceneData
            The scene that is embedded.
        box : EmbedBox
            The box.
        """
        days, ny, nx = box.shape
        pixel_bytes = len(scene.features) * FEATURE_BYTES + QUALITY_BYTES
        seconds = _count_work(scene, box) / self.throughput
        return Estimate(ny * nx, days, seconds, 2 * ny * nx * days * pixel_bytes)  # two layouts

    def add(self, scene: SceneData, box: EmbedBox) -> EmbedJob:
        """Queue a box; InputError where it is too large.

        Parameters
        ----------
        scene : SceneData
            The scene that is embedded.
        box : EmbedBox
            The box.
        """
        self.estimate(scene, box).check()
        job = EmbedJob(scene, box)
        with self._lock:
            self._jobs.append(job)
            self._lock.notify()
            if self._thread is None:
                # Started with the first job: most processes never embed anything.
                # Daemon: the server may end while it waits.
                self._thread = threading.Thread(target=self._run_jobs, daemon=True, name="embed jobs")
                self._thread.start()
        return job

    def position(self, job: EmbedJob) -> int:
        """How many jobs come before ``job``; 0 when it runs or has ended."""
        with self._lock:
            return self._jobs.index(job) if job in self._jobs else 0

    def cancel(self, job: EmbedJob) -> None:
        """End a job, whether it waits or computes; what is half made is removed."""
        job.stop.set()
        job.state = "cancelled"
        with self._lock:
            # The first one is running: its own thread takes it off.
            if job in self._jobs[1:]:
                self._jobs.remove(job)

    def _run_jobs(self) -> None:
        while True:
            with self._lock:
                while not self._jobs:
                    self._lock.wait()
                job = self._jobs[0]  # stays first while it runs, so that ``position`` counts it
            # It may have been cancelled between being taken and being run.
            if not job.stop.is_set():
                # Outside of the lock: position and cancel must answer while it computes.
                job.run()
            # Very short jobs time the loading of the model, not its throughput.
            if job.state == "done" and job.computing_s > MIN_TIMED_S:
                self.throughput = _count_work(job.scene, job.box) / job.computing_s
            with self._lock:
                self._jobs.remove(job)


def _count_work(scene: SceneData, box: EmbedBox) -> float:
    """Pixels of the blocks touched x (acquisitions + days), to which the time of a job is about proportional."""
    from fluxlens.embeddings.inference.request import BLOCK_PX

    # Pixels of all blocks that a span touches: they are computed whole.
    def covered(span: slice, size: int) -> int:
        return min(size, -(-span.stop // BLOCK_PX) * BLOCK_PX) - span.start // BLOCK_PX * BLOCK_PX

    ny, nx = scene.grid.shape
    return covered(box.rows, ny) * covered(box.cols, nx) * (scene.acquisition_count + box.shape[0])


QUEUE = EmbedQueue()
