"""A store as plain Zarr for others: xarray alone opens it, and CF attributes decode it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.progress import Progress, Steps
from fluxlens.embeddings.store.layout import QUALITY
from fluxlens.embeddings.store.quantise import FEATURE_MISSING, NO_DAYS, SIGMA_MISSING, SIGMA_STEP, dequantise
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.variables import CUBE_VARIABLES

LAYOUTS = ("cf", "science-cube")
"""``cf``: bytes, a variable per feature, since attributes decode a variable as a whole. ``science-cube``: one float32
variable ``features`` (feature, time, y, x), a day a chunk, as DeepFeatures writes feature cubes."""

BOX = (32, 256, 256)
"""Days, rows, columns of a chunk of the layout ``cf``."""

QUALITY_ATTRS: dict[str, dict[str, Any]] = {
    "sigma": {"scale_factor": SIGMA_STEP, "_FillValue": SIGMA_MISSING},
    "days_from_s2": {"_FillValue": NO_DAYS},
    "days_from_s1": {"_FillValue": NO_DAYS},
}


def write_zarr(store: Store, path: Path, days: slice, layout: str = "cf") -> Steps[None]:
    """Write a store as Zarr version 2, all pixels, one box at a time in memory.

    Parameters
    ----------
    store
        To read from.
    path
        Of the new Zarr folder.
    days
        Integer slice along time.
    layout
        One of ``LAYOUTS``.

    Yields
    ------
    Progress
    """
    import zarr

    cube = store.cube().isel(time=days)
    coords = cube[["time", "y", "x", "spatial_ref"]].drop_encoding()
    coords.attrs = {**cube.attrs, "store_snapshot": store.snapshot, "Conventions": "CF-1.11"}
    coords.attrs.pop("quantisation", None)  # here the attributes of each variable give it
    shape = tuple(cube.sizes[dim] for dim in ("time", "y", "x"))
    if layout == "cf":
        box, arrays = tuple(map(min, BOX, shape)), _bytes(cube)
    else:
        box, arrays = (1, *shape[1:]), {"features": (np.dtype(np.float32), cube.sizes["feature"], {})}
        coords.attrs["center_wgs84"] = [round(float(degrees), 6) for degrees in _centre(store)]
    # xarray writes coordinates and attributes; arrays are made below, since their values come box by box.
    coords.to_zarr(path, mode="w", zarr_format=2, consolidated=False)
    group = zarr.open_group(path, mode="r+", zarr_format=2)
    _create_arrays(group, arrays, shape, box)
    corners = list(product(*(range(0, size, step) for size, step in zip(shape, box, strict=True))))
    for done, corner in enumerate(corners):
        # Not the path: that is a temporary one, renamed when it is whole.
        yield Progress("writing Zarr", done / len(corners))
        where = tuple(slice(a, min(a + n, size)) for a, n, size in zip(corner, box, shape, strict=True))
        # Read once per box and written to all variables: a variable at a time would read the store for each feature.
        cube_block = store.window(slice(days.start + where[0].start, days.start + where[0].stop), *where[1:])
        _write_box(group, where, cube_block, layout)
    # Last, when all arrays are there: readers over HTTP then need one request for all metadata.
    zarr.consolidate_metadata(path, zarr_format=2)


def _create_arrays(
    group: Any,
    arrays: dict[str, tuple[np.dtype, int, dict[str, Any]]],
    shape: tuple[int, ...],
    box: tuple[int, ...],
) -> None:
    """Arrays (time, y, x) without values, those of several features (feature, time, y, x), in chunks of a box."""
    for name, (dtype, features, attrs) in arrays.items():
        first = (features,) if features else ()
        group.create_array(
            name,
            shape=(*first, *shape),
            chunks=(*first, *box),
            dtype=dtype,
            # Version 2 of Zarr has a fill value of its own, which xarray reads as _FillValue.
            fill_value=attrs.pop("_FillValue", np.nan),
            attributes={
                # Zarr version 2 has no names of dimensions: this attribute is xarray's convention for them.
                "_ARRAY_DIMENSIONS": [*(["feature"] if features else []), "time", "y", "x"],
                "grid_mapping": "spatial_ref",
                **attrs,
            },
        )


def _write_box(group: Any, where: tuple[slice, ...], cube_block: xr.Dataset, layout: str) -> None:
    """Write a box of the store (time, y, x, feature) to all arrays, at ``where`` in (time, y, x)."""
    if layout == "cf":
        for i, name in enumerate(cube_block["feature"].values):
            group[str(name)][where] = cube_block["embedding"].values[..., i]
        for name, (encode, _) in QUALITY.items():
            group[name][where] = encode(cube_block[name].values)
    else:
        # Pixels that no store of a mosaic holds: floats have no _FillValue here.
        known = dequantise(cube_block).where(cube_block["embedding"] != FEATURE_MISSING)
        group["features"][(slice(None), *where)] = known.transpose("feature", ...).values


def _bytes(cube: xr.Dataset) -> dict[str, tuple[np.dtype, int, dict[str, Any]]]:
    """Dtype and attributes of each variable of the layout ``cf``."""
    arrays: dict[str, tuple] = {}
    for name, scale in zip(cube["feature"].values, cube["scale"].values, strict=True):
        attrs = {"scale_factor": float(scale), "_FillValue": FEATURE_MISSING}
        arrays[str(name)] = (
            np.dtype(np.int8),
            0,
            {"long_name": "feature of the embedding", "units": "1", **attrs},
        )
    for name, attrs in QUALITY_ATTRS.items():
        arrays[name] = np.dtype(np.uint8), 0, {**cube[name].attrs, **attrs}
        # without the note on -1: here missing values are marked by _FillValue
        arrays[name][2]["long_name"] = CUBE_VARIABLES[name].long_name
    return arrays


def _centre(store: Store) -> tuple[float, float]:
    """Latitude and longitude, in this order as in ScienceCubes."""
    left, bottom, right, top = store.grid.extent
    return store.grid.lonlat((left + right) / 2, (bottom + top) / 2)[::-1]
