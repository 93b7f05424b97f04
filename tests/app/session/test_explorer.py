"""The explorer: taps, days, messages, and a page that lives on whatever is asked."""

import datetime as dt
import time
from types import SimpleNamespace

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
import pytest
import xarray as xr
from app_world import TinyStore, give, predict
from bokeh.core.validation.check import check_integrity
from bokeh.document import Document
from bokeh.models import InlineStyleSheet
from fluxlens.app.background.catalog_loader import EntryLoad
from fluxlens.app.dashboard import page
from fluxlens.app.data import ExplorerData
from fluxlens.app.data.layer_image import format_date
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.plots import embedding_map
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.session.panel_setup import setup
from fluxlens.app.state import Place, State
from fluxlens.app.views.header import scene_line
from fluxlens.embeddings import catalog as catalogs
from fluxlens.models.errors import InputError
from holoviews.core import Dimensioned


@pytest.fixture(autouse=True, scope="module")
def _extension():
    setup()


@pytest.fixture(scope="module")
def screen(_extension):
    found = Explorer(data=ExplorerData(TinyStore(), predict))
    found.panel().server_doc(Document())
    return found


@pytest.fixture
def explorer(screen):
    """The one screen of these tests, as it was at first: building its document takes seconds."""
    start = screen.data.start_pixel
    screen.state.param.update(
        day=dt.date(2020, 7, 1),
        layer="pca",
        places=[Place(0, *start)],
        current=0,
        show_tower=True,
        message="",
    )
    return screen


def daily(explorer):
    """Data of the sources that draw the components."""
    charts = explorer.series_view.charts
    return {name: charts.source("pc", f"{name}, filled").data[name] for name in ("PC1", "PC2", "PC3")}


def test_a_page_has_no_more_models_than_it_had_of_bokeh_figures(screen):
    """532 before charts were HoloViews objects; style sheets of a notebook, which are text there, left out."""
    document = Document()
    Explorer(data=screen.data).panel().server_doc(document)
    models = [model for model in document.models if not isinstance(model, InlineStyleSheet)]
    assert len(models) <= 535


def test_the_models_of_a_page_are_sound():
    """A served page leaves out Bokeh's own check, which costs a visitor a fifth of the wait."""
    document = Document()
    Explorer(data=ExplorerData(TinyStore(), predict)).panel().server_doc(document)
    found = check_integrity(document.models)
    assert not found.error
    assert {issue.name for issue in found.warning} <= {"EMPTY_LAYOUT"}  # a second map is made when asked for


def test_a_tap_changes_the_series(explorer):
    before = np.array(daily(explorer)["PC1"])
    explorer.tap(*explorer.data.centre(5, 55))
    assert explorer.state.pixel == (5, 55)
    assert not np.array_equal(before, daily(explorer)["PC1"])


def test_a_tap_outside_gives_a_message_and_keeps_the_pixel(explorer):
    before = explorer.state.pixel
    explorer.tap(0.0, 0.0)
    assert "outside the scene" in explorer.state.message
    assert explorer.state.pixel == before
    explorer.tap(*explorer.data.centre(1, 1))
    assert explorer.state.message == ""


def test_a_day_moves_slider_cursor_and_legends_together(explorer):
    explorer.state.day = dt.date(2020, 6, 14)
    assert explorer.map_view.slider.value == dt.date(2020, 6, 14)
    assert str(explorer.series_view.charts.cursors[0].location)[:10] == "2020-06-14"
    assert explorer.map_view.day.value == "2020-06-14"
    legend = explorer.series_view.heads["gpp"].object
    explorer.state.day = dt.date(2020, 10, 14)
    assert explorer.series_view.heads["gpp"].object != legend


def test_a_tap_in_a_chart_moves_the_day_within_the_period(explorer):
    explorer.series_view.charts.choose_day(dt.datetime(2020, 5, 2, 3, tzinfo=dt.UTC).timestamp() * 1000)
    assert explorer.state.day == dt.date(2020, 5, 2)
    explorer.series_view.charts.choose_day(dt.datetime(2031, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
    assert explorer.state.day == explorer.data.last


def test_a_served_page_reads_a_pixel_once_and_a_change_of_day_reads_none(explorer, monkeypatch):
    monkeypatch.setattr("fluxlens.app.session.explorer.is_served", lambda: True)
    monkeypatch.setattr(
        type(explorer), "_write_link", lambda self, *_: None
    )  # it needs the browser's address
    with param.edit_constant(explorer):
        explorer.selection = None  # as on a page, where nobody asked for it
    read, series = [], explorer.data.store.series
    monkeypatch.setattr(explorer.data.store, "series", lambda *at: read.append(at) or series(*at))
    explorer.data.clear_caches()
    explorer.tap(*explorer.data.centre(3, 1))
    assert read == [(3, 1)]
    explorer.state.day = dt.date(2020, 7, 9)
    assert explorer.day == dt.date(2020, 7, 9)
    assert read == [(3, 1)]


def test_arrow_keys_step_the_day(explorer):
    before = explorer.state.day
    explorer.browser.day_steps += 7
    assert (explorer.state.day - before).days == 7


def test_a_tower_is_drawn_with_the_band_of_its_file(store):
    node = store._scene["tower"].to_dataset()
    ends = {"gpp_nt_05": node.gpp_nt - 1, "gpp_nt_95": node.gpp_nt + 1}
    store._scene["tower"] = xr.DataTree(node.assign(ends))
    found = Explorer(data=ExplorerData(store, predict))
    day = node.gpp_nt.sel(time=slice("2020-06-01", None)).dropna("time").time.values[0]
    found.state.day = pd.Timestamp(day).date()
    drawn, value = found.series_view.charts.tables["tower"], float(node.gpp_nt.sel(time=day))
    np.testing.assert_allclose(drawn["gpp_nt_95"] - drawn["gpp_nt_05"], 2, rtol=1e-4)
    assert f"{value:.1f} ({value - 1:.1f} to {value + 1:.1f})" in found.series_view.heads["gpp"].object


def test_ndvi_has_one_line_of_every_day_where_the_model_is_known(store):
    from fluxlens.models import checkpoints

    model = checkpoints.load("default", "cpu")
    store._cube = store._cube.assign_attrs(model=model.name, model_digest=model.digest)
    series = Explorer(data=ExplorerData(store, predict)).series_view
    daily = series.charts.source("ndvi", "filled, decoded from the embedding").data
    season = series.charts.source("ndvi", "through clear dates").data
    assert np.isfinite(daily["ndvi_decoded"]).all()
    assert np.isnan(season["ndvi"]).all()
    assert "decoded from the embedding" in series.heads["ndvi"].object


def test_beside_ndvi_stands_how_far_the_nearest_clear_view_is(explorer):
    days = explorer.data.pixel_series(*explorer.state.pixel).days_from_s2
    for away, words in ((0, "that day"), (3, "3 d away")):
        explorer.state.day = pd.Timestamp(days.time.values[days.values == away][0]).date()
        assert f"nearest clear view <em>{words}</em>" in explorer.series_view.heads["ndvi"].object


def test_a_second_map_that_holds_its_day_says_so(explorer):
    explorer.map_view.split.value = True
    second = explorer.map_view.second
    day = explorer.state.day
    second.fix_day.value = True
    assert "day held" in second._caption.object
    explorer.state.day = day + dt.timedelta(days=1)
    assert format_date(day) in second._caption.object
    second.fix_day.value = False
    assert "day held" not in second._caption.object
    explorer.state.day = day
    explorer.map_view.split.value = False


def test_the_period_of_a_scene_stands_once_in_the_header(explorer):
    data = SimpleNamespace(
        title="Field 3, 2020-03-01 to 2020-10-31",
        first=dt.date(2020, 3, 1),
        last=dt.date(2020, 10, 31),
        grid=explorer.data.grid,
        attrs={},
        simulated=False,
    )
    assert scene_line(data).count("2020-03-01 to 2020-10-31") == 1
    assert "<b>Field 3</b>" in scene_line(data)


def test_tower_points_go_and_come_back(explorer):
    tower = explorer.series_view.charts.source("gpp", "tower, night-time")
    assert len(tower.data["time"]) > 0
    explorer.state.show_tower = False
    assert len(tower.data["time"]) == 0
    explorer.state.show_tower = True
    assert len(tower.data["time"]) > 0


def test_simulated_numbers_say_so_in_header_and_charts(explorer):
    assert "Simulated" in explorer.header._scene.object
    assert all("simulated" in head.object for head in explorer.series_view.heads.values())


def test_a_tap_moves_the_ring_and_asks_for_no_picture(explorer):
    sent = explorer.map_view.plot.image.data
    explorer.tap(*explorer.data.centre(2, 3))
    assert explorer.map_view.plot.image.data is sent
    assert list(explorer.map_view.plot.pins.data["x"]) == [explorer.data.grid.x[3]]
    explorer.state.layer = "similar"
    assert explorer.map_view.plot.image.data is not sent
    assert "pixel 2, 3" in explorer.map_view._caption.object


def test_every_pin_has_its_line_in_every_chart(explorer):
    explorer.tap(*explorer.data.centre(5, 55), add=True)
    charts = explorer.series_view.charts
    first = explorer.data.pixel_series(*explorer.data.start_pixel)
    for name in ("ndvi", "pc", "radar", "gpp"):
        assert list(charts.source(name, "other places").data["color"]) == [PLACE_COLOURS[0]]
    np.testing.assert_array_equal(charts.source("gpp", "other places").data["ys"][0], first.gpp.values)
    # Of two bands and three components one is drawn of other places: the legend says which.
    assert "VV of Pixel 1" in explorer.series_view.heads["radar"].object
    assert "PC1 of Pixel 1" in explorer.series_view.heads["pc"].object
    explorer.places.remove.clicks += 1
    assert list(charts.source("gpp", "other places").data["color"]) == []
    assert explorer.state.pixel == explorer.data.start_pixel


def test_an_outline_is_a_place_with_the_mean_of_its_pixels(explorer):
    x, y = explorer.data.grid.x, explorer.data.grid.y
    edges = [x[20] - 5, x[24] - 5], [y[10] + 5, y[13] + 5]
    (west, east), (north, south) = edges
    explorer.outline([west, east, east, west], [north, north, south, south])
    place = explorer.state.place
    series = explorer.data.place_series(place)
    assert series.attrs["pixels"] == 12
    gpp = [
        explorer.data.pixel_series(row, col).gpp.values for row in (10, 11, 12) for col in (20, 21, 22, 23)
    ]
    np.testing.assert_allclose(series.gpp.values, np.mean(gpp, axis=0), rtol=1e-4, atol=1e-5)
    assert (series.gpp_lo <= series.gpp + 1e-4).all()
    assert (series.gpp_lo < series.gpp_hi).any()
    assert "Area of 12 pixels (0.12 ha), mean" in explorer.series_view._location.object


def test_an_areas_pixels_are_drawn_under_its_mean_until_they_are_switched_off(explorer):
    x, y = explorer.data.grid.x, explorer.data.grid.y
    west, east, north, south = x[20] - 5, x[24] - 5, y[10] + 5, y[13] + 5
    view = explorer.series_view
    source = view.charts.source("gpp", "all pixels of the area").data

    def opaque() -> np.ndarray:
        return (
            np.ascontiguousarray(source["image"][0])
            .view("uint8")
            .reshape(*source["image"][0].shape, 4)[..., 3]
            > 0
        )

    assert not opaque().any()
    assert not view.all_pixels.visible
    explorer.outline([west, east, east, west], [north, north, south, south])
    lines = explorer.data.place_series(explorer.state.place).gpp_pixels
    assert lines.shape == (len(explorer.data.days), 12)
    source = view.charts.source("gpp", "all pixels of the area").data
    is_opaque = opaque()
    # The highest pixel of each column of the image is on the highest line of that day.
    days = np.linspace(0, len(lines) - 1, 9)[1:-1].round().astype(int)
    low, high = float(lines.min()), float(lines.max())
    for day in days:
        since = pd.Timestamp(lines.time.values[day]).value / 1e6 - source["x"][0]
        column = int(since / source["dw"][0] * is_opaque.shape[1])
        top = np.flatnonzero(is_opaque[:, max(0, column - 1) : column + 2].any(1)).max()
        value = low + (top + 0.5) / len(is_opaque) * (high - low)
        near = lines.values[max(0, day - 1) : day + 2].max()
        assert value == pytest.approx(near, abs=0.1 * (high - low))
    assert view.all_pixels.visible
    assert "all pixels of the area" in view.heads["gpp"].object
    view.all_pixels.value = False
    source = view.charts.source("gpp", "all pixels of the area").data
    assert not opaque().any()
    assert "all pixels" not in view.heads["gpp"].object
    view.all_pixels.value = True
    explorer.tap(*explorer.data.centre(5, 5))
    source = view.charts.source("gpp", "all pixels of the area").data
    assert not opaque().any()
    assert not view.all_pixels.visible


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"{", "JSON"), (b'{"type": "Point", "coordinates": [1, 2]}', "inside lon"), (b" " * 2**24, "bytes")],
)
def test_a_bad_upload_becomes_a_message_without_a_path(explorer, content, word):
    before = explorer.state.places
    give(explorer.places.file, "area.geojson", content)
    assert word in explorer.state.message
    assert "/" not in explorer.state.message
    assert explorer.state.places == before


def test_exported_places_can_be_uploaded_again(explorer):
    from fluxlens.app.places import add_uploaded_places, to_geojson

    x, y = explorer.data.grid.x, explorer.data.grid.y
    explorer.outline([x[20], x[24], x[24]], [y[10], y[10], y[14]])
    place = explorer.state.place
    add_uploaded_places(
        explorer.state, explorer.data, "a.geojson", to_geojson([place], explorer.data).encode()
    )
    again = explorer.state.place
    assert again.slot != place.slot
    assert again.area == place.area


def test_features_of_a_file_become_areas_with_their_names(explorer):
    import json

    from fluxlens.app.places import add_uploaded_places
    from fluxlens.app.session import permalink

    grid, features = explorer.data.grid, []
    for name, col in (("meadow", 5), ("oaks <b>", 20), ("far away", 5000)):
        x, y = grid.left_m + 10 * col, grid.top_m
        ring = [(x, y), (x + 60, y), (x + 60, y - 60), (x, y - 60), (x, y)]
        lonlat = [[float(v) for v in grid.lonlat(*corner)] for corner in ring]
        features.append(
            {
                "type": "Feature",
                "properties": {"name": name},
                "geometry": {"type": "Polygon", "coordinates": [lonlat]},
            }
        )
    content = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    add_uploaded_places(explorer.state, explorer.data, "a.geojson", content)
    assert [place.label for place in explorer.state.places] == ["Pixel 1", "meadow", "oaks <b>"]
    assert len({place.slot for place in explorer.state.places}) == 3
    assert explorer.state.message == ""
    assert any("far away" in note for note in explorer.state.notes)
    assert list(explorer.places.chips.options) == ["Pixel 1", "meadow", "oaks <b>"]
    assert "PC1 of meadow" in explorer.series_view.heads["pc"].object
    assert "<b>" not in explorer.series_view.heads["pc"].object.partition("meadow")[2]
    # A link brings them back with their names and colours.
    explorer.state.rename("old oaks")
    fields = permalink.parse_query(permalink.to_query(explorer.state, explorer.data))
    again = State(entry=explorer.state.entry, places=[Place(0, 0, 0)])
    permalink.restore(fields, again, explorer.data)
    assert again.message == ""
    assert {(place.slot, place.label) for place in again.places} == {
        (place.slot, place.label) for place in explorer.state.places
    }
    explorer.state.notes = []


def test_a_name_that_is_typed_goes_into_the_chips_and_a_bad_one_comes_back(explorer):
    explorer.places.name.value = "old oak"
    assert list(explorer.places.chips.options) == ["old oak"]
    explorer.tap(*explorer.data.centre(5, 5))
    assert explorer.state.place.label == "old oak"
    explorer.places.name.value = " "
    assert explorer.places.name.value == explorer.state.place.label == "Pixel 1"


def test_hidden_charts_leave_the_dates_under_the_lowest(explorer):
    explorer.state.charts = ["ndvi", "pc"]
    shown = {name: fig.xaxis[0].visible for name, fig in explorer.series_view.charts.figures.items()}
    assert [name for name, is_shown in shown.items() if is_shown] == ["pc"]
    panes = explorer.series_view.panes
    assert not panes["gpp"].visible
    # It alone is higher by its dates, so that all frames are of one height.
    assert [name for name, pane in panes.items() if "dated" in pane.css_classes] == ["pc"]
    explorer.state.charts = ["ndvi", "pc", "radar", "gpp"]
    assert [name for name, pane in panes.items() if "dated" in pane.css_classes] == ["gpp"]


def test_a_legend_says_that_lines_are_being_drawn_until_they_are(explorer, monkeypatch):
    from fluxlens.app.plots import series_figures

    x, y = explorer.data.grid.x, explorer.data.grid.y
    waiting, view = [], explorer.series_view
    monkeypatch.setattr(
        series_figures, "draw_later", lambda figure, make, show, wanted: waiting.append((make, show))
    )
    explorer.outline([x[20], x[24], x[24], x[20]], [y[10], y[10], y[13], y[13]])
    for chart in view.charts.awaited:
        assert "being drawn" in view.heads[chart].object
    assert "gpp" in view.charts.awaited
    for make, show in waiting:
        show(make())
    assert not view.charts.awaited
    assert not any("being drawn" in head.object for head in view.heads.values())


def test_two_sessions_do_not_move_each_other(data):
    mine, yours = Explorer(data=data), Explorer(data=data)
    before = yours.state.pixel, yours.state.day
    mine.tap(*data.centre(2, 2))
    mine.state.day = dt.date(2020, 4, 1)
    assert (yours.state.pixel, yours.state.day) == before


def wait_for(explorer, seconds=120):
    until = time.monotonic() + seconds
    while explorer._load is not None and time.monotonic() < until:
        time.sleep(0.05)
        explorer._check_load()


def test_a_catalog_entry_opens_and_its_pixel_is_data(catalog):
    explorer = Explorer(catalogs.open(catalog))
    explorer.start("tiny")
    wait_for(explorer)
    assert explorer.data is not None, explorer.state.message
    assert explorer.selection.sizes["feature"] == 32
    assert {"time", "lon", "lat", "e00", "sigma"} <= set(explorer.series.columns)


@pytest.mark.parametrize("entry", ["missing", "no_such_entry"])
def test_a_bad_entry_becomes_a_message_and_the_next_one_opens(catalog, entry):
    explorer = Explorer(catalogs.open(catalog))
    explorer.start(entry)
    wait_for(explorer)
    assert explorer.state.message.startswith(f"Got the entry '{entry}'")
    explorer.state.entry = "tiny"
    wait_for(explorer)
    assert explorer.data is not None
    assert explorer.state.message == ""


@pytest.mark.parametrize(
    ("entry", "advice"),
    [("tinyy", "did you mean tiny?"), ("tiny_scene", "choose one."), ("tiny_tower", "choose one.")],
)
def test_a_missing_entrys_message_names_only_those_that_the_screen_can_show(catalog, tmp_path, entry, advice):
    lines = (
        f"  tiny: {{driver: fluxlens_embeddings, args: {{store: {catalog.parent / 'store'}}}}}\n"
        "  tiny_scene: {driver: fluxlens_scene, args: {path: scene.zarr}}\n"
        "  tiny_tower: {driver: fluxlens_tower, args: {path: tower.csv}}\n"
        "  gone: {driver: fluxlens_embeddings, args: {store: nowhere}}\n"
    )
    (tmp_path / "catalog.yaml").write_text("metadata: {version: 1}\nsources:\n" + lines)
    explorer = Explorer(catalogs.open(tmp_path / "catalog.yaml"))
    explorer.start(entry)
    wait_for(explorer)
    message = explorer.state.message
    assert message == f"Got the entry '{entry}', need one with embeddings: gone, tiny; {advice}"
    # An entry that has just failed is no choice either.
    explorer.state.entry = "gone"
    wait_for(explorer)
    assert "nowhere" in explorer.state.message
    assert "entry=tiny" in explorer._waiting.object
    assert "entry=gone" not in explorer._waiting.object


def test_a_bad_catalog_becomes_a_page_with_a_message(tmp_path):
    screen = page(tmp_path / "none.yaml")
    texts = [pane.object for pane in screen.select(pn.pane.HTML)]
    assert any("which is not a file" in text for text in texts)


def test_whatever_fails_while_opening_becomes_a_sentence():
    def steps():
        yield "reading", 0.5
        raise OSError("disk on fire")

    load = EntryLoad("demo")
    load.run(steps())
    assert load.ended
    assert "disk on fire" in load.error


def test_the_exported_file_names_the_pixel_and_says_simulated(catalog):
    import io

    import pandas as pd

    explorer = Explorer(catalogs.open(catalog))
    explorer.start("tiny")
    wait_for(explorer)
    assert explorer.export.button.filename == "fluxlens_r20_c28_2020-03-01_2020-10-31_simulated.csv"
    text = explorer.export.make_file().read().decode()
    assert "# simulated: 1" in text
    table = pd.read_csv(io.StringIO(text), comment="#")
    assert len(table) == len(explorer.data.days)


# --- parameters that a notebook reads and sets ---


def test_parameters_follow_the_screen_and_move_it(explorer):
    explorer.tap(*explorer.data.centre(5, 55))
    assert explorer.pixels == [(5, 55)]
    explorer.day, explorer.layer = dt.date(2020, 6, 14), "gpp"
    assert explorer.map_view.slider.value == dt.date(2020, 6, 14)
    assert explorer.map_view.layers.value == "gpp"
    explorer.pixels = [(1, 2), (3, 4)]
    assert [(place.row, place.col) for place in explorer.state.places] == [(1, 2), (3, 4)]
    assert explorer.state.pixel == (3, 4)
    chosen = []
    watcher = explorer.param.watch(lambda event: chosen.append(event.new), "pixels")
    explorer.tap(*explorer.data.centre(7, 8))
    explorer.param.unwatch(watcher)
    assert chosen == [[(1, 2), (7, 8)]]


@pytest.mark.parametrize(
    "form", [str, np.datetime64, pd.Timestamp, lambda text: pd.Timestamp(text + "T10:30")]
)
def test_the_day_is_taken_in_any_form_that_a_cube_or_a_person_has(explorer, form):
    explorer.day = form("2020-06-14")
    assert explorer.day == dt.date(2020, 6, 14) == explorer.state.day
    with pytest.raises(ValueError, match="day"):
        explorer.day = "in summer"
    assert explorer.day == dt.date(2020, 6, 14)


@pytest.mark.parametrize(
    ("name", "value"),
    [("day", dt.date(2031, 1, 1)), ("pixels", [(0, 10_000)]), ("pixels", []), ("pixels", [(1, 2, 3)])],
)
def test_a_parameter_that_the_store_does_not_have_is_refused_and_nothing_changes(explorer, name, value):
    from fluxlens.models.errors import InputError

    before = explorer.day, explorer.pixels, explorer.state.places
    with pytest.raises(InputError, match=r"^Got "):
        setattr(explorer, name, value)
    assert (explorer.day, explorer.pixels, explorer.state.places) == before


def test_the_explorer_stands_in_a_layout(explorer):
    assert pn.panel(explorer).select(pn.widgets.DateSlider)


def test_the_design_does_not_reach_the_widgets_of_a_notebook(explorer):
    from fluxlens.app.views.style import FluxlensDesign

    assert isinstance(explorer.map_view.slider._design, FluxlensDesign)
    assert pn.config.design is None
    assert not isinstance(pn.widgets.Button()._design, FluxlensDesign)


# --- what readers leave out ---


def test_what_a_reader_leaves_out_is_a_banner_until_it_is_closed(explorer):
    content = (
        '{"type": "FeatureCollection", "features": ['
        '{"type": "Feature", "properties": {"name": "<b>empty</b>"}, "geometry": null},'
        '{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [9.004, 50.55]}}]}'
    )
    banner = explorer.panel()[1][1]
    explorer.export._set_points("points.geojson", content.encode())
    assert len(explorer.export.points) == 1
    (text,) = banner.select(pn.pane.HTML)
    assert "left out" in text.object
    assert "<b>empty" not in text.object
    (close,) = banner.select(pn.widgets.Button)
    close.clicks += 1
    assert explorer.state.notes == []
    assert not banner.select(pn.pane.HTML)


def test_each_thread_collects_its_own_data_warnings():
    import threading
    import warnings

    from fluxlens.app.data.data_warnings import collect_data_warnings
    from fluxlens.models.errors import DataWarning

    notes, both_collect = {"a": [], "b": []}, threading.Barrier(2)

    def read(name):
        with collect_data_warnings(notes[name]):
            both_collect.wait(120)
            for _ in range(2):
                warnings.warn(f"{name}: left out", DataWarning, stacklevel=1)
            both_collect.wait(120)

    filters = list(warnings.filters)
    threads = [threading.Thread(target=read, args=(name,)) for name in notes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert notes == {"a": ["a: left out"], "b": ["b: left out"]}
    assert warnings.filters == filters


def test_what_is_left_out_while_an_entry_opens_stays_with_it():
    import warnings

    from fluxlens.models.errors import DataWarning

    def steps():
        yield "reading", 0.5
        warnings.warn("tower.csv: 3 days left out.", DataWarning, stacklevel=1)

    load = EntryLoad("demo")
    load.run(steps())
    assert load.notes == ["tower.csv: 3 days left out."]


def test_the_figures_handed_out_are_those_on_screen_and_compose(explorer):
    import holoviews as hv

    explorer.tap(*explorer.data.centre(5, 9))
    composed = explorer.map * hv.Points([explorer.data.centre(2, 3)])
    plot = hv.renderer("bokeh").get_plot(composed)
    rings = [r.data_source.data for r in plot.state.renderers if getattr(r.glyph, "size", None) == 20]
    assert [list(ring["x"]) for ring in rings] == [[explorer.data.grid.x[9]]] * 2
    # No legend of the layer's title and of halos: it covered a third of a small map.
    assert not [item for legend in plot.state.legend for item in legend.items]
    alone = hv.renderer("bokeh").get_plot(explorer.map)
    explorer.day = "2020-05-03"
    # Alone and composed: what is simulated says so.
    for shown in (alone, plot):
        assert shown.state.title.text == "Embedding, first three components, 3 May 2020, simulated"
    predicted = {e.label: e for chart in explorer.charts for e in chart}["predicted"]
    on_screen = explorer.series_view.charts.source("gpp", "predicted").data["gpp"]
    np.testing.assert_array_equal(predicted["gpp"], on_screen)


def test_a_lasso_in_feature_space_marks_its_pixels_on_the_map(explorer):
    explorer.state.page = "space"
    view = explorer.feature_space_view
    marks = explorer.map_view.plot.chart.sources["pixels of the feature space"]
    assert marks.data["image"][0].shape == (1, 1)
    everything = np.array([[-1e3, -1e3], [1e3, -1e3], [1e3, 1e3], [-1e3, 1e3]])
    view.space.selection.event(geometry=everything)
    assert marks.data["image"][0].shape == explorer.data.grid.shape
    assert (marks.data["image"][0] != 0).all()
    explorer.state.page = "series"
    assert marks.data["image"][0].shape == (1, 1), "marks leave the map with the tab"


def test_classes_in_feature_space_have_a_legend_with_their_shares(explorer):
    explorer.state.page = "space"
    view = explorer.feature_space_view
    view.colour.value = "class"
    shares = view.space.points["class"].value_counts(normalize=True)
    for name, share in shares.items():
        assert f"{name} <em>{100 * share:.0f} %</em>" in view.head.object
    view.colour.value = "density"
    assert "cluster" not in view.head.object
    explorer.state.page = "series"


def test_a_catalog_may_be_given_by_its_path(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text("sources:\n  one: {driver: fluxlens_embeddings, args: {store: nowhere}}\n")
    assert list(Explorer(str(path)).cat) == ["one"]
    with pytest.raises(InputError, match="which is not a file"):
        Explorer(tmp_path / "absent.yaml")


def test_the_feature_space_of_an_explorer_is_a_plot_to_compose(explorer):
    assert isinstance(explorer.feature_space, Dimensioned)
    hv.render(explorer.feature_space)


def test_a_cube_as_a_map_is_told_what_to_give(explorer):
    with pytest.raises(InputError, match=r"need `explorer\.data` or one image"):
        embedding_map(xr.Dataset())
