"""Atomic writes: a path holds all of what is written, or what it held before."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxlens.models.errors import InputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""System errors of a full disk."""

FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
"""System errors of a folder that takes no files."""

LEAST_FREE_BYTES = 64 * 1024
"""Free space below which an error of a library that keeps the system's error to itself (HDF5, GDAL) is that of a full
disk: they write blocks of at most this size."""


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

    Raises
    ------
    InputError
        Where the disk is full, or the folder takes no files.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if durable:
            # Opened for writing: some systems refuse to flush a descriptor that can only read.
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    # ``GeneratorExit`` and ``KeyboardInterrupt`` are no ``Exception``: they pass, and only the removal below runs.
    except Exception as error:
        # Before the temporary file is removed, which may free what the disk lacks.
        if not isinstance(error, InputError) and (refusal := write_refusal(path, error)):
            raise refusal from error
        raise
    finally:
        remove(temporary)


def write_refusal(path: Path | str, error: Exception) -> InputError | None:
    """What to tell the user of an error while a path was written.

    Parameters
    ----------
    path
        Of what is written, on disk or elsewhere.
    error
        Of the system, or of a library that gives the system's error as text or not at all.

    Returns
    -------
    InputError or None
        None where neither a full disk nor a folder without permission explains the error.
    """
    # GDAL numbers its errors in its own way under the same name; Icechunk gives the system's number as text only.
    code = (error.errno if isinstance(error, OSError) else None) or next(
        (code for code in FULL | FORBIDDEN if f"os error {code})" in str(error)), None
    )
    # Without any number of the system, as from HDF5, the free space itself must tell.
    if code in FULL or (code is None and _is_full(Path(str(path)).parent)):
        return InputError(
            f"Got {path} on a disk that is full or at its quota, need space; free some or choose another."
        )
    if code in FORBIDDEN:
        return InputError(
            f"Got {path} in a folder that takes no files ({os.strerror(code)}), need one that can be "
            "written; choose another."
        )
    return None


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE_BYTES
    except OSError:  # an object store, or a folder that is gone
        return False


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
    # Other threads of a cancelled write may still remove their own files: those errors mean that the work is done.
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return True
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed
