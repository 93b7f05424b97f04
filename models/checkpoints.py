"""Trained weights as data: safetensors with their configuration, sensor facts and model card in the header."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.embedder import Config, Embedder, Identity
from models.errors import InputError
from models.sensors import SENSORS, digest

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT = "fusion"
FORMAT = "fluxlens-1"


def save(model: Embedder, path: Path, name: str, card: dict) -> str:
    """Writes the weights with all that is needed to build the model again; returns their digest."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    header = {
        "format": FORMAT,
        "name": name,
        "config": json.dumps(asdict(model.config)),
        "sensors": digest(model.config.specs),
        "digest": _digest(state),
        "card": json.dumps(card),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    save_file(state, beside, metadata=header)
    beside.replace(path)
    return header["digest"]


def load(name_or_path: str | Path = "default", device: str = "auto") -> Embedder:
    """The model of that name among the shipped weights, or of that file, ready to answer.

    Raises InputError when it is not ours, was made for other sensors, or the device is not there.
    """
    path = _find(str(name_or_path))
    header, state = _read(path)
    raw = json.loads(header["config"])
    sensors = tuple(raw.pop("sensors"))
    if unknown := set(sensors) - set(SENSORS):
        raise InputError(
            f"{path.name} needs the sensors {sorted(unknown)}, this version knows {sorted(SENSORS)};"
            " use the version it was trained with."
        )
    config = Config(sensors=sensors, **raw)
    if header["sensors"] != digest(config.specs):
        raise InputError(
            f"{path.name} was trained with other sensor facts ({header['sensors']}) than this version's"
            f" ({digest(config.specs)}); train it again or use the version it came with."
        )
    model = Embedder(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"{path.name} does not fit its own configuration; download or train it again."
        ) from error
    model.identity = Identity(header["name"], header["digest"], json.loads(header.get("card", "{}")))
    return model.eval().requires_grad_(False).to(pick_device(device))


def pick_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where there is one, else ``cpu``."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("device is cuda, but PyTorch finds no CUDA device here; use --device cpu or auto.")
    if device != "cpu" and not device.startswith("cuda"):
        raise InputError(f"device is {device!r}; use auto, cpu or cuda.")
    return device


def shipped() -> list[str]:
    """Names of the weights that come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors") if not path.stem.startswith("gpp"))


def sensors(name_or_path: str | Path) -> tuple[str, ...]:
    """The sensors that weights are for, from their header alone."""
    with safe_open(_find(str(name_or_path)), framework="pt") as file:
        return tuple(json.loads((file.metadata() or {}).get("config", "{}")).get("sensors", ()))


def _find(name: str) -> Path:
    stem = DEFAULT if name == "default" else name
    inside = WEIGHTS / f"{stem}.safetensors"
    if "/" not in stem and inside.exists():
        return inside
    path = Path(name)
    if path.suffix in {".pt", ".pth", ".pkl", ".ckpt", ".bin"}:
        raise InputError(
            f"{path.name} looks like a pickled checkpoint, which can run code when opened; give a .safetensors file."
        )
    if not path.is_file():
        raise InputError(f"no model {name!r}; use one of {shipped()} or the path of a .safetensors file.")
    return path


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(
                    f"{path.name} is safetensors of format {header.get('format')!r}, not {FORMAT!r};"
                    " give weights written by `fluxlens train`."
                )
            return header, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path.name} is not a readable safetensors file ({error}); download or train it again."
        ) from error


def _digest(state: dict[str, torch.Tensor]) -> str:
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(key.encode())
        total.update(state[key].numpy().tobytes())
    return total.hexdigest()[:16]
