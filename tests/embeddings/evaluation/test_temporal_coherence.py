"""Smooth series differ from jumpy ones, seams from none, and a cube is the same however it is requested."""

import numpy as np
import pytest
import torch
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import temporal_coherence
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.scenes.crop import crop
from fluxlens.embeddings.simulate import simulate
from fluxlens.models.embedder import Embedder

DAYS = np.arange(400)


@pytest.fixture
def season() -> np.ndarray:
    """(day, y, x, feature): a year's sine of different sizes."""
    sine = np.sin(2 * np.pi * DAYS / 365)[:, None, None, None]
    return sine * np.array([1.0, 5.0]) * np.ones((1, 3, 4, 1))


@pytest.fixture
def observed() -> tuple[np.ndarray, np.ndarray]:
    s2, s1 = (np.zeros((400, 3, 4), bool) for _ in range(2))
    s2[::10], s1[5::10] = True, True
    return s2, s1


def test_a_sine_moves_as_the_season_does(season, observed):
    found = temporal_coherence.by_day(season, *observed)
    for kind in temporal_coherence.DAYS:
        assert (found[kind] < found["season"]).all(), kind
        assert found[kind].max() < 1e-3
    np.testing.assert_allclose(found["season"], 2 * np.pi / 365, rtol=0.1)


def test_spikes_show_on_their_own_days_and_in_their_own_size(season, observed):
    s2, s1 = observed
    spiked = season + np.where(s1, 2.0, 0.0)[..., None]
    found = temporal_coherence.by_day(spiked, s2, s1)
    spread = spiked.std((0, 1, 2))
    np.testing.assert_allclose(found["s1 only"], 2 / spread, rtol=0.01)
    assert found["quiet"].max() < 1e-3
    assert found["s2"].max() < 1e-3
    assert found["neither"].max() > 0.1  # the days beside a spike see half of it


def test_a_kind_of_day_that_never_comes_is_not_a_number(season):
    always = np.ones((400, 3, 4), bool)
    found = temporal_coherence.by_day(season, always, always)
    assert np.isnan(found["quiet"]).all()
    assert np.isfinite(found["s2"]).all()


def test_a_step_at_block_edges_is_a_seam():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20, 64, 64, 3))
    edge, elsewhere = temporal_coherence.seams(z)
    assert edge == pytest.approx(1, abs=0.1)
    assert elsewhere < 1.2
    z[:, :, 32:] += 5
    edge, elsewhere = temporal_coherence.seams(z)
    assert edge > 2
    assert np.isnan(temporal_coherence.seams(z[:, :32, :32])[0])


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    return simulate("coherent", seed=8, size_px=40, start="2020-05-01", end="2020-06-04")


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.manual_seed(4)
    return Embedder().eval().requires_grad_(False)


def test_a_scene_cut_is_the_scene_there(scene):
    grid = target_grid(scene)
    part = crop(scene, grid.window(slice(12, 40), slice(4, 20)))
    assert target_grid(part) == grid.window(slice(12, 40), slice(4, 20))
    assert part["s1"].sizes["y"] == 14
    xr.testing.assert_identical(
        part["s2"]["reflectance"], scene["s2"]["reflectance"].isel(y=slice(12, 40), x=slice(4, 20))
    )


def test_one_other_number_is_seen(scene, model):
    cube = engine.compute(scene, model, "2020-05-03", "2020-05-05")
    assert temporal_coherence.difference(cube, cube) == (0, 0)
    other = cube.copy(deep=True)
    other["embedding"].values[1, 2, 3, 4] ^= 1
    most, share = temporal_coherence.difference(cube, other)
    assert most == pytest.approx(float(cube["scale"][4]), rel=1e-6)
    assert share == pytest.approx(1 / cube["embedding"].size)


def test_a_cube_is_the_same_however_it_is_requested(scene, model):
    numbers, text = progress.run(temporal_coherence.evaluate({"tiny": scene}, model))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert numbers["tiny_window_difference"] <= 1e-5
    assert numbers["tiny_month_difference"] <= 1e-5
    assert numbers["tiny_blocks_elsewhere_differing"] < 1e-3  # rounding to int8 may fall to the other side
    assert numbers["tiny_jump_s2"] > 0
    assert numbers["tiny_seam"] > 0
    assert "40 x 40 px" in text
