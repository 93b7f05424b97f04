"""What a good answer is: hidden measurements predicted at their own date, and honest about the error."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def hidden_measurements(
    mean: Float[Tensor, "*n band"],
    sigma: Float[Tensor, "*n band"],
    target: Float[Tensor, "*n band"],
    weight: Float[Tensor, "*n"],
    sigma_weight: Float[Tensor, "*n"],
    error_scale: float,
) -> Float[Tensor, ""]:
    """Huber loss of the mean (undetected haze must not pull it) plus the Gaussian score of sigma.

    ``target`` is NaN where nothing was measured. The mean learns from the Huber term alone: sigma's term sees the
    error as given, so that an uncertain answer is not excused from being right.
    """
    known = ~torch.isnan(target)
    error = torch.where(known, mean - torch.nan_to_num(target), 0.0)
    scaled = error / error_scale
    huber = torch.nn.functional.huber_loss(scaled, torch.zeros_like(scaled), reduction="none", delta=1.0)
    # Outliers beyond three error scales are haze or snow, not the land's own uncertainty.
    seen = error.detach().abs().clamp(max=3 * error_scale)
    score = torch.log(sigma / error_scale) + 0.5 * (seen / sigma).square()
    return _mean(huber, known * weight[..., None]) + 0.1 * _mean(score, known * sigma_weight[..., None])


def land_state(
    told: Float[Tensor, "*n v"], target: Float[Tensor, "*n v"], spread: Float[Tensor, "v"]
) -> Tensor:
    """Mean Huber loss in spreads of each variable; ``target`` is NaN where the state is unknown."""
    known = ~torch.isnan(target)
    error = torch.where(known, told - torch.nan_to_num(target), 0.0) / spread
    huber = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0)
    return _mean(huber, known)


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    return (each * weight).sum() / weight.sum().clamp(min=1.0)
