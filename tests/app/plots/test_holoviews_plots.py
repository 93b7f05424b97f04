"""HoloViews figures are rendered, and what stands in the rendered Bokeh models is compared with the data."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from app_world import DAYS, GRID, TinyStore, predict
from fluxlens.app.data import ExplorerData, areas
from fluxlens.app.data.layer_image import WHOLE_PX
from fluxlens.app.data.series import find_gaps
from fluxlens.app.plots import (
    area_density,
    elements,
    embedding_map,
    feature_space,
    footprint,
    series_charts,
    series_layout,
    tower_charts,
)
from fluxlens.app.state import LayerKey
from fluxlens.models.errors import InputError
from holoviews.streams import PlotSize

DAY = "2020-07-01"
hv = elements.load_holoviews()


@pytest.fixture(scope="module")
def data() -> ExplorerData:
    return ExplorerData(TinyStore(), predict)


def plot_of(figure):
    """The HoloViews plot of a figure, rendered as Bokeh models."""
    return hv.renderer("bokeh").get_plot(figure)


def layer(data, name, **choices):
    return data.layer_image(LayerKey(name, pd.Timestamp(DAY).date(), **choices))


def range_of(figure):
    """The stream of the view's range in a chain of DynamicMaps."""
    own = [stream for stream in figure.streams if isinstance(stream, hv.streams.RangeXY)]
    return own[0] if own else next(found for source in figure.callback.inputs if (found := range_of(source)))


def labels(figure) -> set[str]:
    """Labels of the y axes of all charts of a rendered layout."""
    plots = plot_of(figure).traverse(lambda p: p, [lambda p: "plot" in p.handles and p.handles.get("yaxis")])
    return {plot.handles["yaxis"].axis_label for plot in plots}


def test_the_raster_has_the_layers_numbers_north_up(data):
    shown = plot_of(embedding_map(data, "gpp", DAY))
    source = shown.handles["source"].data
    expected = layer(data, "gpp").values[..., 0]
    # Bokeh draws the first row of an image lowest
    np.testing.assert_allclose(source["image"][0][::-1], expected)
    left, bottom, right, top = GRID.extent
    assert (source["x"][0], source["y"][0]) == (left, bottom)
    assert (source["dw"][0], source["dh"][0]) == (right - left, top - bottom)


@pytest.mark.parametrize("name", ["pca", "gpp"])
def test_a_map_composed_with_points_of_a_user_still_says_its_day_and_simulated(data, name):
    shown = plot_of(embedding_map(data, name, DAY) * hv.Points([data.centre(2, 3)]))
    assert shown.state.title.text.endswith("1 Jul 2020, simulated")


def test_the_map_is_in_metres_of_its_crs_with_one_stretch(data):
    for day in (DAY, "2020-03-01"):
        shown = plot_of(embedding_map(data, "gpp", day))
        assert shown.handles["xaxis"].axis_label == "Easting, EPSG:32632 (m)"
        assert shown.handles["yaxis"].axis_label == "Northing, EPSG:32632 (m)"
        style, colours = data.layer_style("gpp"), shown.handles["color_mapper"]
        assert (colours.low, colours.high) == (style.low[0], style.high[0])
    assert shown.state.title.text == "GPP, 1 Mar 2020, simulated"


def test_a_composite_is_rgb_and_its_hover_has_the_components(data):
    shown = plot_of(embedding_map(data, "pca", DAY))
    source, expected = shown.handles["source"].data, layer(data, "pca").values
    assert source["image"][0].dtype == np.uint32
    for i, name in enumerate(("PC1", "PC2", "PC3")):
        np.testing.assert_array_equal(source[name][0][::-1], expected[..., i])
    tips = dict(shown.handles["hover"].tooltips)
    assert tips["PC1"] == "@PC1{0.000}"
    assert tips["date"] == "1 Jul 2020"
    assert {"x, y", "lat, lon"} <= set(tips)


def test_classes_have_names_and_one_colour_each(data):
    from fluxlens.app.palette import CLASS_COLOURS
    from fluxlens.app.state.labels import Label

    named = (Label(20, 5, "lake"), Label(20, 28, "forest"), Label(20, 50, "field"))
    shown = plot_of(embedding_map(data, "labels", DAY, labels=named))
    image = layer(data, "labels", labels=named)
    bar = shown.handles["colorbar"]
    assert set(bar.major_label_overrides.values()) == {
        f"{i + 1} {n}" for i, n in enumerate(image.style.names)
    }
    assert set(image.style.names) == {"lake", "forest", "field"}
    assert list(shown.handles["color_mapper"].palette) == list(CLASS_COLOURS[:3])
    np.testing.assert_array_equal(shown.handles["source"].data["image"][0][::-1], image.values[..., 0])


def test_another_palette_reads_and_aggregates_nothing(data, monkeypatch):
    import param
    from fluxlens.app.plots import datashaded_map

    class Choice(param.Parameterized):
        palette = param.String("CET_CBL2")

    choice, counts = Choice(), {"read": 0, "raster": 0}
    read, raster = data.map_layers.image, datashaded_map.rasterize

    def counted(name, function):
        def call(*args, **options):
            counts[name] += 1
            return function(*args, **options)

        return call

    monkeypatch.setattr(data.map_layers, "image", counted("read", read))
    monkeypatch.setattr(datashaded_map, "rasterize", counted("raster", raster))
    shown = plot_of(embedding_map(data, "gpp", DAY, palette=choice.param.palette))
    assert counts["raster"] >= 1
    before, colours = dict(counts), list(shown.handles["color_mapper"].palette)
    choice.palette = "CET_L17"
    assert list(shown.handles["color_mapper"].palette) != colours
    assert counts == before


def test_a_day_that_is_a_parameter_redraws_the_map(data):
    import param

    class Choice(param.Parameterized):
        day = param.Parameter(pd.Timestamp(DAY).date())

    choice = Choice()
    shown = plot_of(embedding_map(data, "gpp", choice.param.day))
    choice.day = pd.Timestamp("2020-05-10").date()
    expected = data.layer_image(LayerKey("gpp", choice.day)).values[::-1, :, 0]
    np.testing.assert_allclose(shown.handles["source"].data["image"][0], expected)
    assert shown.state.title.text.startswith("GPP, 10 May 2020")
    assert dict(shown.handles["hover"].tooltips)["date"] == "10 May 2020"


def test_a_large_image_is_read_as_coarse_as_the_screen_and_sharp_where_it_is_zoomed():
    side = 4 * WHOLE_PX
    from fluxlens.embeddings.geometry import Grid

    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, side, side)
    rows = np.arange(side, dtype="float32")[:, None] + np.zeros((1, side), "float32")
    array = xr.DataArray(rows, dims=("y", "x"), coords=grid.coords(), name="row")
    array.attrs = {"long_name": "Row", "units": "1"}
    figure = embedding_map(array)
    whole = figure[()]
    assert max(whole.interface.shape(whole, gridded=True)) <= 512
    assert float(whole.dimension_values(2, flat=False)[0].mean()) == pytest.approx(1.5 + side - 4, abs=3)
    view = range_of(figure)
    left, _, _, top = grid.extent
    view.event(x_range=(left + 1000, left + 2000), y_range=(top - 3000, top - 2000))
    near = figure[()]
    assert np.diff(near.dimension_values("x", expanded=False)) == pytest.approx(10)
    assert near[left + 1505, top - 2505] == 250


def test_maps_compose_and_a_wrong_layer_or_day_is_refused(data):
    spots = hv.Points([GRID.xy(*GRID.lonlat(GRID.x[3], GRID.y[4]))])
    both = plot_of((embedding_map(data, "pca", DAY) * spots) + embedding_map(data, "gpp", DAY))
    drawn = both.traverse(lambda p: p, [lambda p: p.handles.get("x_range") is not None])
    ranges = {plot.handles["x_range"].id for plot in drawn}
    assert len(ranges) == 1, "pan and zoom are linked"
    with pytest.raises(InputError, match="need one of"):
        embedding_map(data, "soil")
    with pytest.raises(InputError, match="need one from 2020-03-01"):
        embedding_map(data, "gpp", "1999-01-01")


def test_charts_have_labels_with_units_and_say_simulated(data):
    layout = series_charts(data.pixel_series(20, 28), data.weather, data.tower, simulated=True)
    assert labels(layout) == {
        "NDVI",
        "Component score",
        "Backscatter (dB)",
        "GPP (gC m⁻² d⁻¹)",
        "Shortwave radiation (W m⁻²)",
        "Air temperature (°C)",
    }
    plots = plot_of(layout).traverse(lambda p: p, [lambda p: p.handles.get("x_range") is not None])
    assert len({plot.handles["x_range"].id for plot in plots}) == 1, "one time axis"
    assert {plot.handles["xaxis"].axis_label for plot in plots} == {"Date, UTC"}
    assert all("simulated" in plot.state.title.text for plot in plots if plot.subplots or plot.overlaid == 0)


def test_observed_and_filled_are_apart_and_gaps_are_gaps(data):
    series = data.pixel_series(20, 28)
    ndvi = next(iter(series_charts(series)))
    parts = {element.label: element for element in ndvi}
    clear = series.clear.values.astype(bool)
    np.testing.assert_allclose(parts["observed, clear"]["ndvi"], series.ndvi.values[clear])
    np.testing.assert_allclose(parts["observed, masked"]["ndvi"], series.ndvi.values[~clear])
    spans = next(element for element in ndvi if isinstance(element, hv.VSpans))
    found = find_gaps(series_layout.clear_times(series), DAYS[0], DAYS[-1])
    assert found
    assert [tuple(map(pd.Timestamp, row)) for row in spans.array()] == found
    holed = series.isel(time=np.r_[0:50, 90:200])
    gpp = next(chart for chart in series_charts(holed) if "GPP" in labels_of(chart))
    line = next(element for element in gpp if element.label == "predicted")
    assert np.isnan(line["gpp"]).sum() == 1, "the line is interrupted where days are missing"


def labels_of(overlay) -> set[str]:
    return {dimension.label for element in overlay for dimension in element.vdims}


def test_a_pipe_changes_the_charts_sources(data):
    from holoviews.streams import Pipe

    pipe = Pipe(data=data.pixel_series(20, 28))
    shown = plot_of(series_charts(pipe))
    other = data.pixel_series(10, 50)
    pipe.send(other)
    sources = shown.traverse(
        lambda p: p.handles["source"].data, [lambda p: p.handles.get("source") is not None]
    )
    lines = [data["gpp"] for data in sources if "gpp" in data and len(data["gpp"]) == len(DAYS)]
    np.testing.assert_allclose(lines[0], other.gpp.values)


def test_the_towers_scatter_is_square_with_predicted_on_y(data):
    comparison = data.compare_tower("gpp_nt", 0.7)
    layout = tower_charts(comparison, simulated=True)
    assert len(layout) == 4
    scatter = plot_of(list(layout)[1])
    assert scatter.handles["yaxis"].axis_label == "Predicted GPP (gC m⁻² d⁻¹)"
    assert scatter.handles["xaxis"].axis_label == "Measured GPP (gC m⁻² d⁻¹)"
    assert scatter.state.frame_width == scatter.state.frame_height
    x, y = scatter.handles["x_range"], scatter.handles["y_range"]
    assert (x.start, x.end) == (y.start, y.end)
    parts = {element.label: element for element in list(layout)[1]}
    assert list(parts)[-1] == "Predicted", "the prediction is on top"
    measured, line = comparison.pair("model")
    known = np.isfinite(line)
    np.testing.assert_allclose(parts["Predicted"]["measured"], measured[known])
    np.testing.assert_allclose(parts["Predicted"]["predicted"], line[known])
    assert set(parts) >= {"1:1", "Predicted"} | {"P-model"} & set(comparison.lines)


def test_feature_space_counts_every_pixel(data):
    space = feature_space(data, day=DAY)
    image = next(iter(element for element in space.plot[()] if isinstance(element, hv.Image)))
    assert int(np.nansum(image.dimension_values(2))) == GRID.nx * GRID.ny
    components = layer(data, "pca").values.reshape(-1, 3)
    np.testing.assert_allclose(space.points["PC1"], components[:, 0], rtol=1e-4, atol=1e-4)


def test_a_lasso_marks_its_pixels_on_the_map_and_an_area_on_the_map_in_feature_space(data):
    space = feature_space(data, day=DAY)
    pc = layer(data, "pca").values[..., :2].reshape(-1, 2)
    at = pc[25 * GRID.nx + 50]
    corners = at + np.array([[-0.2, -0.2], [0.2, -0.2], [0.2, 0.2], [-0.2, 0.2]])
    space.selection.event(geometry=corners)
    marked = space.marked[()].dimension_values("A", flat=False)[::-1] > 0
    expected = (np.abs(pc - at) <= 0.2).all(1).reshape(GRID.shape)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(marked, expected)
    left, _, _, top = GRID.extent
    space.area.event(
        geometry=np.array([[left, top], [left + 50, top], [left + 50, top - 30], [left, top - 30]])
    )
    inside = next(element for element in space.plot[()] if element.label == "area on the map")
    assert len(inside) == 15


def test_the_tapped_pixels_path_has_its_months(data):
    space = feature_space(data, pixel=(20, 28))
    months = next(element for element in space.plot[()] if isinstance(element, hv.Labels))
    # Of months that lie close together the first one is named.
    names = list(months["month"])
    assert names[0] == "Mar"
    assert len(names) >= 4
    pc = data.pixel_series(20, 28).pc.values[:, :2]
    firsts = {f"{day:%b}": pc[i, 0] for i, day in enumerate(DAYS) if day.day == 1}
    np.testing.assert_allclose(months["PC1"], [firsts[name] for name in names], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("color", ["gpp", "class"])
def test_feature_space_takes_colours_from_gpp_and_classes(data, color):
    space = feature_space(data, "e00", "gpp", color, "period")
    shown = plot_of(space.plot)
    assert shown.handles["yaxis"].axis_label == "GPP (gC m⁻² d⁻¹)"
    if color == "class":
        assert list(space.points["class"].cat.categories) == [f"cluster {i}" for i in range(1, 6)]
    with pytest.raises(InputError, match="need one of PC1"):
        feature_space(data, "height")


def test_an_areas_lines_are_counted_under_their_mean(data):
    cube = areas.read_pixels(data.scene, np.arange(10), np.arange(20, 30))
    gpp = predict(cube, data.weather).gpp.assign_attrs(long_name="GPP", units="gC m-2 d-1")
    shown = plot_of(area_density(gpp, simulated=True))
    assert shown.handles["yaxis"].axis_label == "GPP (gC m⁻² d⁻¹)"
    assert shown.state.title.text == "GPP, 10 pixels, simulated"
    overlay = area_density(gpp)[()]
    mean = next(e for e in overlay if getattr(e, "label", "") == "mean of 10 pixels")
    np.testing.assert_allclose(mean["gpp"], gpp.transpose("time", "pixel").mean("pixel").values, rtol=1e-5)
    counts = next(e for e in overlay if isinstance(e, hv.Image)).dimension_values(2)
    assert 1 <= np.nanmax(counts) <= 20, "at most two segments of a line meet in a pixel"


def test_a_footprints_outline_lies_around_the_tower(data):
    drawn_footprint = data.tower_footprint("radius", 100.0)
    x, y = data.centre(20, 28)
    overlay = footprint(drawn_footprint, GRID.crs, (x, y))
    plot_of(embedding_map(data, "pca", DAY) * overlay)
    line = next(element for element in overlay if element.label == drawn_footprint.label).data[0]
    corners = np.column_stack([line["x"], line["y"]]) if isinstance(line, dict) else np.asarray(line)
    away = np.hypot(corners[:, 0] - x, corners[:, 1] - y)
    assert away == pytest.approx(100, abs=15)


def test_hvplot_writes_labels_and_units(data):
    import hvplot.xarray  # noqa: F401

    series = data.pixel_series(20, 28)
    for name, label in (
        ("gpp", "gross primary production (gC m-2 d-1)"),
        ("VV", "VV backscatter (dB)"),
        ("days_from_s2", "days to the nearest clear Sentinel-2 acquisition (d)"),
    ):
        shown = plot_of(series[name].hvplot.line())
        assert shown.handles["yaxis"].axis_label == label


def test_figures_are_drawn_late():
    code = (
        "import sys; import fluxlens.app.cli, fluxlens.app.plots; "
        "print([m for m in ('holoviews', 'datashader', 'hvplot', 'bokeh', 'panel') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_months_do_not_cover_each_other():
    from fluxlens.app.plots.pixel_cloud import LABEL_SHARE, spread_apart

    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 360), rng.normal(0, 5, 360)
    x[:90] = x[0] + rng.normal(0, 0.001, 90)  # three months in which little changes
    y[:90] = y[0] + rng.normal(0, 0.001, 90)
    kept = spread_apart(x, y, np.arange(0, 360, 30))
    assert kept[0] == 0
    assert not {30, 60} & set(kept.tolist())
    for i, one in enumerate(kept):
        for other in kept[:i]:
            far = abs(x[one] - x[other]) >= LABEL_SHARE * np.ptp(x)
            assert far or abs(y[one] - y[other]) >= LABEL_SHARE / 2 * np.ptp(y)
    assert len(spread_apart(x, y, np.empty(0, int))) == 0


def test_the_path_is_of_one_year_inside_the_period():
    from fluxlens.app.plots.pixel_cloud import PATH_DAYS, _year_around

    days = pd.date_range("2019-01-01", "2020-12-31")
    for day in ("2019-01-05", "2020-01-01", "2020-12-30"):
        year = days[_year_around(days, pd.Timestamp(day).date())]
        assert len(year) == PATH_DAYS
        assert pd.Timestamp(day) in year
        assert (year.day == 1).sum() <= 12


def test_the_density_has_round_counts_at_its_colour_bar(data):
    shown = plot_of(feature_space(data, day=DAY).plot)
    images = shown.traverse(lambda p: p, [lambda p: p.handles.get("colorbar") is not None])
    bar = images[0].handles["colorbar"]
    assert bar.color_mapper.low == 1
    assert {1, 2, 5, 10} <= set(bar.ticker.ticks)
    assert all(str(tick).rstrip("0") in ("1", "2", "5") for tick in bar.ticker.ticks)
    assert max(bar.ticker.ticks) <= bar.color_mapper.high


@pytest.mark.parametrize("color", ["density", "gpp", "class"])
def test_a_cloud_is_not_counted_for_a_frame_that_is_not_laid_out_yet(color):
    from fluxlens.app.plots.pixel_cloud import FRAME_PX, rasterize_points

    rng = np.random.default_rng(4)
    points = pd.DataFrame(rng.normal(size=(900, 3)).astype("float32"), columns=["a", "b", "gpp_color"])
    points["class"] = pd.Categorical.from_codes(rng.integers(0, 2, 900), ["one", "two"])
    drawn = hv.renderer("bokeh").get_plot(rasterize_points(points, "a", "b", color))
    (size,) = {
        stream for callback in drawn.callbacks for stream in callback.streams if isinstance(stream, PlotSize)
    }

    def cells() -> tuple[int, ...]:
        return drawn.handles["source"].data["image"][0].shape[:2]

    # What a browser tells of a pane before its layout, and afterwards; two screen pixels a cell.
    size.event(width=70, height=520)
    assert cells() == (260, FRAME_PX // 2)
    size.event(width=600, height=520)
    assert cells() == (260, 300)
