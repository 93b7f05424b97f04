"""A few labels, then a map: classes and numbers of the made-up lake, forest and field."""

import datetime as dt

import numpy as np
import pytest
import rasterio
from app_world import GRID, NX, NY
from fluxlens.app.plots import map_sheet
from fluxlens.app.session import permalink
from fluxlens.app.state import LayerKey, Place, State
from fluxlens.app.state.labels import MAX_LABELS, Label, toggle_label
from fluxlens.app.views import export as view
from fluxlens.app.views.legend import colour_key
from fluxlens.embeddings import analysis
from fluxlens.models.errors import InputError
from PIL import Image

JUNE = dt.date(2020, 6, 1)
KINDS = (Label(5, 5, "lake"), Label(20, 28, "forest"), Label(30, 50, "field"))
TWICE = (*KINDS, Label(40, 9, "lake"), Label(41, 20, "forest"), Label(3, 58, "field"))


@pytest.mark.parametrize("day", [JUNE, None])
def test_one_label_of_each_kind_finds_them_all(data, day):
    picture = data.layer_image(LayerKey("labels", day, labels=KINDS))
    expected = np.repeat([0, 1, 2], [15, 25, 20])
    np.testing.assert_array_equal(picture.values[..., 0], np.broadcast_to(expected, (NY, NX)))
    assert picture.style.names == ("lake", "forest", "field")
    assert sum(picture.shares) == pytest.approx(1)
    assert "too few labels to check" in picture.score


def test_labels_left_out_one_by_one_tell_how_well_the_classes_are_known(data):
    assert (
        "6 of 6 classified right (2 by always the same class)"
        in data.layer_image(LayerKey("labels", JUNE, labels=TWICE)).score
    )
    wrong = tuple(Label(x.row, x.col, "ab"[i % 2]) for i, x in enumerate(sorted(TWICE, key=lambda x: x.name)))
    assert "6 of 6" not in data.layer_image(LayerKey("labels", JUNE, labels=wrong)).score


def test_numbers_make_a_map_of_the_number_and_beat_the_mean(data):
    green = data.layer_image(LayerKey("gpp", JUNE)).values[..., 0]
    picks = [(4, 4), (20, 28), (30, 50), (44, 20), (8, 55), (40, 8), (12, 36)]
    labels = tuple(Label(row, col, f"{green[row, col]:.2f}") for row, col in picks)
    picture = data.layer_image(LayerKey("labels", JUNE, labels=labels))
    assert picture.style.classes == ()
    assert np.corrcoef(picture.values.ravel(), green.ravel())[0, 1] > 0.95
    error, by_mean = (float(word) for word in picture.score.split("(RMSE) ")[1].replace("(", "").split()[:2])
    assert error < by_mean / 3
    assert "too few labels to check" in data.layer_image(LayerKey("labels", JUNE, labels=labels[:4])).score


def test_before_two_kinds_there_is_the_embedding_and_what_to_do(data):
    for labels in ((), KINDS[:1]):
        picture = data.layer_image(LayerKey("labels", JUNE, labels=labels))
        assert "tap pixels of two kinds" in picture.caption
        np.testing.assert_array_equal(picture.values, data.layer_image(LayerKey("pca", JUNE)).values)


def test_a_second_tap_takes_a_label_away_or_renames_it():
    labels = toggle_label(toggle_label((), 1, 1, "a"), 2, 2, " b ")
    assert labels == (Label(1, 1, "a"), Label(2, 2, "b"))
    assert toggle_label(labels, 1, 1, "a") == (Label(2, 2, "b"),)
    assert toggle_label(labels, 1, 1, "c") == (Label(2, 2, "b"), Label(1, 1, "c"))


@pytest.mark.parametrize(
    ("labels", "name", "match"),
    [
        ((), " ", "type a class"),
        ((), "x" * 41, "1 to 40"),
        (tuple(Label(0, i, f"k{i}") for i in range(8)), "k8", "at most 8"),
        (tuple(Label(0, i, "k") for i in range(MAX_LABELS)), "k", "take one away"),
    ],
)
def test_a_label_too_many_or_too_long_is_one_sentence(labels, name, match):
    with pytest.raises(InputError, match=match):
        toggle_label(labels, 1, 1, name)
    state = State(labels=list(labels))
    state.label(1, 1, name)
    assert state.labels == list(labels)
    assert state.message


@pytest.fixture
def state(data):
    return State(day=JUNE, layer="labels", places=[Place(0, 20, 28)], labels=list(TWICE))


def test_names_are_escaped_in_the_legend(data):
    labels = (Label(1, 1, "<img src=x>"), *KINDS)
    assert "&lt;img" in colour_key(data.layer_image(LayerKey("labels", JUNE, labels=labels)))
    assert "<img" not in colour_key(data.layer_image(LayerKey("labels", JUNE, labels=labels)))


def test_the_map_of_classes_goes_into_files(state, data, tmp_path):
    (tmp_path / "a.tif").write_bytes(view.file_content(state, data, ".tif").read())
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.descriptions[0] == "class"
        np.testing.assert_array_equal(file.read(1)[0], np.repeat([1, 2, 3], [15, 25, 20]))
        assert file.tags()["classes"] == "1 lake, 2 forest, 3 field"
        assert "6 of 6" in file.tags()["score"]
    (tmp_path / "a.png").write_bytes(map_sheet.render_png(state, data))
    with Image.open(tmp_path / "a.png") as found:
        assert "6 of 6" in found.text["score"]


def test_a_link_brings_the_labels_back(state, data):
    again = State()
    permalink.restore(permalink.parse_query(permalink.to_query(state, data)), again, data)
    assert (again.labels, again.layer) == (state.labels, "labels")
    permalink.restore({"labels": f'[[{GRID.ny}, 0, "off"]]'}, again, data)
    assert "labels=" in again.message
    assert "48, 0" in again.message


def test_each_sample_is_left_out_once():
    training_parts = []

    def fit(values, target):
        training_parts.append(set(target.tolist()))
        return analysis.ridge(values, target)

    values = np.random.default_rng(0).normal(size=(45, 3))
    assert analysis.cross_predict(values, np.arange(45.0), fit).shape == (45, 1)
    assert len(training_parts) == 20
    assert all(sum(i not in part for part in training_parts) == 1 for i in range(45))


def test_ridge_with_its_penalty_chosen_errs_as_refitting_says():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(30, 8))
    target = values @ draw.normal(size=8) + draw.normal(size=30) * 0.1
    left = analysis.cross_predict(values, target, analysis.ridge)[:, 0]
    assert np.sqrt(np.mean((left - target) ** 2)) < 0.2 * target.std()
    noise = draw.normal(size=30)
    left = analysis.cross_predict(values, noise, analysis.ridge)[:, 0]
    assert np.sqrt(np.mean((left - noise) ** 2)) > 0.8 * noise.std()


def test_logistic_regression_is_that_of_its_gradient():
    draw = np.random.default_rng(1)
    values, kinds = draw.normal(size=(40, 3)), draw.integers(0, 3, 40)
    weights = analysis.logistic(values, kinds, 3)
    scores = values @ weights[:-1] + weights[-1]
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    gradient = values.T @ (share - np.eye(3)[kinds]) + weights[:-1]
    assert np.abs(gradient).max() < 1e-2
