"""How the numbers of an embedding cube become bytes, both ways: features, sigma and distances in days.

Features are int8 multiples of a scale per feature, which the model holds. Sigma is stored in steps of 0.0005
reflectance; distances as whole days. The largest byte means missing for both, so that the worst of several pixels is
their maximum.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

FEATURE_LIMIT = 127
"""Features are clamped to -127..127 steps of their scale."""

FEATURE_MISSING = -128
"""int8 that no feature takes: fill value of stores, ``_FillValue`` of exports."""

SIGMA_STEP = 0.0005
"""Reflectance (0-1) per step of the byte that holds sigma."""

SIGMA_MISSING = 255

SIGMA_LIMIT = SIGMA_MISSING - 1
"""Largest sigma in steps; more becomes this."""

NO_DAYS = 255
"""Byte of a pixel without an acquisition nearby; the largest distance is 254 days."""


def encode_sigma(sigma: np.ndarray) -> np.ndarray:
    """Bytes of sigma.

    Parameters
    ----------
    sigma
        Reflectance 0-1, any shape; NaN is missing, above 0.127 becomes 0.127.

    Returns
    -------
    numpy.ndarray
        uint8 of the same shape.
    """
    # NaN passes through both and is marked before the cast, which would make some number of it.
    codes = np.rint(np.asarray(sigma, np.float32) / np.float32(SIGMA_STEP)).clip(0, SIGMA_LIMIT)
    return np.where(np.isnan(codes), SIGMA_MISSING, codes).astype(np.uint8)


def decode_sigma(codes: np.ndarray) -> np.ndarray:
    """Sigma of bytes.

    Parameters
    ----------
    codes
        uint8 of :func:`encode_sigma`, any shape.

    Returns
    -------
    numpy.ndarray
        float32 reflectance 0-1 of the same shape, NaN where missing.
    """
    values = codes.astype(np.float32) * np.float32(SIGMA_STEP)
    return np.where(codes == SIGMA_MISSING, np.float32(np.nan), values)


def encode_days(days: np.ndarray) -> np.ndarray:
    """Bytes of distances to an acquisition.

    Parameters
    ----------
    days
        Whole days, any shape; -1 is none, 254 stands for all that is farther.

    Returns
    -------
    numpy.ndarray
        uint8 of the same shape.
    """
    # Far is not none: 254 days and more keep a value of their own.
    return np.where(days < 0, NO_DAYS, np.minimum(days, NO_DAYS - 1)).astype(np.uint8)


def decode_days(codes: np.ndarray) -> np.ndarray:
    """Distances to an acquisition of bytes.

    Parameters
    ----------
    codes
        uint8 of :func:`encode_days`, any shape.

    Returns
    -------
    numpy.ndarray
        int16 days of the same shape, -1 for none.
    """
    return np.where(codes == NO_DAYS, np.int16(-1), codes.astype(np.int16))


def dequantise(cube: xr.Dataset) -> xr.DataArray:
    """The features of an embedding cube as numbers.

    Parameters
    ----------
    cube
        With ``embedding`` (..., feature) int8 and ``scale`` (feature).

    Returns
    -------
    xarray.DataArray
        ``features``, float32, dims as in the cube: ``embedding * scale``.
    """
    return (cube["embedding"].astype(np.float32) * cube["scale"].astype(np.float32)).rename("features")
