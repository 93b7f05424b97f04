"""From a scene to a store: blocks are computed here, by workers or by a cluster, and committed by one process."""

from __future__ import annotations

import itertools
import math
import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.inference.block_files import BlockFolder, resume_folder
from fluxlens.embeddings.inference.workers import IN_PROCESS, POLL_S, Execution, executor
from fluxlens.embeddings.object_url import Location, locate
from fluxlens.embeddings.progress import Progress, Steps
from fluxlens.embeddings.scenes.crop import crop
from fluxlens.models.errors import InputError


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
    path: str | Location,
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    execution: Execution = IN_PROCESS,
    causal: bool = False,
    until: str | None = None,
    window: tuple[slice, slice] | None = None,
    digest: str | None = None,
) -> Generator[FinishedBlock | None, None, str]:
    """Write a scene's embeddings to a new store.

    Parameters
    ----------
    path
        Where nothing is yet: a path, or a URL of an object store.
    scene
        Validated.
    model
        The ``Embedder``.
    start, end
        First and last day as YYYY-MM-DD; None: of the acquisitions.
    execution
        Which processes compute the blocks, and whether an earlier run is resumed: a complete store of the same scene,
        model and days is then left as it is.
    causal
        Use acquisitions of the past and the day itself only.
    until
        Last day, YYYY-MM-DD, also past the last acquisition.
    window
        Rows and columns of the scene's 10 m grid that the store holds; None: all. Blocks at its edge are computed with
        the pixels beyond it, so that their numbers are those of the whole.
    digest
        The scene's, where it is known: taking it reads the whole scene.

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
    from fluxlens.embeddings import store
    from fluxlens.embeddings.inference import engine
    from fluxlens.embeddings.inference import request as inference_request

    # Both clip the same period to the scene: the cube has its coordinates, the request its blocks.
    cube = engine.empty_cube(scene, model, start, end, window, causal, until, digest)
    request = inference_request.Request.from_scene(scene, model, start, end, window, until)
    # The folder of finished blocks lies beside it, and a relative path may mean another folder to a worker.
    path = locate(path)
    path = path.resolve() if isinstance(path, Path) else path
    finished = resume_folder(path, cube)
    # Complete already: nothing is computed, and what a killed run left behind is removed.
    if execution.resume and store.exists(path):
        snapshot = _resumable_snapshot(store.Store.open(path), cube)
        shutil.rmtree(finished, ignore_errors=True)  # of a run killed between its last steps
        store.remove_leftovers(path)
        return snapshot
    days = cube["time"].values.astype("datetime64[D]")
    message = f"{cube.attrs['title']}, {days[0]} to {days[-1]}, model {model.name} {model.digest}"
    # Around the writer, whose own clean-up may be what meets the full disk.
    with store.writable(path), store.open_writer(path, cube) as writer:
        task = engine.BlockTask(scene, model, request, causal)
        # Without ``resume`` the blocks lie in scratch space, which goes with the writer, also after an error.
        blocks = BlockFolder(task, finished if execution.resume else writer.scratch, execution.resume)
        with executor(execution, writer) as compute:
            stored = scene if window is None else crop(scene, Grid.from_cube(cube))
            yield from write_blocks(writer, stored, blocks, compute)
            try:
                snapshot = writer.commit(message)
            except store.Conflict:
                # The other process may have written the same cube, which is then as good as this one's.
                if not execution.resume:
                    raise
                snapshot = _resumable_snapshot(store.Store.open(path), cube)
    if execution.resume:
        shutil.rmtree(finished, ignore_errors=True)
    return snapshot


def write_blocks(
    writer: Any, scene: xr.DataTree, blocks: BlockFolder, compute: Any
) -> Generator[FinishedBlock | None, None, None]:
    """Write the scene and all blocks of a request to an open store; only the commit is left.

    Parameters
    ----------
    writer
        The ``StoreWriter``.
    scene
        Validated.
    blocks
        Finished ones are taken, the others computed.
    compute
        Of ``workers.executor``.

    Yields
    ------
    FinishedBlock or None
        As of :func:`embed`.
    """
    writer.add_scene(scene)
    request = blocks.task.request
    windows = request.windows()
    known = [window for window in windows if blocks.has(window)]
    # finished blocks come first: they complete tiles, whose files can then be written and removed
    rest = [window for window in windows if not blocks.has(window)]
    blocks.folder.mkdir(exist_ok=True)
    done, days = 0, len(blocks.task.days)
    for window in itertools.chain(known, compute(blocks, rest) if rest else ()):
        if window is None:
            writer.merge_finished()
            yield None
            continue
        done += 1
        # The file is named by the place in the scene, the writer counts from the corner of the store.
        writer.add_file(blocks.file(window), *request.relative(window), keep=blocks.durable)
        # Pixels, not blocks: those at the edge of the grid are smaller, and a speed counted in blocks would jump there.
        area = math.prod(side.stop - side.start for side in window)
        yield FinishedBlock(area * days, done, len(windows))
    # tiles delegated to workers may still be under way when the last block is known
    while not writer.merge_finished():
        time.sleep(POLL_S)
        yield None


def embed_to_store(
    path: str | Location, scene: xr.DataTree, model: str, start: str | None = None, end: str | None = None
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
    from fluxlens.models import checkpoints

    latest = Progress("embedding", 0.0)

    def as_progress(block: FinishedBlock | None) -> Progress:
        nonlocal latest
        if block is not None:
            latest = Progress(f"embedding, block {block.done} of {block.total}", block.share)
        return latest

    return (yield from progress.relay(embed(path, scene, checkpoints.load(model), start, end), as_progress))


def _resumable_snapshot(store: Any, cube: xr.Dataset) -> str:
    """Snapshot id of a complete store of the same cube; InputError where it is another."""
    # Digests stand for all of scene and weights; the days are compared since the same scene may be embedded for others.
    facts = {"scene_digest": None, "model_digest": None, "causal": 0}
    same = all(store.attrs.get(name, default) == cube.attrs[name] for name, default in facts.items())
    # A tile of another cut has the same digests.
    same = same and store.grid == Grid.from_cube(cube)
    if same and np.array_equal(store.days, cube["time"].values):
        return store.snapshot
    raise InputError(
        f"Got the store {store.path} of another scene, model, mode, area or days, need the same ones to resume; "
        "choose another --out."
    )
