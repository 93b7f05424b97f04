"""A large scene cut into stores that a mosaic reads as one, with the numbers of the uncut store."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.inference.embed import FinishedBlock, embed
from fluxlens.embeddings.inference.workers import IN_PROCESS, Execution
from fluxlens.embeddings.object_url import Location, ObjectUrl, locate
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

ALIGN_PX = 128
"""A tile begins at a multiple of a map's chunk, of the 32 pixels that are computed at once, and of all overviews up to
this level, so that its chunks and overviews are those of the uncut store."""

CATALOG = "catalog.yaml"
"""Written beside the stores when all are whole."""


def cut_windows(grid: Grid, tile_px: int) -> dict[str, tuple[slice, slice]]:
    """Where each tile of a scene lies.

    Parameters
    ----------
    grid
        The 10 m grid of the scene.
    tile_px
        Side of a tile, a multiple of ``ALIGN_PX``; those at the southern and eastern edge may be smaller.

    Returns
    -------
    dict
        Rows and columns by the name of the store, ``tile_R_C`` from north to south and west to east.

    Raises
    ------
    InputError
        For another size.
    """
    if tile_px < ALIGN_PX or tile_px % ALIGN_PX:
        raise InputError(
            f"Got --tiles {tile_px}, need a multiple of {ALIGN_PX} pixels, so that overviews meet; choose"
            f" {max(1, round(tile_px / ALIGN_PX)) * ALIGN_PX}."
        )
    spans = [[slice(a, min(a + tile_px, size)) for a in range(0, size, tile_px)] for size in grid.shape]
    # Padded with zeros, so that names sort as tiles lie.
    digits = len(str(max(map(len, spans)) - 1))
    return {
        f"tile_{i:0{digits}d}_{j:0{digits}d}": (rows, cols)
        for i, rows in enumerate(spans[0])
        for j, cols in enumerate(spans[1])
    }


def embed_tiles(
    folder: str | Location,
    scene: xr.DataTree,
    model: Any,
    tile_px: int,
    start: str | None = None,
    end: str | None = None,
    execution: Execution = IN_PROCESS,
    causal: bool = False,
    until: str | None = None,
) -> Generator[FinishedBlock | None, None, dict[str, str]]:
    """Write a scene's embeddings as stores beside each other, one after another.

    Each block is read with its neighbours of the whole scene, so that there is no seam: the numbers are those of one
    store, bit for bit. Each store carries its own part of the scene's images.

    Parameters
    ----------
    folder
        Path or URL below which the stores are made.
    scene, model, start, end, causal, until
        As of ``embed``.
    tile_px
        As of :func:`cut_windows`.
    execution
        As of ``embed``. Resumed, stores that are whole are left as they are, and the one that was begun is taken up.

    Yields
    ------
    FinishedBlock or None
        As of ``embed``, counted over all stores; a store that was whole already counts as done without pixel-days.

    Returns
    -------
    dict
        Snapshot id by the name of each store.

    Raises
    ------
    InputError
        As of ``embed`` and :func:`cut_windows`.
    """
    from fluxlens.embeddings.inference.request import Request
    from fluxlens.embeddings.scenes import digest as scenes_digest

    place = locate(folder)
    windows = cut_windows(Request.from_scene(scene, model, start, end).grid, tile_px)
    # Counted before anything is computed, so that the share that is shown does not jump from tile to tile.
    counts = {
        name: len(Request.from_scene(scene, model, start, end, window).windows())
        for name, window in windows.items()
    }
    total, before, snapshots = sum(counts.values()), 0, {}
    # A catalog with all stores as one mosaic; on an object store the user keeps it where it suits.
    if not isinstance(place, ObjectUrl):
        if not place.parent.is_dir():
            raise InputError(
                f"Got {place}, need a path in a folder that exists; create {place.parent} first."
            )
        # An existing folder is accepted: ``resume`` finds the stores of the earlier run in it.
        place.mkdir(exist_ok=True)
    # Taken once: it reads the whole scene.
    digest = scenes_digest.digest(scene)
    for name, window in windows.items():
        steps = embed(child(place, name), scene, model, start, end, execution, causal, until, window, digest)

        def counted_over_all(block: FinishedBlock | None, before: int = before) -> FinishedBlock | None:
            return None if block is None else FinishedBlock(block.pixel_days, before + block.done, total)

        snapshots[name] = yield from progress.relay(steps, counted_over_all)
        before += counts[name]
        # Also of a store that was whole already and yielded nothing.
        yield FinishedBlock(0, before, total)
    if not isinstance(place, ObjectUrl):
        # Last, so that a catalog on disk means that all its stores are whole.
        with atomic_path(place / CATALOG) as temporary:
            temporary.write_text(catalog_text(place, list(snapshots)))
    return snapshots


def child(place: Location, name: str) -> Location:
    """The store ``name`` below a ``place``, a folder or the URL of one."""
    if isinstance(place, ObjectUrl):
        return locate(f"{place}/{name}", dict(place.options))
    return place / name


def catalog_text(place: Location, names: list[str]) -> str:
    """A catalog, YAML, with one entry of all stores.

    Parameters
    ----------
    place
        The folder of the stores, after which the entry is called.
    names
        Of the stores; with a URL their own URLs are written.

    Returns
    -------
    str
    """
    import yaml

    # Relative names, so that the folder can be moved; a URL has nothing to be relative to.
    paths = [str(child(place, name)) for name in names] if isinstance(place, ObjectUrl) else names
    entry = {"driver": "fluxlens_embeddings", "args": {"store": paths}}
    return yaml.safe_dump({"sources": {place.name: entry}}, sort_keys=False)
