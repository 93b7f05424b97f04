"""The encoder of one sensor: an acquisition goes in once, as a whole image, and leaves a small token per pixel."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.sensors import SensorSpec

HALO_PX = 3
"""Pixels around a tile that its tokens may see; a tile is read with this margin, so tile borders leave no trace."""


class Encoder(nn.Module):
    """Dense convolutional encoder of single acquisitions; sees 7 x 7 pixels, knows which bands are missing."""

    def __init__(self, spec: SensorSpec) -> None:
        super().__init__()
        self.spec = spec
        channels = 2 * len(spec.bands) + 1
        width = spec.width
        self.register_buffer("centre", torch.tensor(spec.centre)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(spec.spread)[:, None, None], persistent=False)
        self.pixel = nn.Conv2d(channels, width, 1)
        self.near = nn.Conv2d(width, width, 3)
        self.far = nn.Conv2d(width, width, 3, dilation=2, groups=width)
        self.mix = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, spec.token, 1)
        self.through = nn.Conv2d(channels, spec.token, 1)

    def inputs(
        self, values: Float[Tensor, "n band y x"], usable: Bool[Tensor, "n y x"]
    ) -> Float[Tensor, "n channel y x"]:
        """Scaled bands with missing ones blanked (never weighted: NaN * 0 is NaN), their presence, the mask."""
        low, high = self.spec.valid_range
        present = (values >= low) & (values <= high)  # False for NaN
        scaled = torch.where(present, (values - self.centre) / self.spread, 0.0).clamp(-6, 12)
        return torch.cat([scaled, present.to(scaled.dtype), usable[:, None].to(scaled.dtype)], 1)

    def forward(
        self, values: Float[Tensor, "n band y x"], usable: Bool[Tensor, "n y x"]
    ) -> Float[Tensor, "n token y2 x2"]:
        """Tokens of the inner pixels: ``y2 = y - 2 * HALO_PX``."""
        x = self.inputs(values, usable)  # n channel y x
        h = nn.functional.gelu(self.pixel(x))
        h = nn.functional.gelu(self.near(h))  # y - 2
        h = h[:, :, 2:-2, 2:-2] + self.mix(nn.functional.gelu(self.far(h)))  # y - 6
        inner = x[:, :, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        return self.out(nn.functional.gelu(h)) + self.through(inner)
