"""The cache folder: what can be made again is made once, beside its place, and renamed when whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Steps = Generator[tuple[str, float], None, T]
"""Long work: yields (message, fraction 0-1) and returns its result."""

PACKAGE = Path(__file__).parent
WAIT_S = 0.5


def folder() -> Path:
    """``$FLUXLENS_CACHE``, or the user's cache folder of this system; made when missing."""
    import platformdirs

    path = Path(os.environ.get("FLUXLENS_CACHE") or platformdirs.user_cache_dir("fluxlens", appauthor=False))
    path.mkdir(parents=True, exist_ok=True)
    return path


def once(name: str, build: Callable[[Path], Steps[Any]]) -> Steps[Path]:
    """The path of ``name`` in the cache, a file or a folder, built by ``build(path)`` unless it is there.

    Two processes that want the same thing compute it once: the second waits and takes what the first made. A
    build that fails or is cancelled leaves nothing.
    """
    from filelock import FileLock, Timeout

    path = folder() / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A screen may advance this generator from changing threads, so the lock belongs to the object.
    lock = FileLock(path.with_name(f".{path.name}.lock"), thread_local=False)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=WAIT_S)
        except Timeout:
            yield "waiting for another process that makes it", 0.0
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        if not path.exists():
            yield from build(beside)
            os.replace(beside, path)
        return path
    finally:
        beside.unlink() if beside.is_file() else shutil.rmtree(beside, ignore_errors=True)
        lock.release()


def finish(steps: Steps[T]) -> T:
    """Run steps to their end and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def key(name: str, *facts: Any) -> str:
    """A file name that is the same exactly when all facts are: ``"demo-3f2a91c0d4b7"``."""
    told = json.dumps(facts, sort_keys=True, default=str)
    return f"{name}-{hashlib.blake2b(told.encode(), digest_size=6).hexdigest()}"


def fingerprint(*places: str) -> str:
    """Digest of source files below the package, so that what older code made is made again."""
    total = hashlib.blake2b(digest_size=8)
    for place in places:
        found = PACKAGE / place
        files = sorted(found.rglob("*")) if found.is_dir() else [found]
        for file in files:
            if file.suffix in {".py", ".npz", ".safetensors"}:
                total.update(file.name.encode())
                total.update(file.read_bytes())
    return total.hexdigest()


def stamp(place: Path) -> str:
    """Digest of names, sizes and times of a file, or of all files of a folder."""
    total = hashlib.blake2b(digest_size=8)
    for file in sorted(place.rglob("*") if place.is_dir() else [place]):
        seen = file.stat()
        total.update(f"{file.relative_to(place)}:{seen.st_size}:{seen.st_mtime_ns}\n".encode())
    return total.hexdigest()
