"""Finished blocks as files, checksummed, for the store, for resuming and for the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.object_url import Location
from fluxlens.embeddings.store.location import scratch_parent
from fluxlens.models.errors import InputError

BlockWindow = tuple[slice, slice]
"""Rows and columns of the scene's 10 m grid, within one aligned block."""

Arrays = dict[str, np.ndarray]
"""Variables of a cube over a window: ``embedding`` (day, y, x, feature) int8, the others (day, y, x)."""


def save_block(path: Path, arrays: Arrays) -> None:
    """Write arrays uncompressed, each with its checksum: compression would take longer than reading.

    Parameters
    ----------
    path
        Of the new file.
    arrays
        By name.
    """
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path.write_bytes(save(contiguous, {name: _checksum(array) for name, array in contiguous.items()}))


def load_block(path: Path) -> Arrays:
    """Read what :func:`save_block` wrote, and check it.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    dict of numpy.ndarray
        By name.

    Raises
    ------
    InputError
        Where a checksum differs or the file is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:  # torch's tensors are views of the file, numpy's would be copies
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 (no mapping)
            # The names are compared along with the checksums: a block of other variables is no block of this cube.
            whole = file.metadata() == {name: _checksum(array) for name, array in arrays.items()}
    # A header cut short may hold bytes that are no UTF-8.
    except (SafetensorError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise InputError(f"Got the block {path}, which is damaged; remove it and ask again.")
    return arrays


def _checksum(array: np.ndarray) -> str:
    import google_crc32c

    return str(google_crc32c.value(array))  # of its memory, uncopied


@dataclass(frozen=True)
class BlockFolder:
    """Finished blocks as files in a folder, which the store is made of; called with a window, its block is computed."""

    task: Any
    """The ``BlockTask``, or a function from a window to its arrays."""
    folder: Path
    durable: bool
    """Whether finished blocks must survive a power cut."""

    def __call__(self, window: BlockWindow) -> None:
        if not self.has(window):  # a worker may die between finishing its block and reporting it
            self.put(window, self.task(window))

    def put(self, window: BlockWindow, arrays: Arrays) -> None:
        """Write a block.

        Parameters
        ----------
        window
            Names the file.
        arrays
            The variables of the cube over the window.
        """
        from fluxlens.embeddings import store
        from fluxlens.embeddings.store import tiles

        # Bytes of all variables side by side, as the tiles of the store take them: nothing is converted a second time.
        codes = store.to_bytes(arrays)
        tiles.save(self.file(window), codes.shape, [codes], self.durable)

    def on_device(self, device: str) -> BlockFolder:
        """The same, computed on another device.

        Parameters
        ----------
        device
            ``auto``, ``cpu`` or ``cuda``.

        Returns
        -------
        BlockFolder
        """
        from fluxlens.models import checkpoints

        # Called in the worker: the model travels through pickle on the CPU.
        model = self.task.model.to(checkpoints.pick_device(device))
        return replace(self, task=replace(self.task, model=model))

    def has(self, window: BlockWindow) -> bool:
        """Whether the block of ``window`` is finished."""
        return self.file(window).exists()

    def file(self, window: BlockWindow) -> Path:
        """The file of the block of ``window``."""
        # By its corner in the scene and not by its number in the run, which a resumed run may count otherwise.
        return self.folder / f"{window[0].start}_{window[1].start}.npy"


def resume_folder(path: Location, cube: xr.Dataset) -> Path:
    """Where finished blocks are kept beside a store that is being written; of an object store, in the cache folder.

    Parameters
    ----------
    path
        Of the store.
    cube
        Its empty cube: a run with another scene, model or days has a folder of its own.

    Returns
    -------
    pathlib.Path
    """
    # The attributes hold the digests of model and scene: a changed run cannot take up blocks of another.
    facts = json.dumps([cube.attrs, str(cube["time"].values[[0, -1]]), cube.sizes], default=str)
    digest = hashlib.blake2b(facts.encode(), digest_size=6).hexdigest()
    return scratch_parent(path) / f".{path.name}.{digest}.blocks"
