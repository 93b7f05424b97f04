"""Reading a file in a process of its own first: damaged HDF5 can crash or hang the library."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from models.errors import InputError

PROBE_S, PROBE_BYTES_PER_S = 30.0, 5e6
"""A whole file is read in less, even on a slow disk."""
_PROBE = """
import sys, netCDF4
for path in sys.argv[1:]:
    print(path, flush=True)
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            for variable in file.variables.values():
                variable[...]
    except Exception:
        pass
"""


def check_readable(paths: Iterable[str | Path]) -> None:
    """Read NetCDF files whole in another process; the result is kept until one of them changes.

    Parameters
    ----------
    paths
        NetCDF files; folders are passed over.

    Raises
    ------
    InputError
        Reading a file kills the process, or does not end; the file is named.
    """
    files = [Path(path) for path in paths if Path(path).is_file()]
    if files:
        _survive(tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(maxsize=64)
def _survive(files: tuple[tuple[str, int, int], ...]) -> None:
    """InputError where reading a file (path, time, bytes) kills or hangs a process: damaged HDF5 can do both."""
    seconds = PROBE_S + sum(size for _, _, size in files) / PROBE_BYTES_PER_S
    # -P: a module beside the user's data is not taken for netCDF4
    command = [sys.executable, "-P", "-c", _PROBE, *(path for path, _, _ in files)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds)
        told, ended = done.stdout, "crashes" if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        told, ended = late.stdout or b"", f"does not end reading within {seconds:.0f} s"
    if ended:
        name = os.path.basename(told.decode().splitlines()[-1]) if told else "the NetCDF library"
        raise InputError(f"Got {name}, which {ended}, need a whole NetCDF file; fetch it again.")
