"""Decoders of the embedding: the bands a sensor would measure, and the state of the land."""

from __future__ import annotations

import torch
from fluxlens.models.sensors import SensorSpec
from jaxtyping import Float
from torch import Tensor, nn


class Decoder(nn.Module):
    """Embedding to the bands of one sensor in physical units, for training, evaluation and ``reconstruct``.

    The sum of a linear branch (``straight``) and a nonlinear one (``bend``); both names are keys of shipped weights.

    Parameters
    ----------
    spec
        The sensor, for its number of bands and their scaling.
    features
        Length of the embedding.
    hidden
        Width of the nonlinear branch.
    """

    def __init__(self, spec: SensorSpec, features: int, hidden: int = 64) -> None:
        super().__init__()
        bands = len(spec.bands)
        # Facts of the sensor, not weights: ``persistent=False`` keeps them out of the file, whose digest of sensor
        # facts is checked when it is read.
        self.register_buffer("centre", torch.tensor(spec.centre), persistent=False)
        self.register_buffer("spread", torch.tensor(spec.spread), persistent=False)
        self.straight = nn.Linear(features, bands)
        self.bend = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, bands))

    def forward(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n band"]:
        """Decode the bands.

        Parameters
        ----------
        z
            Embedding.

        Returns
        -------
        Tensor
            Each band in the sensor's unit (reflectance 0-1, or dB).
        """
        return self.centre + self.spread * (self.straight(z) + self.bend(z))

    def sigma(self, log_sigma: Float[Tensor, "*n band"]) -> Float[Tensor, "*n band"]:
        """Expected error of the decoded bands.

        Parameters
        ----------
        log_sigma
            As in ``FusionOutput``; 0 stands for an error of ``spread / e``.

        Returns
        -------
        Tensor
            Standard deviation in the sensor's unit.
        """
        # Bounded, so that a single pixel can neither dominate the likelihood nor overflow.
        # The bounds are e-6 to e2 of a spread; the -1 makes an untrained network start from a third of it.
        return self.spread * torch.exp(log_sigma.clamp(-5, 3) - 1.0)


LAND = ("lai", "fapar", "chlorophyll", "soil_moisture")
"""Leaf area index (m2 m-2), absorbed share of PAR (1), leaf chlorophyll (ug cm-2), volumetric water content of the top
soil (m3 m-3)."""


class Land(nn.Module):
    """Linear decoder of the state of the land; its targets come from simulated landscapes, whose state is known.

    ``straight`` is a key of shipped weights.

    Parameters
    ----------
    features
        Length of the embedding.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        # Linear: what this layer reads off the embedding, a linear probe of a user can read off as well.
        # Round numbers near mean and standard deviation over simulated landscapes, in the order and units of LAND.
        self.register_buffer("centre", torch.tensor([2.0, 0.5, 40.0, 0.2]), persistent=False)
        self.register_buffer("spread", torch.tensor([2.0, 0.3, 15.0, 0.1]), persistent=False)
        self.straight = nn.Linear(features, len(LAND))

    def forward(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n variable"]:
        """Decode the state of the land.

        Parameters
        ----------
        z
            Embedding.

        Returns
        -------
        Tensor
            The variables of ``LAND`` in their units.
        """
        return self.centre + self.spread * self.straight(z)


SEASON = ("ndvi_mean", "nirv_mean", "lswi_mean", "ndvi_max", "nirv_max")
"""Of the monthly means of a pixel's clear acquisitions within half a year: mean and maximum of NDVI, of NIRv (Badgley
et al. 2017) and of the land surface water index LSWI (Xiao et al. 2004), all unitless."""


class Season(nn.Module):
    """Linear decoder of a pixel's season, which trains the embedding to keep it.

    ``straight`` is a key of shipped weights.

    Parameters
    ----------
    features
        Length of the embedding.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        # Round numbers near mean and standard deviation over measured plots, in the order of SEASON.
        self.register_buffer("centre", torch.tensor([0.5, 0.15, 0.1, 0.7, 0.25]), persistent=False)
        self.register_buffer("spread", torch.tensor([0.2, 0.08, 0.2, 0.2, 0.1]), persistent=False)
        self.straight = nn.Linear(features, len(SEASON))

    def forward(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n variable"]:
        """Decode the season.

        Parameters
        ----------
        z
            Embedding, unitless.

        Returns
        -------
        Tensor
            The variables of ``SEASON``, unitless.
        """
        return self.centre + self.spread * self.straight(z)
