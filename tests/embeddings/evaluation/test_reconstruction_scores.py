"""Hidden dates: what is scored, and that it is scored as the protocol says."""

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import gap_filling, reconstruction
from fluxlens.embeddings.inference import reconstruct
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.embeddings.simulate import simulate
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    return simulate("hidden", seed=6, size_px=16, start="2020-03-01", end="2020-10-31")


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("default", "cpu")


def clear_days(scene) -> np.ndarray:
    truth = gap_filling.ClearReflectance.from_scene(scene)
    return truth.day[truth.hidden()]


def test_a_hidden_acquisition_has_no_influence(scene, model):
    days = tuple(int(d) for d in clear_days(scene)[:2])
    hidden = reconstruct.Hidden("s2", days)
    spoiled = scene.copy(deep=True)
    at = np.isin(gap_filling.ClearReflectance.from_scene(scene).day, days)
    spoiled["s2"]["reflectance"].values[at] = 0.9
    xr.testing.assert_identical(
        reconstruct.reconstruct_hidden(scene, model, hidden),
        reconstruct.reconstruct_hidden(spoiled, model, hidden),
    )


def test_reconstruction_has_no_holes_and_lies_on_the_10_m_grid(scene, model):
    days = tuple(int(d) for d in clear_days(scene))
    for sensor, name in (("s2", "reflectance"), ("s1", "backscatter")):
        hidden = (
            days
            if sensor == "s2"
            else reconstruct.parse_days(
                scene, [str(scene["s1"]["time"].values[4].astype("datetime64[D]"))], "s1"
            )
        )
        found = reconstruct.reconstruct_hidden(scene, model, reconstruct.Hidden(sensor, hidden))[name]
        assert found.dims == ("time", "band", "y", "x")
        assert found.shape[2:] == (16, 16)
        assert np.isfinite(found.values).all()


def test_wider_hiding_hides_more(scene, model):
    day = (int(clear_days(scene)[1]),)
    near, wide = (
        reconstruct.reconstruct_hidden(scene, model, reconstruct.Hidden("s2", day, n)) for n in (0, 30)
    )
    assert np.abs(near["reflectance"] - wide["reflectance"]).max() > 1e-3
    assert wide["reflectance_sigma"].mean() > near["reflectance_sigma"].mean()


def test_linear_interpolation_is_exact_for_a_straight_season():
    day = np.arange(0, 50, 5)
    values = (0.1 + 0.004 * day)[:, None, None, None] * np.ones((1, 2, 3, 3))
    truth = gap_filling.ClearReflectance(values.astype(np.float32), np.ones((10, 3, 3), bool), day)
    visible = np.arange(10) != 4
    np.testing.assert_allclose(gap_filling.linear(truth, visible, 4), values[4], rtol=1e-5)
    smooth = gap_filling.whittaker(truth, visible, day[[4]], smoothness=10)
    np.testing.assert_allclose(smooth[0], values[4], rtol=1e-3)


def test_a_date_that_cannot_be_hidden_is_refused(scene):
    with pytest.raises(InputError, match="no s2 acquisition"):
        reconstruct.parse_days(scene, ["2020-02-01"], "s2")
    with pytest.raises(InputError, match="not a date"):
        reconstruct.parse_days(scene, ["soon"], "s2")


def test_fewer_features_and_no_future_change_the_prediction(scene, model):
    hidden = reconstruct.Hidden("s2", (int(clear_days(scene)[1]),))
    whole, same, short, past = (
        reconstruct.reconstruct_hidden(scene, model, hidden, **how)["reflectance"]
        for how in ({}, {"features": 32}, {"features": 8}, {"causal": True})
    )
    xr.testing.assert_identical(whole, same)
    assert np.abs(whole - short).max() > 1e-3
    assert np.abs(whole - past).max() > 1e-3


def test_a_gap_alone_leaves_the_other_dates_visible(scene, model):
    day = clear_days(scene)
    errors = reconstruction.score(scene, model, 20, alone=True)
    np.testing.assert_array_equal(to_epoch_day(errors["time"].values), day)
    assert (errors["pixels"] > 0).all()
    one = reconstruct.reconstruct_hidden(scene, model, reconstruct.Hidden("s2", (int(day[2]),), 20))[
        "reflectance"
    ].values
    truth = gap_filling.ClearReflectance.from_scene(scene)
    coarse = one[0].reshape(10, 8, 2, 8, 2).mean((2, 4))
    clear = truth.clear[truth.day == day[2]][0]
    squares = ((coarse - truth.values[truth.day == day[2]][0]) ** 2)[:, clear].sum(1)
    # Another gap of the same round is at least 80 days away: it may show, hardly.
    np.testing.assert_allclose(errors["squares"].values[0, 2], squares, rtol=0.05)


def test_days_of_a_round_are_far_apart_and_none_is_lost():
    days = np.array([3, 10, 50, 95, 100, 180, 200])
    rounds = reconstruction.non_overlapping_rounds(days, 80)
    assert sorted(np.concatenate(rounds)) == sorted(days)
    assert all((np.diff(some) > 80).all() for some in rounds)
    assert len(rounds) == 3


def test_a_hazy_date_is_named(scene, model):
    errors = reconstruction.score(scene, model)
    clear = int(np.flatnonzero(~errors["hazy"].values)[0])
    veiled = scene.copy(deep=True)
    at = np.isin(gap_filling.ClearReflectance.from_scene(scene).day, clear_days(scene)[clear])
    veiled["s2"]["reflectance"].values[at] += 0.05
    again = reconstruction.score(veiled, model)
    assert np.flatnonzero(again["hazy"].values != errors["hazy"].values).tolist() == [clear]


def test_tables_hold_every_case_and_their_mean(scene, model):
    scenes = {"one": scene, "two": scene}
    numbers, text = progress.run(reconstruction.evaluate(scenes, dict.fromkeys(scenes, model)))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    for key in reconstruction.CASES:
        # so short a season leaves nothing to interpolate in all gaps; and there is no Landsat to leave out
        if key.startswith("gap") or "landsat8" in reconstruction.CASES[key].without:
            assert f"one_{key}_ratio" not in numbers
        else:
            ratios = [numbers[f"{name}_{key}_ratio"] for name in ("one", "two", "all")]
            assert ratios == pytest.approx(ratios[:1] * 3)
    assert numbers["one_hidden_rmse"] == pytest.approx(
        float(reconstruction.rmse(reconstruction.score(scene, model))[0])
    )
    worth = 1 - numbers["one_one_gap_rmse"] / numbers["one_one_gap_without_s1_rmse"]
    assert numbers["one_one_gap_s1_worth"] == pytest.approx(worth)
    for date in reconstruction.score(scene, model)["time"].values:
        assert np.datetime_as_string(date, "D") in text


@pytest.mark.real
@pytest.mark.parametrize(("cube", "linear"), [("0000280849BAC91C", 0.0541), ("000028085BF08E7E", 0.0438)])
def test_on_measured_cubes_hidden_dates_are_predicted_better_than_by_interpolation(
    real_data, model, cube, linear
):
    scene = open_scene(real_data / "s1s2_daily_cubes" / cube)
    errors = reconstruction.rmse(reconstruction.score(scene, model))
    assert float(errors.sel({"method": "linear"})) == pytest.approx(linear, abs=5e-5)
    assert float(errors.sel({"method": "fluxlens"})) < 0.95 * linear
