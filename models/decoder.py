"""The decoder of one sensor: what the sensor would measure given the embedding, and how far off that may be."""

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
        self.bend = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, 2 * bands))

    def forward(self, z: Float[Tensor, "*n f"]) -> tuple[Float[Tensor, "*n band"], Float[Tensor, "*n band"]]:
        """Mean and standard deviation per band, in the sensor's unit."""
        bend, log_sigma = self.bend(z).chunk(2, -1)
        mean = self.centre + self.spread * (self.straight(z) + bend)
        return mean, self.spread * torch.exp(log_sigma.clamp(-5, 3) - 1.0)
