"""The map's elements: north is up, the unknown is transparent, the masked is faded, colours come late."""

import numpy as np
import pytest
import shapely
from fluxlens.app.data.layer_image import QUICK_PX, SHARP_PX, WHOLE_PX, LayerImage, LayerStyle, Viewport
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.plots.colour import MASKED_ALPHA, paint
from fluxlens.app.plots.elements import lonlat_terms
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.state import Place
from fluxlens.embeddings.geometry import Grid

GRID = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 4, 3)
STYLE = LayerStyle("Value", "", ("value",), (0.0,), (1.0,), palette="CET_CBL2")


def painted(values, masked=None, style=STYLE):
    return paint(np.asarray(values, "float32")[..., None], style, masked)


def plot(grid, values, **options):
    return MapPlot(grid, lambda viewport: LayerImage(values, STYLE, "1 Jul 2020"), **options)


def test_north_stays_up():
    values = np.zeros((3, 4, 1), "float32")
    values[0, 3] = 1
    sent = plot(GRID, values).image.data
    # Bokeh draws the first row of an image lowest.
    colours = sent["image"][0]
    assert colours[2, 3] != colours[2, 0]
    assert colours[0, 3] == colours[0, 0]
    assert (sent["x"][0], sent["y"][0]) == GRID.extent[:2]
    assert sent["v0"][0][2, 3] == 1


def test_unknown_is_transparent_and_masked_is_faded():
    values = np.full((3, 4), 0.5)
    values[1, 1] = np.nan
    masked = np.zeros((3, 4), bool)
    masked[2, 0] = True
    alpha = painted(values, masked)[..., 3]
    assert alpha[1, 1] == 0
    assert alpha[2, 0] == MASKED_ALPHA
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


def test_classes_have_their_own_colours():
    style = LayerStyle("Clusters", "", ("cluster",), (0.0,), (1.0,), classes=("#010203", "#040506"))
    assert painted([[0, 1]], style=style)[0, :, :3].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_places_stand_on_the_map_in_their_colours():
    shown = plot(GRID, np.zeros((3, 4, 1), "float32"))
    lon, lat = GRID.lonlat(
        np.array([500_000.0, 500_020.0, 500_020.0]), np.array([5_600_000.0] * 2 + [5_599_980.0])
    )
    ring = tuple(zip(lon.tolist(), lat.tolist(), strict=True))
    shown.draw_places([Place(2, 1, 3), Place(0, 0, 0, shapely.Polygon(ring))])
    pins = {name: list(column) for name, column in shown.pins.data.items()}
    assert pins == {
        "x": [GRID.x[3]],
        "y": [GRID.y[1]],
        "color": [PLACE_COLOURS[2]],
    }
    assert shown.outlines.data["color"] == [PLACE_COLOURS[0]]
    assert shown.outlines.data["xs"][0] == pytest.approx(
        [500_000.0, 500_020.0, 500_020.0, 500_000.0], abs=0.01
    )


def test_a_sight_is_as_fine_as_its_pixels_allow_and_covers_what_is_asked():
    assert Viewport.covering((1000, 1000), (0, 1000), (0, 1000), 256) == Viewport(4, 0, 250, 0, 250)
    near = Viewport.covering((1000, 1000), (500, 600), (900, 1000), 256)
    assert near == Viewport(1, 484, 613, 884, 1000)
    assert near.covers(Viewport(2, 250, 300, 450, 500))
    assert not near.covers(Viewport(2, 100, 300, 450, 500))
    assert not Viewport.covering((1000, 1000), (0, 1000), (0, 1000), 256).covers(near)


def test_a_large_scene_is_shown_coarsely_at_once_and_sharply_at_rest():
    side, viewports, wanted = 4 * SHARP_PX, [], []
    assert side > WHOLE_PX
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, side, side)

    def answer(viewport: Viewport) -> LayerImage:
        viewports.append(viewport)
        shape = viewport.bottom - viewport.top, viewport.right - viewport.left, 1
        return LayerImage(np.full(shape, viewport.top * viewport.level, "float32"), STYLE, "1 Jul 2020")

    shown = MapPlot(grid, answer)  # no server waits: both at once
    assert [viewport.level for viewport in viewports] == [16, 4]
    assert shown.image.data["dw"][0] == pytest.approx(side * 10)
    assert ("mean of", "16 pixels (4 × 4)") in shown.hover.tooltips
    shown.sharpen_later = wanted.append
    left, _, _, top = grid.extent

    def move(x: float, y: float, size: float) -> None:
        shown.figure.x_range.update(start=left + x, end=left + x + size)
        shown.figure.y_range.update(start=top - y - size, end=top - y)
        shown.update_view()

    move(10_000, 12_000, 2_000)
    assert viewports[2:] == [Viewport(1, 1172, 1425, 972, 1225)]
    assert not wanted, "every pixel is there already"
    assert shown.image.data["v0"][0][-1, 0] == 1172
    assert shown.image.data["y"][0] == pytest.approx(top - 14_250)
    move(10_100, 12_100, 2_000)
    assert len(viewports) == 3, "what is around the view was there"
    move(0, 0, 12_000)
    assert (viewports[3].level, viewports[3].left, wanted[0].level) == (8, 0, 2)
    assert max(shown.image.data["image"][0].shape) <= QUICK_PX


def test_the_hover_names_classes_and_writes_numbers_of_other_layers():
    names = LayerStyle(
        "Yours", "", ("class",), (0.0,), (1.0,), classes=("#010203",) * 2, names=("maize", "rye")
    )
    gpp = LayerStyle("GPP", "gC", ("gpp",), (0.0,), (16.0,), palette="CET_CBL2", value_name="GPP")
    images = [
        LayerImage(np.ones((3, 4, 1), "float32"), names, "on 1 Jul 2020, from 2 labels", when="1 Jul 2020"),
        LayerImage(np.ones((3, 4, 1), "float32"), gpp, "1 Jul 2020"),
    ]
    shown = MapPlot(GRID, lambda viewport: images[0])
    tips = dict(shown.hover.tooltips)
    assert tips == {
        "class": "@v0{custom}", "date": "1 Jul 2020", "place": "$x{custom}", "of": "one pixel of 10 m"
    }  # fmt: skip
    namer = shown.hover.formatters["@v0"]
    assert namer.args["names"] == ["1 maize", "2 rye"]
    assert shown.image.data["v0"][0][0, 0] == 1, "an index of the names"
    images.reverse()
    shown.draw()
    assert "@v0" not in shown.hover.formatters, "it would write names for numbers"
    assert dict(shown.hover.tooltips)["GPP"] == "@v0{0.[00]} gC"
    images.reverse()
    shown.draw()
    assert shown.hover.formatters["@v0"] is namer
