"""How a cube's numbers become bytes: int8 features with the model's scale, sigma in steps of 0.0005, days."""

from __future__ import annotations

import numpy as np
import xarray as xr

SIGMA_STEP = 0.0005
"""Reflectance (0-1) per step of the byte that holds sigma."""
SIGMA_MISSING = 255
SIGMA_MAX = SIGMA_STEP * (SIGMA_MISSING - 1)
NO_DAYS = 255
"""Byte of a pixel that no acquisition is near to."""


def encode_sigma(sigma: np.ndarray) -> np.ndarray:
    """Bytes (uint8) of sigma in reflectance; above the largest step is the largest, NaN is missing."""
    codes = np.rint(np.asarray(sigma, np.float32) / np.float32(SIGMA_STEP)).clip(0, SIGMA_MISSING - 1)
    return np.where(np.isnan(codes), SIGMA_MISSING, codes).astype(np.uint8)


def decode_sigma(codes: np.ndarray) -> np.ndarray:
    """Sigma (float32) of bytes."""
    values = codes.astype(np.float32) * np.float32(SIGMA_STEP)
    return np.where(codes == SIGMA_MISSING, np.float32(np.nan), values)


def encode_days(days: np.ndarray) -> np.ndarray:
    """Bytes (uint8) of days to an acquisition; -1, none, becomes 255, and 254 stands for all that is farther."""
    return np.where(days < 0, NO_DAYS, np.minimum(days, NO_DAYS - 1)).astype(np.uint8)


def decode_days(codes: np.ndarray) -> np.ndarray:
    """Days (int16) of bytes, -1 for none."""
    return np.where(codes == NO_DAYS, np.int16(-1), codes.astype(np.int16))


def dequantise(cube: xr.Dataset) -> xr.DataArray:
    """The features of a cube as float32: ``embedding * scale``, dims as in the cube."""
    return (cube["embedding"].astype(np.float32) * cube["scale"]).rename("features")
