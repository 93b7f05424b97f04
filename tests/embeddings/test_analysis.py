"""Alikeness on numbers whose answer is known."""

import numpy as np
import pytest

from embeddings.analysis import BLOCK, agreement, assign, cosine, kmeans


def test_cosine_on_integers_is_cosine_on_values():
    draw = np.random.default_rng(0)
    embedding = draw.integers(-127, 128, (BLOCK + 7, 8)).astype("int8")
    scale, centre = draw.uniform(0.01, 0.1, 8).astype("float32"), draw.normal(0, 1, 8).astype("float32")
    like = embedding[3] * scale
    dot, length = agreement(embedding, scale, centre, like)
    values, one = embedding * scale - centre, like - centre
    expected = values @ one / np.linalg.norm(values, axis=1) / np.linalg.norm(one)
    assert cosine(dot, length, float(length[3])) == pytest.approx(expected, abs=1e-4)


def test_nothing_is_like_nothing():
    assert cosine(np.zeros(2, "float32"), np.zeros(2, "float32"), 0.0).tolist() == [0, 0]


def test_kmeans_finds_the_heaps_largest_first_and_the_same_twice():
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
