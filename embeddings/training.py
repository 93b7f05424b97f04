"""Training as a user runs it: which scenes teach, the two stages, and the card that says so."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from embeddings import cache
from embeddings.samples import Archive, Plan, batches, land_of
from models import checkpoints
from models.embedder import Config, Embedder
from models.errors import InputError
from models.sensors import SENSORS
from models.training import Recipe, TrainingProgress, freeze_encoders, set_scale, train

SIMULATED_SCENES = 48
SIMULATED_SIZE_PX = 48
FIRST_SEED = 10_000
"""Simulated landscapes from this seed on teach; those below are left for tests and evaluation."""
REAL_REPEATS = 6
"""A measured cube is drawn this many times as often as one simulated scene."""
SENTINELS = ("s2", "s1")

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

    def card(self, ids: list[str], curve: list, sensors: Sequence[str]) -> dict:
        """The part of the model card that says what taught it."""
        landsat = "Landsat 8 surface reflectance (USGS), " if "landsat8" in sensors else ""
        return {
            "simulated_scenes": self.simulated,
            "simulated_seeds": f"{FIRST_SEED} to {FIRST_SEED + self.simulated - 1}",
            "measured_cubes": ids,
            "measured_source": f"modified Copernicus Sentinel data 2018-2019, {landsat}AgERA5, from the test "
            "resources of WorldCereal/worldcereal-classification (MIT)"
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
    archives = yield from _archives(lesson, (name,))
    model = _begin(Config(sensors=(name,)), lesson)
    plan = Plan(sensors=(name,))
    digest = yield from _teach(model, archives, plan, lesson, name, out)
    return digest


def fusion(
    out: Path, lesson: Lesson, sensors: Sequence[str] = SENTINELS, encoders: Path | None = None
) -> Generator[Step, None, str]:
    """Stage two: the fusion learns over the frozen encoders of stage one, from the folder or else the shipped ones."""
    if sensors[0] != "s2" or len(set(sensors)) < len(sensors) or set(sensors) - set(SENSORS):
        raise InputError(
            f"Got the sensors {','.join(sensors)}, need s2 first and each of {','.join(SENSORS)} at most once;"
            " correct them."
        )
    if encoders is not None and not encoders.is_dir():
        raise InputError(f"Got --encoders {encoders}, need a folder of weights; correct the path.")
    archives = yield from _archives(lesson, tuple(sensors), land=True)
    model = _begin(Config(sensors=tuple(sensors), land=True), lesson)
    for name in sensors[len(_begun(lesson)) :]:
        own = encoders / f"{name}.safetensors" if encoders else None
        _adopt(model, checkpoints.load(own if own and own.exists() else name, "cpu"))
    freeze_encoders(model)
    digest = yield from _teach(model, archives, Plan(sensors=tuple(sensors)), lesson, "fusion", out)
    return digest


def _begin(config: Config, lesson: Lesson) -> Embedder:
    """Random weights of the recipe's seed, or those the lesson goes on from, which may know the first sensors only."""
    torch.manual_seed(lesson.recipe.seed)
    model, sensors = Embedder(config), config.sensors
    begun = _begun(lesson)
    if begun != sensors[: len(begun)]:
        raise InputError(
            f"--start has weights of {','.join(begun)}, need those of {','.join(sensors)} or its first sensors;"
            " give such a file."
        )
    if begun == sensors:
        model.load_state_dict(checkpoints.load(lesson.start, "cpu").state_dict())
    elif begun:
        _adopt(model, checkpoints.load(lesson.start, "cpu"))
    return model


def _begun(lesson: Lesson) -> tuple[str, ...]:
    """Sensors of the weights the lesson goes on from."""
    return checkpoints.load(lesson.start, "cpu").config.sensors if lesson.start else ()


def _adopt(model: Embedder, taught: Embedder) -> None:
    """All that weights of fewer sensors know."""
    model.fusion.init_from(taught.fusion)
    for name in taught.config.sensors:
        model.encoders[name].load_state_dict(taught.encoders[name].state_dict())
        model.decoders[name].load_state_dict(taught.decoders[name].state_dict())


def _teach(
    model: Embedder, archives: list[Archive], plan: Plan, lesson: Lesson, name: str, out: Path
) -> Generator[Step, None, str]:
    samples = batches(archives, plan, lesson.recipe.seed)
    progress: TrainingProgress | None = None
    for progress in train(model, samples, lesson.recipe):
        yield f"{name}: step {progress.step}, loss {progress.loss:.4f}", progress.step / progress.steps
    best = progress.model
    set_scale(best, samples)
    measured = sorted({a.id for a in archives if not a.id.startswith("SIM")})
    return checkpoints.save(best, out, name, lesson.card(measured, progress.curve, plan.sensors))


def _archives(
    lesson: Lesson, sensors: tuple[str, ...], land: bool = False
) -> Generator[Step, None, list[Archive]]:
    from embeddings.readers import open_scene

    archives = []
    for i in range(lesson.simulated):
        share = i / max(lesson.simulated, 1)
        archives.append((yield from simulated_archive(FIRST_SEED + i, share, sensors, land)))
    for path in lesson.cubes:
        measured = Archive.of(open_scene(path), sensors)
        archives += [measured] * REAL_REPEATS if measured.steps else []
    if not archives:
        raise InputError(
            f"nothing to learn from: 0 simulated scenes and no cube with {' or '.join(sensors)};"
            " give --simulated N or --cube PATH."
        )
    return archives


def simulated_archive(
    seed: int, share: float = 0.0, sensors: Sequence[str] = SENTINELS, land: bool = False
) -> Generator[Step, None, Archive]:
    """The archive of one random simulated landscape, kept in the cache; Landsat and the land's state in files of their
    own."""
    parts: dict[str, dict[str, np.ndarray]] = {"steps": {}, "usable": {}, "sure": {}, "day": {}, "land": {}}
    for kept, ending in ((SENTINELS, ""), (("landsat8",), "-landsat8"), (("land",), "-land")):
        if not set(kept) & {*sensors, *(("land",) if land else ())}:
            continue
        path = yield from cache.build_once(
            f"training-{seed}-{SIMULATED_SIZE_PX}{ending}.npz",
            lambda to, kept=kept: _keep(to, seed, share, kept),
        )
        with np.load(path) as stored:
            for key in stored.files:
                if key != "id":
                    part, name = key.split("/")
                    parts[part][name] = stored[key]
    return Archive(f"SIM-{seed}", **parts)


def _keep(path: Path, seed: int, share: float, sensors: tuple[str, ...]) -> Generator[Step, None, None]:
    from embeddings.simulate import random_scene

    yield f"simulating landscape {seed}", share
    land = "land" in sensors
    scene = random_scene(seed, SIMULATED_SIZE_PX, landsat="landsat8" in sensors, truth=land)
    made = Archive("", {}, {}, {}, {}, land_of(scene)) if land else Archive.of(scene, sensors)
    arrays = {
        f"{part}/{name}": array
        for part in ("steps", "usable", "sure", "day", "land")
        for name, array in getattr(made, part).items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, id=f"SIM-{seed}", **arrays)
