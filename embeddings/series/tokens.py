"""Spectra without neighbours as tokens of a batch."""

from __future__ import annotations

import numpy as np
import torch
from fluxlens.embeddings.series.batches import Batch
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import Encoder

ENCODE_ROWS = 16_384
"""Spectra encoded together: 2 MB of hidden layers each in a core's cache."""


def encode_batch(model: Embedder, batch: Batch) -> dict[str, Tokens]:
    """Tokens of a batch over the union of its days.

    Parameters
    ----------
    model : Embedder
        Loaded model, which decides the device.
    batch : Batch
        Series of one or more sensors.

    Returns
    -------
    dict of str to Tokens
        By sensor, token (1, day, pixel, token); not valid where a series lacks the day.
    """
    device = model.scale.device
    out = {}
    for name, seen in batch.sensors.items():
        # The union of the batch's days; a series without an acquisition on one of them is masked there.
        days, at = np.unique(seen.day, return_inverse=True)
        token = torch.zeros(len(days), len(batch.members), model.config.specs[name].token, device=device)
        usable = torch.zeros(len(days), len(batch.members), dtype=torch.bool, device=device)
        with torch.inference_mode():
            # Rows are encoded in pieces that fit the cache of a core: the hidden layers are wider than the input.
            for start in range(0, len(at), ENCODE_ROWS):
                rows = slice(start, start + ENCODE_ROWS)
                values = torch.from_numpy(seen.values[rows]).to(device)
                where = torch.from_numpy(at[rows]), torch.from_numpy(seen.series[rows])
                token[where] = encode_isolated(model.encoders[name], values)
                usable[where] = True
        out[name] = Tokens(token[None], usable[None], torch.from_numpy(days)[None].to(device))
    return out


def encode_isolated(
    encoder: Encoder, values: torch.Tensor, usable: torch.Tensor | None = None
) -> torch.Tensor:
    """Tokens of spectra without neighbours: what ``encoder`` gives at the centre of 7 x 7 pixels, all others missing.

    Of the constant surroundings only sums of weights remain: the 3 x 3 convolution sees the spectrum at the centre
    alone, and the dilated one, two pixels out, sees it only through its own centre. A fiftieth of the arithmetic.

    Parameters
    ----------
    encoder : models.encoder.Encoder
        Encoder of the sensor.
    values : torch.Tensor
        (n, band) in the sensor's unit, NaN where not measured.
    usable : torch.Tensor or None
        (n,) bool, all where not given.

    Returns
    -------
    torch.Tensor
        (n, token) float32.
    """
    # The same layers as the encoder's own forward pass; a test compares both within 2e-6.
    gelu = torch.nn.functional.gelu
    if usable is None:
        usable = torch.ones(len(values), dtype=torch.bool, device=values.device)
    # (n, channel): a pixel as the encoder scales it
    x = encoder.inputs(values[:, :, None, None], usable[:, None, None])[:, :, 0, 0]
    pixel, near, far = encoder.pixel, encoder.near, encoder.far
    empty = gelu(pixel.bias)  # (width,): a missing pixel, all inputs zero
    around = near.weight.sum((2, 3)) @ empty + near.bias  # (width,): only missing pixels in sight
    centre = near.weight[:, :, 1, 1]
    h = gelu(x @ pixel.weight[:, :, 0, 0].T + pixel.bias)
    h = gelu(around + (h - empty) @ centre.T)
    # depthwise, dilation 2: the eight outer taps lie two pixels away and see missing pixels alone
    outer = far.weight[:, 0].sum((1, 2)) - far.weight[:, 0, 1, 1]
    wide = far.bias + outer * gelu(around) + far.weight[:, 0, 1, 1] * h
    h = h + gelu(wide) @ encoder.mix.weight[:, :, 0, 0].T + encoder.mix.bias
    token = gelu(h) @ encoder.out.weight[:, :, 0, 0].T + encoder.out.bias
    return token + x @ encoder.through.weight[:, :, 0, 0].T + encoder.through.bias
