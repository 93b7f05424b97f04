"""Reflectance that no land has is told of a season, and land of any kind is not."""

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.inference.cube import cube_attrs
from fluxlens.embeddings.scenes import reflectance_check
from fluxlens.embeddings.scenes.reflectance_check import TOO_FAINT, TOO_HIGH, TOO_LOW, find_fault, scene_fault
from fluxlens.embeddings.simulate import simulate
from fluxlens.models.embedder import Embedder

MEADOW, FOREST, SOIL, SAND, WATER, SNOW = (
    (0.04, 0.05, 0.35),
    (0.02, 0.025, 0.14),
    (0.07, 0.13, 0.22),
    (0.20, 0.38, 0.48),
    (0.06, 0.03, 0.01),
    (0.85, 0.84, 0.80),
)


def season(*spectra, haze=0.3, count=1000):
    """Blue, red and near infrared of dates of each kind of land in turn, a share of them under haze."""
    rng = np.random.default_rng(0)
    bands = np.array(spectra)[np.arange(count) % len(spectra)] * rng.uniform(0.9, 1.1, (count, 1))
    return (bands + 0.12 * (rng.random((count, 1)) < haze)).T


@pytest.mark.parametrize("kinds", [(MEADOW,), (MEADOW, SOIL, SNOW), (FOREST,), (SAND,), (WATER,), (SNOW,)])
def test_land_of_any_kind_has_no_fault(kinds):
    assert find_fault(*season(*kinds)) == ""


@pytest.mark.parametrize("kinds", [(MEADOW,), (MEADOW, SOIL, SNOW)])
@pytest.mark.parametrize(
    ("change", "fault"),
    [(lambda one: one + 0.1, TOO_HIGH), (lambda one: one - 0.1, TOO_LOW), (lambda one: one / 10, TOO_FAINT)],
    ids=["offset left in", "offset removed twice", "tenth"],
)
def test_a_fault_of_vegetated_land_is_told(kinds, change, fault):
    assert find_fault(*change(season(*kinds))) == fault


def test_few_spectra_and_none_tell_nothing():
    assert find_fault(*(season(MEADOW, count=10) + 0.1)) == ""
    assert find_fault(*(season(MEADOW, count=10) + 0.1), least=5) == TOO_HIGH
    assert find_fault(*np.full((3, 50), np.nan), least=5) == ""


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    return simulate("fault", seed=5, size_px=20, start="2020-05-01", end="2020-08-31")


def with_offset(scene: xr.DataTree, offset: float) -> xr.DataTree:
    node = scene["s2"].to_dataset()
    other = scene.copy()
    other["s2"] = scene["s2"].assign({"reflectance": node["reflectance"] + np.float32(offset)})
    return other


def test_a_cube_names_the_fault_of_its_scene(scene):
    model = Embedder()
    assert reflectance_check.ATTR not in cube_attrs(scene, model, False, "0")
    assert cube_attrs(with_offset(scene, 0.1), model, False, "1")[reflectance_check.ATTR] == TOO_HIGH


def test_lazy_scenes_and_scenes_without_these_bands_are_checked_alike(scene):
    wrong = with_offset(scene, 0.1)
    lazy = wrong.copy()
    lazy["s2"] = xr.DataTree(wrong["s2"].to_dataset().chunk(time=8))
    assert scene_fault(lazy) == TOO_HIGH
    for offset, fault in ((0.0, ""), (0.1, TOO_HIGH)):
        coarse = with_offset(scene, offset)
        coarse["s2"] = xr.DataTree(coarse["s2"].to_dataset().sel(band=["B05", "B8A", "B12"]))
        assert scene_fault(coarse) == fault
    lazy["s2"] = xr.DataTree(wrong["s2"].to_dataset().sel(band=["B05", "B11"]))
    assert scene_fault(lazy) == ""
    assert scene_fault(xr.DataTree.from_dict({"/s1": scene["s1"].to_dataset()})) == ""
