"""Charts that are drawn once: copies have models of their own, show their own data, and share what has no state."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.models import AllIndices, ColumnDataSource, DatetimeTicker, HoverTool, Legend
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.plots import chart_template
from fluxlens.app.plots.chart_template import copy_charts, template_path
from fluxlens.app.plots.first_page import draw_first_page
from fluxlens.app.plots.series_figures import SeriesFigures, draw_series_charts
from fluxlens.app.plots.series_layout import TITLES

DAYS = pd.date_range("2020-03-01", "2020-10-31")


@pytest.fixture(scope="module")
def figures():
    return SeriesFigures(DAYS, list(TITLES))


def models(figures):
    return {model for figure in figures.figures.values() for model in figure.references()}


def test_no_model_of_one_copy_is_in_another(figures):
    others = SeriesFigures(DAYS, list(TITLES))
    assert not models(figures) & models(others)
    # Bokeh refuses a model that is in another document already.
    for page in (figures, others):
        document = Document()
        for figure in page.figures.values():
            document.add_root(figure)


def test_a_copy_is_what_holoviews_drew(figures):
    drawn = draw_series_charts()
    assert list(figures.figures) == list(drawn)
    for name, chart in drawn.items():
        copied = figures.charts[name]
        for label, handles in chart.handles.items():
            assert type(copied.handles[label]["glyph"]) is type(handles["glyph"])
            old, new = (one["glyph"].properties_with_values() for one in (handles, copied.handles[label]))
            drop = {"fill_color", "tags", "name"}  # the theme colours shading
            assert {k: repr(v) for k, v in old.items() if k not in drop} == {
                k: repr(v) for k, v in new.items() if k not in drop
            }
            assert list(copied.sources[label].data) == list(handles["source"].data)
        hovers = [
            len([tool for tool in one.figure.tools if isinstance(tool, HoverTool)]) for one in (chart, copied)
        ]
        assert hovers[0] == hovers[1]


def test_copies_show_their_own_series(figures, data):
    others = SeriesFigures(DAYS, list(TITLES))
    figures.show(data.pixel_series(20, 28), PLACE_COLOURS[0])
    others.show(data.pixel_series(5, 50), PLACE_COLOURS[1])
    one, other = (page.source("gpp", "predicted").data["gpp"] for page in (figures, others))
    assert len(one) == len(other)
    assert not np.allclose(one, other)


def test_charts_share_what_has_no_state_and_keep_what_has(figures):
    kinds = [type(model) for model in models(figures)]
    assert kinds.count(AllIndices) == 1
    assert kinds.count(DatetimeTicker) == 1
    assert kinds.count(Legend) == 0
    marks = sum(len(chart.marks) for chart in figures.charts.values())
    assert kinds.count(ColumnDataSource) == marks
    # The NDVI axis and the others keep their own ranges.
    assert len({figure.y_range.id for figure in figures.figures.values()}) == len(figures.figures)


def test_holoviews_draws_once_for_all_pages(monkeypatch, tmp_path):
    calls = []

    def draw():
        calls.append(1)
        return draw_series_charts()

    monkeypatch.setattr(chart_template, "_TEMPLATES", {})
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))
    copy_charts("series", draw)
    copy_charts("series", draw)
    assert len(calls) == 1


@pytest.fixture(scope="module")
def left_by_a_server(tmp_path_factory):
    """A cache folder with the charts of the first page."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXLENS_CACHE", str(folder))
        patch.setattr(chart_template, "_TEMPLATES", {})
        # Other tests have imported HoloViews in this process, which a server does not before it draws.
        patch.setattr(chart_template, "is_drawn_without_defaults", lambda: True)
        draw_first_page()
    return folder


@pytest.fixture
def cached(monkeypatch, tmp_path, left_by_a_server):
    """A copy of it, as the cache folder of this process that has drawn nothing yet."""
    shutil.copytree(left_by_a_server, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(chart_template, "_TEMPLATES", {})
    monkeypatch.setattr(chart_template, "is_drawn_without_defaults", lambda: True)
    return tmp_path


def refuse_to_draw():
    raise AssertionError("drawn by HoloViews, though the cache folder has it")


def test_charts_of_an_earlier_process_are_those_that_holoviews_drew(cached, monkeypatch):
    read = copy_charts("series", refuse_to_draw)
    monkeypatch.setattr(chart_template, "_TEMPLATES", {})
    monkeypatch.setenv("FLUXLENS_CACHE", str(cached / "empty"))
    drawn = copy_charts("series", draw_series_charts)

    def describe(charts):
        """All that the charts' models are, by the order in which they are met instead of their ids."""
        text, figures = [], [chart.figure for chart in charts.values()]
        met = {model.id: f"<{n}>" for n, model in enumerate(m for f in figures for m in f.references())}
        for chart in charts.values():
            text += [repr(sorted(map(str, chart.handles))), repr([vars(mark) for mark in chart.marks])]
        kinds = sorted(type(model).__name__ for f in figures for model in f.references())
        glyphs = [
            {
                k: repr(v)
                for k, v in handles["glyph"].properties_with_values().items()
                if k not in ("name", "tags")
            }
            for chart in charts.values()
            for handles in chart.handles.values()
        ]
        return text, kinds, glyphs, len(met)

    assert describe(read) == describe(drawn)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"marks": {}, "ids": {}, "figures": [{"id": "p1"}]}'])
def test_a_damaged_file_of_charts_is_drawn_anew(cached, content):
    template_path("series").write_text(content)
    assert set(copy_charts("series", draw_series_charts)) == set(TITLES)
    chart_template._TEMPLATES.clear()
    copy_charts("series", refuse_to_draw)


def test_charts_with_a_users_own_defaults_stay_in_their_process(cached, monkeypatch):
    monkeypatch.setattr(chart_template, "is_drawn_without_defaults", lambda: False)
    before = sorted(path.stat().st_mtime_ns for path in Path(cached).iterdir())
    drawn = []
    copy_charts("series", lambda: drawn.append(True) or draw_series_charts())
    assert drawn
    assert sorted(path.stat().st_mtime_ns for path in Path(cached).iterdir()) == before


def test_a_server_that_starts_imports_nothing_that_only_draws_or_computes_clusters(cached, catalog):
    # 4 s of processor time between the start and the first page.
    code = (
        "import sys, dask.threaded\n"
        "from fluxlens.app import server\n"
        "dask.config.set(scheduler=dask.threaded.get)\n"
        f"load = server._load_first_entry({str(catalog)!r})\n"
        "load.wait(300)\n"
        "load.data.preload()\n"
        "print(load.error, {'holoviews', 'sklearn', 'distributed', 'datashader'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()", run.stderr
