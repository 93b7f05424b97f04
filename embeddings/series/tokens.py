"""Spectra without neighbours as tokens of a batch."""

from __future__ import annotations

import numpy as np
import torch
from fluxlens.embeddings.series.batches import Batch
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import encode_isolated

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
    for name, observations in batch.sensors.items():
        # The union of the batch's days; a series without an acquisition on one of them is masked there.
        days, at = np.unique(observations.day, return_inverse=True)
        token = torch.zeros(len(days), len(batch.members), model.config.specs[name].token, device=device)
        valid = torch.zeros(len(days), len(batch.members), dtype=torch.bool, device=device)
        with torch.inference_mode():
            # Rows are encoded in pieces that fit the cache of a core: the hidden layers are wider than the input.
            for start in range(0, len(at), ENCODE_ROWS):
                rows = slice(start, start + ENCODE_ROWS)
                values = torch.from_numpy(observations.values[rows]).to(device)
                where = torch.from_numpy(at[rows]), torch.from_numpy(observations.series[rows])
                token[where] = encode_isolated(model.encoders[name], values)
                valid[where] = True
        out[name] = Tokens(token[None], valid[None], torch.from_numpy(days)[None].to(device))
    return out
