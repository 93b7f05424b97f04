"""Paths of exported files: formats by suffix, checked before any work, written beside and renamed."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxlens.models.errors import InputError

TABLES = {".csv", ".parquet"}

CUBES = {".nc", ".zarr"}

MAPS = {".tif"}

SUFFIXES = TABLES | CUBES | MAPS


def check_path(path: str | Path, suffixes: set[str] = SUFFIXES) -> Path:
    """A path that can be written to, or an InputError before anything is computed."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"Got --out {path.name}, need one of {', '.join(sorted(suffixes))}; rename it.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a folder that exists; create {path.parent} first.")
    if path.is_dir() and not (path.suffix.lower() == ".zarr" and (path / "zarr.json").exists()):
        raise InputError(f"Got --out {path}, which is a folder, need a file; choose another name.")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside ``path``, renamed onto it when the block ends well and removed when not."""
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise InputError(f"Got the path {path}, need a folder that exists; create {path.parent} first.")
    # The suffix stays last: writers look at it.
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield beside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)
