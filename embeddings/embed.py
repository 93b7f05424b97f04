"""From a scene to a store: the engine's blocks, here or on workers, joined to the one writer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from embeddings import cache
from embeddings.cache import Steps
from models.errors import InputError

AHEAD = 2
"""Blocks under way per worker: one that computes, one that waits to be written."""


@dataclass(frozen=True)
class Done:
    """A finished rectangle, all days, and how many there are."""

    rows: slice
    cols: slice
    cube: xr.Dataset
    done: int
    total: int

    @property
    def pixel_days(self) -> int:
        """How many embeddings it holds."""
        return int(np.prod([self.cube.sizes[dim] for dim in ("time", "y", "x")]))


def embed(
    path: str | Path,
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    resume: bool = False,
) -> Generator[Done, None, str]:
    """Write a scene's embeddings to a store; yields each finished block, returns the snapshot id.

    ``workers`` processes, or the Dask ``scheduler`` at an address, compute the blocks; this process writes
    them. With ``resume`` finished blocks are kept beside the store until it is whole, and taken from there by
    the next run with ``resume``; a whole store of the same scene, model and days is left as it is.
    """
    from embeddings import engine, store

    cube = engine.lazy(scene, model, start, end)
    path = Path(path).resolve()
    if resume and path.exists():
        snapshot = _already_there(store.Store.open(path), cube)
        _Journal(path, cube).remove()  # of a run killed between its last two steps
        return snapshot
    days = cube["time"].values.astype("datetime64[D]")
    message = f"{cube.attrs['title']}, {days[0]} to {days[-1]}, model {model.name} {model.digest}"
    journal = _Journal(path, cube) if resume else None
    with store.writable(path), _submitter(workers, scheduler) as submit:
        blocks = _blocks(cube, submit, AHEAD * max(workers, 1) if not scheduler else 64, journal)
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
    while True:
        try:
            block = next(blocks)
        except StopIteration as stop:
            return stop.value
        yield f"embedding, block {block.done} of {block.total}", block.done / block.total


def remembered(cube: xr.Dataset) -> xr.Dataset:
    """The engine's lazy cube, whose blocks are kept in the cache folder once computed.

    They are named by what they follow from, so that whoever asks again, or at the same moment, computes nothing.
    """
    import dask
    import dask.array as da

    facts = [cube.attrs[name] for name in ("scene_digest", "model_digest", "causal", "software")]
    corner = [str(cube[dim].values[[0, -1]]) for dim in ("time", "y", "x")]
    code = cache.fingerprint("engine.py", "inputs.py", "../models")
    folder = cache.key("blocks", facts, corner, code)
    lines: dict[str, dict[int, list]] = {str(name): {} for name in cube.data_vars}
    for rows, cols in _windows(cube):
        # the cube inside a partial: dask would compute it before the cache is looked at
        part = dask.delayed(_kept)(f"{folder}/{rows.start}_{cols.start}.npz", partial(_cut, cube, rows, cols))
        for name, line in lines.items():
            shape = list(cube[name].shape)
            shape[1:3] = rows.stop - rows.start, cols.stop - cols.start
            block = da.from_delayed(part[name], tuple(shape), cube[name].dtype)
            line.setdefault(rows.start, []).append(block)
    arrays = {
        name: da.concatenate([da.concatenate(blocks, axis=2) for blocks in line.values()], axis=1)
        for name, line in lines.items()
    }
    return cube.assign({name: cube[name].copy(data=array) for name, array in arrays.items()})


def _cut(cube: xr.Dataset, rows: slice, cols: slice) -> xr.Dataset:
    return _compute(cube.isel(y=rows, x=cols))


def _kept(name: str, compute: Callable[[], xr.Dataset]) -> dict[str, np.ndarray]:
    def build(path: Path) -> Steps[None]:
        yield "computing a block", 0.0
        with open(path, "wb") as out:
            np.savez(out, **{str(key): values.values for key, values in compute().data_vars.items()})

    with np.load(cache.finish(cache.once(name, build))) as held:
        return dict(held)


def _blocks(cube: xr.Dataset, submit: Callable, ahead: int, journal: _Journal | None) -> Iterator[Done]:
    """Blocks in order, a bounded number of them under way."""
    windows = _windows(cube)
    waiting: deque = deque()
    todo = iter(windows)
    for done, (rows, cols) in enumerate(windows, 1):
        while len(waiting) < ahead and (window := next(todo, None)) is not None:
            known = journal and journal.get(window)
            waiting.append(
                (lambda known=known: known) if known else submit(cube.isel(y=window[0], x=window[1]))
            )
        part = waiting.popleft()()
        if journal:
            journal.put((rows, cols), part)
        yield Done(rows, cols, part, done, len(windows))


def _windows(cube: xr.Dataset) -> list[tuple[slice, slice]]:
    """The rectangles the engine computes at once: the chunks of its lazy cube."""

    def edges(sizes: tuple[int, ...]) -> list[slice]:
        stops = np.cumsum(sizes).tolist()
        return [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]

    return [(rows, cols) for rows in edges(cube.chunks["y"]) for cols in edges(cube.chunks["x"])]


def _compute(part: xr.Dataset) -> xr.Dataset:
    return part.compute(scheduler="synchronous")


def _alone() -> None:
    """A worker process uses one thread; there are as many workers as the user wants cores."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def _submitter(workers: int, scheduler: str | None) -> Iterator[Callable]:
    """A function that takes a lazy block and returns a function that waits for the computed one."""
    if scheduler:
        with _client(scheduler) as client:
            yield lambda part: client.submit(_compute, part, pure=False).result
    elif workers > 1:
        import multiprocessing

        # spawn: a fork of a process that runs threads (torch, zarr) may hang
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_alone)
        try:
            yield lambda part: pool.submit(_compute, part).result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    else:
        yield lambda part: lambda: _compute(part)


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            'Got --scheduler without the package distributed, need it; pip install "fluxlens[cluster]".'
        ) from error
    try:
        client = Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Got the scheduler {scheduler!r}, which does not answer, need tcp://HOST:PORT; start it first."
        ) from error
    try:
        yield client
    finally:
        client.close()


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
        self.cube = cube
        if not path.parent.is_dir():
            raise InputError(f"Got {path}, need a path in a folder that exists; create {path.parent} first.")

    def get(self, window: tuple[slice, slice]) -> xr.Dataset | None:
        file = self._file(window)
        if not file.exists():
            return None
        with np.load(file) as held:
            part = self.cube.isel(y=window[0], x=window[1])
            return part.assign({name: part[name].copy(data=held[name]) for name in part.data_vars})

    def put(self, window: tuple[slice, slice], part: xr.Dataset) -> None:
        file = self._file(window)
        if not file.exists():
            self.folder.mkdir(exist_ok=True)
            beside = file.with_suffix(".tmp")
            with open(beside, "wb") as out:
                np.savez(out, **{str(name): values.values for name, values in part.data_vars.items()})
                out.flush()
                os.fsync(out.fileno())  # after a power cut the name must not stand for an empty file
            os.replace(beside, file)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, window: tuple[slice, slice]) -> Path:
        return self.folder / f"{window[0].start}_{window[1].start}.npz"
