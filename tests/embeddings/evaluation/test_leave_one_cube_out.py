"""A cube left out is not learned from, and weights that saw it are refused."""

from pathlib import Path

import pytest
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import held_out_scenes, leave_one_cube_out, reconstruction
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.training import embedder
from fluxlens.models.errors import InputError
from fluxlens.models.training import Recipe

CUBES = ("0000280849BAC91C", "elsewhere")


@pytest.fixture
def cubes(tmp_path, monkeypatch) -> list[Path]:
    """Two tiny scenes on disk; the first bears the name of a cube that the shipped weights were trained on."""
    paths = []
    for seed, name in enumerate(CUBES):
        scene = simulate(name, seed=seed, size_px=10, start="2020-03-01", end="2020-08-31")
        scene.attrs["id"] = name
        paths.append(tmp_path / f"{name}.zarr")
        zarr.write(scene, paths[-1])
    monkeypatch.setattr(held_out_scenes, "scene_paths", lambda data: paths)
    return paths


def _saw(cube: Path, folder: Path) -> Path:
    """A folder of encoders, that of Sentinel-2 gone on with the cube."""
    progress.run(
        embedder.train_sensor(
            "s2",
            folder / "s2.safetensors",
            embedder.TrainingConfig(simulated=0, cubes=(str(cube),), recipe=Recipe(steps=1)),
        )
    )
    return folder


@pytest.mark.slow
def test_each_cube_is_predicted_by_a_model_of_the_others(cubes, tmp_path, monkeypatch):
    monkeypatch.setattr(reconstruction, "CASES", {"hidden": reconstruction.CASES["hidden"]})
    configs = []
    real = embedder.train_fusion

    def watched(out, config, **rest):
        configs.append(config)
        return real(out, config, **rest)

    monkeypatch.setattr(embedder, "train_fusion", watched)
    config = embedder.TrainingConfig(simulated=0, recipe=Recipe(steps=2))
    numbers, text = progress.run(
        leave_one_cube_out.evaluate("anywhere", config, _saw(cubes[0], tmp_path), device="cpu")
    )
    assert [one.cubes for one in configs] == [(str(cubes[1]),), (str(cubes[0]),)]
    for name in CUBES:
        assert numbers[f"{name}_hidden_ratio"] > 0
    assert (numbers["0000280849BAC91C_encoders_saw_it"], numbers["elsewhere_encoders_saw_it"]) == (1, 0)
    assert "encoders learned from 0000280849BAC91C" in text
    assert "0000280849BAC91C (trained on this scene)" in text
    assert "elsewhere (not trained on this scene)" in text


def test_weights_that_saw_a_cube_are_refused(cubes):
    config = embedder.TrainingConfig(simulated=0, recipe=Recipe(steps=2), start=Path("fusion"))
    with pytest.raises(InputError, match="learned from 0000280849BAC91C"):
        progress.run(leave_one_cube_out.evaluate("anywhere", config, device="cpu"))
