"""Similar places and clusters: on the made-up lake, forest and field."""

import datetime as dt

import numpy as np
import shapely
from fluxlens.app.state import LayerKey

JUNE = dt.date(2020, 6, 1)
FOREST = (20, 28)


def test_a_pixel_is_most_like_itself_and_its_kind(data):
    picture = data.layer_image(LayerKey("similar", JUNE, pixel=FOREST, threshold=0.8))
    values = picture.values[..., 0]
    assert values[FOREST] == np.float32(1) or values[FOREST] > 0.9999
    assert values[:, 18:38].min() > values[:, :14].max()
    np.testing.assert_array_equal(picture.masked, values < 0.8)


def test_the_cosine_is_the_textbook_s(data, store):
    centre = data.components[1]
    cube = store.cube().embedding.sel(time=np.datetime64(JUNE)).values / 64 - centre
    like = cube[FOREST]
    expected = cube @ like / np.linalg.norm(cube, axis=-1) / np.linalg.norm(like)
    np.testing.assert_allclose(data.similarity.cosine(JUNE, FOREST), expected, atol=2e-4)


def test_the_whole_period_is_another_answer_and_asks_each_day_once(data, store):
    day = data.similarity.cosine(JUNE, FOREST)
    year = data.similarity.cosine(None, FOREST)
    assert not np.allclose(day, year)
    before = store.reads["map"]
    data.similarity.cosine(None, (3, 3))
    assert store.reads["map"] == before


def test_a_feature_over_the_whole_period_is_its_mean_over_the_days(data, store):
    shown = data.layer_image(LayerKey("feature", None, feature=3))
    picks = data.similarity._period_indices
    days = store.cube().embedding.isel(time=picks, feature=3).values.astype(float)
    scale = (
        data.layer_image(LayerKey("feature", JUNE, feature=3)).values[5, 5, 0]
        / (store.cube().embedding.sel(time=np.datetime64(JUNE)).values[5, 5, 3])
    )
    np.testing.assert_allclose(shown.values[..., 0], days.mean(0) * scale, rtol=1e-4, atol=1e-5)
    assert shown.caption.startswith("mean along")
    # The colours are those of single days, so that a day may be compared with the period.
    assert shown.style == data.layer_image(LayerKey("feature", JUNE, feature=3)).style
    assert data.layer_image(LayerKey("pca", None)).values.shape == (*shown.values.shape[:2], 3)


def test_clusters_find_lake_forest_and_field(data):
    for day in (JUNE, None):
        kinds = data.layer_image(LayerKey("clusters", day, clusters=3)).values[..., 0]
        each = [set(np.unique(kinds[:, part])) for part in (slice(0, 15), slice(16, 39), slice(41, 60))]
        assert len(set.union(*each)) == 3
        assert [len(one) for one in each] == [1, 1, 1]


def test_shares_of_clusters_add_up_and_colours_do_not_change_with_the_day(data):
    june, july = (
        data.layer_image(LayerKey("clusters", day, clusters=4)) for day in (JUNE, dt.date(2020, 7, 1))
    )
    assert sum(june.shares) == 1
    assert june.style == july.style


def test_likeness_to_an_area_is_that_to_the_mean_vector_of_its_pixels(data, store):
    """The area is half lake and half forest: its middle pixel alone would be one of the two."""
    x, y = data.grid.x, data.grid.y
    corners = [(x[10] - 1, y[20] + 1), (x[19] + 1, y[20] + 1), (x[19] + 1, y[23] - 1), (x[10] - 1, y[23] - 1)]
    area = shapely.MultiPolygon([shapely.Polygon([data.grid.lonlat(*corner) for corner in corners])])
    image = data.layer_image(LayerKey("similar", JUNE, pixel=(21, 15), area=area, threshold=0.8))
    cube = store.cube().embedding.sel(time=np.datetime64(JUNE)).values / 64 - data.components[1]
    like = cube[20:24, 10:20].reshape(-1, cube.shape[-1]).mean(0)
    expected = cube @ like / np.linalg.norm(cube, axis=-1) / np.linalg.norm(like)
    np.testing.assert_allclose(image.values[..., 0], expected, atol=3e-4)
    middle = data.layer_image(LayerKey("similar", JUNE, pixel=(21, 15), threshold=0.8))
    assert not np.allclose(image.values, middle.values, atol=0.05)
    assert "mean of the area" in image.style.label
