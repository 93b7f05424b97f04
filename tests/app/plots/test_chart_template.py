"""Charts that are drawn once: copies have models of their own, show their own data, and share what has no state."""

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.models import AllIndices, ColumnDataSource, DatetimeTicker, HoverTool, Legend
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.plots import chart_template
from fluxlens.app.plots.chart_template import copy_charts
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


def test_holoviews_draws_once_for_all_pages(monkeypatch):
    calls = []

    def draw():
        calls.append(1)
        return draw_series_charts()

    monkeypatch.setattr(chart_template, "_TEMPLATES", {})
    copy_charts("series", draw)
    copy_charts("series", draw)
    assert len(calls) == 1
