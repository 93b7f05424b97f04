"""Paths of exported files: formats by suffix, checked before any work, written beside and renamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

TABLES = {".csv", ".parquet"}

CUBES = {".nc", ".zarr"}

MAPS = {".tif"}

SUFFIXES = TABLES | CUBES | MAPS


def check_path(path: str | Path, suffixes: set[str] = SUFFIXES) -> Path:
    """A path that an export can be written to, checked before anything is computed.

    Parameters
    ----------
    path
        Of the file, or of a ``.zarr`` folder.
    suffixes
        Those allowed, with their dot.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        For another suffix, a missing folder, and a folder in the file's place that no export made: a scene,
        too, is a Zarr folder, which may have been fetched for hours.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"Got --out {path.name}, need one of {', '.join(sorted(suffixes))}; rename it.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a folder that exists; create {path.parent} first.")
    # A scene or a store may end in .zarr too: only what an export wrote is replaced.
    if path.is_dir() and not (path.suffix.lower() == ".zarr" and _is_export(path)):
        raise InputError(
            f"Got --out {path}, which is a folder that no export made, need a new path; choose another name."
        )
    return path


def _is_export(path: Path) -> bool:
    """Whether a folder is the Zarr of an earlier export: the attributes of its root, of version 3 or 2, say so."""
    for name in ("zarr.json", ".zattrs"):
        try:
            document = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        attrs = document.get("attributes") if name == "zarr.json" and isinstance(document, dict) else document
        # Of a store its snapshot is named; of a published cube what wrote the file.
        if isinstance(attrs, dict) and ("store_snapshot" in attrs or "fluxlens" in str(attrs.get("history"))):
            return True
    return False


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """As ``atomic.atomic_path``, for paths that users give.

    Parameters
    ----------
    path
        File or folder to write.

    Yields
    ------
    pathlib.Path
        Where the block writes.

    Raises
    ------
    InputError
        Where the folder does not exist.
    """
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise InputError(f"Got the path {path}, need a folder that exists; create {path.parent} first.")
    with atomic_path(path) as temporary:
        yield temporary
