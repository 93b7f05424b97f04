"""Points of classes on the screen: each class is counted where its points are, and colours are mixed by the counts."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.plots import elements
from fluxlens.app.plots.class_counts import MIN_ALPHA, mix_colours, shade_classes, split_by_class

hv = elements.load_holoviews()
COLOURS = ["#ff0000", "#0000ff", "#00ff00"]


@pytest.fixture
def points() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    kinds = pd.Categorical.from_codes(rng.integers(-1, 3, 5000), ["one", "two", "three"])
    return pd.DataFrame({"x": rng.normal(size=5000), "y": rng.normal(size=5000), "class": kinds})


def rgba_of(element) -> np.ndarray:
    """(y, x, 4) uint8 of an RGB, the lowest y first."""
    return np.stack([element.dimension_values(i, flat=False) for i in range(2, 6)], axis=-1)


def test_every_point_is_in_the_table_of_its_class_and_one_without_a_class_in_none(points):
    tables = split_by_class(points, "x", "y", "class")
    assert [len(table) for table in tables] == points["class"].value_counts(sort=False).tolist()
    for name, table in zip(("one", "two", "three"), tables, strict=True):
        expected = points.loc[points["class"] == name, ["x", "y"]].to_numpy()
        np.testing.assert_array_equal(table[["x", "y"]].to_numpy(), expected)


def test_colours_are_the_mean_of_the_classes_weighted_by_their_points():
    counts = np.zeros((3, 2, 2), "uint32")
    counts[:, 0, 0] = 3, 1, 0
    counts[:, 0, 1] = 0, 0, 100
    counts[:, 1, 0] = 1, 0, 0
    rgba = mix_colours(counts, COLOURS)
    np.testing.assert_array_equal(rgba[0, 0, :3], [191, 0, 64])
    np.testing.assert_array_equal(rgba[0, 1], [0, 255, 0, 255])
    np.testing.assert_array_equal(rgba[1, 0], [255, 0, 0, MIN_ALPHA])
    np.testing.assert_array_equal(rgba[1, 1], 0)
    assert MIN_ALPHA < rgba[0, 0, 3] < 255


def test_the_screen_has_the_points_of_each_class_where_they_lie(points):
    shown = shade_classes(hv.Points(points, ["x", "y"], "class"), colours=COLOURS, dynamic=False, width=20)
    rgba = rgba_of(shown)
    left, bottom, right, top = shown.bounds.lbrt()
    known = points[points["class"].notna()]
    where = [np.linspace(bottom, top, rgba.shape[0] + 1), np.linspace(left, right, rgba.shape[1] + 1)]
    per_class = [
        np.histogram2d(part["y"], part["x"], where)[0] for _, part in known.groupby("class", observed=False)
    ]
    np.testing.assert_array_equal(rgba[..., 3] > 0, np.sum(per_class, axis=0) > 0)
    # Where one class is alone its colour is pure.
    for i, counts in enumerate(per_class):
        alone = (counts > 0) & (np.sum(per_class, axis=0) == counts)
        assert alone.any()
        assert (rgba[alone][:, :3] == [int(COLOURS[i][n : n + 2], 16) for n in (1, 3, 5)]).all()


def test_a_zoom_counts_anew_and_sorts_nothing(points, monkeypatch):
    from fluxlens.app.plots import class_counts

    sorted_once = []

    def split(*args):
        sorted_once.append(args)
        return split_by_class(*args)

    monkeypatch.setattr(class_counts, "split_by_class", split)
    cloud = shade_classes(hv.Points(points, ["x", "y"], "class"), colours=COLOURS)
    whole = cloud[()]
    view = next(stream for stream in cloud.streams if isinstance(stream, hv.streams.RangeXY))
    view.event(x_range=(0.0, 1.0), y_range=(0.0, 1.0))
    near = cloud[()]
    assert near.bounds.lbrt() == (0.0, 0.0, 1.0, 1.0)
    assert not np.array_equal(rgba_of(whole), rgba_of(near))
    assert len(sorted_once) == 1


def test_points_that_share_a_value_are_drawn(points):
    same = points.assign(x=2.0)
    shown = shade_classes(hv.Points(same, ["x", "y"], "class"), colours=COLOURS, dynamic=False)
    assert (rgba_of(shown)[..., 3] > 0).any()
