"""Training as a user runs it: which scenes teach, the two stages, and the card that says so."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from embeddings import cache
from embeddings.samples import Archive, Plan, batches
from models import checkpoints
from models.embedder import Config, Embedder
from models.errors import InputError
from models.sensors import SENSORS
from models.training import Progress, Recipe, freeze_encoders, set_scale, train

SIMULATED_SCENES = 48
SIMULATED_SIZE_PX = 48
FIRST_SEED = 10_000
"""Simulated landscapes from this seed on teach; those below are left for tests and evaluation."""
REAL_REPEATS = 6
"""A measured cube is drawn this many times as often as one simulated scene."""

Step = tuple[str, float]


@dataclass(frozen=True)
class Lesson:
    """What teaches a model."""

    simulated: int = SIMULATED_SCENES
    cubes: tuple[str, ...] = ()
    """Paths of measured cubes (any scene the readers open)."""
    recipe: Recipe = field(default_factory=Recipe)
    start: Path | None = None
    """Weights to go on from; None begins with random ones."""

    def card(self, ids: list[str], curve: list) -> dict:
        """The part of the model card that says what taught it."""
        return {
            "simulated_scenes": self.simulated,
            "simulated_seeds": f"{FIRST_SEED} to {FIRST_SEED + self.simulated - 1}",
            "measured_cubes": ids,
            "measured_source": "modified Copernicus Sentinel data 2018-2019 and AgERA5, from the test resources of "
            "WorldCereal/worldcereal-classification (MIT)"
            if ids
            else "none",
            "recipe": asdict(self.recipe),
            "start": checkpoints.load(self.start, "cpu").digest if self.start else "random weights",
            "curve": [[step, round(loss, 4)] for step, loss in curve],
        }


def sensor(name: str, out: Path, lesson: Lesson) -> Generator[Step, None, str]:
    """Stage one: the sensor learns on its own from its hidden acquisitions. Returns the digest of the weights."""
    if name not in SENSORS:
        raise InputError(f"no sensor {name!r}; use one of {sorted(SENSORS)} or add its SensorSpec.")
    archives = yield from _archives(lesson)
    model = _begin((name,), lesson)
    plan = Plan(sensors=(name,))
    digest = yield from _teach(model, archives, plan, lesson, name, out)
    return digest


def fusion(
    out: Path, lesson: Lesson, sensors: Sequence[str] = ("s2", "s1"), encoders: Path | None = None
) -> Generator[Step, None, str]:
    """Stage two: the fusion learns over the frozen encoders of stage one, from the folder or the shipped ones."""
    archives = yield from _archives(lesson)
    model = _begin(tuple(sensors), lesson)
    for name in sensors:
        taught = checkpoints.load(encoders / f"{name}.safetensors" if encoders else name, "cpu")
        model.encoders[name].load_state_dict(taught.encoders[name].state_dict())
        if lesson.start is None:
            model.fusion.adopt(taught.fusion)
            model.decoders[name].load_state_dict(taught.decoders[name].state_dict())
    freeze_encoders(model)
    digest = yield from _teach(model, archives, Plan(sensors=tuple(sensors)), lesson, "fusion", out)
    return digest


def _begin(sensors: tuple[str, ...], lesson: Lesson) -> Embedder:
    """Random weights of the recipe's seed, or those the lesson goes on from."""
    torch.manual_seed(lesson.recipe.seed)
    model = Embedder(Config(sensors=sensors))
    if lesson.start is not None:
        before = checkpoints.load(lesson.start, "cpu")
        if before.config != model.config:
            raise InputError(
                f"--start has weights of {before.config.sensors}, need those of {sensors}; give the same sensors."
            )
        model.load_state_dict(before.state_dict())
    return model


def _teach(
    model: Embedder, archives: list[Archive], plan: Plan, lesson: Lesson, name: str, out: Path
) -> Generator[Step, None, str]:
    samples = batches(archives, plan, lesson.recipe.seed)
    progress: Progress | None = None
    for progress in train(model, samples, lesson.recipe):
        yield f"{name}: step {progress.step}, loss {progress.loss:.4f}", progress.step / progress.steps
    best = progress.model
    set_scale(best, samples)
    measured = sorted({a.id for a in archives if not a.id.startswith("SIM")})
    return checkpoints.save(best, out, name, lesson.card(measured, progress.curve))


def _archives(lesson: Lesson) -> Generator[Step, None, list[Archive]]:
    from embeddings.readers import open_scene

    archives = []
    for i in range(lesson.simulated):
        archives.append((yield from simulated_archive(FIRST_SEED + i, i / max(lesson.simulated, 1))))
    for path in lesson.cubes:
        archives += [Archive.of(open_scene(path))] * REAL_REPEATS
    if not archives:
        raise InputError(
            "nothing to learn from: 0 simulated scenes and no cube; give --simulated N or --cube PATH."
        )
    return archives


def simulated_archive(seed: int, share: float = 0.0) -> Generator[Step, None, Archive]:
    """The archive of one random simulated landscape, kept in the cache."""

    def build(path: Path) -> Generator[Step, None, None]:
        from embeddings.simulate import random_scene

        yield f"simulating landscape {seed}", share
        made = Archive.of(random_scene(seed, SIMULATED_SIZE_PX))
        with path.open("wb") as file:
            np.savez_compressed(file, id=f"SIM-{seed}", **_flat(made))

    path = yield from cache.once(f"training-{seed}-{SIMULATED_SIZE_PX}.npz", build)
    with np.load(path) as stored:
        parts: dict[str, dict[str, np.ndarray]] = {"steps": {}, "usable": {}, "sure": {}, "day": {}}
        for key in stored.files:
            if key != "id":
                part, name = key.split("/")
                parts[part][name] = stored[key]
        return Archive(str(stored["id"]), **parts)


def _flat(archive: Archive) -> dict[str, np.ndarray]:
    return {
        f"{part}/{name}": array
        for part in ("steps", "usable", "sure", "day")
        for name, array in getattr(archive, part).items()
    }
