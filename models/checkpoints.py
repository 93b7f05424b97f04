"""Trained weights as data: safetensors with their configuration, sensor facts and model card in the header.

Two formats, both without pickled code: ``fluxlens-1`` holds an ``Embedder``, ``fluxlens-gpp-1`` a GPP head. The keys of
the tensors are the attribute names of the modules, which is why those names do not change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from fluxlens.models.atomic import atomic_path
from fluxlens.models.embedder import Config, Embedder, Identity
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS, digest
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the shipped weights."""
DEFAULT = "fusion"
FORMAT = "fluxlens-1"
HEAD_FORMAT = "fluxlens-gpp-1"
LARGEST_SIZE = 4096
"""Of a layer or a list of sizes in a configuration; the largest shipped is 160."""


def save(model: Embedder, path: Path, name: str, card: dict) -> str:
    """Write an embedder with all that is needed to build it again.

    Parameters
    ----------
    model
        Any device.
    path
        File to write; its folder is made.
    name
        Name that the embeddings of this model carry.
    card
        What the model was trained on, JSON.

    Returns
    -------
    str
        Digest of the weights, 16 hex digits.
    """
    # On the CPU and contiguous: the file does not depend on the device of training.
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    header = {
        "format": FORMAT,
        "name": name,
        "config": json.dumps(asdict(model.config)),
        "sensors": digest(model.config.specs),
        "digest": _digest(state),
        "card": json.dumps(card),
    }
    _write(state, path, header)
    return header["digest"]


def load(name_or_path: str | Path = "default", device: str = "auto") -> Embedder:
    """Read an embedder, ready for inference.

    Parameters
    ----------
    name_or_path
        A name among ``shipped()``, ``default``, or the path of a file that ``save`` wrote.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    Embedder
        In evaluation mode, without gradients, with its ``identity``.

    Raises
    ------
    InputError
        When the file is not ours, was trained with other sensor facts, or the device is missing.
    """
    path = _find(str(name_or_path))
    header, state = _read(path)
    with building(path, "weights"):
        raw = check_sizes(path, json.loads(header["config"]))
        # Read inside the guard: any of these keys may be missing from a header that anybody wrote.
        card, name, expected = json.loads(header.get("card", "{}")), header["name"], header["digest"]
        sensors = tuple(raw.pop("sensors"))
        if unknown := set(sensors) - set(SENSORS):
            raise InputError(
                f"{path.name} needs the sensors {sorted(unknown)}, this version knows {sorted(SENSORS)};"
                " use the version it was trained with."
            )
        config = Config(sensors=sensors, **raw)
        # Bands in another order or scaled otherwise would give plausible, wrong embeddings.
        if header["sensors"] != digest(config.specs):
            raise InputError(
                f"{path.name} was trained with other sensor facts ({header['sensors']}) than this version's"
                f" ({digest(config.specs)}); train it again or use the version it came with."
            )
        model = Embedder(config)
    # Config and sensor facts agree, so that a failure below means a damaged or edited file.
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"{path.name} does not fit its own configuration; download or train it again."
        ) from error
    check_digest(path, state, expected)
    model.identity = Identity(name, expected, card)
    # Without gradients: a caller that forgets ``no_grad`` would keep the graph of every block it computes.
    return model.eval().requires_grad_(False).to(pick_device(device))


def save_head(path: str | Path, kind: str, tensors: dict[str, Tensor], config: dict, card: dict) -> str:
    """Write a GPP head.

    Parameters
    ----------
    path
        File to write, ending in ``.safetensors``; its folder is made.
    kind
        ``daily`` (``DailyHead``); files of earlier releases may be of another kind.
    tensors
        Parameters by name, any shape and device, in the units of the head's scaling.
    config, card
        What is needed to build the head, and what it was trained on; JSON.

    Returns
    -------
    str
        Digest of the tensors, 16 hex digits.

    Raises
    ------
    InputError
        When the name has another suffix.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"Got {path.name}, need a name ending in .safetensors; choose another.")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": HEAD_FORMAT, "kind": kind, "digest": _digest(tensors)}
    header |= {"config": json.dumps(config), "card": json.dumps(card)}
    _write(tensors, path, header)
    return header["digest"]


def load_head(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict, dict, str]:
    """Read a GPP head.

    Parameters
    ----------
    path
        File that ``save_head`` wrote.
    kind
        The kind it must be, ``daily`` or ``table``.

    Returns
    -------
    tensors, config, card, digest
        As given to ``save_head`` (same shapes and units), and the digest it returned.

    Raises
    ------
    InputError
        When the file cannot be read, or holds another format or kind.
    """
    # Safetensors are mapped and parsed, never executed: a file of unknown origin can be wrong, but cannot run code.
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != HEAD_FORMAT or header.get("kind") != kind:
                raise InputError(
                    f"Got {path.name} with format {header.get('format')!r} and kind {header.get('kind')!r}, need"
                    f" {HEAD_FORMAT!r} and {kind!r}; give a head written by `fluxlens train gpp`."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"Got {path.name}, which is not a readable safetensors file ({error}), need a trained head; run"
            " `fluxlens train gpp`."
        ) from error
    with building(path, "a head"):
        config, card, expected = json.loads(header["config"]), json.loads(header["card"]), header["digest"]
        check_sizes(path, config)
    check_digest(path, tensors, expected)
    return tensors, config, card, expected


@contextmanager
def building(path: Path, what: str) -> Iterator[None]:
    """Networks are built from the header of a file that anybody may have written.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it should hold, for the message.

    Raises
    ------
    InputError
        Instead of whatever a missing or odd entry of the header causes.
    """
    try:
        yield
    # An ``InputError`` is a ``ValueError``, which the next clause would wrap a second time.
    except InputError:
        raise
    # Each entry may be missing or of any type, so that nearly anything may be raised where it is first used.
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise InputError(
            f"Got {path.name} whose header cannot be used ({reason}), need {what} as `fluxlens train` writes it;"
            " download or train it again."
        ) from error


def check_sizes(path: Path, config: Any) -> dict[str, Any]:
    """The configuration of a file, whose sizes must be those of a network that fits in memory.

    Parameters
    ----------
    path : Path
        The file, for the message.
    config : Any
        As read from its header.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    InputError
        Where it is no mapping, or an integer in it is negative or above ``LARGEST_SIZE``.
    """
    # The header decides how much memory is allocated before a single weight is read, so its sizes are bounded first.
    if not isinstance(config, dict):
        raise InputError(f"Got {path.name} without a configuration, need one; download or train it again.")
    waiting = list(config.items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += [(name, one) for one in (value.values() if isinstance(value, dict) else value)]
        # a bool is an int in Python
        elif isinstance(value, int) and not 0 <= value <= LARGEST_SIZE:
            raise InputError(
                f"Got {path.name} with {name} = {value}, need 0 to {LARGEST_SIZE}; download or train it again."
            )
    return config


def check_digest(path: Path, tensors: dict[str, Tensor], expected: str) -> None:
    """InputError where the numbers of a file are not those that were written: one bit changes every answer a little.

    Parameters
    ----------
    path : Path
        The file, for the message.
    tensors : dict of str to Tensor
        As read, of any shape; weights have no unit (dimensionless).
    expected : str
        The digest in its header.
    """
    if _digest(tensors) != expected:
        raise InputError(
            f"Got {path.name} whose numbers are not those of its digest {expected!s:.16}, need the file as it was"
            " written; download or train it again."
        )


def pick_device(device: str) -> str:
    """Resolve ``auto`` and check that the device exists.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    str
        ``cpu`` or the CUDA device.

    Raises
    ------
    InputError
        When it is none of these, or CUDA is asked for and missing.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    # Asked for by name and missing: falling back to the CPU in silence would take hours instead of minutes.
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("device is cuda, but PyTorch finds no CUDA device here; use --device cpu or auto.")
    if device != "cpu" and not device.startswith("cuda"):
        raise InputError(f"device is {device!r}; use auto, cpu or cuda.")
    return device


EARLIER = ("fusion_v1", "fusion_v2")
"""Default weights of earlier releases, kept for the stores that they made."""


def shipped() -> list[str]:
    """Names of the embedders that come with the package.

    Returns
    -------
    list of str
        Sorted; GPP heads are not among them.
    """
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors") if not path.stem.startswith("gpp"))


def sensors(name_or_path: str | Path) -> tuple[str, ...]:
    """Sensors of an embedder, from the header of its file alone.

    Parameters
    ----------
    name_or_path
        As for ``load``.

    Returns
    -------
    tuple of str
        Names in ``models.sensors.SENSORS``; empty where the header has none.
    """
    # The header alone: which sensors a model knows is asked for lists, where no weights are needed.
    with safe_open(_find(str(name_or_path)), framework="pt") as file:
        return tuple(json.loads((file.metadata() or {}).get("config", "{}")).get("sensors", ()))


def _find(name: str) -> Path:
    stem = DEFAULT if name == "default" else name
    # A name without a folder means shipped weights, also where a file of that name lies in the working directory.
    inside = WEIGHTS / f"{stem}.safetensors"
    if "/" not in stem and inside.exists():
        return inside
    path = Path(name)
    # Refused by name, before anything is opened.
    if path.suffix in {".pt", ".pth", ".pkl", ".ckpt", ".bin"}:
        raise InputError(
            f"{path.name} looks like a pickled checkpoint, which can run code when opened; give a .safetensors file."
        )
    if not path.is_file():
        raise InputError(f"no model {name!r}; use one of {shipped()} or the path of a .safetensors file.")
    return path


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
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


def _write(tensors: dict[str, Tensor], path: Path, header: dict[str, str]) -> None:
    """Write a file whose reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # An interrupted training leaves the old weights whole.
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def _digest(tensors: dict[str, Tensor]) -> str:
    """Digest of names and bytes, whatever the order of the dict."""
    # Bytes as stored, not values: -0.0 and 0.0 are different weights.
    total = hashlib.sha256()
    # In the order of names, so that the digest does not depend on that of the modules.
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].numpy().tobytes())
    return total.hexdigest()[:16]
