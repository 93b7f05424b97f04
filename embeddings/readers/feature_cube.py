"""A DeepFeatures feature cube (published embeddings, to compare ours with) as a cube of embeddings, lazily.

``features`` (feature, time, y, x) float32, NaN under cloud and at the border, only days with a Sentinel-2 image. The
CRS is ``spatial_ref`` or the attribute ``utm_zone``, as in a ScienceCube.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers.science_cube import crs_of, in_order, opened
from fluxlens.models.errors import DataWarning, InputError

DIMS = ("feature", "time", "y", "x")


def is_feature_cube(path: str | Path) -> bool:
    """Whether a folder looks like a feature cube, without opening it.

    Parameters
    ----------
    path
        Folder.

    Returns
    -------
    bool
        True where it has ``features`` and no Sentinel-2 images.
    """
    return (Path(path) / "features").is_dir() and not (Path(path) / "s2l2a").exists()


def open(path: str | Path) -> xr.Dataset:
    """A feature cube as a cube of embeddings.

    Parameters
    ----------
    path
        Its Zarr folder.

    Returns
    -------
    xarray.Dataset
        ``embedding`` (time, y, x, feature) float32 of unit ``scale``, gaps NaN; one image per UTC day.

    Raises
    ------
    InputError
        No ``features`` with the dims of the format.

    Warns
    -----
    DataWarning
        Images of a day that another one has.
    """
    cube = opened(path, "a feature cube")
    dims = cube["features"].dims if "features" in cube else None
    if dims != DIMS or not {"time", "y", "x"} <= set(cube.coords):
        got = f"features {dims}" if dims else "no features"
        raise InputError(
            f"Got {path} with {got}, need features {DIMS} and coordinates time, y, x; check it is a feature cube."
        )
    features = cube[["features"]].drop_vars([*cube.coords.keys() - {"time", "y", "x"}])
    notes: list[str] = []
    features = in_order(features.assign_coords(spatial_ref=crs_of(path, cube)), notes)
    if notes:
        warnings.warn(f"{Path(path).name}: {notes[0]}.", DataWarning, stacklevel=2)
    # Published features are floats of their own size: a scale of 1 leaves them as they are.
    count = features.sizes["feature"]
    out = features.rename(features="embedding").transpose("time", "y", "x", "feature").astype(np.float32)
    out["embedding"].attrs = {"long_name": "feature of the published embedding", "units": "1"}
    out = out.assign_coords(
        Grid.from_cube(out).coords()
        | {
            "feature": [f"e{i:02d}" for i in range(count)],
            "scale": ("feature", np.ones(count, np.float32)),
        }
    )
    name = str(cube.attrs.get("id", Path(path).stem))
    # Only what the contract names: attributes of the source's own tools mean nothing here.
    copied = {
        key: cube.attrs[key] for key in ("simulated", "scene_digest", "model_digest") if key in cube.attrs
    }
    out.attrs = {}
    return out.assign_attrs(
        {"simulated": 0, **copied},
        title=f"Feature cube {name}",
        model=str(cube.attrs.get("model", "DeepFeatures")),
        scene_id=str(cube.attrs.get("scene_id", name)),
    )
