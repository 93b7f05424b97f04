"""Outputs of the shipped weights for fixed inputs: ``python -m tests.models.shipped_outputs`` writes the golden file.

To be run only when weights are trained anew. The file was made with the weights and the code of 45e744a.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fluxlens.embeddings import gpp
from fluxlens.embeddings.gpp import predict_table, tables
from fluxlens.models import checkpoints
from fluxlens.models.batch import Tokens
from fluxlens.models.gpp.drivers import DRIVERS

GOLDEN = Path(__file__).parent.parent / "golden" / "shipped_outputs.json"


def wave(*shape: int) -> torch.Tensor:
    """Numbers of about unit variance, the same on every machine."""
    count = int(np.prod(shape))
    return torch.from_numpy(1.4 * np.sin(0.7 * np.arange(count) ** 1.3)).float().reshape(shape)


def outputs() -> dict[str, dict[str, list[float] | str]]:
    """Per weight file: its digest and what it computes."""
    out: dict[str, dict[str, list[float] | str]] = {}
    for name in checkpoints.shipped():
        model = checkpoints.load(name, "cpu")
        tokens = {}
        for sensor, spec in model.config.specs.items():
            centre, spread = (torch.tensor(v)[:, None, None] for v in (spec.centre, spec.spread))
            values = centre + spread * wave(5, len(spec.bands), 7, 8)
            encoded = model.encode(sensor, values, torch.ones(5, 7, 8, dtype=torch.bool)).flatten(2)
            valid = torch.ones(1, 5, 2, dtype=torch.bool)
            tokens[sensor] = Tokens(encoded.transpose(1, 2)[None], valid, 18_000 + 9 * torch.arange(5)[None])
        output = model.embed(tokens, torch.tensor([[18_004, 18_020, 18_100]]))
        parts = {"z": output.z, "sigma": model.sigma(output)}
        parts |= {f"decoded.{key}": decoder(output.z) for key, decoder in model.decoders.items()}
        out[name] = {"digest": model.digest} | {key: flat(part) for key, part in parts.items()}
    head = gpp.load()
    z = 0.5 * wave(6, head.net.config.features)
    mean, spread = head.net(z, torch.linspace(0, 300, 6), 0.7 * wave(6, len(DRIVERS)))
    parts = {"mean": mean, "spread": spread, "mahalanobis": head.net.mahalanobis(z)}
    out["gpp"] = {"digest": head.digest} | {key: flat(part) for key, part in parts.items()}
    found = predict_table.predict_rows(rows(), head)
    out["gpp_rows"] = {"digest": head.digest} | {key: found[key].astype(float).tolist() for key in found}
    return out


def rows() -> pd.DataFrame:
    """Twelve spectra of two sites."""
    green = np.tile([0.2, 0.4, 0.6, 0.8, 0.5, 0.3], 2)
    columns = {
        "SITE_ID": np.repeat(["A", "B"], 6),
        "date": np.tile([f"2020-{month:02d}-15" for month in range(2, 13, 2)], 2),
        "b2": 0.05 - 0.02 * green,
        "b3": 0.08 - 0.02 * green,
        "b4": 0.12 - 0.09 * green,
        "b5": 0.18 + 0.25 * green,
        "b6": 0.28 - 0.10 * green,
        "b7": 0.20 - 0.12 * green,
        "T2MIN": 268 + 20 * green,
        "T2MAX": 279 + 20 * green,
        "T2MEAN": 273 + 20 * green,
        "TSMDEWMEAN": 268 + 18 * green,
        "GWETROOT": np.repeat([0.7, 0.4], 6),
        "SWLAND": 60 + 250 * green,
        "PARDFLAND": 20 + 20 * green,
        "lat": np.repeat([50.0, 38.0], 6),
    }
    return tables.clean(pd.DataFrame(columns))


def flat(part: torch.Tensor) -> list[float]:
    return part.detach().double().flatten().tolist()


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(outputs(), indent=0) + "\n")
