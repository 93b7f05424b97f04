"""Damaged HDF5 files: read once in a process of their own before this process opens them.

The HDF5 library trusts a file's internal addresses and sizes. A damaged or hostile file can crash it, or keep it in an
endless loop, and takes down the process that reads it: the dashboard with all its sessions. So another process opens
each file first and reads all its values; if that one dies, stops answering or grows too large, the file is named.

Cost: about half a second to start, and one more pass over the bytes. The process waits for further files for a while. A
file that was found whole is remembered by path, size and time of change until this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import json
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

IDLE_S = 30.0
"""Seconds that the reading process waits for another file."""

_whole: set[tuple[str, int, int]] = set()
_lock = threading.Lock()
_idle: list[_Reader] = []
_strangers: list[_Reader] = []
"""Of the parent of a forked process; referred to here, since ``Popen`` warns where it is forgotten while it runs."""


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

    for path in map(Path, paths):
        facts = path.stat()
        key = str(path.resolve()), facts.st_size, facts.st_mtime_ns
        if key not in _whole and is_hdf5(path):
            if fault := _find_fault(path):
                raise InputError(f"Got {path}, {fault}")
            _whole.add(key)


def stop_idle() -> None:
    """End the process that waits for the next file, where one does."""
    with _lock:
        reader = _idle.pop() if _idle else None
    if reader:
        reader.stop()


class _Reader:
    """A process that reads files one after the other, and what it says of them."""

    def __init__(self) -> None:
        self.files = 0
        self.child = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the library's own stack of errors
            text=True,
            # One thread is enough to read, and starts faster; this folder must not shadow installed packages.
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
        )
        # Through a queue: a pipe cannot be waited for with a time limit on every system.
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pass_on, args=(self.child, self.lines), daemon=True).start()
        self.timer: threading.Timer | None = None

    def find_fault(self, path: Path) -> str:
        """What is wrong with a file, empty where nothing is.

        Raises
        ------
        EOFError
            The process ended without a word about this file: the library took it down.
        """
        self.files += 1
        try:
            # JSON, since a path may hold a line break.
            print(json.dumps(str(path.resolve())), file=self.child.stdin, flush=True)
        except OSError:
            raise EOFError from None
        while True:
            try:
                line = self.lines.get(timeout=SILENT_S)
            except queue.Empty:
                return "on which the HDF5 library hangs, need a file that is whole; fetch or export it again."
            if line is None:
                raise EOFError
            verb, _, text = line.partition(" ")
            if verb == "refused":
                return text
            if verb == "whole":
                return ""

    def stop(self) -> None:
        """End the process and wait for its end, also where it hangs."""
        if self.timer:
            self.timer.cancel()
        self.child.kill()
        self.child.wait()
        with contextlib.suppress(OSError):  # what it was not able to take any more
            self.child.stdin.close()
        self.child.stdout.close()


def _find_fault(path: Path) -> str:
    """What is wrong with a file, empty where nothing is, from a process that waits or from a new one."""
    while True:
        with _lock:
            reader = _idle.pop() if _idle else None
        reader = reader or _Reader()
        if reader.timer:
            reader.timer.cancel()
        try:
            fault = reader.find_fault(path)
        except EOFError:
            reader.stop()
            # Files before this one may be to blame, or a lack of memory while it waited: a new process decides.
            if reader.files > 1:
                continue
            return (
                f"which crashes the HDF5 library (exit code {reader.child.returncode}), need a file that is "
                "whole; fetch or export it again."
            )
        # Also when this process is interrupted: a hanging child would stay for ever.
        except BaseException:
            reader.stop()
            raise
        # What a damaged file left in the library's memory must not meet the next file.
        if fault:
            reader.stop()
        else:
            _keep(reader)
        return fault


def _keep(reader: _Reader) -> None:
    """Let a process wait for the next file, one at most and not for long: it holds some 60 MB."""
    reader.timer = threading.Timer(IDLE_S, stop_idle)
    reader.timer.daemon = True
    with _lock:
        is_first = not _idle
        if is_first:
            _idle.append(reader)
    if is_first:
        reader.timer.start()
    else:
        reader.stop()


def _forget() -> None:
    """After a fork: the process that waits belongs to the parent."""
    global _lock
    _lock = threading.Lock()
    _strangers.extend(_idle)
    _idle.clear()


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


def main() -> None:
    """Read the files whose names come in, a JSON string on each line; runs in the child."""
    _limit_memory()
    for line in sys.stdin:
        try:
            _read_all(json.loads(line))
        except Exception as error:  # whatever the library says of a damaged file
            # the text of an OSError repeats the whole path
            why = " ".join(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".split())[
                :120
            ]
            print(
                f"refused which is damaged ({why}), need a file that is whole; fetch or export it again.",
                flush=True,
            )


atexit.register(stop_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

if __name__ == "__main__":
    main()
