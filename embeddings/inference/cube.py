"""The embedding cube as a dataset: variables, coordinates and attributes of the contract."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.inference.request import Request
from fluxlens.embeddings.scenes import digest as scenes_digest
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.embeddings.variables import CUBE_VARIABLES, SCALE
from fluxlens.models.embedder import Embedder

from fluxlens import embeddings

_DTYPES = {"embedding": np.int8, "sigma": np.float32, "days_from_s2": np.int16, "days_from_s1": np.int16}
"""Of the cube's variables in memory."""


def _layout(shape: tuple[int, int, int], features: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of each variable for (time, y, x) of ``shape``."""
    return {n: ((*shape, features) if n == "embedding" else shape, dtype) for n, dtype in _DTYPES.items()}


def _cube(
    request: Request, model: Embedder, rows: slice, cols: slice, arrays: dict, attrs: dict
) -> xr.Dataset:
    """The embedding cube of arrays (time, y, x[, feature]) over rows and columns of the scene's grid."""
    dims = ("time", "y", "x")
    data = {
        name: ((*dims, "feature") if name == "embedding" else dims, array, CUBE_VARIABLES[name].attrs)
        for name, array in arrays.items()
    }
    coords = {
        "time": ("time", from_epoch_day(request.days), {"long_name": "UTC day", "standard_name": "time"}),
        **request.grid.window(rows, cols).coords(),
        "feature": ("feature", [f"e{i:02d}" for i in range(model.features)]),
        "scale": ("feature", model.scale.cpu().numpy(), SCALE.attrs),
    }
    return xr.Dataset(data, coords, attrs)


def _attrs(scene: xr.DataTree, model: Embedder, causal: bool, digest: str | None = None) -> dict:
    """Attributes of the cube: what its numbers follow from."""
    simulated = int(scene.attrs.get("simulated", 0))
    title = scene.attrs.get("title", scene.attrs.get("id", "scene"))
    return {
        "title": f"Daily embeddings of {title}",
        "simulated": simulated,
        "model": model.name,
        "model_digest": model.digest,
        "scene_id": str(scene.attrs.get("id", "")),
        "scene_digest": digest or scenes_digest.digest(scene),
        "software": f"fluxlens {embeddings.__version__}",
        "causal": int(causal),
        "quantisation": "embedding value = int8 * scale(feature)",
        "Conventions": "CF-1.11",
    }
