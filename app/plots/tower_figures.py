"""The tower's charts of the dashboard: drawn once by HoloViews, then only the data of their sources change."""

from collections.abc import Callable

import pandas as pd
from bokeh.models import Range1d
from fluxlens.app.data.towers.comparison import LINES, TowerComparison
from fluxlens.app.palette import THEMES
from fluxlens.app.plots.chart_template import copy_charts
from fluxlens.app.plots.marks import RenderedChart, apply_theme, style_figure
from fluxlens.app.plots.series_figures import LEFT_PX, link_time_figures, style_time_figure
from fluxlens.app.plots.tower_layout import (
    FLUX_COLOURS,
    SQUARE_PX,
    month_names,
    scatter_range,
    tower_dimensions,
    tower_marks,
    tower_tables,
)

TIME_HEIGHT_PX = 210
"""Height of the charts over time with their dates: a frame of 150, in which four lines can be told apart."""


def draw_tower_charts() -> dict[str, RenderedChart]:
    """The charts of a tower by name, drawn by HoloViews without data."""
    empty, axes = tower_tables(None), tower_dimensions()
    charts = {
        name: RenderedChart(marks, *axes[name], empty, {"responsive": True, "min_height": 140})
        for name, marks in tower_marks().items()
    }
    for name, chart in charts.items():
        if name in ("series", "anomaly"):
            style_time_figure(chart.figure)
            chart.figure.min_height = TIME_HEIGHT_PX
        else:
            style_figure(chart.figure)
            chart.figure.min_height = SQUARE_PX + 84
            chart.figure.min_border_left = LEFT_PX
    # A square frame of a fixed size, whatever the width of the page.
    charts["scatter"].figure.update(
        sizing_mode="fixed",
        width=SQUARE_PX + 90,
        height=SQUARE_PX + 84,
        min_border_bottom=60,
        frame_width=SQUARE_PX,
        frame_height=SQUARE_PX,
    )
    charts["cycle"].figure.xaxis.formatter = month_names()
    return charts


class TowerFigures:
    """Four figures by name in ``figures``; every line is drawn with the same weight.

    Parameters
    ----------
    days : pandas.DatetimeIndex
        Days of the cube.
    on_day : callable, optional
        Called with the date of a tap in a chart over time.
    """

    def __init__(self, days: pd.DatetimeIndex, on_day: Callable | None = None):
        # One percent on each side: the marks of the first and last day would be cut in half.
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.first, self.last, self.on_day = days[0], days[-1], on_day
        self.range = Range1d(days[0] - margin, days[-1] + margin, bounds="auto")
        self.square = Range1d(0, 1)
        self.charts = copy_charts("tower", draw_tower_charts)
        self.figures = {name: chart.figure for name, chart in self.charts.items()}
        over_time = [self.figures[name] for name in ("series", "anomaly")]
        link_time_figures(over_time, self.range, self.choose_day if on_day else None)
        # One range on equal axes, so that the 1:1 line is a diagonal.
        self.figures["scatter"].x_range = self.figures["scatter"].y_range = self.square
        # A leap year, so that 29 February has its place.
        leap_year = pd.Timestamp("2020-01-01"), pd.Timestamp("2020-12-31")
        self.figures["cycle"].x_range = Range1d(*leap_year, bounds="auto")
        self.apply_theme("light")

    def choose_day(self, milliseconds: float) -> None:
        """Report the day nearest to a tap, given as milliseconds since 1970, clipped to the period."""
        day = pd.Timestamp(milliseconds, unit="ms").round("D")
        self.on_day(min(max(day, self.first), self.last).date())

    def show(self, comparison: TowerComparison, flux: str, shown: list[str]) -> None:
        """Show a comparison.

        Parameters
        ----------
        comparison : TowerComparison
            What is drawn.
        flux : str
            "gpp_nt" or "gpp_dt": colour of the measurements.
        shown : list of str
            Names of ``LINES`` that are visible.
        """
        tables = tower_tables(comparison)
        visible = {LINES[name]: name in shown for name in LINES}
        for name, chart in self.charts.items():
            chart.update(tables)
            # Only the chart of days has a band.
            band = {"90 % band": "model" in shown} if name == "series" else {}
            chart.show_marks(visible | band)
            if name != "scatter":
                chart.handles["measured"]["glyph"].fill_color = FLUX_COLOURS[flux]
        self.square.start, self.square.end = scatter_range(comparison)

    def apply_theme(self, theme: str) -> None:
        """Colour axes and the 1:1 line for the theme "light" or "dark"."""
        for figure in self.figures.values():
            apply_theme(figure, theme)
        self.charts["scatter"].handles["1:1"]["glyph"].line_color = THEMES[theme]["text"]
