"""The encoder of one sensor: it reads a whole image once and writes a small token per pixel."""

from __future__ import annotations

import torch
from fluxlens.models.sensors import SensorSpec
from jaxtyping import Bool, Float
from torch import Tensor, nn

HALO_PX = 3
"""Receptive field beyond a pixel; tiles are read with this margin, so that tile borders leave no trace."""


class Encoder(nn.Module):
    """Dense convolutional encoder of single acquisitions with a receptive field of 7 x 7 pixels.

    The names of its layers are keys of shipped weights: ``near`` and ``far`` are the plain and the dilated 3 x 3
    convolution, ``mix`` and ``out`` pointwise ones, ``through`` the linear skip branch.

    Parameters
    ----------
    spec
        The sensor: bands, scaling, width and token length.
    """

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
        self, values: Float[Tensor, "n band y x"], valid: Bool[Tensor, "n y x"]
    ) -> Float[Tensor, "n channel y x"]:
        """Channels of the first layer: scaled bands, presence of each band, cloud mask.

        Parameters
        ----------
        values
            In the sensor's unit; NaN and values outside ``SensorSpec.valid_range`` are missing.
        valid
            Pixels that the cloud mask calls clear.

        Returns
        -------
        Tensor
            ``channel = 2 * band + 1``; missing values are 0 with presence 0.
        """
        low, high = self.spec.valid_range
        present = (values >= low) & (values <= high)  # False for NaN
        # NaN is replaced, never multiplied by a weight of 0: NaN * 0 is NaN.
        scaled = torch.where(present, (values - self.centre) / self.spread, 0.0).clamp(-6, 12)
        return torch.cat([scaled, present.to(scaled.dtype), valid[:, None].to(scaled.dtype)], 1)

    def forward(
        self, values: Float[Tensor, "n band y x"], valid: Bool[Tensor, "n y x"]
    ) -> Float[Tensor, "n token y2 x2"]:
        """Encode acquisitions; convolutions are not padded, so that no pixel depends on where a tile ends.

        Parameters
        ----------
        values, valid
            As for ``inputs``, with the halo.

        Returns
        -------
        Tensor
            Tokens of the inner pixels: ``y2 = y - 2 * HALO_PX``.
        """
        x = self.inputs(values, valid)  # (n, channel, y, x)
        h = nn.functional.gelu(self.pixel(x))  # (n, width, y, x)
        h = nn.functional.gelu(self.near(h))  # (n, width, y - 2, x - 2)
        h = h[:, :, 2:-2, 2:-2] + self.mix(nn.functional.gelu(self.far(h)))  # (n, width, y - 6, x - 6)
        inner = x[:, :, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        return self.out(nn.functional.gelu(h)) + self.through(inner)  # (n, token, y - 6, x - 6)
