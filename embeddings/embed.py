"""From a scene to a store: blocks are computed here, by worker processes or by a cluster, and committed by one process.

Also the cube computed on demand, whose blocks are kept in the cache. Over 400 lines until it becomes a package:
``embed`` and its resume folder, the on-demand cube, files of blocks, and what computes them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from embeddings import cache, progress
from embeddings.progress import Progress, Steps
from models.errors import InputError

AHEAD = 2
"""Blocks submitted per core of a cluster: one that is computed, one that waits for it."""
POLL_S = 0.05
"""Between two checks of what workers have finished."""
BlockWindow = tuple[slice, slice]
"""Rows and columns of the scene's 10 m grid, within one aligned block."""
Arrays = dict[str, np.ndarray]
"""Variables of a cube over a window: ``embedding`` (day, y, x, feature) int8, the others (day, y, x)."""
T = TypeVar("T")


@dataclass(frozen=True)
class FinishedBlock:
    """A block that will not be computed again."""

    pixel_days: int
    """How many embeddings it holds."""
    done: int
    """Blocks finished so far, of ``total``."""
    total: int

    @property
    def share(self) -> float:
        """Finished share of all blocks, 0-1."""
        return self.done / self.total


def embed(
    path: str | Path,
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> Generator[FinishedBlock | None, None, str]:
    """Write a scene's embeddings to a new store.

    Parameters
    ----------
    path
        Where nothing is yet.
    scene
        Validated.
    model
        The ``Embedder``.
    start, end
        First and last day as YYYY-MM-DD; None: of the acquisitions.
    workers
        Processes of this machine that compute blocks and write them in forks of the store, which this process commits;
        0: this process computes.
    scheduler
        Address of a Dask scheduler whose workers do so instead.
    resume
        Keep finished blocks beside the store until it is complete, and take those of an earlier run. A complete
        store of the same scene, model and days is left as it is.
    device
        Of the workers: on ``cuda`` each has a GPU of its own.

    Yields
    ------
    FinishedBlock or None
        Each finished block, and None several times a second meanwhile. Closed, the generator stops within a second, or
        as soon as its workers have ended, and leaves nothing but the blocks to resume from.

    Returns
    -------
    str
        The snapshot id.

    Raises
    ------
    InputError
        Where the path exists, the disk is full, workers do not see the folder or are killed again and again.
    """
    from embeddings import engine, store

    cube = engine.empty_cube(scene, model, start, end)
    request = engine.Request.from_scene(scene, model, start, end)
    path = Path(path).resolve()
    finished = resume_folder(path, cube)
    if resume and path.exists():
        snapshot = _already_there(store.Store.open(path), cube)
        shutil.rmtree(finished, ignore_errors=True)  # of a run killed between its last two steps
        return snapshot
    days = cube["time"].values.astype("datetime64[D]")
    message = f"{cube.attrs['title']}, {days[0]} to {days[-1]}, model {model.name} {model.digest}"
    with store.writable(path), store.open_writer(path, cube) as writer:
        blocks = BlockFolder(
            engine.BlockTask(scene, model, request), finished if resume else writer.scratch, resume
        )
        with executor(workers, scheduler, writer, device) as compute:
            writer.add_scene(scene)
            windows = request.windows()
            known = [window for window in windows if blocks.has(window)]
            rest = [window for window in windows if not blocks.has(window)]
            blocks.folder.mkdir(exist_ok=True)
            done = 0
            for window in itertools.chain(known, compute(blocks, rest) if rest else ()):
                if window is None:
                    writer.merge_finished()
                    yield None
                    continue
                done += 1
                writer.add_file(blocks.file(window), *window, keep=resume)
                area = math.prod(side.stop - side.start for side in window)
                yield FinishedBlock(area * len(days), done, len(windows))
            while not writer.merge_finished():
                time.sleep(POLL_S)
                yield None
            snapshot = writer.commit(message)
    if resume:
        shutil.rmtree(finished, ignore_errors=True)
    return snapshot


def embed_to_store(
    path: str | Path, scene: xr.DataTree, model: str, start: str | None = None, end: str | None = None
) -> Steps[str]:
    """As :func:`embed`, in this process, with the model by name.

    Parameters
    ----------
    path, scene, start, end
        As of :func:`embed`.
    model
        Name of a shipped model, or the path of its weights.

    Yields
    ------
    Progress

    Returns
    -------
    str
        The snapshot id.
    """
    yield Progress("loading the model", 0.0)
    from models import checkpoints

    latest = Progress("embedding", 0.0)

    def as_progress(block: FinishedBlock | None) -> Progress:
        nonlocal latest
        if block is not None:
            latest = Progress(f"embedding, block {block.done} of {block.total}", block.share)
        return latest

    return (yield from progress.relay(embed(path, scene, checkpoints.load(model), start, end), as_progress))


def on_demand(
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    digest: str | None = None,
    window: BlockWindow | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> xr.Dataset:
    """The engine's lazy cube, whose blocks are kept in the cache folder once computed.

    They are named by what they follow from, so that a second reader, even at the same moment, computes nothing. Each
    cube is a session of its own in the device queue.

    Parameters
    ----------
    scene
        Validated.
    model
        The ``Embedder``.
    start, end
        First and last day as YYYY-MM-DD; None: of the acquisitions.
    digest
        The scene's, where it is known: taking it reads the whole scene.
    window
        Rows and columns of the 10 m grid; None: the whole scene.
    on_progress
        Called several times a second while a block is computed; what it raises cancels the block.

    Returns
    -------
    xarray.Dataset
        The embedding cube with dask arrays.
    """
    from embeddings import engine, schema

    digest = digest or schema.digest(scene)
    request = engine.Request.from_scene(scene, model, start, end, window)
    compute_block = partial(
        cached_block, uuid.uuid4().hex, block_cache_key(digest, model, request), on_progress=on_progress
    )
    return engine.lazy_cube(scene, model, start, end, window, digest=digest, compute_block=compute_block)


def compute_on_demand(
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    digest: str | None = None,
) -> Steps[xr.Dataset]:
    """As :func:`on_demand`, computed block by block.

    Parameters
    ----------
    scene, model, start, end, digest
        As of :func:`on_demand`.

    Yields
    ------
    Progress
        Closed, the generator stops within a second; finished blocks stay in the cache.

    Returns
    -------
    xarray.Dataset
        The embedding cube in memory.
    """
    from embeddings import engine, schema

    digest = digest or schema.digest(scene)
    request = engine.Request.from_scene(scene, model, start, end)
    task, windows = engine.BlockTask(scene, model, request), request.windows()
    for done, window in enumerate(windows):
        message = Progress(f"embedding, block {done + 1} of {len(windows)}", done / len(windows))
        for _ in cached_block_steps(block_cache_key(digest, model, request), task, window):
            yield message
    return on_demand(scene, model, start, end, digest).compute()


def code_fingerprint() -> str:
    """Digest of all code and weights that the numbers of a stored cube follow from, for keys of the cache.

    Returns
    -------
    str
        As of :func:`cache.fingerprint`.
    """
    import models
    from embeddings import engine, geometry, inputs, quantise, store, tiles
    from embeddings.readers import acquisitions

    return cache.fingerprint(engine, inputs, acquisitions, geometry, quantise, store, tiles, models)


def block_cache_key(digest: str, model: Any, request: Any) -> str:
    """Folder in the cache of the blocks of a scene, a model and days.

    Parameters
    ----------
    digest
        The scene's.
    model
        The ``Embedder``.
    request
        The ``Request``; its window does not matter, since blocks are aligned to the grid.

    Returns
    -------
    str
        As of :func:`cache.key`.
    """
    from embeddings import engine

    days = request.first, request.last
    return cache.key(
        "blocks", digest, model.digest, days, str(request.grid), engine.BLOCK_PX, code_fingerprint()
    )


def cached_block(
    session: str,
    folder: str,
    task: Any,
    window: BlockWindow,
    on_progress: Callable[[Progress], None] | None = None,
) -> Arrays:
    """A block from the cache, computed first where it is not there.

    Parameters
    ----------
    session
        Takes turns with others in the device queue.
    folder
        Of :func:`block_cache_key`.
    task
        The ``BlockTask``.
    window
        Within one aligned block.
    on_progress
        As of :func:`on_demand`.

    Returns
    -------
    dict of numpy.ndarray
        The variables of the cube over the window.
    """
    from embeddings import device

    device.SESSION.set(session)
    return progress.run(cached_block_steps(folder, task, window), on_progress)


def cached_block_steps(folder: str, task: Any, window: BlockWindow) -> Steps[Arrays]:
    """As :func:`cached_block`, yielding progress several times a second.

    Parameters
    ----------
    folder, task, window
        As of :func:`cached_block`.

    Yields
    ------
    Progress

    Returns
    -------
    dict of numpy.ndarray
    """

    def build(path: Path) -> Steps[None]:
        pause = Progress("computing a block", 0.0)
        save_block(path, (yield from progress.relay(task.steps(window), lambda _: pause)))

    edges = "_".join(f"{s.start}-{s.stop}" for s in window)
    # durable: after a power cut the name must not stand for an empty file
    return load_block((yield from cache.build_once(f"{folder}/{edges}.safetensors", build, durable=True)))


def save_block(path: Path, arrays: Arrays) -> None:
    """Write arrays uncompressed, each with its checksum: compression would take longer than reading.

    Parameters
    ----------
    path
        Of the new file.
    arrays
        By name.
    """
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path.write_bytes(save(contiguous, {name: _checksum(array) for name, array in contiguous.items()}))


def load_block(path: Path) -> Arrays:
    """Read what :func:`save_block` wrote, and check it.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    dict of numpy.ndarray
        By name.

    Raises
    ------
    InputError
        Where a checksum differs or the file is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:  # torch's tensors are views of the file, numpy's would be copies
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 (no mapping)
            whole = file.metadata() == {name: _checksum(array) for name, array in arrays.items()}
    except (SafetensorError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise InputError(f"Got the block {path}, which is damaged; remove it and ask again.")
    return arrays


def _checksum(array: np.ndarray) -> str:
    import google_crc32c

    return str(google_crc32c.value(array))  # of its memory, uncopied


@dataclass(frozen=True)
class BlockFolder:
    """Finished blocks as files in a folder, which the store is made of; called with a window, its block is computed."""

    task: Any
    """The ``BlockTask``, or a function from a window to its arrays."""
    folder: Path
    durable: bool
    """Whether finished blocks must survive a power cut."""

    def __call__(self, window: BlockWindow) -> None:
        if not self.has(window):  # a worker may die between finishing its block and reporting it
            self.put(window, self.task(window))

    def put(self, window: BlockWindow, arrays: Arrays) -> None:
        """Write a block.

        Parameters
        ----------
        window
            Names the file.
        arrays
            The variables of the cube over the window.
        """
        from embeddings import store, tiles

        codes = store.to_bytes(arrays)
        tiles.save(self.file(window), codes.shape, [codes], self.durable)

    def on_device(self, device: str) -> BlockFolder:
        """The same, computed on another device.

        Parameters
        ----------
        device
            ``auto``, ``cpu`` or ``cuda``.

        Returns
        -------
        BlockFolder
        """
        from models import checkpoints

        model = self.task.model.to(checkpoints.pick_device(device))
        return replace(self, task=replace(self.task, model=model))

    def has(self, window: BlockWindow) -> bool:
        """Whether the block of ``window`` is finished."""
        return self.file(window).exists()

    def file(self, window: BlockWindow) -> Path:
        """The file of the block of ``window``."""
        return self.folder / f"{window[0].start}_{window[1].start}.npy"


def resume_folder(path: Path, cube: xr.Dataset) -> Path:
    """Where finished blocks are kept beside a store that is being written.

    Parameters
    ----------
    path
        Of the store.
    cube
        Its empty cube: a run with another scene, model or days has a folder of its own.

    Returns
    -------
    pathlib.Path
    """
    facts = json.dumps([cube.attrs, str(cube["time"].values[[0, -1]]), cube.sizes], default=str)
    digest = hashlib.blake2b(facts.encode(), digest_size=6).hexdigest()
    return path.parent / f".{path.name}.{digest}.blocks"


def compute_locally(blocks: BlockFolder, windows: list[BlockWindow]) -> Iterator[BlockWindow | None]:
    """Compute blocks in this process, the next one being read meanwhile.

    Parameters
    ----------
    blocks
        Takes the finished blocks.
    windows
        Of the blocks, in order.

    Yields
    ------
    BlockWindow or None
        Each finished one, and None several times a second meanwhile.
    """
    with ThreadPoolExecutor(1) as reader:
        waiting = deque(reader.submit(blocks.task.read, window) for window in windows[:1])
        for window, following in zip_longest(windows, windows[1:]):
            waiting += [reader.submit(blocks.task.read, following)] if following else []
            blocks.put(window, (yield from blocks.task.steps(window, waiting.popleft().result)))
            yield window


def compute_on_cluster(
    client: Any, blocks: Callable, windows: Iterable[Any], device: str = "cpu"
) -> Iterator[Any]:
    """Compute blocks on the workers of a Dask cluster; what a killed worker did, another does again.

    Parameters
    ----------
    client
        Of ``distributed``.
    blocks
        Called on a worker with a window; a ``BlockFolder``.
    windows
        Of the blocks.
    device
        Of the workers.

    Yields
    ------
    BlockWindow or None
        Each finished one, in any order, and None several times a second meanwhile.
    """
    # a task, not scattered data: a worker that comes later or instead of another makes it anew
    placed = client.submit(on_device, blocks, device, pure=False)
    ahead = AHEAD * max(1, sum(client.nthreads().values()))
    todo, submitted = iter(windows), deque()
    while True:
        more = islice(todo, ahead - len(submitted))
        submitted += [(client.submit(run_task, placed, window, pure=False), window) for window in more]
        if not submitted:
            return
        finished = [pair for pair in submitted if pair[0].done()]
        for pair in finished:
            submitted.remove(pair)
            pair[0].result()  # raises what the worker raised
            yield pair[1]
        if not finished:
            time.sleep(POLL_S)
            yield None


def on_device(blocks: T, device: str) -> T:
    """A ``BlockFolder`` as a worker holds it, with the model on the worker's own device.

    Parameters
    ----------
    blocks
        As it was sent, on the CPU.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    BlockFolder
    """
    return blocks if device == "cpu" else blocks.on_device(device)


def run_task(function: Callable, *arguments: Any) -> Any:
    """Call a function on a worker.

    Parameters
    ----------
    function, arguments
        Called as ``function(*arguments)``.

    Returns
    -------
    Any
        Its result.
    """
    import dask

    # else a worker that reads a scene's arrays submits that as tasks, and takes on other blocks meanwhile
    with dask.config.set(scheduler="synchronous"):
        return function(*arguments)


@contextmanager
def executor(workers: int, scheduler: str | None, writer: Any, device: str = "cpu") -> Iterator[Callable]:
    """The function that computes blocks: in this process, in worker processes, or on a Dask cluster.

    Parameters
    ----------
    workers
        Processes of this machine with one core each; 0 and no ``scheduler``: this process.
    scheduler
        Address of a Dask scheduler.
    writer
        The ``StoreWriter``; workers also write its tiles.
    device
        Of the workers.

    Yields
    ------
    callable
        From a ``BlockFolder`` and windows to an iterator of finished windows.
    """
    if not (workers or scheduler):
        yield compute_locally
        return
    from distributed import KilledWorker

    with dask_client(workers, scheduler, device) as client:
        if scheduler:
            _check_shared(client, writer.scratch)
        # writing goes before computing: it frees scratch space
        writer.delegate(partial(client.submit, run_task, pure=False, priority=1))
        try:
            yield partial(compute_on_cluster, client, device=device)
        except KilledWorker as error:
            raise InputError(
                "Got a block whose workers were killed again and again, need workers that live; give them more memory."
            ) from error


def _check_shared(client: Any, folder: Path) -> None:
    """InputError where a worker does not see a folder of this machine."""
    blind = [address for address, sees in client.run(os.path.isdir, str(folder)).items() if not sees]
    if blind:
        raise InputError(
            f"Got the worker {blind[0]}, which has no folder {folder.parent} of this machine, need one that all see; "
            "choose --out on storage they share."
        )


@contextmanager
def dask_client(workers: int, scheduler: str | None, device: str = "cpu") -> Iterator[Any]:
    """A client of a scheduler, or of new worker processes that end with the context.

    Parameters
    ----------
    workers
        New processes, where there is no scheduler.
    scheduler
        Its address, ``tcp://HOST:PORT``.
    device
        Of new processes.

    Yields
    ------
    distributed.Client

    Raises
    ------
    InputError
        Where the scheduler does not answer.
    """
    import logging

    import dask
    from distributed import Client

    if scheduler:
        try:
            client = Client(scheduler, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"Got the scheduler {scheduler!r}, which does not answer, need tcp://HOST:PORT; start it first."
            ) from error
        with client:
            yield client
        return
    with (
        # distributed gives memory back to the system at once, and half of a worker's time went into asking again
        dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}),
        _cluster_class(device)(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            env={"ZARR_THREADING__MAX_WORKERS": "1"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _cluster_class(device: str) -> type:
    """A cluster of this machine's cores, or of its GPUs, one for each worker."""
    if device == "cpu":
        from distributed import LocalCluster

        return LocalCluster
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise InputError(
            "Got workers on cuda without the package dask-cuda, need it to give each a GPU; "
            "pip install dask-cuda, or leave out --workers."
        ) from error
    return LocalCUDACluster


def _already_there(found: Any, cube: xr.Dataset) -> str:
    """Snapshot id of a complete store of the same cube; InputError where it is another."""
    facts = ("scene_digest", "model_digest")
    same = all(found.attrs.get(name) == cube.attrs[name] for name in facts)
    if same and np.array_equal(found.days, cube["time"].values):
        return found.snapshot
    raise InputError(
        f"Got the store {found.path} of another scene, model or days, need the same ones to resume; "
        "choose another --out."
    )
