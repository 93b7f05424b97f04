"""From a scene to a store: the engine's blocks, here or on workers, joined to the one writer."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
"""Blocks under way per core: one that is computed, one that waits to be written."""
Part = tuple[slice, slice]
Arrays = dict[str, np.ndarray]
T = TypeVar("T")


def embed(
    path: str | Path,
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    resume: bool = False,
) -> Generator[Any, None, str]:
    """Write a scene's embeddings to a store; yields each finished ``Block``, and None several times a second
    meanwhile, returns the snapshot id. Closed, it stops within a second.

    ``workers`` processes, or the Dask ``scheduler`` at an address, compute the blocks; this process writes
    them. With ``resume`` finished blocks are kept beside the store until it is whole, and taken from there by
    the next run with ``resume``; a whole store of the same scene, model and days is left as it is.
    """
    from embeddings import engine, store

    cube = engine.template(scene, model, start, end)
    request = engine.Request.of(scene, model, start, end)
    path = Path(path).resolve()
    if resume and path.exists():
        snapshot = _already_there(store.Store.open(path), cube)
        _Journal(path, cube).remove()  # of a run killed between its last two steps
        return snapshot
    days = cube["time"].values.astype("datetime64[D]")
    message = f"{cube.attrs['title']}, {days[0]} to {days[-1]}, model {model.name} {model.digest}"
    journal = _Journal(path, cube) if resume else None
    work = engine.Work(scene, model, request)
    with store.writable(path), _computer(workers, scheduler) as compute:
        blocks = _blocks(cube, request.parts(), partial(compute, work), journal)
        snapshot = yield from store.write_steps(path, cube, blocks, scene, message)
    if journal:
        journal.remove()
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
        with safe_open(path, "numpy") as held:
            arrays = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 (no mapping)
            whole = held.metadata() == {name: _checksum(array) for name, array in arrays.items()}
    except (SafetensorError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise InputError(f"Got the block {path}, which is damaged; remove it and ask again.")
    return arrays


def _checksum(array: np.ndarray) -> str:
    import google_crc32c

    return str(google_crc32c.value(array.tobytes()))


def _blocks(
    cube: xr.Dataset, parts: list[Part], compute: Callable, journal: _Journal | None
) -> Iterator[Any]:
    """Finished blocks, those of the journal first, and None while others are computed."""
    from embeddings.engine import Block

    def block(part: Part, arrays: Arrays) -> Block:
        filled = cube.isel(y=part[0], x=part[1])
        filled = filled.assign({name: filled[name].copy(data=arrays[name]) for name in filled.data_vars})
        return Block(*part, filled, next(count), len(parts))

    count = itertools.count(1)
    known = [part for part in parts if journal and journal.has(part)]
    for part in known:
        yield block(part, journal.get(part))
    for finished in compute([part for part in parts if part not in known]):
        if finished is not None and journal:
            journal.put(*finished)
        yield finished and block(*finished)


def _here(work: Any, parts: list[Part]) -> Iterator[tuple[Part, Arrays] | None]:
    """Parts and their arrays, one after the other; None several times a second meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(work.read, part) for part in parts[:1])
        for part, following in zip_longest(parts, parts[1:]):
            # read while this one is computed
            coming += [reader.submit(work.read, following)] if following else []
            arrays = yield from work.steps(part, coming.popleft().result)
            yield part, arrays


def _there(client: Any, work: Callable, parts: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Parts and their arrays as workers finish them; what a killed worker was doing another does again."""
    from distributed import KilledWorker, as_completed

    # a task, not scattered data: a worker that comes later or instead of another makes it anew
    held = client.submit(_same, work, pure=False)
    todo, under_way = iter(parts), {}

    def send(part: Any) -> Any:
        future = client.submit(_done, held, part, pure=False)
        under_way[future.key] = part
        return future

    ahead = AHEAD * max(1, sum(client.nthreads().values()))
    finished = as_completed([send(part) for part in islice(todo, ahead)], loop=client.loop, with_results=True)
    try:
        for future, arrays in finished:
            part = under_way.pop(future.key)
            future.release()  # it would be computed again if its worker died now
            yield part, arrays
            for following in islice(todo, 1):
                finished.add(send(following))
    except KilledWorker as error:
        raise InputError(
            "Got a block whose workers were killed again and again, need workers that live; give them more memory."
        ) from error


def _same(work: T) -> T:
    return work


def _done(work: Callable, part: Any) -> Any:
    return work(part)


@contextmanager
def _computer(workers: int, scheduler: str | None) -> Iterator[Callable]:
    """What computes parts: this process, as many more as ``workers`` with one core each, or a Dask scheduler's."""
    if not (workers or scheduler):
        yield _here
        return
    with _client(workers, scheduler) as client:
        yield partial(_there, client)


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    import logging

    from distributed import Client, LocalCluster

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
        LocalCluster(
            workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _already_there(found: Any, cube: xr.Dataset) -> str:
    facts = ("scene_digest", "model_digest")
    same = all(found.attrs.get(name) == cube.attrs[name] for name in facts)
    if same and np.array_equal(found.days, cube["time"].values):
        return found.snapshot
    raise InputError(
        f"Got the store {found.path} of another scene, model or days, need the same ones to resume; "
        "choose another --out."
    )


class _Journal:
    """Finished blocks kept beside a store in the making."""

    def __init__(self, path: Path, cube: xr.Dataset) -> None:
        told = json.dumps([cube.attrs, str(cube["time"].values[[0, -1]]), cube.sizes], default=str)
        digest = hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
        self.folder = path.parent / f".{path.name}.{digest}.blocks"
        if not path.parent.is_dir():
            raise InputError(f"Got {path}, need a path in a folder that exists; create {path.parent} first.")

    def has(self, part: Part) -> bool:
        return self._file(part).exists()

    def get(self, part: Part) -> Arrays:
        return _load(self._file(part))

    def put(self, part: Part, arrays: Arrays) -> None:
        file = self._file(part)
        self.folder.mkdir(exist_ok=True)
        beside = file.with_suffix(".tmp")
        _save(beside, arrays)
        os.replace(beside, file)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, part: Part) -> Path:
        return self.folder / f"{part[0].start}_{part[1].start}.safetensors"
