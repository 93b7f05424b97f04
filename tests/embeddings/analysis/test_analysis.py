"""Similarity, clusters and maps from labels, on numbers whose answer is known."""

import numpy as np
import pytest
from fluxlens.embeddings.analysis import agreement, assign, cosine, cross_predict, kmeans, logistic, principal


def test_cosine_on_integers_is_cosine_on_values():
    draw = np.random.default_rng(0)
    embedding = draw.integers(-127, 128, (8199, 8)).astype("int8")
    scale, centre = draw.uniform(0.01, 0.1, 8).astype("float32"), draw.normal(0, 1, 8).astype("float32")
    like = embedding[3] * scale
    dot, length = agreement(embedding, scale, centre, like)
    values, one = embedding * scale - centre, like - centre
    expected = values @ one / np.linalg.norm(values, axis=1) / np.linalg.norm(one)
    assert cosine(dot, length, float(length[3])) == pytest.approx(expected, abs=1e-4)


def test_a_zero_vector_is_similar_to_nothing():
    assert cosine(np.zeros(2, "float32"), np.zeros(2, "float32"), 0.0).tolist() == [0, 0]


def test_kmeans_finds_the_clusters_largest_first_and_the_same_twice():
    draw = np.random.default_rng(0)
    middles = np.array([[0, 0], [10, 0], [0, 10]])
    values = np.concatenate(
        [m + draw.normal(0, 0.5, (n, 2)) for m, n in zip(middles, (50, 300, 100), strict=True)]
    )
    centres = kmeans(values, 3)
    assert centres == pytest.approx(middles[[1, 2, 0]], abs=0.3)
    np.testing.assert_array_equal(centres, kmeans(values, 3))
    assert np.bincount(assign(values, centres)).tolist() == [300, 100, 50]


def test_fewer_kinds_than_clusters_do_no_harm():
    assert np.isfinite(kmeans(np.ones((20, 3)), 4)).all()


def test_components_are_orthonormal_and_their_largest_loading_is_positive():
    draw = np.random.default_rng(0)
    sample = draw.normal(size=(500, 6)) * [1, 5, 2, 4, 3, 0.1]
    weights, mean = principal(sample)
    np.testing.assert_allclose(weights.T @ weights, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(mean, sample.mean(0), rtol=1e-4)
    assert np.abs(weights).argmax(0).tolist() == [1, 3, 4]
    assert (weights[[1, 3, 4], range(3)] > 0).all()
    assert np.isfinite(principal(np.ones((5, 4)))[0]).all()


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    draw = np.random.default_rng(1)
    sample = (draw.normal(size=(400, 3)) @ draw.normal(size=(3, 8)) + draw.normal(0, 0.1, (400, 8))).astype(
        "float32"
    )
    expected = PCA(3).fit(sample.astype("float64")).components_.T
    weights, _ = principal(sample)
    np.testing.assert_allclose(np.abs(weights.T @ expected), np.eye(3), atol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
def test_logistic_regression_weights_of_two_classes_are_those_of_the_softmax(count):
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    draw = np.random.default_rng(2)
    values, kinds = draw.normal(size=(40, 3)), np.arange(40) % count

    def loss(flat: np.ndarray) -> float:
        weights = flat.reshape(4, count)
        scores = values @ weights[:-1] + weights[-1]
        return -log_softmax(scores, 1)[range(40), kinds].sum() + (weights[:-1] ** 2).sum() / 2

    expected = minimize(loss, np.zeros(4 * count), tol=1e-10).x.reshape(4, count)
    found = logistic(values, kinds, count)
    centred = [
        weights - weights.mean(1, keepdims=True) for weights in (found, expected)
    ]  # only differences count
    np.testing.assert_allclose(*centred, atol=1e-3)


@pytest.mark.parametrize("kinds", [[0, 0, 0, 2, 2], [1, 1, 1, 1, 1]])
def test_a_class_without_samples_is_never_predicted(kinds):
    values = np.random.default_rng(3).normal(size=(5, 2))
    weights = logistic(values, np.array(kinds), 3)
    scores = values @ weights[:-1] + weights[-1]
    assert set(scores.argmax(1)) <= set(kinds)


def test_samples_of_one_class_in_a_row_are_not_left_out_together():
    values = np.concatenate([np.full((30, 1), -3.0), np.full((30, 1), 3.0)])
    kinds = np.repeat([0, 1], 30)
    predicted = cross_predict(values, kinds, lambda x, y: logistic(x, y, 2)).argmax(1)
    assert (predicted == kinds).all()
