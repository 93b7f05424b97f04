"""Probes to the true state and calibration of sigma, on states that are known."""

import numpy as np
import pytest
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import gap_filling, held_out_scenes, land_state
from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries
from fluxlens.embeddings.training import simulated
from fluxlens.models import checkpoints


def test_the_baseline_is_linear_interpolation_computed_another_way():
    rng = np.random.default_rng(0)
    day, visible = np.sort(rng.choice(100, 12, replace=False)), np.arange(12) != 5
    values = rng.uniform(0, 0.5, (12, 3, 4, 4)).astype(np.float32)
    clear = rng.random((12, 4, 4)) < 0.6
    measured = gap_filling.ClearReflectance(values, clear, day)
    expected = gap_filling.linear(measured, visible, 5)
    found = land_state.interpolate_series(AcquisitionSeries(values, clear, day).select(visible), day[[5]])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def rows(rng, n=1200):
    values = {
        "lai": rng.uniform(0, 5, n),
        "fapar": rng.uniform(0, 1, n),
        "chlorophyll": rng.uniform(10, 60, n),
        "soil_moisture": rng.uniform(0.05, 0.4, n),
        "tair": rng.uniform(-5, 25, n),
        "days_from_s2": rng.choice([-1, 0, 5, 11], n),
        "days_from_s1": rng.choice([0, 3], n),
    }
    known = np.column_stack([values[name] for name in land_state.VARIABLES])
    noise = rng.normal(size=(n, 4))
    return values | {"embedding": known, "past only": known + noise * known.std(0), "bands": noise}


def test_a_probe_on_the_truth_itself_is_right_and_one_on_noise_is_not():
    landscape = np.repeat(np.arange(6), 200)
    numbers, lines = land_state.probe(rows(np.random.default_rng(1)), landscape, landscape // 2)
    for split in ("landscape", "place"):
        for variable in land_state.VARIABLES:
            for day in land_state.DAYS:
                whole, past, bands = (
                    numbers[f"{split}_{name}_{variable}_{day}_r2"]
                    for name in ("embedding", "past_only", "bands")
                )
                assert whole > 0.999
                assert bands < 0.1
                assert bands < past < whole
    assert any(line.startswith("soil moisture far") for line in lines)


def test_days_are_scored_where_they_belong():
    drawn = rows(np.random.default_rng(2))
    drawn["lai"] = drawn["lai"] + (drawn["days_from_s2"] != 0) * np.random.default_rng(3).normal(size=1200)
    numbers, _ = land_state.probe(drawn, np.repeat(np.arange(6), 200), np.repeat(np.arange(3), 400))
    assert numbers["landscape_embedding_lai_observed_r2"] > 0.97
    assert 0.5 < numbers["landscape_embedding_lai_far_r2"] < 0.8
    assert numbers["lai_observed_rows"] == (drawn["days_from_s2"] == 0).sum()


def test_the_band_of_normal_errors_holds_nine_tenths():
    rng = np.random.default_rng(4)
    sigma = rng.uniform(0.005, 0.05, (20, 3, 30, 30))
    error = rng.normal(size=sigma.shape) * sigma
    distance = rng.integers(1, 40, (20, 30, 30))
    error *= np.where(distance > 20, 2, 1)[:, None]  # too sure of itself far away
    error[:5] = np.nan
    shares = land_state.Coverage.from_errors(error, np.float64(sigma), distance)
    assert shares.total.sum() == 15 * 3 * 30 * 30
    shares = shares.shares()
    for name in ("1-5", "6-10", "11-20"):
        assert shares[name] == pytest.approx(0.9, abs=0.01)
    assert shares["21+"] == pytest.approx(0.589, abs=0.01)  # P(|N| < 1.645 / 2)


def test_landscapes_that_score_are_not_trained_on():
    assert held_out_scenes.FIRST_HELD_OUT + 10 * len(held_out_scenes.PLACES) < simulated.FIRST_SEED
    hemispheres = {lat > 0 for _, _, lat in held_out_scenes.PLACES.values()}
    assert hemispheres == {True, False}


@pytest.mark.slow
def test_landscapes_are_made_embedded_probed_and_reported(monkeypatch):
    monkeypatch.setattr(land_state, "PIXEL_DAYS", 2000)
    places = {name: held_out_scenes.PLACES[name] for name in ("temperate", "southern", "semi-arid-south")}
    monkeypatch.setattr(held_out_scenes, "PLACES", places)
    numbers, text = progress.run(
        land_state.evaluate(checkpoints.load("default", "cpu"), size_px=12, landscapes=1)
    )
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert numbers["landscape_embedding_fapar_observed_r2"] > 0.5
    assert 0.5 < numbers["sigma_inside_all"] < 1
    assert numbers["lai_far_rows"] > 0
    assert "3 simulated landscapes of 12 px" in text
