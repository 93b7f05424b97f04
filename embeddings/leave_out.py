"""Every measured cube told by a fusion that learned from simulated landscapes and all other cubes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from embeddings import evaluation, training
from embeddings.progress import Steps
from models import checkpoints
from models.errors import InputError


def evaluate(
    data: str | Path, lesson: training.Lesson, encoders: Path | None = None, device: str = "auto"
) -> Steps[tuple[dict[str, float], str]]:
    """Trains once per cube in ``data``; returns the numbers of all as one flat object, and their tables.

    The lesson's cubes are those of ``data`` but the one left out. ``encoders`` are frozen, from a folder or the
    shipped ones; where they learned from the cube, that is told.
    """
    scenes = evaluation.open_scenes(data)
    paths = dict(zip(scenes, evaluation.scene_paths(data), strict=True))
    if lesson.start and (seen := _taught_by(lesson.start) & set(scenes)):
        raise InputError(
            f"Got --start {lesson.start}, which learned from {', '.join(sorted(seen))}, need weights that never saw"
            " a cube of --data; give others or leave it away."
        )
    models = {}
    with TemporaryDirectory() as folder:
        for name in scenes:
            others = tuple(str(path) for other, path in paths.items() if other != name)
            out = Path(folder) / f"without-{name}.safetensors"
            yield from training.fusion(out, replace(lesson, cubes=others), encoders=encoders)
            models[name] = checkpoints.load(out, device)
    sensors = next(iter(models.values())).config.sensors
    own = {name: encoders / f"{name}.safetensors" for name in sensors} if encoders else {}
    seen = set.union(*(_taught_by(own[s] if s in own and own[s].exists() else s) for s in sensors))
    for model in models.values():  # the tables call a scene seen that only the encoders saw
        card = model.identity.card
        all_seen = sorted(seen | set(card["measured_cubes"]))
        model.identity = replace(model.identity, card=card | {"measured_cubes": all_seen})
    numbers, table = yield from evaluation.evaluate(scenes, models)
    numbers |= {f"{name}_encoders_saw_it": int(name in seen) for name in scenes}
    told = ", ".join(sorted(seen & set(scenes))) or "none of them"
    return numbers, f"{table}\n\nno fusion saw the cube it tells; the frozen encoders learned from {told}"


def _taught_by(weights: str | Path) -> set[str]:
    """Measured cubes that the weights' own card names."""
    return set(checkpoints.load(weights, "cpu").identity.card.get("measured_cubes", []))
