"""Where blocks are computed: this process, worker processes, or a Dask cluster."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from fluxlens.embeddings.inference.block_files import BlockFolder, BlockWindow
from fluxlens.models.errors import InputError

AHEAD = 2
"""Blocks submitted per core of a cluster: one that is computed, one that waits for it."""

POLL_S = 0.05
"""Between two checks of what workers have finished."""

T = TypeVar("T")


@dataclass(frozen=True)
class Execution:
    """Where the blocks of a run are computed, and whether finished ones are kept.

    Parameters
    ----------
    workers
        Processes of this machine that compute blocks and write them in forks of the store, which the calling process
        commits; 0 and no ``scheduler``: the calling process computes.
    scheduler
        Address of a Dask scheduler whose workers do so instead.
    device
        Of the workers: on ``cuda`` each has a GPU of its own.
    resume
        Keep finished blocks beside the store until it is complete, and take those of an earlier run.
    """

    workers: int = 0
    scheduler: str | None = None
    device: str = "cpu"
    resume: bool = False


IN_PROCESS = Execution()
"""Computed by the calling process; nothing is kept of a run that fails."""


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
    # One block ahead: reading and decompressing overlap with computing, and memory holds the images of two blocks.
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
    # ``pure=False``: Dask would hand back the result of an earlier run with the same arguments.
    placed = client.submit(on_device, blocks, device, pure=False)
    # Bounded, so that blocks are finished about in the order of the tiles, which can then be written and removed.
    ahead = AHEAD * max(1, sum(client.nthreads().values()))
    todo, submitted = iter(windows), deque()
    while True:
        more = islice(todo, ahead - len(submitted))
        submitted += [(client.submit(run_task, placed, window, pure=False), window) for window in more]
        if not submitted:
            return
        # Polled and not awaited: the caller may close this generator in any pause.
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
def executor(execution: Execution, writer: Any) -> Iterator[Callable]:
    """The function that computes blocks: in this process, in worker processes, or on a Dask cluster.

    Parameters
    ----------
    execution
        Processes of this machine have one core each.
    writer
        The ``StoreWriter``; workers also write its tiles.

    Yields
    ------
    callable
        From a ``BlockFolder`` and windows to an iterator of finished windows.

    Raises
    ------
    InputError
        Where workers do not see the folder or are killed again and again, and where the scheduler is lost.
    """
    workers, scheduler, device = execution.workers, execution.scheduler, execution.device
    if not (workers or scheduler):
        yield compute_locally
        return
    from asyncio import CancelledError
    from concurrent import futures

    from distributed import KilledWorker
    from distributed.comm import CommClosedError

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
        except (CommClosedError, CancelledError, futures.CancelledError) as error:
            # A scheduler that is restarted knows nothing of what it was given: its futures are cancelled.
            raise InputError(
                f"Got the scheduler {scheduler or 'of this run'}, which went away, need one that lives; start it and"
                " give the same command with --resume."
            ) from error


def _check_shared(client: Any, folder: Path) -> None:
    """InputError where a worker does not see a folder of this machine."""
    # Certain only where it is missing: another disk may be mounted under the same path.
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
        # What is logged of a connection that is lost stands beside the one sentence of the error.
        loggers = [
            logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado", "asyncio")
        ]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            with client:
                yield client
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
        return
    with (
        # distributed gives memory back to the system at once, and half of a worker's time went into asking again
        dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}),
        _cluster_class(device)(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            # Without a dashboard the scheduler still takes port 8787 for metrics: two runs here would clash.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
            # A core per worker: Zarr's own threads would compete for it.
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
