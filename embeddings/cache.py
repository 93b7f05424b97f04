"""The cache folder: files that can be made again, each built once, by one process, and renamed when complete."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from fluxlens.embeddings.progress import Progress, Steps
from fluxlens.models.atomic import atomic_path

LOCK_POLL_S = 0.5
"""Time between two attempts at a lock that another process holds; progress is reported in between."""

FINGERPRINTED = {".py", ".npz", ".safetensors"}
"""Suffixes of a package's files that decide what it computes: code, tables, weights."""


def folder() -> Path:
    """The cache folder, created when missing.

    Returns
    -------
    pathlib.Path
        ``$FLUXLENS_CACHE``, or the user's cache folder of this system.
    """
    import platformdirs

    # Asked at each call and not at import: tests and a server may set the variable later.
    path = Path(os.environ.get("FLUXLENS_CACHE") or platformdirs.user_cache_dir("fluxlens", appauthor=False))
    path.mkdir(parents=True, exist_ok=True)
    return path


def build_once(name: str, build: Callable[[Path], Steps[Any]], durable: bool = False) -> Steps[Path]:
    """Build a file or folder of the cache unless it exists.

    Two processes that want the same thing compute it once: the second waits and takes the first one's. A build that
    fails or is cancelled leaves nothing.

    Parameters
    ----------
    name
        Path below the cache folder, from :func:`key`, so that it names all the content follows from.
    build
        Writes to the path it is given, yielding progress.
    durable
        As of :func:`atomic_path`: for content that is believed because its name exists.

    Yields
    ------
    Progress
        Of the build, or of waiting for another process.

    Returns
    -------
    pathlib.Path
        The complete file or folder.
    """
    from filelock import FileLock, Timeout

    # The usual case, without a lock: what is there is whole, since it was renamed into place.
    path = folder() / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A screen may advance this generator from changing threads, so the lock belongs to the object.
    lock = FileLock(path.with_name(f".{path.name}.lock"), thread_local=False)
    # In short attempts: between them the caller can show progress and close the generator.
    while not lock.is_locked:
        try:
            lock.acquire(timeout=LOCK_POLL_S)
        except Timeout:
            yield Progress("waiting for another process that makes it", 0.0)
    try:
        # Looked at again under the lock: another process may have made it meanwhile.
        if not path.exists():
            with atomic_path(path, durable) as temporary:
                yield from build(temporary)
        return path
    finally:
        lock.release()


def key(name: str, *facts: Any) -> str:
    """A file name that is the same exactly when all facts are.

    Parameters
    ----------
    name
        Readable beginning of the file name.
    facts
        All that the content follows from; anything JSON or ``str`` can write.

    Returns
    -------
    str
        Such as ``"demo-3f2a91c0d4b7"``.
    """
    # Sorted and as text: the same facts give the same name in every process and version of Python.
    text = json.dumps(facts, sort_keys=True, default=str)
    return f"{name}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def fingerprint(*modules: ModuleType) -> str:
    """Digest of source code and weights, part of the key of what they compute.

    Parameters
    ----------
    modules
        Imported modules or packages; of a package all files below it count. Module objects and not names as text: a
        moved file then breaks an import instead of silently leaving the digest.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    RuntimeError
        Where a module has no file, or its file no longer exists: without it the cache would serve stale results.
    """
    total = hashlib.blake2b(digest_size=8)
    for module in modules:
        for file in _source_files(module):
            # The name too: a file that was renamed is other code, although its bytes are the same.
            total.update(file.name.encode())
            total.update(file.read_bytes())
    return total.hexdigest()


def _source_files(module: ModuleType) -> list[Path]:
    """Files of a module, or of a package and all below it, in a fixed order."""
    if not isinstance(module, ModuleType):
        raise RuntimeError(f"a fingerprint takes imported modules, not {module!r}")
    roots = [Path(root) for root in getattr(module, "__path__", [])]
    if roots:
        files = [file for root in roots for file in sorted(root.rglob("*")) if file.suffix in FINGERPRINTED]
    else:
        files = [Path(module.__file__)] if getattr(module, "__file__", None) else []
    # A place that is skipped would weaken every key without a word.
    if missing := [str(path) for path in (*roots, *files) if not path.exists()]:
        raise RuntimeError(
            f"no {', '.join(missing)} of {module.__name__}: its fingerprint would be of less code"
        )
    if not files:
        raise RuntimeError(f"{module.__name__} has no source file to take a fingerprint of")
    return files


def mtime_digest(place: Path) -> str:
    """Digest of names, sizes and modification times, which changes when a file does without reading it.

    Parameters
    ----------
    place
        A file, or a folder whose files all count.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    total = hashlib.blake2b(digest_size=8)
    # Sorted: ``rglob`` gives files in the order of the file system.
    for file in sorted(place.rglob("*") if place.is_dir() else [place]):
        status = file.stat()
        total.update(f"{file.relative_to(place)}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    return total.hexdigest()
