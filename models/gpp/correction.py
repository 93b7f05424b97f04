"""The correction of the daily head for land seen at 10 to 30 m: a Gaussian process of measured rows, distilled.

Few towers tell more through a process with a part of its own for each site than through the gradient steps of a network
(decision 0014). The process is fitted to the measured rows on embedding, weather and light, averaged with the network,
and the mean is distilled (Hinton et al. 2015, arXiv:1503.02531) into a small branch of the network, so that maps cost
what they did and the shipped file holds no row. Far from all measured rows the network decides alone.
"""

from __future__ import annotations

import torch
from fluxlens.models.gpp.daily_head import AIR, DailyHead
from fluxlens.models.gpp.drivers import DRIVERS, LEAST_CLEAR_SKY, NORMALISATIONS, driver_indices
from fluxlens.models.gpp.gaussian_process import SiteGaussianProcess
from fluxlens.models.gpp.training import PixelDays
from jaxtyping import Float
from torch import Tensor

KERNELS = ("gaussian",)
"""Shapes of the processes, averaged; one of them costs half the time of two and scores within 0.002 of them."""
PROCESS_SHARE = 0.6
"""Share of the process in the root of GPP where rows are near; the network has the rest. Any share from 0.5 to 0.8 does
as well at towers left out."""
REFERENCE_QUANTILE = 0.9
"""Share of the measured rows, each predicted without its site, within whose variance the process counts in full."""
FADE = 2.0
"""Times that variance at which its share has gone."""
SUN = driver_indices("day_length", "clear_sky")
LEAST_ROWS, LEAST_SITES = 100, 5
"""Measured rows and sites below which there is no correction: a process of fewer tells the sites, not the land."""
INPUT_NOISE = 0.4
"""Noise on the scaled embedding of the rows it is distilled on: with half of it the branch is less smooth than the
process, and 0.01 NSE worse at towers left out."""
LEAST_ROOT = 0.25
"""Root of gC m-2 d-1: the corrected factor is fitted less where the network says nearly nothing."""


def process_features(
    z: Float[Tensor, "n f"], sw: Float[Tensor, "n"], drivers: Float[Tensor, "n w"]
) -> tuple[Float[Tensor, "n g"], Tensor]:
    """Inputs of the process, which every pixel-day of a map has too.

    Parameters
    ----------
    z
        Embedding (n, f), dequantised.
    sw
        Daily mean shortwave radiation (n,), W m-2.
    drivers
        Scaled drivers (n, w) in the order of ``DRIVERS``.

    Returns
    -------
    x, groups
        float64 features (n, g), and the group of each: embedding, air, light.
    """
    clear_sky = NORMALISATIONS["clear_sky"].denormalise(drivers[:, DRIVERS.index("clear_sky")])
    light = torch.stack([sw, sw / clear_sky.clamp_min(LEAST_CLEAR_SKY)], 1)
    blocks = (z, drivers[:, AIR], torch.cat([light, drivers[:, SUN]], 1))
    groups = torch.cat([torch.full((block.shape[1],), i) for i, block in enumerate(blocks)])
    return torch.cat(blocks, 1).double(), groups


class Teacher:
    """Mean and spread of network and process together, at rows of sites that taught neither.

    Parameters
    ----------
    head
        Fitted network, of which the uncorrected answer counts.
    rows
        Measured rows at 10 to 30 m.
    steps
        Optimiser steps of each process.
    """

    def __init__(self, head: DailyHead, rows: PixelDays, steps: int = 25) -> None:
        x, groups = process_features(rows.z, rows.sw, rows.drivers)
        # Errors of GPP grow with GPP, those of its root hardly.
        y = (rows.measured.sign() * rows.measured.abs().sqrt()).double()
        _, site = rows.site.unique(return_inverse=True)
        self.head = head
        self.processes = [SiteGaussianProcess(groups, name).fit(x, y, site, steps) for name in KERNELS]
        # Variances at sites left out, since every new pixel is at a site that taught nothing.
        held_out = torch.stack([process.leave_group_out()[1] for process in self.processes]).mean(0)
        self.reference_variance = torch.quantile(held_out, REFERENCE_QUANTILE)

    @torch.no_grad()
    def predict(
        self, z: Float[Tensor, "n f"], sw: Float[Tensor, "n"], drivers: Float[Tensor, "n w"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Float[Tensor, "n"]]:
        """Roots of the GPP of both and of the network alone, and the spread of the former.

        Parameters
        ----------
        z, sw, drivers
            As ``process_features`` takes them.

        Returns
        -------
        root, own, spread
            (n,) root of gC m-2 d-1, twice, and gC m-2 d-1.
        """
        mean, spread = self.head(z, sw, drivers, corrected=False)
        x, _ = process_features(z, sw, drivers)
        predictions = [process.predict(x) for process in self.processes]
        level = torch.stack([moments[0] for moments in predictions]).mean(0)
        variance = torch.stack([moments[1] for moments in predictions]).mean(0)
        # 1 up to the reference variance, 0 from ``FADE`` times it on, linear between.
        fade = ((FADE - variance / self.reference_variance) / (FADE - 1)).clamp(0, 1)
        share = PROCESS_SHARE * fade
        own = mean.double().clamp_min(0).sqrt()
        root = (share * level + (1 - share) * own).clamp_min(0)
        # Of the square of a normal variable: (2 root sd)^2 + 2 sd^4.
        both = (4 * root.square() * variance + 2 * variance.square()).sqrt()
        return root.float(), own.float(), (fade * both + (1 - fade) * spread).float()


def fit_correction(
    head: DailyHead,
    rows: PixelDays,
    unlabelled: PixelDays,
    steps: int = 1500,
    batch: int = 1024,
    rate: float = 4e-3,
    seed: int = 0,
) -> None:
    """Fit the correction of a fitted head; nothing else of it changes.

    Parameters
    ----------
    head
        Changed in place; its configuration has a correction.
    rows
        Measured rows at 10 to 30 m, whose GPP teaches.
    unlabelled
        Further rows, of any land and source, whose inputs alone count: what the branch shall be like elsewhere.
    steps, batch, rate
        Optimiser steps, rows per step, highest learning rate.
    seed
        Of the batches and initial weights.
    """
    # The correction then keeps its zeros, a factor of one: the network stands alone.
    if len(rows.site) < LEAST_ROWS or len(rows.site.unique()) < LEAST_SITES:
        return
    teacher = Teacher(head, rows)
    generator = torch.Generator().manual_seed(seed)
    count = len(rows.site)
    inputs = []
    for source, size in ((rows, 16 * count), (unlabelled, 4 * count)):
        near = source.take(torch.multinomial(source.share, size, replacement=True, generator=generator))
        # Noise on the embedding: the branch must be as smooth between rows as the process is.
        noise = INPUT_NOISE * head.size * torch.randn(near.z.shape, generator=generator)
        # A third of the rows under the weather of others, the light with it.
        weather = torch.arange(size)
        moved = torch.rand(size, generator=generator) < 1 / 3
        weather[moved] = weather[moved][torch.randperm(int(moved.sum()), generator=generator)]
        inputs.append((near.z + noise, near.sw[weather], near.drivers[weather]))
    # The rows themselves, undisturbed, several times.
    inputs += [(rows.z, rows.sw, rows.drivers)] * 4
    z, sw, drivers = (torch.cat(columns) for columns in zip(*inputs, strict=True))
    # In pieces: the covariance with all rows of the process, (piece, n) in float64, must fit in memory.
    predictions = [
        teacher.predict(z[i : i + 4096], sw[i : i + 4096], drivers[i : i + 4096])
        for i in range(0, len(z), 4096)
    ]
    root, own, spread = (torch.cat(columns) for columns in zip(*predictions, strict=True))
    with torch.no_grad():
        _, first = head(z, sw, drivers, corrected=False)
    torch.manual_seed(seed)
    head.reset_correction()
    optimiser = torch.optim.AdamW(head.correction_parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        at = torch.randint(len(z), (batch,), generator=generator)
        # Half of the log factor on GPP is the log factor on its root.
        factor, log_scale = head.correction_of(z[at], drivers[at]).unbind(-1)
        # In the unit of the root: a factor on next to nothing is of no account.
        mean_error = (own[at] * (0.5 * factor).exp() - root[at]) / (own[at] + LEAST_ROOT).sqrt()
        spread_error = first[at].log() + log_scale - spread[at].clamp_min(0.05).log()
        loss = torch.nn.functional.smooth_l1_loss(mean_error, torch.zeros_like(mean_error), beta=0.3)
        loss = loss + 0.1 * spread_error.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
