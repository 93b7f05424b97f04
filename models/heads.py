"""Trained GPP heads as data: tensors, configuration and model card in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.errors import InputError

WEIGHTS = Path(__file__).parent / "weights"
FORMAT = "fluxlens-gpp-1"


def save(path: str | Path, kind: str, tensors: dict[str, Tensor], config: dict, card: dict) -> str:
    """Writes a head beside its place and renames it; returns the digest of its tensors."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"Got {path.name}, need a name ending in .safetensors; choose another.")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    digest = _digest(tensors)
    header = {"format": FORMAT, "kind": kind, "digest": digest}
    header |= {"config": json.dumps(config), "card": json.dumps(card)}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    save_file(tensors, beside, metadata=header)
    beside.replace(path)
    return digest


def load(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict, dict, str]:
    """Tensors, configuration, card and digest of a head of this kind."""
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT or header.get("kind") != kind:
                raise InputError(
                    f"Got {path.name} with format {header.get('format')!r} and kind {header.get('kind')!r}, need"
                    f" {FORMAT!r} and {kind!r}; give a head written by `fluxlens train gpp`."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"Got {path.name}, which is not a readable safetensors file ({error}), need a trained head; run"
            " `fluxlens train gpp`."
        ) from error
    return tensors, json.loads(header["config"]), json.loads(header["card"]), header["digest"]


def _digest(tensors: dict[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].numpy().tobytes())
    return total.hexdigest()[:16]
