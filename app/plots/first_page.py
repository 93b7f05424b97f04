"""Drawing of the charts of the first page before somebody asks for it."""

from fluxlens.app.plots.chart_template import copy_charts
from fluxlens.app.plots.map import draw_map
from fluxlens.app.plots.series_figures import draw_series_charts


def draw_first_page() -> None:
    """Draw what every page shows first, so that the first page of the process does not wait for HoloViews."""
    copy_charts("map", draw_map)
    copy_charts("series", draw_series_charts)
