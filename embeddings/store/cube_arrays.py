"""The open arrays of one snapshot of a store: coordinates, codes as on disk, and reading boxes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.object_url import Location
from fluxlens.embeddings.store.layout import DTYPES, decode_layers, level_layouts, marks_missing
from fluxlens.embeddings.store.opening import Opened, open_layouts
from fluxlens.embeddings.store.repository import check_complete, reading
from fluxlens.embeddings.store.routing import dask_chunks, level_grid

DIMS = ("time", "y", "x")
"""Of a cube, and of the key of a box."""


class CubeArrays:
    """Zarr arrays of all layouts of a store, opened at the first use.

    Parameters
    ----------
    path
        Of the store, for errors.
    zarr_store
        The Zarr store of a session that is pinned to one snapshot.
    """

    def __init__(self, path: Location, zarr_store: Any) -> None:
        self.path = path
        self.zarr_store = zarr_store

    @cached_property
    def opened(self) -> Opened:
        """Coordinates and arrays in memory; opening them per click would cost more than the pixel."""
        with reading(self.path):
            return open_layouts(self.zarr_store)

    @property
    def coords(self) -> xr.Dataset:
        """Coordinates of the cube, (time), (y), (x) in m and (feature), and attributes, in memory, no variables."""
        return self.opened.coords

    @property
    def by_layout(self) -> dict[str, dict[str, Any]]:
        """Zarr arrays by layout, overviews included, and name."""
        return self.opened.arrays

    @cached_property
    def levels(self) -> dict[int, str]:
        """Layout of each level, by how many pixels a side are one."""
        return level_layouts(*(self.opened.variables[axis].size for axis in ("y", "x")))

    @cached_property
    def variable_attrs(self) -> dict[str, dict[str, Any]]:
        """Attributes of the cube's variables by name, without those by which Zarr readers find coordinates."""
        # From ``maps`` alone: all layouts were created with the same attributes.
        maps = self.by_layout["maps"]
        # xarray writes these for itself and makes them anew.
        hidden = {"grid_mapping", "coordinates"}
        own = {key: value for key, value in maps["embedding"].attrs.items() if key not in hidden}
        return {"embedding": own, **maps["quality"].attrs["layers"]}

    def lazy_codes(self, layout: str) -> dict[str, Any]:
        """All codes of a layout as on disk.

        Parameters
        ----------
        layout
            ``maps`` or ``series``.

        Returns
        -------
        dict
            Dask arrays by name: ``embedding`` (time, y, x, feature) int8, ``quality`` (time, y, x, layer) uint8. When
            computed, they raise InputError where a chunk is missing.
        """
        import dask.array as da

        lazy = {}
        with reading(self.path):
            for name, array in self.by_layout[layout].items():
                # Chunks of the store are blocks of dask, so that one block reads one object.
                values = da.from_zarr(array, chunks=dask_chunks(array))
                if marks_missing(array, name):
                    # ``meta`` is given, or dask would call the check on an empty array to learn its type.
                    values = values.map_blocks(
                        check_complete, self.path, name, dtype=array.dtype, meta=values._meta
                    )
                lazy[name] = values
        return lazy

    def read(self, layout: str, key: tuple[Any, Any, Any]) -> xr.Dataset:
        """Read a box of the cube from one layout.

        Parameters
        ----------
        layout
            ``maps`` or ``series``.
        key
            Days, rows and columns, as integers or slices.

        Returns
        -------
        xarray.Dataset
            Of the cube contract, in memory; dims of which ``key`` has an integer are scalars.
        """
        coords = self.coords.isel(dict(zip(DIMS, key, strict=True)))
        # As in NumPy, an integer in the key takes its dim away.
        dims = [dim for dim, index in zip(DIMS, key, strict=True) if isinstance(index, slice)]
        return self.dataset(coords, read_boxes([(self, layout, key)])[0], dims)

    def read_level(
        self, level: int, day: int, rows: slice, cols: slice, names: tuple[str, ...] = tuple(DTYPES)
    ) -> xr.Dataset:
        """Read a rectangle of one day at a level.

        Parameters
        ----------
        level
            One of ``levels``.
        day
            Index along time.
        rows, cols
            Count the larger pixels of the level.
        names
            Which arrays: ``embedding``, ``quality``.

        Returns
        -------
        xarray.Dataset
            Of the cube contract, in memory, (y, x) of the level.
        """
        # A coarser level has coordinates of its own: centres of its larger pixels.
        coords = self.coords.isel(time=day).drop_vars(("x", "y"))
        grid = level_grid(Grid.from_cube(self.coords), level)
        coords = coords.assign_coords(grid.window(rows, cols).coords())
        codes = read_boxes([(self, self.levels[level], (day, rows, cols))], names)[0]
        return self.dataset(coords, codes, ("y", "x"))

    def dataset(self, coords: xr.Dataset, codes: dict[str, Any], dims: Iterable[str]) -> xr.Dataset:
        """Decode codes into the variables of the cube contract.

        Parameters
        ----------
        coords
            Coordinates and attributes of the box.
        codes
            NumPy or dask arrays as on disk: ``embedding`` (..., feature) int8, ``quality`` (..., layer) uint8.
        dims
            Of ``...``.

        Returns
        -------
        xarray.Dataset
        """
        out = {"embedding": ((*dims, "feature"), codes["embedding"], self.variable_attrs["embedding"])}
        for name, data in decode_layers(codes["quality"]).items() if "quality" in codes else ():
            out[name] = (tuple(dims), data, self.variable_attrs[name])
        # Coordinates go in with the constructor, which takes over their indexes; assigning builds them anew.
        return xr.Dataset(out, coords.coords, coords.attrs)


def zarr_store(path: Location, session: Any) -> Any:
    """The Zarr store of a session; of an object store one that says what is wrong with the connection.

    Parameters
    ----------
    path
        Of the store.
    session
        Of Icechunk.

    Returns
    -------
    zarr.abc.store.Store
    """
    if isinstance(path, Path):
        return session.store
    from fluxlens.embeddings.store.remote import RemoteStore  # imports Zarr

    return RemoteStore(session.store, path)


def read_boxes(
    boxes: Sequence[tuple[CubeArrays, str, tuple[Any, ...]]], names: Iterable[str] = tuple(DTYPES)
) -> list[dict[str, np.ndarray]]:
    """Read boxes of several stores, all at once: one after another, each waits for Zarr's event loop anew.

    Parameters
    ----------
    boxes
        Of each the store's arrays, the layout, and day, rows and columns as integers or slices.
    names
        Which arrays: ``embedding``, ``quality``.

    Returns
    -------
    list of dict
        For each box the codes as on disk: ``embedding`` (..., feature) int8 and ``quality`` (..., layer) uint8, with
        the dims that the slices of its key leave.

    Raises
    ------
    InputError
        Where a chunk is missing or damaged, or a store cannot be reached.
    """
    import asyncio

    from zarr.core.sync import sync

    names = tuple(names)

    async def read(cube: CubeArrays, layout: str, name: str, key: tuple[Any, ...]) -> np.ndarray:
        array = cube.by_layout[layout][name]
        with reading(cube.path):
            # The async array itself: the synchronous one would enter the event loop, which this already runs in.
            codes = np.asarray(await array.async_array.getitem(key))
        return check_complete(codes, cube.path, name) if marks_missing(array, name) else codes

    async def read_all() -> list[np.ndarray]:
        return await asyncio.gather(
            *(read(cube, layout, name, key) for cube, layout, key in boxes for name in names)
        )

    # Opened here and not in the event loop, which the opening itself needs.
    for cube, *_ in boxes:
        _ = cube.by_layout
    # One flat list, arrays of one box after another: cut into boxes again.
    codes = sync(read_all())
    return [
        dict(zip(names, codes[i : i + len(names)], strict=True)) for i in range(0, len(codes), len(names))
    ]
