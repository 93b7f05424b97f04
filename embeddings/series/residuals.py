"""What decoded reflectance missed of acquisitions nearby, added to reconstructed days.

Smoothed residuals of a smoother added to it are known as twicing (Tukey 1977, Exploratory Data
Analysis, chapter 16): they take back a part of its bias.
"""

from __future__ import annotations

import numpy as np
from fluxlens.models.sensors import SENSORS

# For single pixels and plots: scenes, whose pixels have neighbours, gained nothing.
# Of eight choices on seven measured sets, whose means differ by 0.001, the one that costs nothing where
# dates are sparse and crops fast. At single hidden dates of two regions that no weights had seen, the error fell from
# 0.935 to 0.922 and from 0.933 to 0.920 of that of linear interpolation; in gaps of 60 days nothing changes.
RESIDUAL_DAYS = 40
"""Acquisitions this near correct a reconstructed day."""
RESIDUAL_CORE_DAYS = 20.0
"""An acquisition this far counts a quarter."""
RESIDUAL_PRIOR = 1.0
"""Acquisitions of the same day that it takes to add half of ``RESIDUAL_SHARE``."""
RESIDUAL_SHARE = 0.7
BRIGHT_RESIDUAL = 0.02
"""Residual in the visible, reflectance, at which an acquisition counts half."""
VISIBLE = [SENSORS["s2"].bands.index(band) for band in ("B02", "B03", "B04")]


def correct_by_residuals(value: np.ndarray, away: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Decoded reflectance corrected by what the embedding missed of acquisitions nearby in time.

    An embedding bends a rare surface towards those it knows; the same error is made on all its days. So a part of the
    mean residual is added: near acquisitions count more, bright residuals (cloud that was missed) less, and the
    correction shrinks where little is near.

    Parameters
    ----------
    value : numpy.ndarray
        (..., band) decoded reflectance of the day.
    away : numpy.ndarray
        (n,) days from the day to acquisitions that are shown.
    residual : numpy.ndarray
        (n, ..., band) measured less decoded reflectance of those, NaN where not measured.

    Returns
    -------
    numpy.ndarray
        (..., band) reflectance.
    """
    if not len(away):
        return value
    known = np.isfinite(residual)
    residual = np.where(known, residual, 0.0)
    light = residual[..., VISIBLE].sum(-1) / np.maximum(known[..., VISIBLE].sum(-1), 1)  # (n, ...)
    kernel = 1 / (1 + (away / RESIDUAL_CORE_DAYS) ** 2) ** 2  # (n,)
    weight = kernel.reshape(-1, *[1] * (light.ndim - 1)) / (1 + (light / BRIGHT_RESIDUAL) ** 2)
    weight = weight[..., None] * known  # (n, ..., band)
    return value + RESIDUAL_SHARE * (weight * residual).sum(0) / (weight.sum(0) + RESIDUAL_PRIOR)
