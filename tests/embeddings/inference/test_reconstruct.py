"""What embeddings tell of reflectance: of clear days what was measured, of clouded days what clear ones would show."""

import numpy as np
import pytest
from fluxlens.embeddings.inference import engine, reconstruct
from fluxlens.embeddings.simulate import random_scene
from fluxlens.models import checkpoints

BANDS = ("B04", "B08")


@pytest.fixture(scope="module")
def scene():
    return random_scene(73, 16, start="2020-03-01", end="2020-10-31", truth=True, climate="temperate")


@pytest.fixture(scope="module")
def cube(scene):
    return engine.compute(scene, checkpoints.load("default", "cpu"))


def ndvi(reflectance):
    red, nir = (reflectance.sel(band=band) for band in BANDS)
    return (nir - red) / (nir + red)


@pytest.mark.slow
def test_the_model_that_made_a_cube_reads_its_days(scene, cube):
    decoded = reconstruct.decode_reflectance(cube, reconstruct.load_decoder(cube.attrs), BANDS)
    assert decoded.dims == ("time", "y", "x", "band")
    assert decoded.sizes["time"] == cube.sizes["time"]
    s2 = scene["s2"].to_dataset()
    sure = (s2.clear & ~s2.cloud_truth).values
    measured, read = ndvi(s2.reflectance).values, ndvi(decoded)
    days = s2.time.dt.floor("D").values
    at = read.sel(time=days).transpose("time", "y", "x").values
    assert np.sqrt(np.mean((at - measured)[sure] ** 2)) < 0.06
    # a clouded image says nothing of the land; what is read on its day lies among that of other days
    clouded = s2.cloud_truth.mean(("y", "x")).values > 0.9
    assert clouded.sum() > 5
    assert np.mean(at[clouded]) > np.mean(measured[clouded]) + 0.15
    assert not np.isnan(read).any()


@pytest.mark.slow
def test_pixels_and_cubes_are_read_alike(cube):
    model = reconstruct.load_decoder(cube.attrs)
    whole = reconstruct.decode_reflectance(cube, model, BANDS)
    pixel = reconstruct.decode_reflectance(cube.isel(y=3, x=5), model, BANDS[::-1])
    np.testing.assert_allclose(pixel.sel(band="B08"), whole.sel(band="B08")[:, 3, 5], rtol=1e-5)


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"model": "fusion", "model_digest": "another"},
        {"model": "../weights/fusion", "model_digest": "x"},
        {"model": "s2"},
    ],
)
def test_a_cube_of_an_unknown_model_is_not_read(attrs):
    assert reconstruct.load_decoder(attrs) is None
