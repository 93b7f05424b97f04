"""Training of the embedder in two stages: encoders, then fusion; the scenes it learns from, and the model card."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from fluxlens.embeddings.training import series
from fluxlens.embeddings.training.archive import PackedScene
from fluxlens.embeddings.training.samples import SIDE_PX, MaskingConfig, batches
from fluxlens.embeddings.training.simulated import FIRST_SEED, SENTINELS, Step, load_simulated_scene
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Config, Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS
from fluxlens.models.training import (
    Recipe,
    Sample,
    SeriesBatch,
    TrainingProgress,
    freeze_encoders,
    set_scale,
    train,
)

SIMULATED_SCENES = 48
"""Simulated landscapes that the shipped weights learned from."""

REAL_REPEATS = 6
"""A measured cube is drawn this many times as often as one simulated scene."""


SERIES_SHARE = 0.95
"""Share of batches that are series where there are some: a square of a scene takes fifteen times as long."""

SQUARES_WITH_SERIES = 8
"""Squares per batch beside series."""

SIMULATED_PIXELS = 60
"""Pixels of a simulated landscape that are taken as series."""


@dataclass(frozen=True)
class TrainingConfig:
    """Scenes to learn from, the recipe, and the weights to start from."""

    simulated: int = SIMULATED_SCENES
    """Number of simulated landscapes."""
    cubes: tuple[str, ...] = ()
    """Paths of measured cubes (any scene the readers open)."""
    recipe: Recipe = field(default_factory=Recipe)
    start: Path | None = None
    """Weights to continue from; None starts with random ones."""
    measured: tuple[str, ...] = ()
    """Folders of measured series tables or scenes, each drawn as often as the others."""
    leave: tuple[str, ...] = ()
    """Names of sets, regions or scenes of ``measured`` that are left out, to be scored later."""
    season_heads: int = 0
    hidden: int = 0
    """Both see ``models.embedder.Config``; 0 keeps those of ``start``, or of the default without one."""
    sources: str = ""
    """What ``measured`` is and its licences, for the model card."""

    def card(self, ids: list[str], curve: list, sensors: Sequence[str]) -> dict:
        """The part of the model card that says what the model learned from.

        Parameters
        ----------
        ids
            Ids of the measured cubes.
        curve
            (step, loss) pairs.
        sensors
            Names of the model's sensors.
        """
        landsat = "Landsat 8 surface reflectance (USGS), " if "landsat8" in sensors else ""
        return {
            "simulated_scenes": self.simulated,
            "simulated_seeds": f"{FIRST_SEED} to {FIRST_SEED + self.simulated - 1}",
            "measured_cubes": ids,
            "measured_source": f"modified Copernicus Sentinel data 2018-2019, {landsat}AgERA5, from the test "
            "resources of WorldCereal/worldcereal-classification (MIT)"
            if ids
            else "none",
            "measured_folders": [Path(folder).name for folder in self.measured],
            "measured_folders_source": self.sources or "not given",
            "left_out": list(self.leave),
            "recipe": asdict(self.recipe),
            "start": checkpoints.load(self.start, "cpu").digest if self.start else "random weights",
            "curve": [[step, round(loss, 4)] for step, loss in curve],
        }


def train_sensor(name: str, out: Path, config: TrainingConfig) -> Generator[Step, None, str]:
    """Stage one: encoder and decoder of one sensor learn to predict its hidden acquisitions.

    With ``config.measured`` they learn from measured series of that sensor and from simulated land alike.

    Parameters
    ----------
    name
        A key of ``models.sensors.SENSORS``.
    out
        File of the weights, ``.safetensors``.
    config
        Scenes, recipe and start.

    Returns
    -------
    Digest of the weights; yields progress.

    Raises
    ------
    InputError
        If there is no such sensor, or nothing to learn from.
    """
    if name not in SENSORS:
        raise InputError(f"no sensor {name!r}; use one of {sorted(SENSORS)} or add its SensorSpec.")
    if config.measured and name not in SENTINELS:
        raise InputError(
            f"Got --measured with the sensor {name}, need {' or '.join(SENTINELS)}: series tables hold no other;"
            " leave --measured out."
        )
    archives = yield from _packed_scenes(config, (name,))
    groups, scenes = yield from _measured_groups(config)
    # Crops are ``SIDE_PX`` wide: smaller scenes serve as single series alone.
    archives += [scene for scene in scenes if name in scene.steps and min(scene.shape) >= SIDE_PX]
    rng = np.random.default_rng(config.recipe.seed)
    # A source without the sensor teaches nothing here.
    groups = [[one for source in group if (one := source.only(name))] for group in groups]
    groups = [group for group in groups if group]
    if config.measured and not groups:
        raise InputError(f"Got --measured without series of {name}, need some; add a folder that has them.")
    if groups:
        simulated = [a for a in archives if a.id.startswith("SIM")]
        # Simulated pixels join as a group of their own, so that land rare in the measured groups is seen too.
        groups.append([series.from_scene(a, SIMULATED_PIXELS, rng, (name,)) for a in simulated])
        groups = [group for group in groups if group]
    model = initialise(Config(sensors=(name,)), config)
    digest = yield from fit(model, archives, _masking((name,), groups), config, name, out, groups)
    return digest


def train_fusion(
    out: Path, config: TrainingConfig, sensors: Sequence[str] = SENTINELS, encoders: Path | None = None
) -> Generator[Step, None, str]:
    """Stage two: the fusion learns on top of frozen encoders of stage one.

    Parameters
    ----------
    out
        File of the weights, ``.safetensors``.
    config
        Scenes, recipe and start; a start with fewer sensors gives the weights it has.
    sensors
        Names of the sensors, ``s2`` first.
    encoders
        Folder of stage-one weights ``NAME.safetensors``; those it lacks are those of the start, or the shipped ones.

    Returns
    -------
    Digest of the weights; yields progress.

    Raises
    ------
    InputError
        If the sensors, the folder or the start do not fit, or there is nothing to learn from.
    """
    if sensors[0] != "s2" or len(set(sensors)) < len(sensors) or set(sensors) - set(SENSORS):
        raise InputError(
            f"Got the sensors {','.join(sensors)}, need s2 first and each of {','.join(SENSORS)} at most once;"
            " correct them."
        )
    if encoders is not None and not encoders.is_dir():
        raise InputError(f"Got --encoders {encoders}, need a folder of weights; correct the path.")
    archives = yield from _packed_scenes(config, tuple(sensors), land=True)
    groups, scenes = yield from _measured_groups(config)
    archives += [scene for scene in scenes if min(scene.shape) >= SIDE_PX]
    rng = np.random.default_rng(config.recipe.seed)
    # Of simulated land the optical series alone: its radar tells more of the land than measured radar does, and
    # weights that learned to believe it lost by radar on measured grassland.
    simulated = [
        series.from_scene(a, SIMULATED_PIXELS, rng, ("s2",)) for a in archives if a.id.startswith("SIM")
    ]
    # Simulated land stays among the series: its range of leaf and soil is wider than that of any measured set.
    if groups and simulated:
        groups.append(simulated)
    model = initialise(_architecture(config, tuple(sensors)), config)
    known = _start_sensors(config)
    for name in sensors:
        own = encoders / f"{name}.safetensors" if encoders else None
        own = own if own and own.exists() else None
        if name not in known:
            _init_from(model, checkpoints.load(own or name, "cpu"))
        elif own:
            # A start keeps its fusion and takes a new encoder; the fusion learns to read its tokens.
            source = checkpoints.load(own, "cpu")
            model.encoders[name].load_state_dict(source.encoders[name].state_dict())
    # Frozen, so that a sensor's encoder is the same in every fusion and may be shipped and replaced alone.
    freeze_encoders(model)
    digest = yield from fit(model, archives, _masking(tuple(sensors), groups), config, "fusion", out, groups)
    return digest


def _masking(sensors: tuple[str, ...], groups: list) -> MaskingConfig:
    """What is hidden from squares of scenes; beside series for as long as from these."""
    # Windows and gaps of ``series.HidingConfig``: both kinds of batches then ask for the same.
    masking = MaskingConfig(sensors=sensors)
    return replace(masking, time_window_days=(120, 400), gap_days=(4, 60)) if groups else masking


def initialise(architecture: Config, config: TrainingConfig) -> Embedder:
    """A model with random weights of the recipe's seed, or with those it continues from.

    Parameters
    ----------
    architecture
        Sensors and sizes of the model.
    config
        Its ``start`` may have the first sensors only.

    Raises
    ------
    InputError
        If the sensors of ``start`` are others.
    """
    torch.manual_seed(config.recipe.seed)
    model, sensors = Embedder(architecture), architecture.sensors
    start = _start_sensors(config)
    # Order matters: positions of sensors are part of the weights of the fusion.
    if start != sensors[: len(start)]:
        raise InputError(
            f"--start has weights of {','.join(start)}, need those of {','.join(sensors)} or its first sensors;"
            " give such a file."
        )
    if start:
        source = checkpoints.load(config.start, "cpu")
        # With further sensors or kernels the start gives the weights it has; what is new begins at zero effect.
        if source.config == architecture:
            model.load_state_dict(source.state_dict())
        else:
            _init_from(model, source)
    return model


def _architecture(config: TrainingConfig, sensors: tuple[str, ...]) -> Config:
    """Of the fusion: as wide as asked, else as the weights it starts from.

    Raises
    ------
    InputError
        If it is asked to be narrower than the start, whose weights would not fit.
    """
    source = checkpoints.load(config.start, "cpu").config if config.start else Config()
    for name in ("season_heads", "hidden"):
        requested, least = getattr(config, name), getattr(source, name)
        # Weights fit into a wider network, not into a narrower one.
        if config.start and 0 < requested < least:
            raise InputError(
                f"Got --{name.replace('_', '-')} {requested} with a start of {least}, need {least} or more; leave"
                " it out."
            )
    return Config(
        sensors=sensors,
        hidden=config.hidden or source.hidden,
        land=True,
        season_heads=config.season_heads or source.season_heads,
    )


def _start_sensors(config: TrainingConfig) -> tuple[str, ...]:
    """Sensors of the weights that training continues from."""
    return checkpoints.load(config.start, "cpu").config.sensors if config.start else ()


def _init_from(model: Embedder, source: Embedder) -> None:
    """Copy the weights of a model with fewer sensors, kernels or units."""
    # Encoders and decoders have the same shapes in both, so that whole state dicts fit; the fusion grows with the
    # sensors.
    model.fusion.init_from(source.fusion)
    for name in source.config.sensors:
        model.encoders[name].load_state_dict(source.encoders[name].state_dict())
        model.decoders[name].load_state_dict(source.decoders[name].state_dict())
    if model.land is not None and source.land is not None:
        model.land.load_state_dict(source.land.state_dict())
    if model.season is not None and source.season is not None:
        model.season.load_state_dict(source.season.state_dict())


def fit(
    model: Embedder,
    archives: list[PackedScene],
    masking: MaskingConfig,
    config: TrainingConfig,
    name: str,
    out: Path,
    groups: list[list[series.SeriesSource]] | None = None,
) -> Generator[Step, None, str]:
    """Train a model on packed scenes, fix its int8 scale and save it with its card.

    Parameters
    ----------
    model
        The initialised model.
    archives
        Scenes to learn from.
    masking
        What is hidden from the samples.
    config
        Recipe and what the card says.
    name
        Name of the weights.
    out
        File of the weights.
    groups
        Series to learn from beside the scenes, see ``series.series_batches``.

    Returns
    -------
    Digest of the weights; yields progress.
    """
    samples = _mixed(archives, masking, config.recipe.seed, groups or [])
    progress: TrainingProgress | None = None
    for progress in train(model, samples, config.recipe):
        yield f"{name}: step {progress.step}, loss {progress.loss:.4f}", progress.step / progress.steps
    # Only the last step carries a model: the running average of the weights.
    best = progress.model
    set_scale(best, samples)
    # Ids of simulated scenes begin with SIM; only measured ones are named on the card.
    measured = {a.id for a in archives if not a.id.startswith("SIM")}
    measured |= {one.name for group in groups or [] for one in group if not one.name.startswith("SIM")}
    measured = sorted(measured)
    return checkpoints.save(best, out, name, config.card(measured, progress.curve, masking.sensors))


def _mixed(
    archives: list[PackedScene], masking: MaskingConfig, seed: int, groups: list[list[series.SeriesSource]]
) -> Iterator[list[Sample] | SeriesBatch]:
    """Squares of scenes, and mostly series where there are."""
    if not groups:
        # Endless, so that nothing below is reached.
        yield from batches(archives, masking, seed)
    rng = np.random.default_rng(seed)
    squares = batches(archives, masking, seed, SQUARES_WITH_SERIES)
    rows = series.series_batches(groups, series.HidingConfig(main=masking.sensors[0]), seed)
    while True:
        yield next(rows) if rng.random() < SERIES_SHARE else next(squares)


def _measured_groups(
    config: TrainingConfig,
) -> Generator[Step, None, tuple[list[list[series.SeriesSource]], list[PackedScene]]]:
    """Series of each folder of ``config.measured``, and the scenes among them.

    Raises
    ------
    InputError
        If a name to be left out is in none of them: it would teach, and be scored as if it had not.
    """
    groups, scenes, names = [], [], []
    for folder in config.measured:
        yield f"reading {Path(folder).name}", 0.0
        sources, whole, known = series.measured_sources(folder, config.leave, config.recipe.seed)
        names += known
        # All of a folder may be left out.
        if sources:
            groups.append(sources)
        scenes += whole
    if unknown := [name for name in config.leave if name not in names]:
        raise InputError(
            f"Got --leave {','.join(unknown)}, need sets, regions or scenes of --measured"
            f" ({', '.join(sorted(names)) or 'none is given'}); correct it."
        )
    return groups, scenes


def _packed_scenes(
    config: TrainingConfig, sensors: tuple[str, ...], land: bool = False
) -> Generator[Step, None, list[PackedScene]]:
    """The simulated and measured scenes that the configuration names."""
    from fluxlens.embeddings.readers import open_scene

    archives = []
    for i in range(config.simulated):
        share = i / max(config.simulated, 1)
        archives.append((yield from load_simulated_scene(FIRST_SEED + i, share, sensors, land)))
    for path in config.cubes:
        measured = PackedScene.from_scene(open_scene(path), sensors)
        # Few cubes beside many landscapes: repeated, so that real noise and masks are seen often enough.
        archives += [measured] * REAL_REPEATS if measured.steps else []
    if not archives:
        raise InputError(
            f"nothing to learn from: 0 simulated scenes and no cube with {' or '.join(sensors)};"
            " give --simulated N or --cube PATH."
        )
    return archives
