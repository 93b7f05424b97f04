"""Fitting of the daily GPP head on simulated and measured pixel-days."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fluxlens.models.gpp.daily_head import DailyHead
from fluxlens.models.gpp.drivers import PIXEL, SOIL_WATER, driver_indices
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

(NO_RAIN,) = driver_indices("no_rain")

SOIL_WATER_SHUFFLE_SHARE = 0.4
"""Share of a batch whose soil water comes from other rows. Irrigation and deep roots make the water balance of the rain
wrong in places, so the head must learn to take it as a hint that the embedding may contradict."""
VARIANCE_SLOPE = 0.2
"""Growth of the squared error with GPP, per gC m-2 d-1: large GPP must not dominate the fit of the mean."""
NLL_WEIGHT = 0.2
"""Weight of the likelihood of the spread beside the error of the mean."""
SITE_EFFECT_STD = 0.1
"""Prior standard deviation of what a site has of its own: of the log of its GPP, and of an offset in gC m-2 d-1. The
head must not bend to explain a single tower."""
HUBER_DELTA = 2.0
"""Scaled errors beyond this are artefacts of a tower's partitioning; they pull no harder."""
SPECTRAL_NOISE = 0.2
"""Noise on the scaled embedding of measured rows: few towers, many days."""
HIDDEN_DRIVERS_SHARE = 0.4
"""Share of measured rows whose soil water is hidden, and of those whose gap and sigma are: each source of rows has its
own habits there, by which the head would tell the source instead of the land."""


@dataclass(frozen=True)
class PixelDays:
    """Pixel-days to fit on; all fields have the same rows.

    Parameters
    ----------
    z
        Embedding, dequantised.
    sw
        Daily mean shortwave radiation, W m-2.
    drivers
        Scaled drivers in the order of ``DRIVERS``.
    true
        True GPP of the simulator, gC m-2 d-1.
    measured
        GPP as a tower would measure it: the same with its error.
    site
        Number of the site that a row belongs to; simulated landscapes have numbers too.
    is_measured
        Whether a tower measured the row; ``true`` is then the measurement.
    share
        Weight of the row, relative to the others.
    """

    z: Float[Tensor, "n f"]
    sw: Float[Tensor, "n"]
    drivers: Float[Tensor, "n w"]
    true: Float[Tensor, "n"]
    measured: Float[Tensor, "n"]
    site: Int[Tensor, "n"]
    is_measured: Bool[Tensor, "n"]
    share: Float[Tensor, "n"]

    def take(self, rows: Int[Tensor, "m"]) -> PixelDays:
        """Select rows.

        Parameters
        ----------
        rows
            Row numbers, repeats allowed.

        Returns
        -------
        PixelDays
            With ``m`` rows.
        """
        return PixelDays(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def shuffle_soil_water(drivers: Float[Tensor, "n w"], generator: torch.Generator) -> Float[Tensor, "n w"]:
    """Give the first ``SOIL_WATER_SHUFFLE_SHARE`` of the rows the soil water of random rows.

    Parameters
    ----------
    drivers
        Normalised drivers (n, w) of a shuffled batch, unitless.
    generator
        Source of the random rows.

    Returns
    -------
    Tensor
        A copy; all other drivers as they are.
    """
    # Batches are random, so that their first rows are a random choice.
    count = int(SOIL_WATER_SHUFFLE_SHARE * len(drivers))
    partners = torch.randint(len(drivers), (count,), generator=generator)
    out = drivers.clone()
    out[:count, SOIL_WATER] = drivers[partners][:, SOIL_WATER]
    return out


def hide_drivers(
    drivers: Float[Tensor, "n w"], is_measured: Bool[Tensor, "n"], generator: torch.Generator
) -> Float[Tensor, "n w"]:
    """Hide soil water, and gap and sigma, from random measured rows.

    Parameters
    ----------
    drivers
        Normalised drivers, unitless.
    is_measured
        Rows that may lose them.
    generator
        Source of the choice.

    Returns
    -------
    Tensor
        A copy.
    """
    out = drivers.clone()
    chance = torch.rand(2, len(drivers), generator=generator)
    # (2, n): the two are hidden independently of each other.
    no_water, no_pixel = (chance < HIDDEN_DRIVERS_SHARE) & is_measured
    for columns in (SOIL_WATER, PIXEL):
        rows = no_water if columns is SOIL_WATER else no_pixel
        out[:, columns] *= ~rows[:, None]
    out[no_water, NO_RAIN] = 1.0
    return out


def fit(
    head: DailyHead,
    pixel_days: PixelDays,
    steps: int = 300,
    rate: float = 5e-3,
    batch: int = 2048,
    seed: int = 0,
) -> float:
    """Fit the mean to the true or measured GPP, and the spread to what towers measure of it.

    A site, and simulated land as a whole, may differ from the head by a factor and an offset of its own, which are
    dropped afterwards: a mixed model (Laird and Ware 1982, doi:10.2307/2529876), without which the days of one tower
    count as so many independent measurements.

    Parameters
    ----------
    head
        Changed in place, its normalisation and out-of-distribution threshold included.
    pixel_days
        Rows to learn from.
    steps, rate, batch
        Optimiser steps (AdamW, one-cycle schedule), highest learning rate, rows per step.
    seed
        Of the batches and of the sample behind the threshold.

    Returns
    -------
    float
        Running mean of the loss of the mean at the last steps.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    # Scaling first: the layers are initialised for inputs of unit variance.
    # In the shares of the fit: else the source with most rows would set scale and threshold.
    drawn = torch.multinomial(pixel_days.share, 100_000, replacement=True, generator=generator)
    head.fit_normalisation(pixel_days.z[drawn])
    head.fit_air(pixel_days.drivers[drawn])
    sites = int(pixel_days.site.max()) + 1
    effect = nn.Parameter(torch.zeros(sites, 2))  # (site, log factor and offset)
    simulator = nn.Parameter(torch.zeros(2))
    # No decay on the effects: their prior, in the loss below, is what draws them to 0.
    optimiser = torch.optim.AdamW(
        # The correction has a fit of its own, ``fit_correction``.
        [{"params": head.base_parameters()}, {"params": [effect, simulator], "weight_decay": 0.0}],
        lr=rate,
        weight_decay=1e-2,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    recent = 0.0
    for _ in range(steps):
        taken = pixel_days.take(
            torch.multinomial(pixel_days.share, batch, replacement=True, generator=generator)
        )
        # Simulated rows have noise of their own already.
        noise = SPECTRAL_NOISE * head.size * torch.randn(taken.z.shape, generator=generator)
        z = taken.z + noise * taken.is_measured[:, None]
        drivers = shuffle_soil_water(taken.drivers, generator)
        mean, spread = head(z, taken.sw, hide_drivers(drivers, taken.is_measured, generator), corrected=False)
        own = effect[taken.site] + simulator * ~taken.is_measured[:, None]  # (n, 2)
        error = _error_of_mean(mean * own[:, 0].exp() + own[:, 1], taken.true)
        # The likelihood sees the mean detached: a wide spread must not excuse a wrong mean. It sees the mean without
        # effects: the band must hold at sites whose effects are unknown.
        nll = 0.5 * ((taken.measured - mean.detach()) / spread).square() + spread.log()
        # Per row as if each site had forty rows of its own: their days are alike.
        prior = 0.5 * (effect / SITE_EFFECT_STD).square().sum() / (40 * sites)
        loss = 2 * error.mean() + NLL_WEIGHT * nll.mean() + prior
        optimiser.zero_grad()
        loss.backward()
        # A single measured outlier must not undo many steps.
        nn.utils.clip_grad_norm_(head.base_parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent += 0.01 * (float(error.mean().detach()) - recent)
    return recent


def _error_of_mean(fitted: Float[Tensor, "n"], true: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Huber loss of predicted GPP (gC m-2 d-1) in units of an error that grows with GPP."""
    # Like that of eddy covariance (Richardson et al. 2006).
    scaled = (fitted - true) / (1 + VARIANCE_SLOPE * true.clamp_min(0)).sqrt()
    return nn.functional.huber_loss(scaled, torch.zeros_like(scaled), reduction="none", delta=HUBER_DELTA)
