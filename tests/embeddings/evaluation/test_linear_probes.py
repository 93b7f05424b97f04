"""A probe predicts what the features hold, from groups it was not trained on, and nothing else."""

import numpy as np
import pytest
from fluxlens.embeddings import metrics, progress
from fluxlens.embeddings.evaluation import linear_probes
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture
def rows():
    """Inputs (row, 5), group and noise of 6 groups of unequal size."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(6), [20, 30, 40, 50, 60, 70])
    return rng.normal(3, 2, (len(group), 5)), group, rng.normal(size=len(group))


def test_a_probe_on_the_truth_itself_is_right(rows):
    x, group, _ = rows
    assert metrics.nse(x[:, 2], linear_probes.ridge(x, x[:, 2], group)) > 0.9999


def test_a_probe_on_noise_predicts_nothing(rows):
    x, group, noise = rows
    assert metrics.nse(noise, linear_probes.ridge(x, noise, group)) < 0.05


def test_moments_fit_the_ridge_regression_that_scikit_learn_fits_on_rows(rows):
    x, group, noise = rows
    y, strength = x @ np.arange(5.0) + noise, 0.3
    some = group < 3
    parts = linear_probes.Moments.from_rows(x[some], y[some]) + linear_probes.Moments.from_rows(
        x[~some], y[~some]
    )
    expected = make_pipeline(StandardScaler(), Ridge(alpha=strength * len(x))).fit(x, y)
    weights = parts.fit(strength)
    predicted = np.column_stack([x, np.ones(len(x))]) @ weights
    np.testing.assert_allclose(predicted, expected.predict(x), rtol=1e-8)
    assert parts.error(weights) == pytest.approx(((y - predicted) ** 2).sum())


@pytest.mark.parametrize("folds", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2]])
def test_a_row_is_never_predicted_by_its_own_fold(rows, folds):
    x, group, noise = rows
    fold = np.array(folds)[group]
    predicted = linear_probes.ridge(x, noise, group, fold)
    spoiled = np.where(fold == 0, 100 + 7 * x[:, 0], noise)
    again = linear_probes.ridge(x, spoiled, group, fold)
    np.testing.assert_allclose(again[fold == 0], predicted[fold == 0])
    assert np.abs(again - predicted)[fold != 0].max() > 1


def test_kinds_that_a_plane_separates_are_predicted_at_groups_never_seen():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(9), 12)
    kind = np.array(["wheat", "wood", "water"])[group % 3]
    x = np.eye(3)[group % 3] * 4 + rng.normal(0, 0.5, (len(group), 3))
    assert (linear_probes.logistic(x, kind, group) == kind).all()
    lone = np.where(group == 8, "moor", kind)  # nobody else shows it
    assert (linear_probes.logistic(x, lone, group)[group == 8] != "moor").all()


def test_prefixes_are_the_first_features():
    z = np.arange(64.0).reshape(2, 32)
    parts = linear_probes.prefixes("z", z)
    assert [part.shape[1] for part in parts.values()] == [32, 16, 8]
    np.testing.assert_array_equal(parts["z_8"], z[:, :8])


def test_two_groups_are_too_few(rows):
    x, group, noise = rows
    with pytest.raises(InputError, match="need three"):
        linear_probes.ridge(x, noise, group % 2)


@pytest.mark.slow
@pytest.mark.real
def test_on_the_measured_table_the_raw_bands_score_as_known(real_data):
    table = real_data / "flux_hls_table" / "hls_merra2_gpp.csv"
    numbers, text = progress.run(linear_probes.evaluate(table, checkpoints.load("default", "cpu")))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert (numbers["rows"], numbers["sites"]) == (751, 30)
    assert numbers["bands_gpp_r2"] == pytest.approx(0.680, abs=0.005)
    assert numbers["embedding_gpp_r2"] > 0.55
    assert 1 / 6 < numbers["bands_type_balanced_accuracy"] < 1
    assert "embedding_8" in text
