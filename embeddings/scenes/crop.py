"""The part of a scene inside a grid."""

from __future__ import annotations

import xarray as xr
from fluxlens.embeddings.geometry import Grid


def crop(scene: xr.DataTree, grid: Grid) -> xr.DataTree:
    """Crop the maps of a scene; nodes without ``x`` and ``y``, such as weather, stay whole.

    Parameters
    ----------
    scene
        Any nodes; each may have its own pixel size.
    grid
        In the CRS of the scene.

    Returns
    -------
    xarray.DataTree
        Nodes with the pixels (y, x) whose centres lie inside ``grid``, lazy where they were; attributes as they were.
    """
    left, bottom, right, top = grid.extent
    nodes = {}
    for name, node in scene.children.items():
        dataset = node.to_dataset(inherit=False)
        if {"x", "y"} <= set(dataset.dims):
            # Slices by value and not masks: a slice of a Zarr array stays one, and reads only its own chunks.
            dataset = dataset.sel(x=slice(left, right), y=slice(top, bottom))
        nodes[f"/{name}"] = dataset
    out = xr.DataTree.from_dict(nodes)
    out.attrs = scene.attrs
    return out
