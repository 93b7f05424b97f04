"""One writer at a time, and no trace of one that failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fluxlens.embeddings.object_url import Location
from fluxlens.embeddings.store.location import connection_error, scratch_parent
from fluxlens.embeddings.store.repository import icechunk_library
from fluxlens.models.atomic import remove, write_refusal
from fluxlens.models.errors import InputError

IDLE_POLLS = 3
"""Consecutive polls (0.1 s each) without a new file before clean-up after a failed writer stops."""


@contextmanager
def exclusive_scratch(path: Location) -> Iterator[Path]:
    """A scratch folder beside a store for one writer at a time; what a killed writer left in it is removed.

    Of an object store it lies in the cache of this machine. Writers on other machines do not see its lock: the first of
    them that commits wins, and the others are told of the conflict.

    Parameters
    ----------
    path
        Of the store.

    Yields
    ------
    pathlib.Path
        Removed at the end.

    Raises
    ------
    InputError
        Where another process writes this store.
    """
    from filelock import FileLock, Timeout

    scratch = scratch_parent(path) / f".{path.name}.partial"
    with writable(path):
        # The lock lies inside the folder it guards, so that removing the folder leaves nothing.
        scratch.mkdir(exist_ok=True)
        # A screen may advance a writer from changing threads, so the lock belongs to the object.
        lock = FileLock(scratch / "lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"Got {path}, which another process writes, need it alone; wait or choose another name."
            ) from error
        try:
            # With the lock held nobody else writes here: what lies here is of a writer that was killed.
            for leftover in scratch.iterdir():
                if leftover.name != "lock":
                    remove(leftover)
            yield scratch
        except BaseException:
            # Workers that have not heard of the failure may still write files into the folder.
            clean_until_idle(lambda: remove(scratch))
            raise
        else:
            remove(scratch)
        finally:
            lock.release()


def remove_leftovers(path: Location) -> None:
    """Remove the scratch folder of a writer that was killed after its commit; that of one at work stays.

    Parameters
    ----------
    path
        Of the store, which is whole: no writer of it will come that would clean up.
    """
    from filelock import FileLock, Timeout

    scratch = scratch_parent(path) / f".{path.name}.partial"
    if not scratch.is_dir():
        return
    try:
        with FileLock(scratch / "lock", timeout=0):
            remove(scratch)
    except (Timeout, OSError):  # a writer's, or gone meanwhile, or in a folder that lets nothing be removed
        pass


def clean_until_idle(clean: Callable[[], Any]) -> None:
    """Clean up until nothing new is found: threads go on writing for a moment after one of them failed.

    Parameters
    ----------
    clean
        Removes what there is; its result says whether there was anything.
    """
    idle = 0
    for _ in range(50):  # 5 s at most
        # Several idle polls in a row: a thread may be between two files.
        idle = 0 if clean() else idle + 1
        if idle == IDLE_POLLS:
            return
        time.sleep(0.1)


@contextmanager
def writable(path: Location) -> Iterator[None]:
    """Turn errors of a full disk, of a folder that takes no files and of a lost connection into an InputError.

    Parameters
    ----------
    path
        Of what is written.
    """
    try:
        yield
    except (OSError, icechunk_library().IcechunkError) as error:
        if lost := connection_error(path, error):
            raise lost from error
        if refusal := write_refusal(path, error):
            raise refusal from error
        raise
