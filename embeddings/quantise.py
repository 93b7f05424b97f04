"""How a cube's numbers become bytes: int8 features with the model's scale, sigma in steps of 0.0005."""

from __future__ import annotations

import numpy as np
import xarray as xr

SIGMA_STEP = 0.0005
"""Reflectance (0-1) per step of the byte that holds sigma."""
SIGMA_MISSING = 255
SIGMA_MAX = SIGMA_STEP * (SIGMA_MISSING - 1)
SIGMA_ENCODING = {"scale_factor": SIGMA_STEP, "_FillValue": SIGMA_MISSING}
"""CF attributes by which any reader decodes the byte to the same float32."""


def encode_sigma(sigma: np.ndarray) -> np.ndarray:
    """Bytes (uint8) of sigma in reflectance; above the largest step is the largest, NaN is missing."""
    codes = np.rint(np.asarray(sigma, np.float32) / np.float32(SIGMA_STEP)).clip(0, SIGMA_MISSING - 1)
    return np.where(np.isnan(codes), SIGMA_MISSING, codes).astype(np.uint8)


def decode_sigma(codes: np.ndarray) -> np.ndarray:
    """Sigma (float32) of bytes, exactly as a CF reader would decode them."""
    values = codes.astype(np.float32) * np.float32(SIGMA_STEP)
    return np.where(codes == SIGMA_MISSING, np.float32(np.nan), values)


def dequantise(cube: xr.Dataset) -> xr.DataArray:
    """The features of a cube as float32: ``embedding * scale``, dims as in the cube."""
    return (cube["embedding"].astype(np.float32) * cube["scale"]).rename("features")
