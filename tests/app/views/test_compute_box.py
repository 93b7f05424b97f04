"""A box that is being computed is drawn in the colours of the map it lies on."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pytest
from app_world import make_cube
from fluxlens.app.background.embed_jobs import EmbedBox, EmbedJob
from fluxlens.app.plots.colour import paint
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.session.panel_setup import setup
from fluxlens.app.views.compute import ComputeView

DAY = dt.date(2020, 7, 1)
ROWS, COLS = slice(8, 24), slice(10, 30)


@pytest.fixture
def view(data):
    """The tab with a job whose one block is the store's own numbers, so that box and map must look alike."""
    setup()
    explorer = Explorer(data=data)
    explorer.state.param.update(day=DAY, page="compute")
    view = ComputeView(explorer.state, data, explorer.map_view.plot, lambda job: "", lambda name: None)
    job = EmbedJob(data.scene, EmbedBox(ROWS, COLS, DAY, DAY), state="running")
    job.model_digest = data.attrs.get("model_digest")
    block = SimpleNamespace(
        rows=slice(0, 16),
        cols=slice(0, 20),
        cube=make_cube().isel(y=ROWS, x=COLS).sel(time=[np.datetime64(DAY)]),
    )
    job.blocks.append(block)
    view.job = job
    return view


@pytest.mark.parametrize("layer", ["pca", "feature", "gpp", "width", "sigma", "gap"])
def test_a_box_looks_like_the_layer_around_it(view, data, layer):
    view.state.param.update(layer=layer, feature=3)
    image = data.layer_image(view.state.layer_key)
    expected = paint(image.values, image.style)[ROWS, COLS].copy()
    drawn = view.plot.fresh.data["image"][0][::-1]
    colours = np.ascontiguousarray(drawn).view("uint8").reshape(16, 20, 4).astype(int)
    assert np.abs(colours - expected.astype(int)).max() <= 1


def test_chosen_colours_reach_the_box(view, data):
    view.state.layer = "gpp"
    before = view.plot.fresh.data["image"][0].copy()
    view.state.colours = {"GPP": (0.0, 2.0, "CET_L1")}
    assert (view.plot.fresh.data["image"][0] != before).any()
