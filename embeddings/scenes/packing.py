"""Rounding and packing of measured values: digital numbers to physical values and back."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.scenes.schema import NODES

NO_DATA_AT_MOST = -9999
"""Digital numbers and reflectance at or below are no data; a baseline's offset takes numbers to -1000."""
SATURATION = 2.0
"""Highest reflectance of a scene; cloud, snow and glint exceed 1, sensors saturate about here."""


def clip_saturated(reflectance: xr.DataArray) -> xr.DataArray:
    """Clip saturated cloud and sun glint to ``SATURATION``.

    Parameters
    ----------
    reflectance
        0-1, any dims. Values above 100 are left: they are digital numbers, which :func:`validate` refuses.

    Returns
    -------
    xarray.DataArray
        The same, at most 2.
    """
    # Clipped and not masked: whether it is cloud is for the mask to say, and snow is bright too.
    values = reflectance.variable
    saturated = (values > SATURATION) & (values < 100)
    # As a variable: xarray would compare the coordinates of both with themselves.
    clipped = reflectance.copy(deep=False, data=values.where(~saturated, np.float32(SATURATION)).data)
    clipped.encoding = {}
    return clipped


def is_chunked(dataset: xr.Dataset) -> bool:
    """Whether variables of a dataset are read in chunks when they are needed.

    Unlike ``dataset.chunks``, which raises where variables are cut differently along one dimension.

    Parameters
    ----------
    dataset
        Variables of any dims and units.
    """
    return any(variable.chunks for variable in dataset.variables.values())


def round_to_step(values: np.ndarray, step: float) -> np.ndarray:
    """Round to multiples of a step, bit for bit what int16 multiples give back through :func:`unpack`.

    Parameters
    ----------
    values
        Any shape; NaN stays NaN.
    step
        In the unit of ``values``; 1 / step is a whole number.

    Returns
    -------
    numpy.ndarray
        float32 of the same shape.
    """
    # In float64: the division in float32 could round to the neighbouring multiple.
    return unpack(np.round(np.asarray(values, dtype="float64") / step), step)


def unpack(multiples, step: float):
    """float32 numbers of integer multiples of a step.

    Parameters
    ----------
    multiples
        Any array, numpy, dask or xarray.
    step
        1 / step is a whole number. The multiples are divided by that and not multiplied by the step, which float32 does
        not hold exactly: each result is then the float32 nearest to the decimal number.

    Returns
    -------
    array of the same kind
        float32.
    """
    return multiples.astype("float32") / np.float32(round(1 / step))


def round_scene(scene: xr.DataTree) -> xr.DataTree:
    """Round a scene as writing and reading it would.

    Parameters
    ----------
    scene
        Validated, lazy or not.

    Returns
    -------
    xarray.DataTree
        The same with variables that have a ``step`` in the contract rounded to multiples of it.
    """
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    for name, node in NODES.items():
        dataset = datasets.get(f"/{name}")
        for variable in node.variables if dataset is not None else ():
            # Only what is stored as int16: other variables come back as they were.
            if variable.step and variable.name in dataset:
                dataset[variable.name] = xr.apply_ufunc(
                    round_to_step,
                    dataset[variable.name],
                    variable.step,
                    dask="parallelized",
                    output_dtypes=["float32"],
                    keep_attrs=True,
                )
    return xr.DataTree.from_dict(datasets, name=scene.name)
