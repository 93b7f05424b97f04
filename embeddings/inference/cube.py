"""The embedding cube as a dataset: variables, coordinates and attributes of the contract."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.inference.request import Request
from fluxlens.embeddings.scenes import digest as scenes_digest
from fluxlens.embeddings.scenes import reflectance_check
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.embeddings.variables import CUBE_VARIABLES, SCALE
from fluxlens.models.embedder import Embedder

from fluxlens import embeddings

DTYPES = {"embedding": np.int8, "sigma": np.float32, "days_from_s2": np.int16, "days_from_s1": np.int16}
"""Of the cube's variables in memory."""


def shapes_and_dtypes(shape: tuple[int, int, int], features: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of each variable of a cube.

    Parameters
    ----------
    shape
        (time, y, x): days and pixels.
    features
        Numbers of an embedding.

    Returns
    -------
    dict
        Shape, with ``features`` last for ``embedding``, and numpy dtype by variable.
    """
    return {n: ((*shape, features) if n == "embedding" else shape, dtype) for n, dtype in DTYPES.items()}


def build_cube(
    request: Request, model: Embedder, rows: slice, cols: slice, arrays: dict, attrs: dict
) -> xr.Dataset:
    """The embedding cube of its arrays.

    Parameters
    ----------
    request
        Gives the days and the grid.
    model
        Gives the scale of each feature.
    rows, cols
        Of the scene's 10 m grid.
    arrays
        By variable, numpy or dask: ``embedding`` (time, y, x, feature) int8, ``sigma`` (time, y, x) in reflectance 0-1,
        ``days_from_s2`` and ``days_from_s1`` (time, y, x) in days.
    attrs
        Of :func:`cube_attrs`.

    Returns
    -------
    xarray.Dataset
        With the coordinates ``time``, ``y``, ``x`` (metres at pixel centres), ``feature``, ``scale``, ``spatial_ref``.
    """
    dims = ("time", "y", "x")
    data = {
        name: ((*dims, "feature") if name == "embedding" else dims, array, CUBE_VARIABLES[name].attrs)
        for name, array in arrays.items()
    }
    coords = {
        "time": ("time", from_epoch_day(request.days), {"long_name": "UTC day", "standard_name": "time"}),
        **request.grid.window(rows, cols).coords(),
        # Two digits, so that names sort as the features do.
        "feature": ("feature", [f"e{i:02d}" for i in range(model.features)]),
        "scale": ("feature", model.scale.cpu().numpy(), SCALE.attrs),
    }
    return xr.Dataset(data, coords, attrs)


_FAULTS: dict[str, str] = {}
"""Fault of a scene's reflectance (empty: none) by the scene's digest."""
MOST_FAULTS = 256
"""Scenes whose fault is remembered."""


def cube_attrs(scene: xr.DataTree, model: Embedder, causal: bool, digest: str | None = None) -> dict:
    """Attributes of the cube: what its numbers follow from.

    Parameters
    ----------
    scene
        Validated: a DataTree whose nodes have dims (time, band, y, x); only its attributes and digest, no units.
    model
        The ``Embedder``.
    causal
        Whether only acquisitions of the past and the day itself were used.
    digest
        The scene's, where it is known: taking it reads the whole scene.

    Returns
    -------
    dict
    """
    simulated = int(scene.attrs.get("simulated", 0))
    title = scene.attrs.get("title", scene.attrs.get("id", "scene"))
    digest = digest or scenes_digest.digest(scene)
    # Boxes on demand ask for the same scene again and again: it is sampled once.
    if digest not in _FAULTS:
        _FAULTS[digest] = reflectance_check.scene_fault(scene)
        if len(_FAULTS) > MOST_FAULTS:
            _FAULTS.pop(next(iter(_FAULTS)), None)
    fault = _FAULTS.get(digest, "")
    return {
        "title": f"Daily embeddings of {title}",
        # 0 and 1: neither netCDF nor Zarr attributes have a boolean that all readers accept.
        "simulated": simulated,
        "model": model.name,
        "model_digest": model.digest,
        "scene_id": str(scene.attrs.get("id", "")),
        "scene_digest": digest,
        "software": f"fluxlens {embeddings.__version__}",
        "causal": int(causal),
        "quantisation": "embedding value = int8 * scale(feature)",
        "Conventions": "CF-1.11",
    } | ({reflectance_check.ATTR: fault} if fault else {})
