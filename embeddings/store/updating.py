"""Bringing a store up to date: changed days over an earlier cube, in one commit on top of it.

Maps of days that stay keep the chunks of the earlier snapshot. Series are written anew, since one chunk holds all days
of its pixels; days that stay are copied from the earlier snapshot, byte for byte.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
from fluxlens.embeddings.object_url import Location
from fluxlens.embeddings.store.layout import (
    DTYPES,
    create_layout,
    level_layouts,
    marks_missing,
    replace_coords,
)
from fluxlens.embeddings.store.locking import exclusive_scratch, writable
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.store.repository import newest_cube, open_repository
from fluxlens.embeddings.store.writer import GARBAGE_AGE, Conflict, StoreWriter, garbage_collected


class UpdateWriter(StoreWriter):
    """Writes the changed days of a store; blocks are given with all days, as of a new store.

    Parameters
    ----------
    repository
        Of Icechunk, whose branch ``main`` is at the snapshot of ``base``.
    template
        Of the whole new cube, as of ``writer.write``; same pixels as ``base``.
    scratch
        Folder for files of blocks.
    base
        The store as it is.
    changed
        Indices along time of the days that are new or have other numbers.
    """

    def __init__(
        self, repository: Any, template: xr.Dataset, scratch: Path, base: Store, changed: tuple[slice, ...]
    ) -> None:
        self._base = base
        super().__init__(repository, template, scratch, base.path)
        if self._maps_stay:
            self._written_days = changed

    def _create_arrays(self, root: Any, template: xr.Dataset) -> Any:
        # Maps lie by index of the day: where days come before the first, all move. In a store of before there were our
        # fill values a lost chunk could not be told.
        self._maps_stay = template["time"].values[0] == self._base.days[0] and all(
            marks_missing(root["maps"][name], name) for name in DTYPES
        )
        if not self._maps_stay:
            return super()._create_arrays(root, template)
        for name in list(root.group_keys()):
            # Series hold all days in a chunk and are written anew.
            if name not in {"maps", "overviews"}:
                del root[name]
        store = self._session.store
        replace_coords(store, "maps", template)
        for layout in level_layouts(*template["embedding"].shape[1:3]).values():
            for name in DTYPES:
                array = root[layout][name]
                # Only longer: chunks of days that stay are not touched.
                array.resize((template.sizes["time"], *array.shape[1:]))
        return create_layout(store, "series", template)["embedding"]


@contextmanager
def open_update(base: Store, template: xr.Dataset, changed: tuple[slice, ...]) -> Iterator[UpdateWriter]:
    """A writer that brings a store up to date; without its commit the store stays as it was.

    Parameters
    ----------
    base
        The store as it is, of its newest snapshot.
    template
        Of the whole new cube, as of ``writer.write``.
    changed
        As of :class:`UpdateWriter`.

    Yields
    ------
    UpdateWriter

    Raises
    ------
    InputError
        Where another process writes the store, or the disk is full.
    Conflict
        Where another process committed meanwhile.
    """
    path: Location = base.path
    with writable(path), exclusive_scratch(path) as scratch:
        repository = open_repository(path)
        # Inside the lock, so that no other process of this machine can commit between this look and the writing.
        if newest_cube(repository) != base.snapshot:
            raise Conflict(
                f"Got the store {path}, to which another process committed meanwhile, need it alone; give the command "
                "again."
            )
        # What a killed writer left on top: the commit from which its workers wrote. It holds no cube.
        tip = repository.lookup_branch("main")
        if tip != base.snapshot:
            repository.reset_branch("main", base.snapshot, from_snapshot_id=tip)
        if isinstance(path, Path):
            with garbage_collected(repository):
                yield UpdateWriter(repository, template, scratch, base, changed)
            return
        repository.garbage_collect(dt.datetime.now(dt.UTC) - GARBAGE_AGE)
        yield UpdateWriter(repository, template, scratch, base, changed)
