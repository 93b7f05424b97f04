"""Simulated landscapes for training, packed once and kept in the cache."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from fluxlens.embeddings import cache
from fluxlens.embeddings.training.archive import PackedScene, pack_land_state

SIMULATED_SIZE_PX = 48

FIRST_SEED = 10_000
"""Seeds from here on are for training; those below are left for tests and evaluation."""

SENTINELS = ("s2", "s1")

FILE_KEYS = {"steps": "steps", "valid": "usable", "target_valid": "sure", "day": "day", "land": "land"}
"""Fields of ``PackedScene``, and their keys in the cached files: files of earlier versions stay readable."""

Step = tuple[str, float]
"""Message and fraction done, 0-1."""


def load_simulated_scene(
    seed: int, share: float = 0.0, sensors: Sequence[str] = SENTINELS, land: bool = False
) -> Generator[Step, None, PackedScene]:
    """One random simulated landscape, packed, from the cache where it is.

    Parameters
    ----------
    seed
        Of the landscape.
    share
        Fraction of the whole work that is done, for the progress.
    sensors
        Names of the sensors.
    land
        Whether to add the true state of the land.

    Returns
    -------
    The packed scene; yields progress.
    """
    arrays_by_field: dict[str, dict[str, np.ndarray]] = {field: {} for field in FILE_KEYS}
    # Landsat and the state of the land lie in files of their own: adding them leaves the Sentinels' files as they are.
    for file_nodes, ending in ((SENTINELS, ""), (("landsat8",), "-landsat8"), (("land",), "-land")):
        if not set(file_nodes) & {*sensors, *(("land",) if land else ())}:
            continue
        path = yield from cache.build_once(
            f"training-{seed}-{SIMULATED_SIZE_PX}{ending}.npz",
            lambda to, file_nodes=file_nodes: _pack_simulated(to, seed, share, file_nodes),
        )
        fields_of_keys = {key: field for field, key in FILE_KEYS.items()}
        with np.load(path) as stored:
            for key in stored.files:
                if key != "id":
                    node, name = key.split("/")
                    arrays_by_field[fields_of_keys[node]][name] = stored[key]
    return PackedScene(f"SIM-{seed}", **arrays_by_field)


def _pack_simulated(
    path: Path, seed: int, share: float, sensors: tuple[str, ...]
) -> Generator[Step, None, None]:
    """Simulate a landscape and write its packed arrays to ``path``."""
    from fluxlens.embeddings.simulate import random_scene

    yield f"simulating landscape {seed}", share
    land = "land" in sensors
    scene = random_scene(seed, SIMULATED_SIZE_PX, landsat="landsat8" in sensors, truth=land)
    made = (
        PackedScene("", {}, {}, {}, {}, pack_land_state(scene))
        if land
        else PackedScene.from_scene(scene, sensors)
    )
    arrays = {
        f"{key}/{name}": array
        for field, key in FILE_KEYS.items()
        for name, array in getattr(made, field).items()
    }
    # An open file, since np.savez would append .npz to the temporary name.
    with path.open("wb") as file:
        np.savez_compressed(file, id=f"SIM-{seed}", **arrays)
