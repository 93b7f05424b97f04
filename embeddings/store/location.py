"""What talking to a store depends on where it lies: scratch folder, settings, time limits and what errors say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fluxlens.embeddings import cache
from fluxlens.embeddings.object_url import Location, ObjectUrl
from fluxlens.models.errors import InputError

TRIES = 5
"""Requests are tried that often, with pauses that grow from ``BACKOFF_MS``: about 10 s at most where each fails."""

BACKOFF_MS = (200, 3000)
"""First and longest pause between two tries."""

DEADLINE_S = 20.0
"""A store that has not opened or committed by then is unreachable: Icechunk has no time limit of its own for a server
that accepts connections and never answers."""

READ_DEADLINE_S = 60.0
"""Of one read; longer than ``DEADLINE_S``, since a window of a slow connection may take as long."""

CHUNK_CACHE_BYTES = 256 * 2**20
"""Compressed chunks and indexes of shards kept in memory for each open store of an object store."""

MISSING_BUCKET = ("NoSuchBucket", "bucket does not exist", "ContainerNotFound", "container does not exist")
REFUSED = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessDenied",
    "Access Denied",
    "InvalidToken",
    "ExpiredToken",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "InvalidClientTokenId",
    "credential",
    "Forbidden",
    "Unauthorized",
)
NO_CODE = re.compile(r"service error\W+unhandled error\W+Error \{ aws_request_id")
UNREACHABLE = (
    "dispatch failure",
    "dns error",
    "Connect",
    "connection",
    "timeout",
    "timed out",
    "error sending",
)
"""Words of the errors of the three providers' libraries, which give no codes of their own; checked in this order."""

T = TypeVar("T")


def scratch_parent(location: Location) -> Path:
    """The folder that takes scratch files and finished blocks of a store that is being written.

    Parameters
    ----------
    location
        Of the store.

    Returns
    -------
    pathlib.Path
        Beside a store on disk; of an object store a folder of its own in the cache of this machine.
    """
    if isinstance(location, Path):
        return location.parent
    # The whole URL and the endpoint are in the key: buckets of one name may lie on several servers.
    folder = cache.folder() / "object-stores" / cache.key(location.name, str(location), location.endpoint())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def icechunk_config(location: Location) -> Any:
    """Settings of a repository that depend on where it lies.

    Parameters
    ----------
    location
        Of the store.

    Returns
    -------
    icechunk.RepositoryConfig
    """
    import icechunk

    # By default those of all coordinates are read on opening, also of overviews and of the scene's sensors: half of the
    # processor's time of opening a store on disk, and a request each of an object store.
    manifest = icechunk.ManifestConfig(preload=icechunk.ManifestPreloadConfig(max_total_refs=0))
    if isinstance(location, Path):
        return icechunk.RepositoryConfig(manifest=manifest)
    first, longest = BACKOFF_MS
    retries = icechunk.StorageRetriesSettings(TRIES, first, longest)
    return icechunk.RepositoryConfig(
        storage=icechunk.StorageSettings(retries=retries),
        # A tap then finds the index of its shard, and neighbours of a pixel their chunk.
        caching=icechunk.CachingConfig(num_bytes_chunks=CHUNK_CACHE_BYTES),
        manifest=manifest,
    )


def within_deadline(location: Location, function: Callable[[], T], seconds: float = DEADLINE_S) -> T:
    """Call a function that talks to an object store; on disk, just call it.

    Parameters
    ----------
    location
        Of the store.
    function
        Without arguments. It is left to itself where it takes longer, in a thread that ends with the process.
    seconds
        How long it may take.

    Returns
    -------
    Any
        Its result.

    Raises
    ------
    InputError
        Where it takes longer.
    """
    if isinstance(location, Path):
        return function()
    import threading

    outcome: list[tuple[bool, Any]] = []

    def call() -> None:
        try:
            outcome.append((True, function()))
        # A panic of Icechunk's Rust code is no Exception; it is raised in the caller's thread.
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=call, daemon=True, name=f"request to {location.scheme}")
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise unreachable(location, f"no answer within {seconds:.0f} s")
    succeeded, value = outcome[0]
    if succeeded:
        return value
    # Of credentials in the environment that Icechunk cannot read; its class cannot be imported, and is no Exception.
    if type(value).__name__ == "PanicException" and "failed to create object store" in str(value):
        why = _cause(re.sub(r'"\).*', "", str(value).partition('Other("')[2], flags=re.DOTALL))
        raise InputError(
            f"Got {location}, which cannot be asked with this environment ({why}), need credentials that can be read; "
            "correct them, or read anonymously (docs/object_stores.md)."
        ) from value
    raise value


def connection_error(location: Location, error: BaseException) -> InputError | None:
    """The sentence for an error of an object store, by the words of its library.

    Parameters
    ----------
    location
        Of the store.
    error
        Of Icechunk or of Zarr.

    Returns
    -------
    InputError or None
        None for a store on disk, and where the error is not of the connection.
    """
    if isinstance(location, Path):
        return None
    text = str(error)
    if isinstance(error, TimeoutError):
        return unreachable(location, "no answer in time")
    # Of the disk with the scratch files, or of a Dask worker.
    if isinstance(error, OSError):
        return None
    if any(word in text for word in MISSING_BUCKET):
        what = "container" if location.scheme == "az" else "bucket"
        return InputError(
            f"Got {location}, but there is no {what} {location.bucket}, need one that exists; create it or correct "
            "the URL."
        )
    # The first request asks for no body, so that a refusal of Amazon's has no code in it.
    if any(word in text for word in REFUSED) or NO_CODE.search(text):
        return InputError(
            f"Got {location}, which refuses these credentials ({_cause(text)}), need some that may use it; set them "
            "in the environment, or read anonymously (docs/object_stores.md)."
        )
    if any(word in text for word in UNREACHABLE):
        return unreachable(location, _cause(text))
    return None


def unreachable(location: ObjectUrl, why: str) -> InputError:
    """The error that says that an object store does not answer.

    Parameters
    ----------
    location
        Of the store.
    why
        A few words.

    Returns
    -------
    InputError
    """
    where = f" at {location.endpoint()}" if location.endpoint() else ""
    return InputError(
        f"Got {location}, whose server{where} does not answer ({why}), need a connection; check network and "
        "endpoint, then try again."
    )


def _cause(text: str) -> str:
    """The innermost cause that Icechunk writes, its last line that says something."""
    # Icechunk draws causes as a tree of text; these are its branches.
    lines = [line.strip(" x|`->") for line in text.splitlines()]
    # The last line is the cause; requests' ids and brackets around it say nothing to a user.
    last = next(filter(None, reversed(lines)), "no reason given")
    code = re.search(r'code: "(\w+)"', last)
    if code:
        return code.group(1)
    return "no reason given" if last.startswith("Error {") else last[:120]
