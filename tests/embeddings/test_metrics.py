"""Scores agree with numbers worked out by hand, and NaN never counts."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings import metrics
from fluxlens.models.errors import InputError
from scipy import stats
from sklearn import metrics as sklearn_metrics

OBSERVED = np.array([1.0, 2.0, 3.0, 4.0])
PREDICTED = np.array([2.0, 2.0, 4.0, 6.0])
# errors 1 0 1 2, SSE 6, SST 5; means 2.5 and 3.5; variances 1.25 and 2.75; covariance 1.75


def test_scores_of_four_points_worked_out_by_hand():
    assert metrics.nse(OBSERVED, PREDICTED) == pytest.approx(1 - 6 / 5)
    assert metrics.r2(OBSERVED, PREDICTED) == pytest.approx(1.75**2 / (1.25 * 2.75))
    assert metrics.rmse(OBSERVED, PREDICTED) == pytest.approx(1.5**0.5)
    assert metrics.mae(OBSERVED, PREDICTED) == pytest.approx(1)
    assert metrics.bias(OBSERVED, PREDICTED) == pytest.approx(1)
    assert metrics.n(OBSERVED, PREDICTED) == 4
    r, alpha, beta = 1.75 / (1.25 * 2.75) ** 0.5, 2.2**0.5, 1.4
    by_hand = 1 - ((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2) ** 0.5
    assert metrics.kge(OBSERVED, PREDICTED) == pytest.approx(by_hand)


def test_the_error_splits_into_three_parts_by_hand():
    split = metrics.mse_split(OBSERVED, PREDICTED)
    assert split["bias2"] == pytest.approx(1)
    assert split["variance"] == pytest.approx((2.75**0.5 - 1.25**0.5) ** 2)
    assert split["phase"] == pytest.approx(2 * ((2.75 * 1.25) ** 0.5 - 1.75))
    assert sum(split.values()) == pytest.approx(1.5)


def test_the_parts_always_sum_to_the_mean_squared_error():
    rng = np.random.default_rng(0)
    for _ in range(20):
        o, p = rng.normal(3, 2, 50), rng.normal(2, 3, 50)
        assert sum(metrics.mse_split(o, p).values()) == pytest.approx(metrics.rmse(o, p) ** 2)
        assert metrics.r2(o, p) == pytest.approx(stats.pearsonr(o, p).statistic ** 2)


def test_scores_agree_with_those_of_scikit_learn_and_scipy():
    rng = np.random.default_rng(4)
    o = rng.gamma(2, 3, 200)
    p = 0.7 * o + rng.normal(1, 2, 200)
    assert metrics.nse(o, p) == pytest.approx(sklearn_metrics.r2_score(o, p))
    assert metrics.rmse(o, p) == pytest.approx(sklearn_metrics.root_mean_squared_error(o, p))
    assert metrics.mae(o, p) == pytest.approx(sklearn_metrics.mean_absolute_error(o, p))
    assert metrics.r2(o, p) == pytest.approx(stats.linregress(o, p).rvalue ** 2)
    assert metrics.r2(o, p) > metrics.nse(o, p)  # the two that both are called R2 differ here


def test_r2_forgives_what_nse_does_not():
    assert metrics.r2(OBSERVED, 3 * OBSERVED + 7) == pytest.approx(1)
    assert metrics.nse(OBSERVED, 3 * OBSERVED + 7) < 0


def test_a_perfect_model_and_the_mean():
    assert metrics.scores(OBSERVED, OBSERVED) == pytest.approx(
        dict.fromkeys(("nse", "r2", "kge"), 1)
        | dict.fromkeys(("rmse", "mae", "bias", "bias2", "variance", "phase"), 0)
        | {"n": 4}
    )
    assert metrics.nse(OBSERVED, np.full(4, 2.5)) == 0
    assert np.isnan(metrics.r2(OBSERVED, np.full(4, 2.5)))


def test_pairs_with_a_nan_are_left_out():
    with_gaps = metrics.scores(np.append(OBSERVED, [np.nan, 5]), np.append(PREDICTED, [1, np.nan]))
    assert with_gaps == pytest.approx(metrics.scores(OBSERVED, PREDICTED))


@pytest.mark.parametrize("pairs", [0, 1])
def test_fewer_than_two_pairs_have_no_score(pairs):
    found = metrics.scores(OBSERVED[:pairs], PREDICTED[:pairs])
    assert found.pop("n") == pairs
    assert all(np.isnan(value) for value in found.values())


def test_constant_observations_have_no_efficiency():
    assert np.isnan(metrics.nse(np.ones(4), PREDICTED))
    assert np.isnan(metrics.kge(np.ones(4), PREDICTED))
    assert metrics.rmse(np.ones(4), PREDICTED) == pytest.approx(((1 + 1 + 9 + 25) / 4) ** 0.5)


def test_labelled_series_are_aligned_first():
    days = pd.date_range("2020-01-01", periods=4)
    late = pd.Series(PREDICTED, days).iloc[::-1].iloc[:3]
    expected = metrics.nse(OBSERVED[1:], PREDICTED[1:])
    assert metrics.nse(pd.Series(OBSERVED, days), late) == pytest.approx(expected)
    arrays = [xr.DataArray(values, dims="time", coords={"time": days}) for values in (OBSERVED, PREDICTED)]
    assert metrics.n(arrays[0], arrays[1][1:]) == 3


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"\(4,\) and \(3,\)"):
        metrics.rmse(OBSERVED, PREDICTED[:3])


def series(values, start: str = "2018-01-01") -> xr.DataArray:
    days = pd.date_range(start, periods=len(values)).as_unit("ns")
    return xr.DataArray(values, dims="time", coords={"time": days})


@pytest.fixture
def three_years() -> tuple[xr.DataArray, xr.DataArray]:
    """A season with anomalies, and the season alone as the model."""
    rng = np.random.default_rng(1)
    season = 6 - 5 * np.cos(2 * np.pi * np.arange(3 * 365) / 365.25)
    return series(season + rng.normal(0, 1, season.size)), series(season)


def test_a_model_of_the_season_has_no_skill_in_anomalies(three_years):
    table = metrics.table(*three_years)
    assert list(table.index) == list(metrics.SCALES)
    assert table.loc["daily", "n"] == 1095
    assert table.loc["daily", "nse"] == pytest.approx(1 - 1 / (12.5 + 1), abs=0.02)
    assert table.loc["weekly", "nse"] > table.loc["daily", "nse"]
    assert table.loc["monthly", "nse"] > table.loc["weekly", "nse"]
    assert table.loc["seasonal", "nse"] > 0.99
    assert table.loc["anomaly", "nse"] < 0.05
    assert (table.loc["monthly", "n"], table.loc["seasonal", "n"]) == (
        35,
        366,
    )  # 2020 has a 29 February, and December lacks its last day


def test_a_model_that_predicts_anomalies_scores_in_them(three_years):
    observed, season = three_years
    table = metrics.table(observed, season + 0.9 * (observed - season))
    assert table.loc["anomaly", "nse"] > 0.95


def test_weeks_with_too_few_days_do_not_count():
    values = np.arange(28.0)
    observed = series(np.where((values >= 7) & (values < 11), np.nan, values))
    table = metrics.table(observed, series(values), scales=("weekly", "daily"))
    assert table["n"].to_dict() == {"weekly": 3, "daily": 24}
    assert table.loc["weekly", "rmse"] == 0


def test_means_are_taken_over_the_same_days_of_both():
    values = np.arange(14.0)
    gappy = series(np.where(values % 7 == 6, np.nan, values))
    assert metrics.table(series(values), gappy, ["weekly"]).loc["weekly", "rmse"] == 0


def test_one_year_has_no_anomalies():
    season = series(np.sin(np.arange(365) / 58))
    table = metrics.table(season, season)
    assert table.loc["anomaly", "n"] == 0
    assert np.isnan(table.loc["anomaly", "nse"])
    assert table.loc["seasonal", "nse"] == 1


def test_a_table_of_nothing_is_a_table_of_nan():
    empty = series(np.full(10, np.nan))
    table = metrics.table(empty, empty)
    assert (table["n"] == 0).all()
    assert table.drop(columns="n").isna().all(axis=None)


def test_a_table_needs_days_and_known_scales(three_years):
    with pytest.raises(InputError, match="without days"):
        metrics.table(OBSERVED, PREDICTED)
    with pytest.raises(InputError, match="Got the scale 'hourly'"):
        metrics.table(*three_years, scales=["hourly"])


def test_sites_are_scored_one_by_one_and_pooled_apart():
    frame = pd.DataFrame(
        {
            "site": ["a"] * 4 + ["b"] * 4 + ["c"] * 4,
            "gpp": np.concatenate([OBSERVED, OBSERVED + 10, OBSERVED]),
            "model": np.concatenate([OBSERVED, OBSERVED + 10, PREDICTED]),
        }
    )
    table = metrics.per_site(frame, "gpp", "model")
    assert table.loc[["a", "b", "c"], "nse"].tolist() == pytest.approx([1, 1, -0.2])
    assert table.loc["median", "nse"] == 1
    assert table.loc["q25", "nse"] == pytest.approx(0.4)
    assert table.loc["pooled", "nse"] == pytest.approx(metrics.nse(frame["gpp"], frame["model"]))
    assert table.loc["pooled", "n"] == 12
