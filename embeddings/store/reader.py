"""Embedding cubes on disk: one Icechunk repository that holds the same numbers as maps and as series.

The layout ``maps`` is chunked by day and serves "one day, everywhere"; ``series`` is chunked by pixel and serves "one
pixel, every day". Each is slow at what the other is for; a router picks. ``overviews`` are maps at a half, a
quarter ... of the resolution. Beside the ``embedding`` lies ``quality``, one byte each for sigma and the two distances
in days. A store becomes visible in one commit, at a path where before there was nothing; its snapshot id names exactly
what was read.

Long on purpose: one class with the documented reading methods; how arrays are read stands in ``cube_arrays``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.object_url import Location, locate
from fluxlens.embeddings.store.cube_arrays import CubeArrays, zarr_store
from fluxlens.embeddings.store.layout import DTYPES, LAYOUTS, marks_missing
from fluxlens.embeddings.store.location import within_deadline
from fluxlens.embeddings.store.opening import open_whole, read_days
from fluxlens.embeddings.store.repository import (
    DAY,
    EMPTY_MESSAGE,
    Snapshot,
    damaged,
    history,
    icechunk_library,
    is_store,
    list_ids,
    missing,
    newest_cube,
    open_repository,
    reading,
    snapshot_of_day,
)
from fluxlens.embeddings.store.routing import BoxKey, bytes_touched, finest_level
from fluxlens.models.errors import InputError


class Store:
    """A cube on disk, pinned to one snapshot: reads never wait for writers and never see them.

    Parameters
    ----------
    path
        Of the store: a folder or an ``ObjectUrl``.
    repository
        Of Icechunk.
    session
        A readonly session of one snapshot.
    """

    def __init__(self, path: Location, repository: Any, session: Any) -> None:
        self.path = path
        self.snapshot: str = session.snapshot_id
        # Of GPP predicted from this store: set by a catalog entry or a command, never written to the store.
        self.calibration: Any = None
        self._repository = repository
        self.arrays = CubeArrays(path, zarr_store(path, session))

    @classmethod
    def open(
        cls,
        path: str | Location,
        snapshot: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Store:
        """Open a store.

        Parameters
        ----------
        path
            Of its folder, or URL (``s3://``, ``gs://``, ``az://``).
        snapshot
            Id of an earlier state, or a day YYYY-MM-DD: the state at the end of that day, UTC; None: the newest.
        storage_options
            Of ``object_url.OPTIONS``, for a URL: ``anonymous``, ``endpoint_url`` ...

        Returns
        -------
        Store

        Raises
        ------
        InputError
            Where it does not exist, is no store, is damaged or cannot be reached: all that can be found at once is
            found here.
        """
        path = locate(path, storage_options)
        # Of a folder a look at it tells more than Icechunk's error; of a URL only opening does.
        if isinstance(path, Path):
            if not path.exists():
                raise missing(path)
            if not is_store(path):
                raise InputError(f"Got {path}, need an embedding store; write one with `fluxlens embed`.")
        repository = open_repository(path)
        with reading(path):
            if snapshot is not None and DAY.fullmatch(snapshot):
                snapshot = within_deadline(path, lambda: snapshot_of_day(repository, snapshot))
            try:
                # A session is pinned to one snapshot: a writer that commits meanwhile changes nothing for this reader.
                which = {"snapshot_id": snapshot} if snapshot else {"branch": "main"}
                store = cls(
                    path, repository, within_deadline(path, lambda: repository.readonly_session(**which))
                )
            except icechunk_library().IcechunkError as error:
                if snapshot is None:
                    raise
                raise InputError(
                    f"Got the snapshot {snapshot!r}, need one of {list_ids(history(repository))}; choose one."
                ) from error
            # Attributes and coordinates have no checksum in the format, so the writer left a digest of them.
            whole = open_whole(store.arrays.zarr_store)
            # The newest commit may be of a writer's empty arrays; only here its message is worth a request.
            if whole is None and snapshot is None:
                newest = within_deadline(path, lambda: newest_cube(repository))
                if newest is None:
                    raise InputError(
                        f"Got the store {path}, which holds no embeddings yet, need a whole one; wait for its writer, "
                        "or give `fluxlens embed` again."
                    )
                if newest != store.snapshot:
                    # From the start: the digest of that commit has to be checked as well.
                    return cls.open(path, newest)
        # only stores from before both were introduced have neither the digest nor our fill values
        if whole is None:
            intact = not marks_missing(store.arrays.by_layout["maps"]["embedding"], "embedding")
        else:
            store.arrays.opened = whole
            intact = whole.own_digest == whole.digest
        if not intact:
            raise damaged(path, "its attributes or coordinates are not those written")
        return store

    @cached_property
    def grid(self) -> Grid:
        """Where the pixels are."""
        return Grid.from_cube(self.arrays.opened.unindexed)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.variables["y"].size, self.variables["x"].size

    @property
    def days(self) -> np.ndarray:
        """Days of the cube, datetime64[ns] at midnight UTC."""
        return self.variables["time"].values

    def at_snapshot(self, snapshot: str) -> Store:
        """An earlier or later state of the same store, with the same calibration.

        Parameters
        ----------
        snapshot
            Its id, or a day as of :meth:`open`.

        Returns
        -------
        Store
            This one where it is of that snapshot.

        Raises
        ------
        InputError
            Where the store has no such snapshot.
        """
        if snapshot == self.snapshot:
            return self
        other = Store.open(self.path, snapshot)
        other.calibration = self.calibration
        return other

    @property
    def coords(self) -> xr.Dataset:
        """The cube's coordinates, (time), (y), (x) in m and (feature), and attributes, in memory, without variables."""
        return self.arrays.coords

    @property
    def variables(self) -> dict[str, xr.Variable]:
        """Those of :attr:`coords` by name: (time), (y) and (x) in m, (feature); without indexes, which take long."""
        return self.arrays.opened.variables

    @property
    def attrs(self) -> dict[str, Any]:
        """The cube's attributes: model, digests, quantisation, whether simulated."""
        return self.arrays.opened.attrs

    @property
    def nbytes(self) -> int:
        """Bytes on disk, all snapshots and the scene included; of an object store, those of the chunks."""
        if not isinstance(self.path, Path):
            with reading(self.path):
                return self._repository.chunk_storage_stats().native_bytes
        # Whole files, chunks of earlier snapshots among them: what the disk gives up when the store is removed.
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def cube(self, layout: str | None = None) -> xr.Dataset:
        """The whole cube, lazily.

        Parameters
        ----------
        layout
            ``maps`` (the default) or ``series``: which one is read.

        Returns
        -------
        xarray.Dataset
            The embedding cube with dask arrays.

        Raises
        ------
        InputError
            For another layout; when computed, where a chunk is missing.
        """
        layout = layout or "maps"
        if layout not in LAYOUTS:
            raise InputError(f"Got the layout {layout!r}, need one of {', '.join(LAYOUTS)}.")
        return self.arrays.dataset(self.coords, self.arrays.lazy_codes(layout), ("time", "y", "x"))

    def map(self, day: Any) -> xr.Dataset:
        """One day of all pixels.

        Parameters
        ----------
        day
            Anything pandas reads as a date.

        Returns
        -------
        xarray.Dataset
            In memory; ``time`` is a scalar.

        Raises
        ------
        InputError
            For a day the cube does not have, and where a chunk is missing.
        """
        index = self.day_index(day)
        return self.arrays.read("maps", (index, slice(None), slice(None)))

    def frame(self, day: Any, rows: slice, cols: slice) -> xr.Dataset:
        """A rectangle of one day as finely as ``FRAME_BYTES`` allow; pixels of overviews are larger.

        An overview has the mean embedding of the pixels it covers and the worst of each quality.

        Parameters
        ----------
        day
            Anything pandas reads as a date.
        rows, cols
            Of the cube's own pixels.

        Returns
        -------
        xarray.Dataset
            In memory, (y, x) of the level that was read.
        """
        index = self.day_index(day)
        # The finest level whose bytes for this rectangle stay within a frame's bound.
        remote = not isinstance(self.path, Path)
        level, key = finest_level(self.arrays.by_layout, self.grid_shape, index, rows, cols, remote)
        return self.arrays.read_level(level, index, *key[1:], tuple(DTYPES))

    def tile(self, day: Any, level: int, rows: slice, cols: slice, quality: bool = True) -> xr.Dataset:
        """A rectangle of one day at a given level.

        Parameters
        ----------
        day
            Anything pandas reads as a date.
        level
            How many pixels a side are one (1, 2, 4 ...), averaged as of :meth:`frame`.
        rows, cols
            Count those larger pixels.
        quality
            Without it there is only the embedding, for half the chunks.

        Returns
        -------
        xarray.Dataset
            In memory, (y, x).

        Raises
        ------
        InputError
            For a level the store does not have.
        """
        if level not in self.arrays.levels:
            raise InputError(
                f"Got level {level}, need one of {', '.join(map(str, self.arrays.levels))}; choose one."
            )
        # Quality is a third of the bytes; layers that do not show it leave it unread.
        names = tuple(DTYPES) if quality else ("embedding",)
        return self.arrays.read_level(level, self.day_index(day), rows, cols, names)

    def series(self, row: int, col: int) -> xr.Dataset:
        """All days of one pixel; touches one chunk per array.

        Parameters
        ----------
        row, col
            Of the pixel.

        Returns
        -------
        xarray.Dataset
            In memory; ``y`` and ``x`` are scalars.

        Raises
        ------
        InputError
            Outside the cube, and where a chunk is missing.
        """
        # A negative index would count from the end without a word.
        for name, value, size in (("row", row, self.grid_shape[0]), ("column", col, self.grid_shape[1])):
            if not 0 <= value < size:
                raise InputError(f"Got {name} {value}, need 0 to {size - 1}; choose a pixel of the cube.")
        return self.arrays.read("series", (slice(None), int(row), int(col)))

    def window(self, days: slice, rows: slice, cols: slice) -> xr.Dataset:
        """A box of the cube, from the layout that touches fewer bytes.

        Parameters
        ----------
        days, rows, cols
            Integer slices, step 1.

        Returns
        -------
        xarray.Dataset
            In memory.
        """
        key = (days, rows, cols)
        return self.arrays.read(self.best_layout(key), key)

    def best_layout(self, key: BoxKey) -> str:
        """The layout that touches fewer bytes for a box.

        Parameters
        ----------
        key
            Integer slices: days, rows, columns.

        Returns
        -------
        str
            One of ``LAYOUTS``.
        """
        # Both layouts hold the same numbers; chunks and shards decide which one reads less.
        return min(LAYOUTS, key=lambda name: bytes_touched(self.arrays.by_layout[name].values(), key))

    def scene(self) -> xr.DataTree | None:
        """The scene the cube was made from, lazily; None where the store carries none.

        Returns
        -------
        xarray.DataTree or None
            Of the scene contract: ``/s2`` (time, band, y, x) reflectance 0-1, ``/s1`` dB, ``/weather``, ``/tower``.
        """
        import zarr

        with reading(self.path):
            if "scene" not in zarr.open_group(self.arrays.zarr_store, mode="r", zarr_format=3):
                return None
        from fluxlens.embeddings.readers import zarr as scenes

        # its values were checked when they were written, and every chunk has a checksum
        return scenes.open(self.arrays.zarr_store, group="scene", values=False)

    def true_colour_overviews(self) -> dict[int, xr.Dataset]:
        """Coarser true colour of a wide scene, as of ``true_colour.open_overviews``; empty where there is none.

        Returns
        -------
        dict
            By level, ``reflectance`` (time, band, y, x) 0-1 and ``clear`` (time, y, x), the share of clear pixels.
        """
        from fluxlens.embeddings.store import true_colour

        with reading(self.path):
            return true_colour.open_overviews(self.arrays.zarr_store)

    def log(self) -> list[Snapshot]:
        """Commits of the store at this moment, newest first; there may be newer ones than ``snapshot``."""
        with reading(self.path):
            return history(self._repository)

    def days_of(self, snapshots: Sequence[str]) -> list[np.ndarray]:
        """Days of the cube at other commits, of which nothing else is read.

        Parameters
        ----------
        snapshots
            Their ids.

        Returns
        -------
        list of numpy.ndarray
            Of each (time) datetime64[ns] at midnight UTC.

        Raises
        ------
        InputError
            Where one is damaged, or the store cannot be reached.
        """

        def days(snapshot: str) -> np.ndarray:
            with reading(self.path):
                session = within_deadline(
                    self.path, lambda: self._repository.readonly_session(snapshot_id=snapshot)
                )
                return read_days(zarr_store(self.path, session))

        # Of an object store each takes three requests, which wait for their answers.
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(days, snapshots))

    def newest_snapshot(self) -> Snapshot:
        """The newest commit of a cube at this moment, such as of an update; one request of an object store.

        Returns
        -------
        Snapshot
        """

        def newest() -> Snapshot:
            # ``ancestry`` is lazy: the commits behind the first that counts are not asked for.
            commits = self._repository.ancestry(branch="main")
            info = next(info for info in commits if info.message != EMPTY_MESSAGE)
            return Snapshot(info.id, pd.Timestamp(info.written_at), info.message)

        with reading(self.path):
            return within_deadline(self.path, newest)

    @cached_property
    def _calendar(self) -> np.ndarray:
        return self.days.astype("datetime64[D]")

    def day_index(self, day: Any) -> int:
        """Index of a day along time.

        Parameters
        ----------
        day
            Anything pandas reads as a date.

        Returns
        -------
        int

        Raises
        ------
        InputError
            For no date, and a day the cube does not have.
        """
        try:
            wanted = np.datetime64(pd.Timestamp(day), "ns").astype("datetime64[D]")
        except (ValueError, TypeError) as error:
            raise InputError(f"Got the day {day!r}, need a date such as 2020-05-01.") from error
        days = self._calendar
        # Days increase, but a store may have gaps between them: equality is checked below.
        index = int(np.searchsorted(days, wanted))
        if index == days.size or days[index] != wanted:
            raise InputError(f"Got the day {wanted}, need one from {days[0]} to {days[-1]}; choose another.")
        return index
