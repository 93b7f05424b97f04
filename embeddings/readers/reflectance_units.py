"""In what unit the numbers of Sentinel-2 bands are where the file does not say: by their size alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.readers.cf_packing import FILLS, is_packed, unpack
from fluxlens.models.errors import InputError

PERCENT_AT_LEAST, NUMBERS_AT_LEAST = 2.5, 160.0
"""The 99th percentile of reflectance stays below 2.5 under cloud and glint, in percent between 3 and 160; of
reflectance x 10000 it is above 300 even where all is water."""

DARKEST = 0.003
"""Darker than any band over water after correction of the atmosphere: reflectance whose 99th percentile lies below was
divided twice."""


def find_unit_of_floats(arrays: dict[str, xr.DataArray], name: str) -> str:
    """The unit of the bands that are floats and say nothing of themselves.

    Parameters
    ----------
    arrays
        By band (time, y, x), numbers as stored.
    name
        What errors call the file.

    Returns
    -------
    str
        ``reflectance`` (0-1), ``percent`` or ``numbers`` (reflectance x 10000).

    Raises
    ------
    InputError
        Some bands are in another unit than the others.
    """
    samples = {}
    for band, array in arrays.items():
        if array.dtype.kind == "f" and not is_packed(array):
            values = sample_values(unpack(array)).ravel()
            # Zeros fill the pixels outside of images in many files: counted, they would make any unit look smaller.
            samples[band] = values[np.isfinite(values) & (values != 0)]
    together = np.concatenate([*samples.values(), np.empty(0)])
    if not together.size:
        return "reflectance"
    high = float(np.quantile(together, 0.99))
    unit = "numbers" if high > NUMBERS_AT_LEAST else "percent" if high > PERCENT_AT_LEAST else "reflectance"
    # A dark band of digital numbers still has numbers of tens: below 2.5 it is in another unit than the others.
    lone = [
        band
        for band, values in samples.items()
        if unit == "numbers" and values.size and float(np.quantile(values, 0.99)) < PERCENT_AT_LEAST
    ]
    if lone:
        raise InputError(
            f"Got {name} with {', '.join(lone)} of at most {samples[lone[0]].max():.2g} beside bands of "
            f"{high:.0f}, need all bands in one unit; convert them to reflectance 0 to 1."
        )
    return unit


def refuse_pictures(arrays: dict[str, xr.DataArray], percent: bool, name: str) -> None:
    """Refuse one-byte numbers without a scale: a picture to look at, stretched by nobody knows what.

    Parameters
    ----------
    arrays
        By band (time, y, x), digital numbers as stored, integers or floats.
    percent
        Whether the file says that they are percent.
    name
        What errors call the file.

    Raises
    ------
    InputError
        A band has 8 bits and no scale.
    """
    for band, array in arrays.items():
        if array.dtype.kind in "iu" and array.dtype.itemsize == 1 and not percent and not is_packed(array):
            raise InputError(
                f"Got {name} with {band} of 8 bits and no scale_factor, need reflectance or numbers of 16 bits; export "
                "the measured values and not a picture."
            )


def find_empty_pixels(arrays: dict[str, xr.DataArray]) -> xr.DataArray | None:
    """Pixels outside the image: exactly 0 in all bands, as Sentinel Hub and Earth Engine fill them.

    Parameters
    ----------
    arrays
        By band (time, y, x), reflectance 0-1 or numbers, as stored.

    Returns
    -------
    xarray.DataArray or None
        (time, y, x) bool; None where a band names its missing values, or there is one band only.
    """
    fill_values = [array.attrs[key] for array in arrays.values() for key in FILLS if key in array.attrs]
    # NaN is what xarray adds to all floats it writes, and tells nothing of 0
    if len(arrays) < 2 or not all(
        np.isnan(pd.to_numeric(np.ravel(one), errors="coerce")).all() for one in fill_values
    ):
        return None
    zero = [array == 0 for array in arrays.values()]
    out = zero[0]
    for one in zero[1:]:
        out = out & one
    return out


def sample_values(array: xr.DataArray) -> np.ndarray:
    """Values of up to 40 dates and 64 x 64 pixels: enough to tell units apart, cheap of lazy arrays.

    Parameters
    ----------
    array
        (time, y, x) in any unit.

    Returns
    -------
    numpy.ndarray
        (time, y, x), thinned along time, in the same unit.
    """
    # Dates over the whole series, since a winter of snow alone would look like another unit.
    step = max(1, array.sizes["time"] // 40)
    return array.isel(time=slice(None, None, step), y=slice(None, 64), x=slice(None, 64)).values
