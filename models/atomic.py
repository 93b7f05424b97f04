"""Atomic writes: a path holds all of what is written, or what it held before."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write to, renamed to ``path`` when the block ends without an error.

    The temporary path lies in the same folder, since a rename is atomic within one file system only. It is hidden,
    unique, and keeps the suffix, which writers look at. After an error, or when the block is left by ``return`` of a
    closed generator, it is removed and ``path`` is untouched.

    Parameters
    ----------
    path
        File or folder to write. An existing file is replaced in one step. An existing folder is removed just before
        the rename, since no system replaces a folder that holds files.
    durable
        Flush a file to disk (fsync) before it is renamed. Without it, a power cut shortly after may leave an empty file
        under the final name: many file systems write names before contents.

    Yields
    ------
    pathlib.Path
        Where the block writes a file or creates a folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if durable:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        remove(temporary)


def remove(path: Path) -> bool:
    """Remove a file or a folder with all it holds.

    Parameters
    ----------
    path
        May be missing. Files of a folder that other threads remove meanwhile are passed over.

    Returns
    -------
    bool
        Whether there was anything to remove.
    """
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return True
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed
