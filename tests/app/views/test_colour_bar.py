"""Chosen colours: taken where they can be drawn, given back, and never of another layer."""

import datetime as dt

import pytest
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.plots.chosen_colours import with_chosen_colours
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.app.state.selection import State
from fluxlens.app.views.colour_bar import PALETTES, ColourBar
from fluxlens.app.views.legend import ramp_ticks


@pytest.fixture
def sigma(data: ExplorerData):
    return data.layer_image(LayerKey("sigma", dt.date(2020, 7, 1)))


def shown(state: State, image):
    bar = ColourBar(state)
    bar.show(image, ramp_ticks(image))
    return bar


def test_a_choice_changes_the_style_of_its_layer_alone(data, sigma):
    state = State()
    bar = shown(state, sigma)
    bar.chosen = [0.0, 0.5, "CET_L1"]
    style = with_chosen_colours(sigma, state).style
    assert (style.low, style.high, style.palette) == ((0.0,), (0.5,), "CET_L1")
    gap = data.layer_image(LayerKey("gap", dt.date(2020, 7, 1)))
    assert with_chosen_colours(gap, state) is gap
    bar.chosen = []
    assert with_chosen_colours(sigma, state) is sigma


@pytest.mark.parametrize("wrong", [[1.0, 0.0, "CET_L1"], [0.0, 1.0, "rainbow"], [0.0, 0.0, "CET_L1"]])
def test_what_cannot_be_drawn_is_refused(sigma, wrong):
    state = State()
    shown(state, sigma).chosen = wrong
    assert state.colours == {}


def test_there_is_no_bar_for_a_composite(data):
    image = data.layer_image(LayerKey("pca", dt.date(2020, 7, 1)))
    bar = ColourBar(State())
    bar.show(image, [])
    assert not bar.visible


def test_the_exported_picture_has_the_chosen_colours(data):
    import io

    import numpy as np
    from fluxlens.app.plots.map_sheet import render_png
    from PIL import Image

    state = State(layer="sigma", day=dt.date(2020, 7, 1))
    label = data.layer_image(state.layer_key).style.label
    pixels = []
    for colours in ({}, {label: (0.0, 0.05, "CET_L1")}):
        state.colours = colours
        image = Image.open(io.BytesIO(render_png(state, data, None))).convert("RGB")
        pixels.append(np.asarray(image)[200:300, 100:200].astype(int))
    assert np.ptp(pixels[0], axis=-1).min() > 30
    assert np.ptp(pixels[1], axis=-1).max() < 6


def test_every_palette_exists():
    from colorcet import palette

    assert set(PALETTES) <= set(palette)
