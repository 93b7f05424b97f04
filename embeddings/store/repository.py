"""The Icechunk repository of a store: opening, history, metadata digest, and how damage is recognised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.store.layout import has_missing
from fluxlens.models.errors import InputError

EMPTY_MESSAGE = "arrays, still empty"
"""Message of the commit from which workers write; no cube of its own."""

METADATA_DIGEST = "digest_of_words"
"""Attribute of the store (its name is part of the file format): digest of attributes and coordinates, which have no
checksum of their own."""


@dataclass(frozen=True)
class Snapshot:
    """One commit of a store."""

    id: str
    written_at: pd.Timestamp
    """UTC."""
    message: str


def is_store(path: str | Path) -> bool:
    """Whether a folder looks like a store, without opening it.

    Parameters
    ----------
    path
        Of the folder.

    Returns
    -------
    bool
    """
    return (Path(path) / "refs").is_dir() and (Path(path) / "snapshots").is_dir()


def metadata_digest(coords: xr.Dataset, arrays: Mapping[str, Mapping[str, Any]]) -> str:
    """Digest of all that is not in checksummed chunks.

    Parameters
    ----------
    coords
        Of :func:`read_coords`: coordinates and attributes.
    arrays
        Of :func:`open_arrays`: how they are laid out.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for name, variable in sorted(coords.variables.items()):
        # dtype and dims as well as bytes: the same bytes are other numbers under another dtype.
        digest.update(f"{name} {variable.dims} {variable.dtype.str}".encode() + variable.values.tobytes())
    attrs = [coords.attrs, {name: coord.attrs for name, coord in coords.coords.items()}]
    metadata = {
        layout: {name: array.metadata.to_dict() for name, array in named.items()}
        for layout, named in arrays.items()
    }
    digest.update(json.dumps([*attrs, metadata], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def history(repository: Any) -> list[Snapshot]:
    """Commits of a repository that hold a cube, newest first.

    Parameters
    ----------
    repository
        Of Icechunk.

    Returns
    -------
    list of Snapshot
    """
    commits = [
        Snapshot(info.id, pd.Timestamp(info.written_at), info.message)
        for info in repository.ancestry(branch="main")
        if info.message != EMPTY_MESSAGE
    ]
    return commits[:-1]  # the oldest is Icechunk's own, of the empty repository


def open_repository(path: Path) -> Any:
    """Open the Icechunk repository of a store.

    Parameters
    ----------
    path
        Of the store.

    Returns
    -------
    icechunk.Repository

    Raises
    ------
    InputError
        Where it is damaged.
    """
    with reading(path):
        return icechunk_library().Repository.open(storage(path))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what reading a damaged store raises into an InputError.

    Damaged bytes make decoders fail in any way they can: errors of Icechunk (a panic of its Rust code among them, whose
    class cannot be imported), of Zarr, of JSON, of NumPy. Only calls into these libraries belong inside.

    Parameters
    ----------
    path
        Of the store.
    """
    try:
        yield
    # Want of memory says nothing about the store.
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise damaged(path, error) from error


def damaged(path: Path, why: object) -> InputError:
    """The error that says a store is damaged.

    Parameters
    ----------
    path
        Of the store.
    why
        Text or an exception; its first line that says something is quoted.

    Returns
    -------
    InputError
    """
    lines = (line.strip(" x|`->") for line in str(why).splitlines())
    first = next(filter(None, lines), type(why).__name__)
    return InputError(
        f"Got the store {path}, which is damaged or not ours ({first}); restore it or write it again."
    )


def check_complete(codes: np.ndarray, path: Path, name: str) -> np.ndarray:
    """Bytes of a store as they are.

    Parameters
    ----------
    codes
        (..., feature) int8 or (..., layer) uint8 as on disk.
    path
        Of the store.
    name
        ``embedding`` or ``quality``.

    Returns
    -------
    numpy.ndarray
        The same.

    Raises
    ------
    InputError
        Where a chunk of them was not found: it reads as missing values, of which a cube has none.
    """
    if has_missing(name, codes):
        raise damaged(path, f"a chunk of {name} is missing")
    return codes


def icechunk_library() -> Any:
    """Icechunk, with our codec known to Zarr.

    Returns
    -------
    module
    """
    import fluxlens.embeddings.codec  # noqa: F401 (makes it known to zarr)
    import icechunk

    # It warns on every opening that a local folder has one writer at a time, which is how it is used here.
    icechunk.set_logs_filter("error")
    return icechunk


def storage(path: Path) -> Any:
    """Where Icechunk keeps a store's files.

    Parameters
    ----------
    path
        Of the store's folder.

    Returns
    -------
    icechunk.Storage
    """
    return icechunk_library().local_filesystem_storage(str(path))


def list_ids(log: list[Snapshot]) -> str:
    """Up to three snapshot ids, for an error.

    Parameters
    ----------
    log
        Of :func:`history`.

    Returns
    -------
    str
    """
    ids = [commit.id for commit in log]
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more if ids else "none"
