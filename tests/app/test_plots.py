"""The map's elements: north is up, the unknown is transparent, the masked is faded, colours come late."""

import datetime as dt

import holoviews as hv
import numpy as np
import pytest

from app.data import Look, Picture
from app.plots import FADED, MapPlot, image, lonlat_terms, paint
from app.state import State
from embeddings.geometry import Grid

GRID = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 4, 3)
LOOK = Look("Value", "", ("value",), (0.0,), (1.0,), palette="CET_CBL2")


@pytest.fixture(autouse=True)
def _bokeh():
    hv.extension("bokeh", logo=False)


def painted(values, faded=None, look=LOOK):
    element = image(Picture(np.asarray(values, "float32")[..., None], look, "", faded), GRID)
    rgb = paint(element, look)
    # rows of rgb run south to north, as dimension_values gives them
    return np.dstack([rgb.dimension_values(d, flat=False) for d in rgb.vdims])[::-1]


def test_north_stays_up():
    values = np.zeros((3, 4))
    values[0, 3] = 1
    colours = painted(values)
    assert (colours[0, 3, :3] != colours[0, 0, :3]).any()
    assert (colours[2, 3, :3] == colours[0, 0, :3]).all()


def test_unknown_is_transparent_and_masked_is_faded():
    values = np.full((3, 4), 0.5)
    values[1, 1] = np.nan
    faded = np.zeros((3, 4), bool)
    faded[2, 0] = True
    alpha = painted(values, faded)[..., 3]
    assert alpha[1, 1] == 0
    assert alpha[2, 0] == FADED
    assert alpha[0, 0] == 255


def test_values_beyond_the_stretch_take_its_end_colours():
    colours = painted(np.array([[-5, 0, 1, 7]] * 3))
    assert (colours[0, 0] == colours[0, 1]).all()
    assert (colours[0, 2] == colours[0, 3]).all()


def test_hover_places_agree_with_the_projection():
    grid = Grid("EPSG:32632", 400_000.0, 5_600_000.0, 10.0, 1000, 1000)
    lon, lat, (cx, cy, hx, hy) = lonlat_terms(grid)
    x, y = 403_210.0, 5_591_230.0
    u, v = (x - cx) / hx, (y - cy) / hy
    terms = np.array([1, u, v, u * u, u * v, v * v])
    expected = grid.lonlat(x, y)
    assert terms @ lon == pytest.approx(expected[0], abs=1e-6)
    assert terms @ lat == pytest.approx(expected[1], abs=1e-6)


def test_a_tap_moves_the_ring_and_asks_for_no_picture(data):
    asked = []

    def answer(*what):
        asked.append(what)
        return data.picture(*what)

    state = State(day=dt.date(2020, 6, 14))
    plot = MapPlot(state, data.grid, answer)
    hv.renderer("bokeh").get_plot(plot.element)
    before = len(asked)
    state.pin(2, 3)
    assert len(asked) == before
    assert plot.pins.data["x"] == [data.grid.x[3]]
    state.layer = "sigma"
    assert len(asked) == before + 1
