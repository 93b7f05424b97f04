"""The scenes that the stores of a mosaic carry, as one: images beside each other, one weather, one tower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import Grid

Places = Sequence[tuple[slice, slice]]
"""Rows and columns of each store in the box around all of them."""


def combine_scenes(scenes: Sequence[xr.DataTree | None], places: Places, grid: Grid) -> xr.DataTree | None:
    """Put the scenes of all stores together.

    Parameters
    ----------
    scenes
        Of each store; None where it carries none.
    places
        Of each store, in pixels of ``grid``.
    grid
        Around all stores.

    Returns
    -------
    xarray.DataTree or None
        Images (time, band, y, x), lazily, of sensors whose pixels and bands are the same in all scenes;
        ``/weather`` where all stores have the same one, ``/tower`` of the first that has one.
    """
    nodes: dict[str, xr.Dataset] = {}
    known = [scene for scene in scenes if scene is not None]
    for name in dict.fromkeys(name for scene in known for name in scene.children):
        nodes_by_store = [_node(scene, name) for scene in scenes]
        if name == "tower":
            nodes["/tower"] = next(node for node in nodes_by_store if node is not None)
        elif name == "weather":
            # GPP is predicted from one weather: with that of a neighbour it would be another number than the store's.
            if all(node is not None for node in nodes_by_store):
                weather = nodes_by_store[0].load()
                if all(node.load().equals(weather) for node in nodes_by_store[1:]):
                    nodes["/weather"] = weather
        elif (combined := _side_by_side(nodes_by_store, places, grid)) is not None:
            nodes[f"/{name}"] = combined
    if not nodes:
        return None
    titles = dict.fromkeys(str(scene.attrs["title"]) for scene in known if "title" in scene.attrs)
    attrs = known[0].attrs | ({"title": ", ".join(titles)} if titles else {})
    # One simulated scene is enough for the whole not to be an observation.
    if any("simulated" in scene.attrs for scene in known):
        attrs["simulated"] = max(scene.attrs.get("simulated", 0) for scene in known)
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **nodes})


def combine_overviews(
    scenes: Sequence[xr.DataTree | None],
    overviews: Sequence[dict[int, xr.Dataset]],
    places: Places,
    grid: Grid,
) -> dict[int, xr.Dataset]:
    """Put the true-colour overviews of all stores together.

    Parameters
    ----------
    scenes, places, grid
        As of :func:`combine_scenes`.
    overviews
        Of each store, by level.

    Returns
    -------
    dict
        By level, ``reflectance`` (time, band, y, x) 0-1 and ``clear`` (time, y, x) 0-1, for levels that all stores have
        and at whose pixels all of them begin.
    """
    images = [_node(scene, "s2") for scene in scenes]
    if any(image is None for image in images):
        return {}
    out = {}
    for level in set.intersection(*(set(one) for one in overviews)):
        levels_by_store = [
            # An overview counts its images; their times are those of the scene.
            one[level].assign_coords(time=image["time"].values)
            for one, image in zip(overviews, images, strict=True)
        ]
        combined = _side_by_side(levels_by_store, places, grid, level, images)
        if combined is not None:
            out[level] = combined
    return out


def _node(scene: xr.DataTree | None, name: str) -> xr.Dataset | None:
    return scene[name].to_dataset() if scene is not None and name in scene.children else None


def _side_by_side(
    datasets: Sequence[xr.Dataset | None],
    places: Places,
    grid: Grid,
    level: int = 1,
    images: Sequence[xr.Dataset] | None = None,
) -> xr.Dataset | None:
    """One dataset of maps from those of all stores; None where their pixels or bands do not fit together."""
    present = [
        i for i, dataset in enumerate(datasets) if dataset is not None and {"y", "x"} <= set(dataset.dims)
    ]
    if not present:
        return None
    # Bands, attributes and dims are taken from the first one; the others must agree with it.
    first = datasets[present[0]]
    starts = []
    for i in present:
        # 20 m sensors have one pixel for two of the grid, overviews one for ``level`` of the image.
        own = (images or datasets)[i].sizes["x"]
        height, width = (place.stop - place.start for place in places[i])
        # ``ratio``: grid pixels a side of one pixel of the image. It must be whole, the same along both axes and for
        # all stores, and each store must begin at a whole pixel: else pixels would have to be resampled.
        ratio, odd = divmod(width * level, own)
        odd = odd or height * level != ratio * (images or datasets)[i].sizes["y"]
        at = [divmod(place.start, max(1, ratio)) for place in places[i]]
        same_bands = "band" not in first.coords or datasets[i]["band"].equals(first["band"])
        if odd or any(rest for _, rest in at) or not datasets[i].indexes["time"].is_unique or not same_bands:
            return None
        starts.append((ratio, [start for start, _ in at]))
    # One store with 10 m and one with 20 m images cannot lie in one array.
    if len({ratio for ratio, _ in starts}) != 1:
        return None
    ratio = starts[0][0]
    # The union of all times: neighbouring tiles of one orbit share most, those of two orbits none.
    times = pd.DatetimeIndex(sorted(set().union(*(datasets[i].indexes["time"] for i in present))))
    shape = tuple(-(-size // ratio) for size in grid.shape)
    corners = [start for _, start in starts]
    placed = [datasets[i] for i in present]
    for (y, x), dataset in zip(corners, placed, strict=True):
        # A scene may be larger than its cube; what reaches out of the box has no place in it.
        if y + dataset.sizes["y"] > shape[0] or x + dataset.sizes["x"] > shape[1]:
            return None
    out: dict[str, Any] = {}
    for name, variable in first.data_vars.items():
        if {"y", "x"} <= set(variable.dims):
            maps = [dataset[name].transpose(..., "y", "x") for dataset in placed]
            dims = maps[0].dims
            out[name] = (dims, _assemble(maps, times, corners, shape), variable.attrs)
        elif variable.dims == ("time",):
            # Facts of an acquisition, such as its orbit, from the first store that has it.
            column = pd.concat([dataset[name].to_series() for dataset in placed])
            out[name] = ("time", column[~column.index.duplicated()].reindex(times).values, variable.attrs)
    coords = {"time": times} | ({"band": first["band"].values} if "band" in first.coords else {})
    pixels = Grid(grid.crs, grid.left_m, grid.top_m, grid.size_m * ratio, shape[1], shape[0])
    return xr.Dataset(out, coords | pixels.coords(), first.attrs)


def _assemble(
    maps: Sequence[xr.DataArray],
    times: pd.DatetimeIndex,
    corners: Sequence[list[int]],
    shape: tuple[int, int],
) -> Any:
    """Maps (time[, band], y, x) on one canvas of ``shape``, lazily; NaN or False where there is none."""
    import dask.array as da

    # Chunks of the file are those of the graph, so that a tap reads one.
    lazy = [_on_times(one, times) for one in maps]
    fill = False if lazy[0].dtype == bool else np.nan
    # The edges of all maps cut the canvas into cells, each of them whole in one map or in none.
    edges = []
    for axis in (0, 1):
        ends = [corner[axis] + one.shape[axis - 2] for corner, one in zip(corners, lazy, strict=True)]
        edges.append(sorted({0, shape[axis], *(corner[axis] for corner in corners), *ends}))
    rows = []
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        row = []
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            for (y, x), one in zip(corners, lazy, strict=True):
                if y <= top and bottom <= y + one.shape[-2] and x <= left and right <= x + one.shape[-1]:
                    row.append(one[..., top - y : bottom - y, left - x : right - x])
                    break
            else:
                size = (*lazy[0].shape[:-2], bottom - top, right - left)
                chunks = (*lazy[0].chunks[:-2], -1, -1)
                row.append(da.full(size, fill, lazy[0].dtype, chunks=chunks))
        rows.append(da.concatenate(row, axis=-1))
    return da.concatenate(rows, axis=-2)


def _on_times(array: xr.DataArray, times: pd.DatetimeIndex) -> Any:
    """A lazy map (time[, band], y, x) at all ``times``; NaN or False at those that it does not have."""
    # Chunks of the file: others would have dask read and decode an object several times.
    known = array.encoding.get("preferred_chunks") or {}
    chunked = array.chunk({dim: known.get(dim, -1) for dim in array.dims}) if array.chunks is None else array
    if not chunked.indexes["time"].equals(times):
        chunked = chunked.reindex(time=times, fill_value=False if array.dtype == bool else np.nan)
    return chunked.data
