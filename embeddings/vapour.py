"""Water vapour in the air: saturation pressure and daily deficit, hPa, as FAO-56 computes them."""

from __future__ import annotations

import numpy as np
import xarray as xr


def saturation_hpa(celsius: xr.DataArray) -> xr.DataArray:
    """Saturation vapour pressure (Allen et al. 1998, equation 11); of the dew point, the actual pressure."""
    return 6.108 * np.exp(17.27 * celsius / (celsius + 237.3))


def deficit_hpa(tmax: xr.DataArray, tmin: xr.DataArray, vapour: xr.DataArray) -> xr.DataArray:
    """Daily deficit of extreme temperatures (degC) and vapour pressure (hPa), not below 0 (equation 12)."""
    return ((saturation_hpa(tmax) + saturation_hpa(tmin)) / 2 - vapour).clip(min=0)
