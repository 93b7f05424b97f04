"""The Icechunk repository of a store: opening, history, and how damage is recognised.

Long on purpose: every call into Icechunk that opens or looks up a repository, with what its errors mean.
"""

from __future__ import annotations

import pickle
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from fluxlens.embeddings.object_url import Location, ObjectUrl
from fluxlens.embeddings.store.layout import has_missing
from fluxlens.embeddings.store.location import (
    DEADLINE_S,
    connection_error,
    icechunk_config,
    unreachable,
    within_deadline,
)
from fluxlens.models.errors import InputError

EMPTY_MESSAGE = "arrays, still empty"
"""Message of the commit from which workers write; no cube of its own."""

NO_REPOSITORY = "the repository doesn't exist"
"""Of Icechunk's error, which has no class of its own."""

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
"""A day that names a snapshot; ids of Icechunk have no hyphens."""


@dataclass(frozen=True)
class Snapshot:
    """One commit of a store."""

    id: str
    written_at: pd.Timestamp
    """UTC."""
    message: str


def is_store(path: str | Path) -> bool:
    """Whether a folder looks like a store, without opening it.

    Parameters
    ----------
    path
        Of the folder; of an object store only opening tells.

    Returns
    -------
    bool
    """
    # Both folders are of Icechunk's format; a Zarr folder or a scene has neither.
    return (Path(path) / "refs").is_dir() and (Path(path) / "snapshots").is_dir()


def history(repository: Any) -> list[Snapshot]:
    """Commits of a repository that hold a cube, newest first.

    Parameters
    ----------
    repository
        Of Icechunk.

    Returns
    -------
    list of Snapshot
    """
    commits = [
        Snapshot(info.id, pd.Timestamp(info.written_at), info.message)
        for info in repository.ancestry(branch="main")
        if info.message != EMPTY_MESSAGE
    ]
    return commits[:-1]  # the oldest is Icechunk's own, of the empty repository


def newest_cube(repository: Any) -> str | None:
    """The newest commit that holds a cube.

    Parameters
    ----------
    repository
        Of Icechunk.

    Returns
    -------
    str or None
        Its snapshot id; None where the first writer has not committed yet.
    """
    # Step by step and not by ``history``: of an object store each commit looked at is a request.
    for info in repository.ancestry(branch="main"):
        if info.message != EMPTY_MESSAGE:
            # The oldest commit has no parent: it is Icechunk's own, of the empty repository.
            return info.id if info.parent_id else None
    return None


def snapshot_of_day(repository: Any, day: str) -> str:
    """The newest commit that holds a cube and was made on a day or before it.

    Parameters
    ----------
    repository
        Of Icechunk.
    day
        YYYY-MM-DD, UTC.

    Returns
    -------
    str
        The snapshot id.

    Raises
    ------
    InputError
        Where there is none, or no such day.
    """
    try:
        # The end of the day: a commit made on the day itself counts.
        end = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)
    except ValueError as error:
        raise InputError(f"Got the snapshot {day!r}, need a date such as 2020-05-01; correct it.") from error
    commits = history(repository)
    snapshot = next((commit.id for commit in commits if commit.written_at < end), None)
    if snapshot is None:
        first = f"{commits[-1].written_at:%Y-%m-%d}" if commits else "none"
        raise InputError(
            f"Got the snapshot of {day}, need a day not before the first, {first}; choose another."
        )
    return snapshot


def open_repository(path: Location) -> Any:
    """Open the Icechunk repository of a store.

    Parameters
    ----------
    path
        Of the store.

    Returns
    -------
    icechunk.Repository

    Raises
    ------
    InputError
        Where it is damaged, or an object store that has none, does not answer or refuses the credentials.
    """
    library = icechunk_library()
    with reading(path):
        _check_reachable(path)
        try:
            repository = within_deadline(
                path, lambda: library.Repository.open(storage(path), icechunk_config(path))
            )
        except library.IcechunkError as error:
            # An object store has no folder whose absence could be seen before; of a folder the caller has looked.
            if isinstance(path, ObjectUrl) and NO_REPOSITORY in str(error):
                raise missing(path) from error
            raise
        return with_own_retries(path, repository)


def exists(path: Location) -> bool:
    """Whether a new store cannot be written at a path: something is there, or at a URL a whole store.

    Parameters
    ----------
    path
        Of the store.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        Where an object store does not answer or refuses the credentials.
    """
    if isinstance(path, Path):
        return path.exists()
    # A repository without a cube was left by a writer that was killed: writing there goes on from it.
    if not has_repository(path):
        return False
    repository = open_repository(path)
    with reading(path):
        return within_deadline(path, lambda: newest_cube(repository)) is not None


def has_repository(path: ObjectUrl) -> bool:
    """Whether a URL has a repository, even one without a cube yet.

    Parameters
    ----------
    path
        Of the store.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        Where the object store does not answer or refuses the credentials.
    """
    with reading(path):
        _check_reachable(path)
        return within_deadline(path, lambda: icechunk_library().Repository.exists(storage(path)))


def create_repository(path: Location) -> Any:
    """Create the Icechunk repository of a new store.

    Parameters
    ----------
    path
        Of the store, where nothing lies.

    Returns
    -------
    icechunk.Repository

    Raises
    ------
    InputError
        Where an object store has other objects there, does not answer or refuses the credentials.
    """
    library = icechunk_library()
    _check_reachable(path)
    try:
        repository = within_deadline(
            path, lambda: library.Repository.create(storage(path), icechunk_config(path))
        )
    except library.IcechunkError as error:
        # Icechunk has no class for this error: its text is all there is to know it by.
        if isinstance(path, ObjectUrl) and "clean prefix" in str(error):
            raise InputError(
                f"Got {path}, where objects lie that are no store, need a new place; choose another."
            ) from error
        if lost := connection_error(path, error):
            raise lost from error
        raise
    return with_own_retries(path, repository)


def with_own_retries(path: Location, repository: Any) -> Any:
    """A repository that gives up a lost connection after the tries of ``location``.

    Icechunk 1.1 makes the client of an object store at its first request, which does not know the configuration yet:
    ten tries, half a minute. A copy through pickle has no client yet and makes it with the configuration.

    Parameters
    ----------
    path
        Of the store.
    repository
        Just opened.

    Returns
    -------
    icechunk.Repository
    """
    return repository if isinstance(path, Path) else pickle.loads(pickle.dumps(repository))


def missing(path: Location) -> InputError:
    """The error that says that there is no store.

    Parameters
    ----------
    path
        Where it was looked for.

    Returns
    -------
    InputError
    """
    return InputError(f"Got the store {path}, which does not exist; write one with `fluxlens embed`.")


def _check_reachable(path: Location) -> None:
    """InputError where nobody listens at an endpoint: Icechunk would try for half a minute."""
    endpoint = path.endpoint() if isinstance(path, ObjectUrl) else None
    # Through a proxy the endpoint itself need not be reachable from here.
    if not endpoint or urllib.request.getproxies():
        return
    url = urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    # Three tries with a second between them: a server that is being restarted refuses for a moment.
    for attempt in range(3):
        try:
            # A quarter of the deadline each: three tries and their pauses end before the command would give up anyway.
            socket.create_connection((url.hostname, port), timeout=DEADLINE_S / 4).close()
            return
        except OSError as error:
            if attempt == 2:
                raise unreachable(path, error.strerror or str(error)) from error
            time.sleep(1)


@contextmanager
def reading(path: Location) -> Iterator[None]:
    """Turn what reading a damaged store, or one that is not reachable, raises into an InputError.

    Damaged bytes make decoders fail in any way they can: errors of Icechunk (a panic of its Rust code among them, whose
    class cannot be imported), of Zarr, of JSON, of NumPy. Only calls into these libraries belong inside.

    Parameters
    ----------
    path
        Of the store.
    """
    try:
        yield
    # Want of memory says nothing about the store.
    except (InputError, MemoryError):
        raise
    except Exception as error:
        # The connection first: what it broke off would else look like damage.
        raise connection_error(path, error) or damaged(path, error) from error


def damaged(path: Location, why: object) -> InputError:
    """The error that says a store is damaged.

    Parameters
    ----------
    path
        Of the store.
    why
        Text or an exception; its first line that says something is quoted.

    Returns
    -------
    InputError
    """
    # Icechunk draws its errors as a tree of causes: the first line with words says what is wrong.
    lines = (line.strip(" x|`->") for line in str(why).splitlines())
    first = next(filter(None, lines), type(why).__name__)
    return InputError(
        f"Got the store {path}, which is damaged or not ours ({first}); restore it or write it again."
    )


def check_complete(codes: np.ndarray, path: Location, name: str) -> np.ndarray:
    """Bytes of a store as they are.

    Parameters
    ----------
    codes
        (..., feature) int8 or (..., layer) uint8 as on disk.
    path
        Of the store.
    name
        ``embedding`` or ``quality``.

    Returns
    -------
    numpy.ndarray
        The same.

    Raises
    ------
    InputError
        Where a chunk of them was not found: it reads as missing values, of which a cube has none.
    """
    if has_missing(name, codes):
        raise damaged(path, f"a chunk of {name} is missing")
    return codes


def icechunk_library() -> Any:
    """Icechunk, with our codec known to Zarr.

    Returns
    -------
    module
    """
    import fluxlens.embeddings.codec  # noqa: F401 (makes it known to zarr)
    import icechunk

    # It warns on every opening that a local folder has one writer at a time, which is how it is used here, and prints
    # each error to standard output before it raises it, where our sentence is all that is wanted.
    icechunk.set_logs_filter("off")
    return icechunk


def storage(path: Location) -> Any:
    """Where Icechunk keeps a store's files.

    Parameters
    ----------
    path
        The store's folder or URL.

    Returns
    -------
    icechunk.Storage
    """
    if isinstance(path, ObjectUrl):
        return path.storage()
    return icechunk_library().local_filesystem_storage(str(path))


def list_ids(log: list[Snapshot]) -> str:
    """Up to three snapshot ids, for an error.

    Parameters
    ----------
    log
        Of :func:`history`.

    Returns
    -------
    str
    """
    ids = [commit.id for commit in log]
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more if ids else "none"
