"""Cubes computed as they are read, block by block, with finished blocks kept in the cache."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr
from fluxlens.embeddings import cache, progress
from fluxlens.embeddings.inference.block_files import Arrays, BlockWindow, load_block, save_block
from fluxlens.embeddings.progress import Progress, Steps


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
    from fluxlens.embeddings.inference import engine
    from fluxlens.embeddings.inference import request as inference_request
    from fluxlens.embeddings.scenes import digest as scenes_digest

    digest = digest or scenes_digest.digest(scene)
    request = inference_request.Request.from_scene(scene, model, start, end, window)
    # A key of its own per cube, so that two cubes of one visitor also take turns in the device queue.
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
    from fluxlens.embeddings.inference import engine
    from fluxlens.embeddings.inference import request as inference_request
    from fluxlens.embeddings.scenes import digest as scenes_digest

    digest = digest or scenes_digest.digest(scene)
    request = inference_request.Request.from_scene(scene, model, start, end)
    task, windows = engine.BlockTask(scene, model, request), request.windows()
    for done, window in enumerate(windows):
        message = Progress(f"embedding, block {done + 1} of {len(windows)}", done / len(windows))
        # Values are thrown away here and read back from the cache below: memory holds one block at a time until then.
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
    from fluxlens.embeddings import geometry, inference, scenes, store

    from fluxlens import models

    # Whole packages, so that a file that is moved or added inside one still counts.
    return cache.fingerprint(inference, scenes, geometry, store, models)


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
    from fluxlens.embeddings.inference import request as inference_request

    # All that the numbers of a block follow from, and nothing else: the window is left out, so that a click and a full
    # run share blocks.
    days = request.first, request.last
    return cache.key(
        "blocks",
        digest,
        model.digest,
        days,
        # Its origin too: blocks are named by rows and columns of this grid.
        str(request.grid),
        inference_request.BLOCK_PX,
        code_fingerprint(),
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
    from fluxlens.embeddings.inference import device_queue

    # In the thread that computes: Dask's threads do not inherit it from the one that built the graph.
    device_queue.SESSION.set(session)
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
