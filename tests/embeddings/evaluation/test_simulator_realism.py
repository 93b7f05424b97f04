"""Measured beside simulated: statistics that find what was put in, and a classifier that finds nothing in nothing."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.cli import main
from fluxlens.embeddings.evaluation import classifier_test, scene_statistics, simulator_realism
from fluxlens.embeddings.simulate import simulate
from fluxlens.models.errors import InputError

BANDS = ("B05", "B8A")


def scene_sample(
    s2: np.ndarray, s1: np.ndarray | None = None, every_days: int = 5
) -> scene_statistics.SceneSample:
    """A scene of these values; (time, band, y, x) on 10 m for Sentinel-2, on 20 m for Sentinel-1."""
    t, _, y, x = s2.shape
    if s1 is None:
        s1 = np.full((9, 2, y // 2, x // 2), -10.0)
    day = 17000 + np.arange(t) * every_days
    passes = 17000 + np.arange(len(s1)) * 6
    clear = np.ones((t, y // 2, x // 2), bool)
    return scene_statistics.SceneSample(
        BANDS, s2.astype(np.float32), clear, day, s1, passes, np.full(len(s1), "ascending")
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_line_through_neighbours_is_exact_for_a_line_and_blind_to_its_own_date_and_to_spikes():
    day = np.arange(0, 60, 5)
    truth = (0.1 + 0.002 * day)[:, None, None] * np.ones((1, 2, 2))
    values = truth.copy()
    values[5] += 0.3
    line = scene_statistics.local_line(values, day)
    np.testing.assert_allclose(line[2:-2], truth[2:-2], atol=2e-3)
    np.testing.assert_allclose(line, truth, atol=6e-3)  # at the ends the prior holds the slope back
    assert np.isnan(scene_statistics.local_line(values[:3], day[:3])).all()


def test_noise_is_split_into_the_date_s_and_the_pixel_s(rng):
    date, pixel = 0.02, 0.005
    noise = date * rng.standard_normal((80, 2, 1, 1)) + pixel * rng.standard_normal((80, 2, 8, 8)).repeat(
        2, 2
    ).repeat(2, 3)
    sample = scene_sample(0.3 + noise, every_days=3)
    stats = scene_statistics.statistics(sample, scene_statistics.pixels(sample))
    expected = 0.6745 * np.sqrt(1.5)  # median of an absolute second difference over the standard deviation
    assert stats["noise of the date B8A"] == pytest.approx(expected * date, rel=0.25)
    assert stats["noise of the pixel B8A"] == pytest.approx(expected * pixel, rel=0.1)
    assert abs(stats["noise shared with the neighbour B8A"]) < 0.1


def test_texture_is_the_spread_inside_windows(rng):
    white = scene_sample(0.3 + 0.02 * rng.standard_normal((6, 2, 40, 40)))
    coarse = scene_statistics.statistics(white, scene_statistics.pixels(white))
    assert coarse["texture B8A"] == pytest.approx(0.01, rel=0.05)  # B8A is compared on its own 20 m
    smooth = scene_sample(np.full((6, 2, 40, 40), 0.3) + np.linspace(0, 0.1, 40))
    assert scene_statistics.statistics(smooth, scene_statistics.pixels(smooth))["texture B8A"] < 0.01


def test_what_the_mask_missed_is_found_on_both_sides(rng):
    sample = scene_sample(0.3 + 0.002 * rng.standard_normal((60, 2, 16, 16)))
    hit = rng.random((60, 8, 8))
    for low, high, jump in ((0.0, 0.06, 0.1), (0.06, 0.09, -0.1)):
        sample.fine[:] += np.where((hit >= low) & (hit < high), jump, 0)[:, None].repeat(2, 2).repeat(2, 3)
    each = scene_statistics.pixels(sample)
    assert each["clear, far too bright"].mean() == pytest.approx(0.06, abs=0.01)
    assert each["clear, far too dark"].mean() == pytest.approx(0.03, abs=0.01)
    assert each["mean B05"].mean() == pytest.approx(0.3, abs=2e-3)


def test_radar_noise_compares_passes_of_one_track_only(rng):
    backscatter = -12 + rng.standard_normal((40, 2, 8, 8))
    backscatter[::2] += 5.0  # the other track looks from elsewhere
    sample = scene_sample(np.full((5, 2, 16, 16), 0.3), backscatter)
    assert scene_statistics.pixels(sample)["noise VV"].mean() == pytest.approx(0.826, rel=0.1)


def test_a_classifier_finds_what_differs_and_nothing_where_nothing_does(rng):
    def scenes(count: int, shift: float) -> list[pd.DataFrame]:
        place = rng.standard_normal(count)
        return [
            pd.DataFrame(
                {"same": place[k] + rng.standard_normal(80), "other": shift + rng.standard_normal(80)}
            )
            for k in range(count)
        ]

    same = classifier_test.classify(scenes(2, 0.0), scenes(10, 0.0))
    assert same["balanced_accuracy"] < 0.65
    apart = classifier_test.classify(scenes(2, 3.0), scenes(10, 0.0))
    assert apart["balanced_accuracy"] > 0.9
    assert apart["auc other"] > 0.95
    assert abs(apart["auc same"] - 0.5) < abs(apart["auc other"] - 0.5)
    assert apart["balanced_accuracy_posing"] < 0.65


def test_a_gap_needs_all_measured_scenes_on_one_side():
    quantiles = {"simulated_q16": 1.0, "simulated_q50": 2.0, "simulated_q84": 3.0}
    table = pd.DataFrame(
        [{"a": 4.0, "b": 5.0} | quantiles, {"a": 1.0, "b": 5.0} | quantiles], ["both", "sides"]
    )
    assert simulator_realism.gap(table, ["a", "b"]).tolist() == [2.0, 0.0]


@pytest.mark.slow
def test_simulated_scenes_that_are_taken_for_measured_show_no_gap(capsys):
    scenes = {
        name: simulate(
            name, seed=seed, size_px=24, truth=False, start="2019-01-01", end="2019-12-31", lat=50.0
        )
        for name, seed in (("one", 3), ("two", 4))
    }
    steps = simulator_realism.compare(scenes, 3)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result = stop.value
            break
    assert result["landscapes"] == 3
    assert np.isfinite(result["noise B04.one"])
    text = simulator_realism.report(result)
    assert "what differs most" in text
    assert "noise B04" in text


def test_scenes_that_cannot_be_compared_are_refused_with_advice(tmp_path):
    optical = simulate("optical", seed=1, size_px=8, start="2020-06-01", end="2020-06-20", truth=False)
    del optical["s1"]
    with pytest.raises(InputError, match="need s2 and s1"):
        scene_statistics.SceneSample.from_scene(optical)
    with pytest.raises(InputError, match="within 5 degrees"):
        simulator_realism.landscapes([-5.0])
    with pytest.raises(SystemExit, match="2"):  # argparse itself asks for --data
        main(["evaluate", "realism"])
    assert main(["evaluate", "realism", "--data", str(tmp_path)]) == 2
