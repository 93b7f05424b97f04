"""Opening the arrays and coordinates of a store: all in one call of Zarr's event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.store.layout import COORDS, DTYPES, LAYOUTS, level_layouts, with_text


def read_days(store: Any) -> np.ndarray:
    """Read the days of a store's cube, and nothing else.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    numpy.ndarray
        (time) datetime64[ns] at midnight UTC.
    """
    import zarr

    array = zarr.open_array(store, path="maps/time", mode="r", zarr_format=3)
    stored = xr.Variable("time", np.asarray(array[:]), dict(array.attrs))
    return xr.conventions.decode_cf_variable("time", stored).values.astype("datetime64[ns]")


def open_layouts(store: Any) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """Read the coordinates of a store's cube and open its arrays.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    coords
        Coordinates and attributes in memory, without data variables, as in a cube that never was on disk.
    arrays
        Zarr arrays by layout, overviews included, and name.
    """
    from zarr.core.sync import sync

    async def read_and_open() -> tuple[Any, ...]:
        attrs, variables = await _read_coords(store)
        shape = variables["y"].size, variables["x"].size
        return attrs, variables, await _open_arrays(store, shape)

    # One call for all: each waits for Zarr's event loop in its thread, which took half of the time of opening a store.
    attrs, variables, arrays = sync(read_and_open())
    return _decode_coords(attrs, variables), arrays


async def _open_arrays(store: Any, shape: tuple[int, int]) -> dict[str, dict[str, Any]]:
    import zarr

    root = await zarr.api.asynchronous.open_group(store, mode="r", zarr_format=3)
    layouts = [*LAYOUTS, *list(level_layouts(*shape).values())[1:]]
    keys = [(layout, name) for layout in layouts for name in DTYPES]
    opened = await asyncio.gather(*(root.getitem("/".join(key)) for key in keys))
    arrays: dict[str, dict[str, Any]] = {layout: {} for layout in layouts}
    for (layout, name), array in zip(keys, opened, strict=True):
        arrays[layout][name] = zarr.Array(array)
    return arrays


async def _read_coords(store: Any) -> tuple[dict[str, Any], dict[str, xr.Variable]]:
    """Attributes and coordinates of the maps layout as they are on disk."""
    import zarr

    group = await zarr.api.asynchronous.open_group(store, path="maps", mode="r", zarr_format=3)
    members = {name: array async for name, array in group.arrays() if name not in DTYPES}
    # Zarr forgets the order of a group's members; the cube's own is part of its contract.
    rank = {name: position for position, name in enumerate(COORDS)}
    arrays = {
        name: members[name] for name in sorted(members, key=lambda name: (rank.get(name, len(rank)), name))
    }
    values = await asyncio.gather(*(array.getitem(...) for array in arrays.values()))
    variables = {}
    for (name, array), value in zip(arrays.items(), values, strict=True):
        # xarray writes a fill value, NaN, with every float: as an attribute it says nothing of the coordinate.
        attrs = {key: one for key, one in array.attrs.items() if key != "_FillValue"}
        variables[name] = xr.Variable(array.metadata.dimension_names or (), np.asarray(value), attrs)
    return dict(group.attrs), variables


def _decode_coords(attrs: dict[str, Any], variables: dict[str, xr.Variable]) -> xr.Dataset:
    """Coordinates as they were before xarray wrote them."""
    decoded = xr.decode_cf(xr.Dataset(variables, attrs=attrs), decode_coords="all").drop_encoding()
    coords = {name: decoded[name] for name in variables}
    return _fixed_width_text(xr.Dataset(coords=coords, attrs=decoded.attrs))


def _fixed_width_text(dataset: xr.Dataset) -> xr.Dataset:
    """Text as numpy's own fixed-width strings, as in a cube that never was on disk."""
    return with_text(dataset, "OT", lambda text: np.array(text.tolist(), dtype=str))
