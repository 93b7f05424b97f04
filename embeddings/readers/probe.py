"""Damaged HDF5 files: read once in a process of their own before this process opens them.

The HDF5 library trusts a file's internal addresses and sizes. A damaged or hostile file can crash it, or keep it in an
endless loop, and takes down the process that reads it: the dashboard with all its sessions. So another process opens
each file first and reads all its values; if that one dies, stops answering or grows too large, the file is named.

Cost: about half a second to start, and one more pass over the bytes. A file that was found whole is remembered by path,
size and time of change until this process ends.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

SILENT_S = 60.0
"""Seconds without a sign of life after which the reading process is taken to hang: a slab takes a second at most."""
SLAB_BYTES = 32 * 2**20
"""Values read at a time; the memory of the reading process stays near it."""
DECLARED_BYTES_AT_MOST = 2**40
"""A file may declare arrays far larger than itself, since chunks that were never written take no room. Beyond this size
(1 TiB) no cube of ours is meant, and reading it only to find fill values would take hours."""
DECLARED_PER_BYTE_AT_MOST = 5_000
"""Declared bytes per byte of file. Zlib reaches at most about 1,030; arrays of mostly unwritten chunks more."""
SMALL_BYTES = 2**28
"""Declared sizes below this (256 MiB) are harmless whatever the ratio."""

_whole: set[tuple[str, int, int]] = set()


def check_readable(paths: Iterable[str | Path]) -> None:
    """Make sure that NetCDF or HDF5 files can be opened and read in this process.

    Parameters
    ----------
    paths : iterable of path
        Files. Those that are no HDF5 (NetCDF-3, for instance) are left to their own readers.

    Raises
    ------
    InputError
        Names the first file that is damaged, hangs the library, or declares more values than can be read.
    """
    # Not at the top: the child runs this file as a script, and needs nothing of the package.
    from fluxlens.models.errors import InputError

    todo = []
    for path in map(Path, paths):
        facts = path.stat()
        key = str(path.resolve()), facts.st_size, facts.st_mtime_ns
        if key not in _whole and is_hdf5(path):
            todo.append((path, key))
    if not todo:
        return
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__)), *(str(path.resolve()) for path, _ in todo)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the library's own stack of errors
        text=True,
        # One thread is enough to read, and starts faster; this folder must not shadow installed packages.
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
    )
    # Through a queue: a pipe cannot be waited for with a time limit on every system.
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pass_on, args=(child, lines), daemon=True).start()
    done = 0
    try:
        while done < len(todo):
            path, key = todo[done]
            try:
                line = lines.get(timeout=SILENT_S)
            except queue.Empty:
                raise InputError(
                    f"Got {path}, on which the HDF5 library hangs, need a file that is whole; fetch or export it again."
                ) from None
            # The child ended without a word about this file: the library took it down.
            if line is None:
                raise InputError(
                    f"Got {path}, which crashes the HDF5 library (exit code {child.wait()}), need a file that is "
                    "whole; fetch or export it again."
                )
            verb, _, text = line.partition(" ")
            if verb == "refused":
                raise InputError(f"Got {path}, {text}")
            if verb == "whole":
                _whole.add(key)
                done += 1
    # Also when this process is interrupted: a hanging child would stay for ever.
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def is_hdf5(path: str | Path) -> bool:
    """Whether a file begins as HDF5 does.

    Parameters
    ----------
    path : path
        A file.

    Returns
    -------
    bool
        True where the signature stands at the start, as in all NetCDF-4 files.
    """
    with open(path, "rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _pass_on(child: subprocess.Popen, lines: queue.Queue[str | None]) -> None:
    """Lines of the child into a queue, None at its end: a pipe alone cannot be read with a time limit everywhere."""
    try:
        for line in child.stdout:
            lines.put(line.rstrip("\n"))
    except ValueError:  # closed meanwhile
        pass
    lines.put(None)


def _read_all(path: str) -> None:
    """Read every value of a file, slab by slab, and print a sign of life after each; runs in the child."""
    import netCDF4
    import numpy as np

    def variables(group: netCDF4.Group) -> Iterable[netCDF4.Variable]:
        yield from group.variables.values()
        for inner in group.groups.values():
            yield from variables(inner)

    def declared(variable: netCDF4.Variable) -> int:
        width = np.dtype(variable.dtype).itemsize if isinstance(variable.dtype, np.dtype) else 8
        return width * int(np.prod([int(side) for side in variable.shape], dtype=object))

    with netCDF4.Dataset(path) as file:
        # Raw values: decoding could fail on attributes that other readers understand.
        file.set_auto_maskandscale(False)
        every = list(variables(file))
        total, size = sum(map(declared, every)), os.path.getsize(path)
        if total > DECLARED_BYTES_AT_MOST or (
            total > SMALL_BYTES and total > DECLARED_PER_BYTE_AT_MOST * size
        ):
            print(
                f"refused which declares {total / 1e9:,.1f} GB of values in {size / 1e6:,.1f} MB, need a cube whose "
                "values were written; export it again.",
                flush=True,
            )
            return
        # Attributes too: they lie in other parts of the file than the values.
        for variable in every:
            for name in variable.ncattrs():
                variable.getncattr(name)
            if not variable.shape:
                variable[...]
                continue
            # Slabs along the first dimension, which is time in nearly all cubes.
            rows = max(1, SLAB_BYTES * variable.shape[0] // max(1, declared(variable)))
            for first in range(0, variable.shape[0], rows):
                variable[first : first + rows]
                print("alive", flush=True)
    print("whole", flush=True)


def _limit_memory() -> None:
    """A damaged size must not take all memory of the machine; Windows has no such limit."""
    try:
        import resource
    except ImportError:
        return
    # Address space and not resident memory, which cannot be limited for one process.
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(paths: list[str]) -> None:
    """Read files one after the other; runs in the child.

    Parameters
    ----------
    paths : list of str
        HDF5 files.
    """
    _limit_memory()
    for path in paths:
        try:
            _read_all(path)
        except Exception as error:  # whatever the library says of a damaged file
            # the text of an OSError repeats the whole path
            why = " ".join(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".split())[
                :120
            ]
            print(
                f"refused which is damaged ({why}), need a file that is whole; fetch or export it again.",
                flush=True,
            )
            return


if __name__ == "__main__":
    main(sys.argv[1:])
