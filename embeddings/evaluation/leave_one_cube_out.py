"""Leave-one-cube-out: every measured cube is predicted by a fusion trained on simulated landscapes and all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fluxlens.embeddings.evaluation import held_out_scenes, reconstruction
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.training import embedder
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError


def evaluate(
    data: str | Path, config: embedder.TrainingConfig, encoders: Path | None = None, device: str = "auto"
) -> Steps[tuple[dict[str, float], str]]:
    """Train one fusion per cube without that cube, and score it on the cube's hidden dates.

    Parameters
    ----------
    data
        Folder of measured cubes.
    config
        How to train; its cubes are replaced by those of ``data`` but the one left out.
    encoders
        Folder of frozen encoders; by default the shipped ones. Where they learned from the cube, the result says so.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    Flat object of numbers, and their tables as text; yields progress.

    Raises
    ------
    InputError
        If the weights to start from learned from one of the cubes.
    """
    scenes = held_out_scenes.open_scenes(data)
    paths = dict(zip(scenes, held_out_scenes.scene_paths(data), strict=True))
    # Else the score would be of land it knows.
    if config.start and (trained_on := _measured_cubes(config.start) & set(scenes)):
        raise InputError(
            f"Got --start {config.start}, which learned from {', '.join(sorted(trained_on))}, need weights that never"
            " saw a cube of --data; give others or leave it away."
        )
    models = {}
    # Through files, as users train: their cards say what each model learned from.
    with TemporaryDirectory() as folder:
        for name in scenes:
            other_cubes = tuple(str(path) for other, path in paths.items() if other != name)
            out = Path(folder) / f"without-{name}.safetensors"
            yield from embedder.train_fusion(out, replace(config, cubes=other_cubes), encoders=encoders)
            models[name] = checkpoints.load(out, device)
    sensors = next(iter(models.values())).config.sensors
    own = {name: encoders / f"{name}.safetensors" for name in sensors} if encoders else {}
    # Encoders are trained once and frozen; what they saw is said beside the scores instead of training them per cube.
    encoder_cubes = set.union(
        *(_measured_cubes(own[s] if s in own and own[s].exists() else s) for s in sensors)
    )
    for model in models.values():
        # The tables call a scene seen that only the encoders saw: add their cubes to the fusion's card.
        card = model.identity.card
        measured_cubes = sorted(encoder_cubes | set(card["measured_cubes"]))
        model.identity = replace(model.identity, card=card | {"measured_cubes": measured_cubes})
    listed = ", ".join(sorted(encoder_cubes & set(scenes))) or "none of them"
    training = f"each cube by a fusion trained without it, the frozen encoders learned from {listed}"
    numbers, table = yield from reconstruction.evaluate(scenes, models, training)
    return numbers | {f"{name}_encoders_saw_it": int(name in encoder_cubes) for name in scenes}, table


def _measured_cubes(weights: str | Path) -> set[str]:
    """Measured cubes that the weights' own card says they learned from."""
    return set(checkpoints.load(weights, "cpu").identity.card.get("measured_cubes", []))
