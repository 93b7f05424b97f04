"""An image on the grid of the screen: what Datashader makes of numbers, classes and masks, and where it lies."""

from dataclasses import replace

import numpy as np
import pytest
from fluxlens.app.data.layer_image import SHARP_PX, LayerImage, LayerStyle, Viewport
from fluxlens.app.plots import map as map_plot
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.plots.map_raster import image_extent, pick_viewport, rasterize
from fluxlens.embeddings.geometry import Grid

GRID = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 1200, 1200)
NUMBERS = LayerStyle("Value", "", ("value",), (0.0,), (1.0,), palette="CET_CBL2")
CLASSES = LayerStyle("Clusters", "", ("cluster",), (0.0,), (2.0,), classes=("#010203", "#040506", "#070809"))


def image(values, style=NUMBERS, masked=None) -> LayerImage:
    values = np.asarray(values, "float32")
    return LayerImage(values if values.ndim == 3 else values[..., None], style, "1 Jul 2020", masked)


def test_numbers_become_means_of_what_is_known_and_north_stays_up():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(600, 600, 3)).astype("float32")
    values[:2, :2] = np.nan
    values[2, 2] = np.nan
    # 600 pixels of 20 m on cells of 40 m: each is the mean of four.
    on_screen = rasterize(GRID, Viewport(2, 0, 600, 0, 600), image(values), screen_px_m=40.0)
    blocks = values.reshape(300, 2, 300, 2, 3)
    expected = np.full((300, 300, 3), np.nan, "float32")
    known = np.isfinite(blocks).any((1, 3))
    expected[known] = (np.nansum(blocks, (1, 3)) / np.isfinite(blocks).sum((1, 3)).clip(1))[known]
    np.testing.assert_allclose(on_screen.image.values, expected, atol=1e-5)
    assert on_screen.extent == GRID.extent
    assert on_screen.describe_cell() == "16 pixels (4 × 4)"
    assert on_screen.shade()[0, 0, 3] == 0
    assert on_screen.shade()[0, 1, 3] == 255


def test_classes_become_the_most_frequent_and_masks_what_most_pixels_are():
    values, masked = np.zeros((400, 400), "float32"), np.zeros((400, 400), bool)
    values[:200] = 2
    # Single pixels of another class inside: their mean would be a class that is not there.
    values[::4, ::4] = 1
    masked[:, :201] = True
    on_screen = rasterize(GRID, Viewport(1, 0, 400, 0, 400), image(values, CLASSES, masked), 20.0)
    assert on_screen.image.values.shape == (200, 200, 1)
    assert set(np.unique(on_screen.image.values[:99])) <= {1.0, 2.0}
    assert (on_screen.image.values[1::2, 1::2][:49] == 2).all()
    assert (on_screen.image.values[1::2, 1::2][51:] == 0).all()
    assert on_screen.image.masked[:, :100].all()
    assert not on_screen.image.masked[:, 101:].any()


def test_an_image_no_finer_than_the_screen_is_shown_as_it_is():
    shown = image(np.arange(40_000.0).reshape(200, 200))
    viewport = Viewport(1, 100, 300, 40, 240)
    for screen_px_m in (0.0, 3.0, 10.0):
        on_screen = rasterize(GRID, viewport, shown, screen_px_m)
        assert on_screen.image is shown
        assert on_screen.describe_cell() == ""
    assert on_screen.extent == (500_400.0, 5_597_000.0, 502_400.0, 5_599_000.0)
    assert image_extent(GRID, None, (1200, 1200)) == GRID.extent
    assert pick_viewport(GRID, (502_400.0, 500_400.0), (5_597_000.0, 5_599_000.0), 200, 0) == viewport


@pytest.fixture
def on_screen():
    """A map of a large scene of numbers in a frame of 500 px, and the viewports that it read."""
    side, viewports, chosen = 4 * SHARP_PX, [], {}
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, side, side)

    def read(viewport: Viewport) -> LayerImage:
        viewports.append(viewport)
        rows = (np.arange(viewport.top, viewport.bottom) + 0.5) * viewport.level
        return image(np.repeat(rows[:, None], viewport.shape[1], 1))

    def colour(shown: LayerImage) -> LayerImage:
        return replace(shown, style=replace(shown.style, **chosen))

    shown = MapPlot(grid, read, colour=colour)
    for name in ("inner_width", "inner_height"):
        # As the browser tells it: nobody else may set it.
        shown.figure.set_from_json(name, 500)
    return shown, viewports, chosen


def test_the_frame_of_the_browser_decides_what_is_read_and_what_is_sent(on_screen):
    shown, viewports, _ = on_screen
    viewports.clear()
    shown.draw()
    # 3,200 pixels on 500: the overview of 800 has too many for each of the screen, that of 400 fits.
    assert [viewport.level for viewport in viewports] == [16, 8]
    left, _, _, top = shown.grid.extent
    shown.figure.x_range.update(start=left + 1000, end=left + 6900)
    shown.figure.y_range.update(start=top - 6900, end=top - 1000)
    shown.update_view()
    assert viewports[-1].level == 1
    values = shown.image.data["v0"][0][::-1]
    cell_m = shown.raster.cell_px * 10
    # 590 pixels on 500 of the screen: cells of 11.8 m, and the margin's as many more.
    assert cell_m == pytest.approx(11.8, rel=0.01)
    assert values.shape == shown.image.data["image"][0].shape
    assert ("mean of", "1.4 pixels (1.18 × 1.18)") in shown.hover.tooltips
    north = shown.raster.extent[3]
    rows = (top - north + (np.arange(len(values)) + 0.5) * cell_m) / 10
    np.testing.assert_allclose(values[:, 3], rows, atol=0.75)
    before = len(viewports)
    # What is zoomed into is there, but coarser than the screen could show it.
    shown.figure.x_range.update(start=left + 3000, end=left + 7000)
    shown.figure.y_range.update(start=top - 7000, end=top - 3000)
    shown.update_view()
    assert len(viewports) > before
    assert shown.raster.cell_px == 1


def test_other_colours_read_and_aggregate_nothing(on_screen, monkeypatch):
    shown, viewports, chosen = on_screen
    left, _, _, top = shown.grid.extent
    shown.figure.x_range.update(start=left + 1000, end=left + 6900)
    shown.figure.y_range.update(start=top - 6900, end=top - 1000)
    shown.draw()
    aggregated, real = [], map_plot.rasterize
    monkeypatch.setattr(map_plot, "rasterize", lambda *args: aggregated.append(args) or real(*args))
    before, sent, colours = len(viewports), dict(shown.image.data), shown.image.data["image"][0].copy()
    chosen |= {"high": (4000.0,), "palette": "CET_L17"}
    shown.recolour()
    assert len(viewports) == before
    assert not aggregated
    assert (shown.image.data["image"][0] != colours).any()
    assert shown.image_shown.style.palette == "CET_L17"
    assert all(shown.image.data[name] is column for name, column in sent.items() if name != "image")
