"""From a scene to a store: the engine's blocks, computed and written here or by workers, committed by one process."""

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

from embeddings import cache
from embeddings.cache import Steps
from models.errors import InputError

AHEAD = 2
"""Blocks under way per core: one that is computed, one that waits for it."""
Part = tuple[slice, slice]
Arrays = dict[str, np.ndarray]
PAUSE_S = 0.05
"""Between two looks at what workers have finished."""
T = TypeVar("T")


@dataclass(frozen=True)
class Finished:
    """A block that will not be computed again."""

    pixel_days: int
    done: int
    total: int

    @property
    def share(self) -> float:
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
) -> Generator[Finished | None, None, str]:
    """Write a scene's embeddings to a store; yields each finished block, and None several times a second
    meanwhile, returns the snapshot id. Closed, it stops within a second, or as soon as its workers have ended.

    ``workers`` processes, or the Dask ``scheduler`` at an address, compute the blocks and write them in forks of
    the store, which this process commits; on the ``device`` cuda each has a GPU of its own. With ``resume`` finished
    blocks are kept beside the store until it is whole, and taken from there by the next run with ``resume``; a whole
    store of the same scene, model and days is left as it is.
    """
    from embeddings import engine, store

    cube = engine.template(scene, model, start, end)
    request = engine.Request.of(scene, model, start, end)
    path = Path(path).resolve()
    kept = _journal(path, cube)
    if resume and path.exists():
        snapshot = _already_there(store.Store.open(path), cube)
        shutil.rmtree(kept, ignore_errors=True)  # of a run killed between its last two steps
        return snapshot
    days = cube["time"].values.astype("datetime64[D]")
    message = f"{cube.attrs['title']}, {days[0]} to {days[-1]}, model {model.name} {model.digest}"
    with store.writable(path), store.draft(path, cube) as draft:
        blocks = _Blocks(engine.Work(scene, model, request), kept if resume else draft.scratch, resume)
        with _computer(workers, scheduler, draft, device) as compute:
            draft.add_scene(scene)
            parts = request.parts()
            known = [part for part in parts if blocks.has(part)]
            rest = [part for part in parts if not blocks.has(part)]
            blocks.folder.mkdir(exist_ok=True)
            done = 0
            for part in itertools.chain(known, compute(blocks, rest) if rest else ()):
                if part is None:
                    draft.settle()
                    yield None
                    continue
                done += 1
                draft.add(blocks.file(part), *part, keep=resume)
                area = math.prod(side.stop - side.start for side in part)
                yield Finished(area * len(days), done, len(parts))
            while not draft.settle():
                time.sleep(PAUSE_S)
                yield None
            snapshot = draft.commit(message)
    if resume:
        shutil.rmtree(kept, ignore_errors=True)
    return snapshot


def into_store(
    path: str | Path, scene: xr.DataTree, model: str, start: str | None = None, end: str | None = None
) -> Steps[str]:
    """As ``embed`` with the model by name, yielding (message, fraction)."""
    yield "loading the model", 0.0
    from models import checkpoints

    blocks = embed(path, scene, checkpoints.load(model), start, end)
    told = "embedding", 0.0
    while True:
        try:
            block = next(blocks)
        except StopIteration as stop:
            return stop.value
        if block is not None:
            told = f"embedding, block {block.done} of {block.total}", block.share
        yield told


def on_demand(
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    digest: str | None = None,
    window: Part | None = None,
) -> xr.Dataset:
    """The engine's lazy cube, whose blocks are kept in the cache folder once computed.

    They are named by what they follow from, so that whoever asks again, or at the same moment, computes nothing.
    Each cube is a session of its own in the queue for the device. ``digest`` is the scene's, where it is known;
    ``window`` as of ``engine.run``.
    """
    from embeddings import engine, schema

    digest = digest or schema.digest(scene)
    request = engine.Request.of(scene, model, start, end, window)
    through = partial(_kept, uuid.uuid4().hex, _folder(digest, model, request))
    return engine.lazy(scene, model, start, end, window, digest=digest, through=through)


def fill(
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    digest: str | None = None,
) -> Steps[xr.Dataset]:
    """As ``on_demand``, computed block by block; closed, it stops within a second and what is finished stays."""
    from embeddings import engine, schema

    digest = digest or schema.digest(scene)
    request = engine.Request.of(scene, model, start, end)
    work, parts = engine.Work(scene, model, request), request.parts()
    for done, part in enumerate(parts):
        steps = _kept_steps(_folder(digest, model, request), work, part)
        yield from ((f"embedding, block {done + 1} of {len(parts)}", done / len(parts)) for _ in steps)
    return on_demand(scene, model, start, end, digest).compute()


def _folder(digest: str, model: Any, request: Any) -> str:
    """Name in the cache of the blocks of a scene, a model and days."""
    from embeddings import engine

    code = cache.fingerprint("engine.py", "inputs.py", "../models")
    days = request.first, request.last
    return cache.key("blocks", digest, model.digest, days, str(request.grid), engine.BLOCK_PX, code)


def _kept(session: str, folder: str, work: Any, part: Part) -> Arrays:
    from embeddings import device

    device.SESSION.set(session)
    return cache.finish(_kept_steps(folder, work, part))


def _kept_steps(folder: str, work: Any, part: Part) -> Steps[Arrays]:
    def build(path: Path) -> Steps[None]:
        def computed() -> Iterator[None]:
            _save(path, (yield from work.steps(part)))

        yield from (("computing a block", 0.0) for _ in computed())

    edges = "_".join(f"{s.start}-{s.stop}" for s in part)
    return _load((yield from cache.once(f"{folder}/{edges}.safetensors", build)))


def _save(path: Path, arrays: Arrays) -> None:
    """Arrays as they lie in memory, each with its checksum: packing would take longer than reading."""
    from safetensors.numpy import save

    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with open(path, "wb") as out:
        out.write(save(held, {name: _checksum(array) for name, array in held.items()}))
        out.flush()
        os.fsync(out.fileno())  # after a power cut the name must not stand for an empty file


def _load(path: Path) -> Arrays:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as held:  # torch's tensors are views of the file, numpy's would be copies
            arrays = {name: held.get_tensor(name).numpy() for name in held.keys()}  # noqa: SIM118 (no mapping)
            whole = held.metadata() == {name: _checksum(array) for name, array in arrays.items()}
    except (SafetensorError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise InputError(f"Got the block {path}, which is damaged; remove it and ask again.")
    return arrays


def _checksum(array: np.ndarray) -> str:
    import google_crc32c

    return str(google_crc32c.value(array))  # of its memory, uncopied


@dataclass(frozen=True)
class _Blocks:
    """Finished blocks as files in a folder, for the store to be made of; called with a part, its block is."""

    work: Any
    folder: Path
    durable: bool
    """Whether a power cut may not take them."""

    def __call__(self, part: Part) -> None:
        if not self.has(part):  # a worker may die between its block and saying so
            self.put(part, self.work(part))

    def put(self, part: Part, arrays: Arrays) -> None:
        from embeddings import store, tiles

        codes = store.packed(arrays)
        tiles.save(self.file(part), codes.shape, [codes], self.durable)

    def on(self, device: str) -> _Blocks:
        """The same, computed on another device."""
        from models import checkpoints

        model = self.work.model.to(checkpoints.pick_device(device))
        return replace(self, work=replace(self.work, model=model))

    def has(self, part: Part) -> bool:
        return self.file(part).exists()

    def file(self, part: Part) -> Path:
        return self.folder / f"{part[0].start}_{part[1].start}.npy"


def _journal(path: Path, cube: xr.Dataset) -> Path:
    """Where finished blocks are kept beside a store in the making."""
    told = json.dumps([cube.attrs, str(cube["time"].values[[0, -1]]), cube.sizes], default=str)
    digest = hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
    return path.parent / f".{path.name}.{digest}.blocks"


def _here(blocks: _Blocks, parts: list[Part]) -> Iterator[Part | None]:
    """Parts, one finished after the other; None several times a second meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(blocks.work.read, part) for part in parts[:1])
        for part, following in zip_longest(parts, parts[1:]):
            # read while this one is computed
            coming += [reader.submit(blocks.work.read, following)] if following else []
            blocks.put(part, (yield from blocks.work.steps(part, coming.popleft().result)))
            yield part


def _there(client: Any, work: Callable, parts: Iterable[Any], device: str = "cpu") -> Iterator[Any]:
    """Parts as workers finish them, None several times a second meanwhile; what a killed worker did another does."""
    # a task, not scattered data: a worker that comes later or instead of another makes it anew
    held = client.submit(_placed, work, device, pure=False)
    ahead = AHEAD * max(1, sum(client.nthreads().values()))
    todo, under_way = iter(parts), deque()
    while True:
        more = islice(todo, ahead - len(under_way))
        under_way += [(client.submit(_done, held, part, pure=False), part) for part in more]
        if not under_way:
            return
        finished = [pair for pair in under_way if pair[0].done()]
        for pair in finished:
            under_way.remove(pair)
            pair[0].result()
            yield pair[1]
        if not finished:
            time.sleep(PAUSE_S)
            yield None


def _placed(work: T, device: str) -> T:
    """The work as a worker holds it, with the model on the worker's own device."""
    return work if device == "cpu" else work.on(device)


def _done(work: Callable, *arguments: Any) -> Any:
    import dask

    # else a worker that reads a scene's arrays hands that out as tasks, and takes on other blocks meanwhile
    with dask.config.set(scheduler="synchronous"):
        return work(*arguments)


@contextmanager
def _computer(workers: int, scheduler: str | None, draft: Any, device: str = "cpu") -> Iterator[Callable]:
    """What computes parts: this process, as many more as ``workers`` with one core each, or a Dask scheduler's.

    Others than this process also write the tiles of the ``draft``.
    """
    if not (workers or scheduler):
        yield _here
        return
    from distributed import KilledWorker

    with _client(workers, scheduler, device) as client:
        if scheduler:
            _check_shared(client, draft.scratch)
        # what is written makes room
        draft.hand_out(partial(client.submit, _done, pure=False, priority=1))
        try:
            yield partial(_there, client, device=device)
        except KilledWorker as error:
            raise InputError(
                "Got a block whose workers were killed again and again, need workers that live; give them more memory."
            ) from error


def _check_shared(client: Any, folder: Path) -> None:
    blind = [address for address, sees in client.run(os.path.isdir, str(folder)).items() if not sees]
    if blind:
        raise InputError(
            f"Got the worker {blind[0]}, which has no folder {folder.parent} of this machine, need one that all see; "
            "choose --out on storage they share."
        )


@contextmanager
def _client(workers: int, scheduler: str | None, device: str = "cpu") -> Iterator[Any]:
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
        _cluster(device)(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            env={"ZARR_THREADING__MAX_WORKERS": "1"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _cluster(device: str) -> type:
    """Of this machine's cores, or of its GPUs, one for each worker."""
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
    facts = ("scene_digest", "model_digest")
    same = all(found.attrs.get(name) == cube.attrs[name] for name in facts)
    if same and np.array_equal(found.days, cube["time"].values):
        return found.snapshot
    raise InputError(
        f"Got the store {found.path} of another scene, model or days, need the same ones to resume; "
        "choose another --out."
    )
