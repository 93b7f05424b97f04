"""Several stores on one grid, read as one cube: each pixel comes from the one store that holds it.

Nothing is warped or blended. Stores that do not lie on one grid, or whose numbers cannot be compared, are refused when
they are opened. Pixels of the box around all stores that no store holds are unobserved.

Long on purpose: the reading methods of one class share where each store lies; levels and images have their own files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.object_url import Location, locate
from fluxlens.embeddings.scenes.crop import crop
from fluxlens.embeddings.scenes.reflectance_check import ATTR as FAULT
from fluxlens.embeddings.store.cube_arrays import read_boxes
from fluxlens.embeddings.store.layout import (
    DTYPES,
    FILL_VALUES,
    LAYOUTS,
    QUALITY,
    decode_layers,
    level_layouts,
)
from fluxlens.embeddings.store.mosaic_levels import read_level
from fluxlens.embeddings.store.mosaic_scene import combine_overviews, combine_scenes
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.store.routing import level_grid
from fluxlens.models.errors import InputError

T = TypeVar("T")

SAME_ATTRS = ("model", "model_digest", "causal", "quantisation")
"""Attributes that say how the numbers were made: with others beside them they would show a seam."""

READERS = 8
"""Stores in an object store that are opened at once."""

OFFSET_PX = 1e-3
"""Stores whose edges are this close to a multiple of the pixel lie on one grid: the rounding of coordinates."""


class Mosaic:
    """Stores on one grid as one cube, with the reading methods of a ``Store`` that exports and the dashboard need.

    Parameters
    ----------
    stores
        Opened, on one grid, without a pixel in two of them.

    Raises
    ------
    InputError
        Where there is none, where they overlap, or differ in CRS, grid, weights or days.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        if not stores:
            raise InputError("Got a mosaic of no stores, need at least one; add its path.")
        self.stores = tuple(stores)
        self.calibration: Any = None
        grids = [store.grid for store in self.stores]
        for store in self.stores[1:]:
            _check_compatible(self.stores[0], store)
        extents = np.array([grid.extent for grid in grids])
        left, top, size = extents[:, 0].min(), extents[:, 3].max(), grids[0].size_m
        # Rounding is safe: the offsets were found to be whole pixels.
        self._rows, self._cols = [], []
        for grid in grids:
            row, col = round((top - grid.top_m) / size), round((grid.left_m - left) / size)
            self._rows.append(slice(row, row + grid.ny))
            self._cols.append(slice(col, col + grid.nx))
        ny, nx = max(rows.stop for rows in self._rows), max(cols.stop for cols in self._cols)
        self.grid = Grid(grids[0].crs, float(left), float(top), size, nx, ny)
        # The edges of all stores cut the box into cells, each of them in one store or in none.
        self._row_edges = sorted({edge for rows in self._rows for edge in (rows.start, rows.stop)})
        self._col_edges = sorted({edge for cols in self._cols for edge in (cols.start, cols.stop)})
        self._owner = self._owners()

    @classmethod
    def open(
        cls,
        paths: Sequence[str | Location],
        snapshot: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Mosaic:
        """Open the stores of a mosaic.

        Parameters
        ----------
        paths
            Of the stores.
        snapshot
            As of :attr:`snapshot`; None: the newest of each.
        storage_options
            As of ``Store.open``, of all stores.

        Returns
        -------
        Mosaic

        Raises
        ------
        InputError
            As of ``Store.open`` and of the class, and for another number of snapshots than stores.
        """
        ids = [None] * len(paths) if snapshot is None else _split_snapshot(snapshot, len(paths))
        located = [locate(path, storage_options) for path in paths]
        return cls(_for_each(Store.open, located, ids))

    @property
    def snapshot(self) -> str:
        """Snapshot ids of the stores in their order, with commas between them."""
        return ",".join(store.snapshot for store in self.stores)

    def at_snapshot(self, snapshot: str) -> Mosaic:
        """An earlier or later state of the same stores, with the same calibration.

        Parameters
        ----------
        snapshot
            As of :attr:`snapshot`.

        Returns
        -------
        Mosaic

        Raises
        ------
        InputError
            Where a store has no such snapshot, and for another number of snapshots than stores.
        """
        ids = _split_snapshot(snapshot, len(self.stores))
        other = Mosaic(_for_each(Store.at_snapshot, self.stores, ids))
        other.calibration = self.calibration
        return other

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows, columns of the box around all stores."""
        return self.grid.shape

    @property
    def days(self) -> np.ndarray:
        """Days of the cube (time), datetime64[ns] at midnight UTC."""
        return self.stores[0].days

    @property
    def attrs(self) -> dict[str, Any]:
        """The cube's attributes: those all stores share; of texts that differ, all of them with commas between."""
        known = [store.attrs for store in self.stores]
        out = {}
        for name, value in known[0].items():
            values = [one.get(name) for one in known]
            if all(other == value for other in values):
                out[name] = value
            elif all(isinstance(other, str) for other in values):
                out[name] = ", ".join(dict.fromkeys(values))
        # As is one store of wrong reflectance: the seams of what is flagged would look like land.
        faults = dict.fromkeys(one[FAULT] for one in known if FAULT in one)
        if faults:
            out[FAULT] = ", ".join(faults)
        # One simulated store is enough for the whole not to be an observation.
        if any("simulated" in one for one in known):
            out["simulated"] = max(one.get("simulated", 0) for one in known)
        return out

    def cube(self, layout: str | None = None) -> xr.Dataset:
        """The whole cube, lazily: chunks are those of the stores, cut at their edges.

        Parameters
        ----------
        layout
            ``maps`` (the default) or ``series``: which one is read.

        Returns
        -------
        xarray.Dataset
            ``embedding`` (time, y, x, feature) int8 steps of ``scale``, ``sigma`` reflectance 0-1, ``days_from_s2`` and
            ``days_from_s1`` (time, y, x) in days, as dask arrays; where no store is, -128, NaN, -1 and -1.
        """
        import dask.array as da

        layout = layout or "maps"
        if layout not in LAYOUTS:
            raise InputError(f"Got the layout {layout!r}, need one of {', '.join(LAYOUTS)}.")
        known = [store.arrays.lazy_codes(layout) for store in self.stores]
        chunked = {}
        # Strips of cells are joined along x, then along y: each cell is whole in one store, or a gap.
        for name, fill in FILL_VALUES.items():
            arrays = [codes[name] for codes in known]
            cells: list[list[Any]] = []
            for i, owners in enumerate(self._owner):
                rows = slice(*self._row_edges[i : i + 2])
                cells.append([])
                for j, owner in enumerate(owners):
                    cols = slice(*self._col_edges[j : j + 2])
                    if owner >= 0:
                        window = self._within(owner, rows, cols)
                        cells[-1].append(arrays[owner][(slice(None), *window)])
                        continue
                    # A gap has one block per day, as maps have, so that a year of it is never in memory at once.
                    days, *last = arrays[0].shape[0], *arrays[0].shape[3:]
                    shape = (days, rows.stop - rows.start, cols.stop - cols.start, *last)
                    chunks = (arrays[0].chunks[0], *(-1 for _ in shape[1:]))
                    cells[-1].append(da.full(shape, fill, dtype=arrays[0].dtype, chunks=chunks))
            chunked[name] = da.concatenate([da.concatenate(row, axis=2) for row in cells], axis=1)
        return self._dataset(chunked, slice(None), slice(None), slice(None))

    def series(self, row: int, col: int) -> xr.Dataset:
        """All days of one pixel; touches one chunk per array, of one store.

        Parameters
        ----------
        row, col
            Of the pixel in the box around all stores.

        Returns
        -------
        xarray.Dataset
            In memory, (time), units as of :meth:`cube`; ``y`` and ``x`` are scalars.

        Raises
        ------
        InputError
            Outside the box, and where a chunk is missing.
        """
        # A negative index would count from the end without a word.
        for name, value, size in (("row", row, self.grid.ny), ("column", col, self.grid.nx)):
            if not 0 <= value < size:
                raise InputError(f"Got {name} {value}, need 0 to {size - 1}; choose a pixel of the cube.")
        return self.window(slice(None), slice(row, row + 1), slice(col, col + 1)).isel(y=0, x=0)

    def window(self, days: slice, rows: slice, cols: slice) -> xr.Dataset:
        """A box of the cube, read from the stores that it touches.

        Parameters
        ----------
        days, rows, cols
            Integer slices, step 1.

        Returns
        -------
        xarray.Dataset
            In memory, (time, y, x), values and units as of :meth:`cube`.
        """
        # Resolved against the box first: negative and open ends mean those of the box, not of each store.
        top, bottom, _ = rows.indices(self.grid.ny)
        left, right, _ = cols.indices(self.grid.nx)
        count = len(range(*days.indices(self.days.size)))
        # A canvas of fill values: what no store writes over below stays unobserved.
        values = self._canvas((count, max(0, bottom - top), max(0, right - left)))
        places, boxes = [], []
        # All reads are collected first, so that stores behind a network are waited for together.
        for at in self._touched(slice(top, bottom), slice(left, right)):
            # The part of this store's rectangle that lies in the box, counted in pixels of the mosaic.
            shared_rows = slice(max(top, self._rows[at].start), min(bottom, self._rows[at].stop))
            shared_cols = slice(max(left, self._cols[at].start), min(right, self._cols[at].stop))
            places.append(
                (
                    slice(shared_rows.start - top, shared_rows.stop - top),
                    slice(shared_cols.start - left, shared_cols.stop - left),
                )
            )
            key = (days, *self._within(at, shared_rows, shared_cols))
            boxes.append((self.stores[at].arrays, self.stores[at].best_layout(key), key))
        for place, codes in zip(places, read_boxes(boxes), strict=True):
            for name, array in values.items():
                array[(slice(None), *place)] = codes[name]
        return self._dataset(values, days, rows, cols)

    def map(self, day: Any) -> xr.Dataset:
        """One day of all pixels.

        Parameters
        ----------
        day
            Anything pandas reads as a date.

        Returns
        -------
        xarray.Dataset
            In memory, (y, x), values and units as of :meth:`cube`; ``time`` is a scalar.

        Raises
        ------
        InputError
            For a day the cube does not have, and where a chunk is missing.
        """
        index = self.stores[0].day_index(day)
        return self.window(slice(index, index + 1), slice(None), slice(None)).isel(time=0)

    def tile(self, day: Any, level: int, rows: slice, cols: slice, quality: bool = True) -> xr.Dataset:
        """A rectangle of one day at a given level, from the overviews of the stores that it touches.

        Where a store begins at a multiple of ``level`` pixels of the box, its numbers are those of one store over the
        box; elsewhere its overview is shown up to half of a coarse pixel away from its place.

        Parameters
        ----------
        day
            Anything pandas reads as a date.
        level
            How many pixels a side are one (1, 2, 4 ...), averaged as of ``Store.frame``.
        rows, cols
            Count those larger pixels, of the box around all stores.
        quality
            Without it there is only the embedding.

        Returns
        -------
        xarray.Dataset
            In memory, (y, x), values and units as of :meth:`cube`; ``time`` is a scalar.

        Raises
        ------
        InputError
            For a level or day that the box does not have, and where a chunk is missing.
        """
        levels = level_layouts(*self.grid_shape)
        if level not in levels:
            raise InputError(f"Got level {level}, need one of {', '.join(map(str, levels))}; choose one.")
        grid, index = level_grid(self.grid, level), self.stores[0].day_index(day)
        rows, cols = (
            slice(*span.indices(size)[:2]) for span, size in zip((rows, cols), grid.shape, strict=True)
        )
        shape = (max(0, rows.stop - rows.start), max(0, cols.stop - cols.start))
        values = self._canvas(shape, tuple(DTYPES) if quality else ("embedding",))
        places = list(zip(self.stores, self._rows, self._cols, strict=True))
        for row_span, col_span, codes in read_level(
            places, self.grid_shape, index, level, rows, cols, quality
        ):
            for name, array in values.items():
                array[row_span, col_span] = codes[name]
        return self._dataset(values, index, rows, cols, grid)

    def scene(self) -> xr.DataTree | None:
        """The images of all scenes on one grid, lazily, and the weather where all stores carry the same one.

        Returns
        -------
        xarray.DataTree or None
            Of the scene contract: ``/s2`` (time, band, y, x) reflectance 0-1 and ``/s1`` dB, NaN and not clear where a
            store has no image of that time; ``/weather``; ``/tower``, the first of the stores. None where no store
            carries any of them.
        """
        return combine_scenes(self._scenes, self._places, self.grid)

    def true_colour_overviews(self) -> dict[int, xr.Dataset]:
        """Coarser true colour of wide scenes, as of ``Store.true_colour_overviews``.

        Returns
        -------
        dict
            By level, ``reflectance`` (time, band, y, x) 0-1 and ``clear`` (time, y, x), the share of clear pixels;
            empty where a store has none, or none that fits those beside it.
        """
        overviews = _for_each(Store.true_colour_overviews, self.stores)
        # Before the scenes are opened for their times: small ones have no overviews.
        return combine_overviews(self._scenes, overviews, self._places, self.grid) if all(overviews) else {}

    @cached_property
    def _scenes(self) -> list[xr.DataTree | None]:
        """Of each store, opened once: a store may carry a scene that is larger than its cube."""
        scenes = _for_each(Store.scene, self.stores)
        return [
            scene if scene is None else crop(scene, store.grid)
            for scene, store in zip(scenes, self.stores, strict=True)
        ]

    @property
    def _places(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each store in the box."""
        return list(zip(self._rows, self._cols, strict=True))

    no_weather = "the stores carry no weather, or not all the same"
    """Why there may be no GPP."""

    @property
    def has_gaps(self) -> bool:
        """Whether the box has pixels that no store holds."""
        return bool((self._owner < 0).any())

    @property
    def nbytes(self) -> int:
        """Bytes of all stores, as of ``Store.nbytes``."""
        return sum(store.nbytes for store in self.stores)

    def covers(self, rows: Any, cols: Any) -> np.ndarray:
        """Whether a store holds each pixel.

        Parameters
        ----------
        rows, cols
            (pixel,) indices in the box, or scalars.

        Returns
        -------
        numpy.ndarray
            (pixel,) bool.
        """
        # "right": a pixel on an edge belongs to the cell that begins there.
        i = np.searchsorted(self._row_edges, rows, "right") - 1
        j = np.searchsorted(self._col_edges, cols, "right") - 1
        return self._owner[i, j] >= 0

    def _dataset(
        self, values: dict[str, Any], days: slice | int, rows: slice, cols: slice, grid: Grid | None = None
    ) -> xr.Dataset:
        """The variables of the cube contract on a window of the box, or of a coarser ``grid`` of it, of their bytes."""
        dims = ("time", "y", "x") if isinstance(days, slice) else ("y", "x")
        # Coordinates without a place, and attributes of variables, are those of all stores.
        attrs, known = self.stores[0].arrays.variable_attrs, self.stores[0].coords
        out = {"embedding": ((*dims, "feature"), values["embedding"], attrs["embedding"])}
        for name, array in decode_layers(values["quality"]).items() if "quality" in values else ():
            out[name] = (dims, array, attrs[name])
        coords = (grid or self.grid).window(rows, cols).coords()
        for axis in ("x", "y"):
            coords[axis].attrs = dict(known[axis].attrs)
        # What lies on the right wins: the box has its own places, and all else is that of the first store.
        at_box = {name: known[name].variable for name in known.coords} | coords
        at_box["time"] = known["time"].variable[days]
        return xr.Dataset(out, at_box, self.attrs)

    def _canvas(self, shape: tuple[int, ...], names: Sequence[str] = tuple(DTYPES)) -> dict[str, np.ndarray]:
        """Bytes of ``shape`` pixels that no store holds, by array: they decode to NaN and -1."""
        last = {"embedding": self.stores[0].coords.sizes["feature"], "quality": len(QUALITY)}
        return {name: np.full((*shape, last[name]), FILL_VALUES[name], DTYPES[name]) for name in names}

    def _within(self, at: int, rows: slice, cols: slice) -> tuple[slice, slice]:
        """Pixels of the mosaic, counted in those of a store that holds them."""
        row, col = self._rows[at].start, self._cols[at].start
        return slice(rows.start - row, rows.stop - row), slice(cols.start - col, cols.stop - col)

    def _touched(self, rows: slice, cols: slice) -> Iterator[int]:
        for at, (mine, across) in enumerate(zip(self._rows, self._cols, strict=True)):
            if max(mine.start, rows.start) < min(mine.stop, rows.stop) and (
                max(across.start, cols.start) < min(across.stop, cols.stop)
            ):
                yield at

    def _owners(self) -> np.ndarray:
        """Index of the store of each cell (row, column), -1 of none; InputError where two stores hold one."""
        # A table of cells and not of pixels: its size depends on the number of stores alone.
        owner = np.full((len(self._row_edges) - 1, len(self._col_edges) - 1), -1)
        for at, (rows, cols) in enumerate(zip(self._rows, self._cols, strict=True)):
            cells = (
                slice(*np.searchsorted(self._row_edges, (rows.start, rows.stop))),
                slice(*np.searchsorted(self._col_edges, (cols.start, cols.stop))),
            )
            # The largest index of a store among the cells: -1 where all are still free.
            taken = owner[cells].max()
            # Which of two numbers is right nobody has said, so none is preferred.
            if taken >= 0:
                raise InputError(
                    f"Got the stores {self.stores[taken].path} and {self.stores[at].path}, which overlap, need each"
                    " pixel in one store; leave one out, or write it without the other's pixels."
                )
            owner[cells] = at
        return owner


def _for_each(function: Callable[..., T], places: Sequence[Any], *arguments: Sequence[Any]) -> list[T]:
    """Call a function for stores or their locations, in their order; those in an object store wait together."""
    jobs = list(zip(places, *arguments, strict=True))
    # On a disk opening is work of Python alone, which threads would only do in turn, and slower.
    if all(isinstance(getattr(place, "path", place), Path) for place in places) or len(jobs) < 2:
        return [function(*job) for job in jobs]
    with ThreadPoolExecutor(min(READERS, len(jobs))) as pool:
        return list(pool.map(lambda job: function(*job), jobs))


def _check_compatible(first: Store, other: Store) -> None:
    """InputError where two stores cannot be one cube: CRS, pixels, weights or days."""
    grid, other_grid = first.grid, other.grid
    both = f"Got the stores {first.path} and {other.path}"
    if other_grid.crs != grid.crs:
        raise InputError(
            f"{both} in {_short(grid.crs)} and {_short(other_grid.crs)}, need one CRS; make an entry of each, nothing"
            " is warped here."
        )
    if other_grid.size_m != grid.size_m:
        raise InputError(
            f"{both} of {grid.size_m:g} m and {other_grid.size_m:g} m pixels, need one size; make an entry of each."
        )
    for axis, offset_m in (("x", other_grid.left_m - grid.left_m), ("y", other_grid.top_m - grid.top_m)):
        offset = offset_m / grid.size_m
        if abs(offset - round(offset)) > OFFSET_PX:
            raise InputError(
                f"{both}, whose pixels lie {offset_m:g} m apart along {axis}, need a multiple of {grid.size_m:g} m;"
                " embed both on one grid."
            )
    for name in SAME_ATTRS:
        mine, theirs = first.attrs.get(name), other.attrs.get(name)
        if mine != theirs:
            raise InputError(
                f"{both} with {name} {mine} and {theirs}, need the same; embed both with the same weights and options."
            )
    for name in ("feature", "scale"):
        # Bytes are handed on as they are: one step must mean the same in all stores.
        if not first.variables[name].equals(other.variables[name]):
            raise InputError(f"{both} with another {name}, need the same; embed both with the same weights.")
    if not np.array_equal(first.days, other.days):
        mine, theirs = (
            f"{days.size} days from {days[0]} to {days[-1]}"
            for days in (store.days.astype("datetime64[D]") for store in (first, other))
        )
        raise InputError(
            f"{both} of {mine} and {theirs}, need the same days; embed both with the same --start and --end."
        )


def _short(crs: str) -> str:
    """A CRS for an error: WKT goes over many lines."""
    return crs if len(crs) <= 20 else f"{crs[:20]}..."


def _split_snapshot(snapshot: str, count: int) -> list[str]:
    ids = snapshot.split(",")
    if len(ids) != count:
        raise InputError(
            f"Got the snapshot {snapshot!r} of {len(ids)} stores, need one id for each of {count}, with commas between"
            " them; correct it."
        )
    return ids
