"""Readings of the embedding: what a sensor would measure, and the state of the land."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.sensors import SensorSpec


class Decoder(nn.Module):
    """Embedding to the bands of one sensor in physical units; for training, evaluation and ``reconstruct``."""

    def __init__(self, spec: SensorSpec, features: int, hidden: int = 64) -> None:
        super().__init__()
        bands = len(spec.bands)
        self.register_buffer("centre", torch.tensor(spec.centre), persistent=False)
        self.register_buffer("spread", torch.tensor(spec.spread), persistent=False)
        self.straight = nn.Linear(features, bands)
        self.bend = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, bands))

    def forward(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n band"]:
        """Each band in the sensor's unit."""
        return self.centre + self.spread * (self.straight(z) + self.bend(z))

    def error(self, doubt: Float[Tensor, "*n band"]) -> Float[Tensor, "*n band"]:
        """Expected error, a standard deviation in the sensor's unit, of what the embedding with this doubt tells."""
        return self.spread * torch.exp(doubt.clamp(-5, 3) - 1.0)


LAND = ("lai", "fapar", "chlorophyll", "soil_moisture")
"""Leaf area (m2 m-2), absorbed share of the light, leaf chlorophyll (ug cm-2), water in the top soil (m3 m-3)."""


class Land(nn.Module):
    """Linear reading of the state of the land, taught by simulated landscapes, the only ones whose state is known."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor([2.0, 0.5, 40.0, 0.2]), persistent=False)
        self.register_buffer("spread", torch.tensor([2.0, 0.3, 15.0, 0.1]), persistent=False)
        self.straight = nn.Linear(features, len(LAND))

    def forward(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n variable"]:
        """Each variable of ``LAND`` in its unit."""
        return self.centre + self.spread * self.straight(z)
