"""Training losses: Huber on hidden measurements, Gaussian likelihood of their predicted standard deviation."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SIGMA_WEIGHT = 0.1
"""Weight of the likelihood of sigma beside the Huber loss."""
OUTLIER_ERROR_SCALES = 3
"""Errors beyond this many error scales are haze or snow, not uncertainty about the land: they do not raise sigma."""


def hidden_measurements(
    mean: Float[Tensor, "*n band"],
    sigma: Float[Tensor, "*n band"],
    target: Float[Tensor, "*n band"],
    weight: Float[Tensor, "*#n"],
    sigma_weight: Float[Tensor, "*#n"],
    error_scale: float,
) -> Float[Tensor, ""]:
    """Loss of predicted bands of acquisitions that were hidden from the model.

    Huber loss of the mean (Huber 1964), since undetected haze must not pull it, plus the Gaussian negative
    log-likelihood of sigma. The mean learns from the Huber term alone: the error in sigma's term is detached, so that
    a large sigma does not excuse a wrong mean.

    Parameters
    ----------
    mean, sigma
        Predicted value and standard deviation, in the sensor's unit.
    target
        Measured value, NaN where nothing was measured.
    weight, sigma_weight
        Weights of the two terms, not negative.
    error_scale
        Error that counts one, in the sensor's unit.

    Returns
    -------
    Tensor
        A scalar; 0 where nothing was measured.
    """
    # Missing targets are replaced before any arithmetic: the gradient of NaN times a weight of 0 is NaN.
    known = ~torch.isnan(target)  # (*n, band)
    error = torch.where(known, mean - torch.nan_to_num(target), 0.0)
    # In error scales, so that reflectance and dB count alike.
    scaled = error / error_scale
    huber = torch.nn.functional.huber_loss(scaled, torch.zeros_like(scaled), reduction="none", delta=1.0)
    # Detached and clipped: sigma may follow the error, the mean must not follow sigma.
    clipped = error.detach().abs().clamp(max=OUTLIER_ERROR_SCALES * error_scale)
    nll = torch.log(sigma / error_scale) + 0.5 * (clipped / sigma).square()
    # Absent bands and invalid pixels weigh 0; (*n, 1) weights are broadcast over the bands.
    return _mean(huber, known * weight[..., None]) + SIGMA_WEIGHT * _mean(
        nll, known * sigma_weight[..., None]
    )


def land_state(
    decoded: Float[Tensor, "*n v"], target: Float[Tensor, "*n v"], spread: Float[Tensor, "v"]
) -> Float[Tensor, ""]:
    """Mean Huber loss of the decoded state of the land.

    Parameters
    ----------
    decoded
        Variables of ``models.decoder.LAND`` in their units.
    target
        The same, NaN where the state is unknown.
    spread
        Error of each variable that counts one, in its unit.

    Returns
    -------
    Tensor
        A scalar; 0 where no state is known.
    """
    known = ~torch.isnan(target)  # (*n, v)
    error = torch.where(known, decoded - torch.nan_to_num(target), 0.0) / spread
    huber = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0)
    return _mean(huber, known)


def _mean(each: Float[Tensor, "*n"], weight: Float[Tensor, "*n"] | Bool[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Weighted mean; a total weight below one counts as one, so that a batch without targets gives 0, not NaN."""
    return (each * weight).sum() / weight.sum().clamp(min=1.0)
