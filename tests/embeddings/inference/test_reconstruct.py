"""What embeddings tell of reflectance: of clear days what was measured, of clouded days what clear ones would show."""

import numpy as np
import pytest
from fluxlens.embeddings.inference import engine, reconstruct, residuals
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


def test_a_date_that_differs_all_over_an_area_is_taken_for_haze_and_a_field_that_differs_for_change():
    shown, days = np.arange(-40, 41, 5), np.array([0])
    value = np.full((1, 400, 10), 0.2, np.float32)
    field = np.zeros((len(shown), 400, 10), np.float32)
    field[8, :20] = 0.05  # one field, on one date
    changed = residuals.correct_area(value, days, shown, field) - value
    hazy = residuals.correct_area(value, days, shown, np.where(field.any((1, 2))[:, None, None], 0.05, field))
    assert changed[0, :20].mean() > 0.005
    np.testing.assert_array_equal(changed[0, 20:], 0)
    assert 0 < (hazy - value)[0, :20].mean() < 0.0005
    # Nothing clear, or only after a day that sees the past alone: as decoded.
    np.testing.assert_array_equal(
        residuals.correct_area(value, days, shown, np.full_like(field, np.nan)), value
    )
    np.testing.assert_array_equal(
        residuals.correct_area(value, days, shown[9:], field[9:] + 0.01, True), value
    )


def test_pixels_of_an_area_are_corrected_as_each_mask_alone_asks():
    rng = np.random.default_rng(1)
    shown, days = np.arange(0, 60, 5), np.array([12, 33])
    residual = rng.normal(0, 1e-4, (len(shown), 30, 10)).astype(np.float32)
    residual[rng.random(residual.shape[:2]) < 0.4] = np.nan
    value = np.zeros((2, 30, 10), np.float32)
    found = residuals.correct_area(value, days, shown, residual)
    for k, day in enumerate(days):
        # Residuals so small that no date is noisier than another: then it is the correction of single pixels.
        away = np.tile(shown - day, (30, 1))
        alone = residuals.correct_by_residuals(value[k], away, residual.transpose(1, 0, 2))
        np.testing.assert_allclose(found[k], alone, rtol=0.02, atol=1e-7)


def test_areas_hold_each_block_once_and_do_not_move():
    blocks = [
        (slice(a, min(a + 32, 100)), slice(b, min(b + 32, 70)))
        for a in range(0, 100, 32)
        for b in range(0, 70, 32)
    ]
    areas = reconstruct._areas(blocks)
    assert sorted((r.start, c.start) for area in areas for r, c in area) == [
        (r.start, c.start) for r, c in blocks
    ]
    for area in areas:
        top, left = area[0][0].start, area[0][1].start
        assert top % 64 == left % 64 == 0
        assert area[-1][0].stop <= top + 64
        assert area[-1][1].stop <= left + 64


def test_what_is_hidden_corrects_nothing(scene, monkeypatch):
    model = checkpoints.load("default", "cpu")
    day = scene["s2"]["time"].values.astype("datetime64[D]").astype(np.int64)
    hidden = reconstruct.Hidden("s2", (int(day[len(day) // 2]),), within_days=12)
    calls = []

    def spy(value, days, shown_days, residual, causal):
        calls.append(shown_days)
        assert np.isnan(residual).any()  # clouded pixels
        return value + np.float32(0.5)

    monkeypatch.setattr(reconstruct, "correct_area", spy)
    corrected = reconstruct.reconstruct_hidden(scene, model, hidden)["reflectance"].values
    away = np.abs(calls[0] - hidden.days[0])
    assert away.min() > 12
    assert away.max() <= residuals.RESIDUAL_DAYS
    monkeypatch.setattr(reconstruct, "correct_area", lambda value, *_: value)
    decoded = reconstruct.reconstruct_hidden(scene, model, hidden)["reflectance"].values
    np.testing.assert_allclose(corrected - decoded, 0.5, atol=1e-6)
