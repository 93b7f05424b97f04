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
        # Bands, the presence of each, and the clear mask.
        channels = 2 * len(spec.bands) + 1
        width = spec.width
        self.register_buffer("centre", torch.tensor(spec.centre)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(spec.spread)[:, None, None], persistent=False)
        self.pixel = nn.Conv2d(channels, width, 1)
        # One pixel of reach, then two more: ``HALO_PX``. The dilated one is depthwise, which is ``width`` times
        # cheaper.
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
        # Clamped: 12 spreads are a blue reflectance of 0.54, cloud or snow, whose brightness says nothing of the land.
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


def encode_isolated(
    encoder: Encoder, values: Float[Tensor, "n band"], valid: Bool[Tensor, "n"] | None = None
) -> Float[Tensor, "n token"]:
    """Tokens of spectra without neighbours: what ``encoder`` gives at the centre of 7 x 7 pixels, all others missing.

    Of the constant surroundings only sums of weights remain: the 3 x 3 convolution sees the spectrum at the centre
    alone, and the dilated one, two pixels out, sees it only through its own centre. A fiftieth of the arithmetic.

    Parameters
    ----------
    encoder : Encoder
        Encoder of the sensor.
    values : Tensor
        (n, band) in the sensor's unit, NaN where not measured.
    valid : Tensor or None
        (n,) bool, all where not given.

    Returns
    -------
    Tensor
        (n, token) float32.
    """
    # The same layers as the encoder's own forward pass; a test compares both within 2e-6.
    gelu = torch.nn.functional.gelu
    if valid is None:
        valid = torch.ones(len(values), dtype=torch.bool, device=values.device)
    # (n, channel): a pixel as the encoder scales it
    x = encoder.inputs(values[:, :, None, None], valid[:, None, None])[:, :, 0, 0]
    pixel, near, far = encoder.pixel, encoder.near, encoder.far
    empty = gelu(pixel.bias)  # (width,): a missing pixel, all inputs zero
    around = near.weight.sum((2, 3)) @ empty + near.bias  # (width,): only missing pixels in sight
    centre = near.weight[:, :, 1, 1]
    # (n, width) from here on
    h = gelu(x @ pixel.weight[:, :, 0, 0].T + pixel.bias)
    h = gelu(around + (h - empty) @ centre.T)
    # depthwise, dilation 2: the eight outer taps lie two pixels away and see missing pixels alone
    outer = far.weight[:, 0].sum((1, 2)) - far.weight[:, 0, 1, 1]
    wide = far.bias + outer * gelu(around) + far.weight[:, 0, 1, 1] * h
    h = h + gelu(wide) @ encoder.mix.weight[:, :, 0, 0].T + encoder.mix.bias
    token = gelu(h) @ encoder.out.weight[:, :, 0, 0].T + encoder.out.bias
    return token + x @ encoder.through.weight[:, :, 0, 0].T + encoder.through.bias
