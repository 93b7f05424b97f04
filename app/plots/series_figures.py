"""The series charts of the dashboard: drawn once by HoloViews, then only the data of their sources change."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.events import DoubleTap, RangesUpdate, Tap
from bokeh.models import (
    CrosshairTool,
    CustomJS,
    DatetimeTickFormatter,
    NoOverlap,
    PanTool,
    Range1d,
    Span,
    WheelZoomTool,
)
from fluxlens.app.palette import THEMES
from fluxlens.app.plots.area_lines import PIXEL_LINES, density_image
from fluxlens.app.plots.chart_template import copy_charts
from fluxlens.app.plots.elements import time_dimension
from fluxlens.app.plots.later import draw_later
from fluxlens.app.plots.marks import RenderedChart, apply_theme, style_figure
from fluxlens.app.plots.series_layout import (
    TITLES,
    chart_dimensions,
    chart_marks,
    empty_tables,
    other_places_tables,
    series_tables,
    tower_table,
    weather_table,
)

NDVI_RANGE = (-0.15, 1.0)
"""Ends of the NDVI axis, as long as no value lies below."""
SHORT_LABELS = {
    "GPP (gC m⁻² d⁻¹)": "GPP\n(gC m⁻² d⁻¹)",
    "Shortwave radiation (W m⁻²)": "Shortwave\n(W m⁻²)",
    "Air temperature (°C)": "Air\n(°C)",
    "GPP minus mean cycle (gC m⁻² d⁻¹)": "GPP minus mean\n(gC m⁻² d⁻¹)",
}
"""Labels that are longer than a low chart is high, in two lines."""
FRAME_PX = (620, 120)
"""Width and height of a chart's frame, as long as the browser has not told them."""
LEFT_PX = 70
"""Room left of a frame: tick labels and the axis label; the same for all, so that their time axes are aligned."""


def style_time_figure(figure: Any) -> None:
    """Let a figure over time, as HoloViews made it, zoom and pan along time only, and write its dates."""
    style_figure(figure)
    figure.min_border_left = LEFT_PX
    for axis in figure.yaxis:
        axis.axis_label = SHORT_LABELS.get(axis.axis_label, axis.axis_label)
    # Time is shared by all charts and may be zoomed; values keep their range, so that days compare by eye.
    wheel, pan = WheelZoomTool(dimensions="width"), PanTool(dimensions="width")
    figure.add_tools(wheel, pan)
    figure.toolbar.active_scroll, figure.toolbar.active_drag = wheel, pan
    figure.xaxis.formatter = DatetimeTickFormatter(days="%e %b", months="%b %Y", years="%Y")
    figure.xaxis.ticker.desired_num_ticks = 5
    # Where a phone has no room for all dates, some are left out; 16 px, since Bokeh moves the last one inside.
    figure.xaxis.major_label_policy = NoOverlap(min_distance=16)
    figure.xaxis.axis_label = "Date, UTC"


def link_time_figures(figures: list[Any], time_range: Range1d, on_day: Callable | None = None) -> None:
    """Let figures over time share a range, and report taps.

    Parameters
    ----------
    figures : list of bokeh.plotting.figure
        Of one page, as ``style_time_figure`` left them.
    time_range : bokeh.models.Range1d
        Shared by all of them.
    on_day : callable, optional
        Called with the milliseconds since 1970 of a tap.
    """
    # In the browser, without a round trip: a slow line must not keep the reader zoomed in.
    reset = CustomJS(args={"range": time_range}, code="range.reset()")
    for figure in figures:
        figure.x_range = time_range
        figure.js_on_event(DoubleTap, reset)
        if on_day:
            figure.on_event(Tap, lambda event: on_day(event.x))


def draw_series_charts() -> dict[str, RenderedChart]:
    """All charts of a place by name, drawn by HoloViews without data."""
    marks, axes, time = chart_marks(), chart_dimensions(), time_dimension()
    charts = {}
    for name in TITLES:
        options = {"responsive": True, "min_height": 110, "multi_y": name == "weather"}
        charts[name] = RenderedChart(marks[name], time, axes[name], empty_tables(), options)
        style_time_figure(charts[name].figure)
    return charts


class SeriesFigures:
    """The current place in full, the others as one line each in their colours; a cursor marks the day.

    Parameters
    ----------
    days : pandas.DatetimeIndex
        Days of the cube.
    names : list of str
        Keys of ``TITLES`` that can be drawn.
    weather : xarray.Dataset, optional
        Daily weather (time), the same for all places.
    on_day : callable, optional
        Called with the date of a tap.
    on_lines : callable, optional
        Called when the lines of an area that were awaited are drawn.

    Attributes
    ----------
    awaited : set of str
        Charts whose lines of an area are still being drawn for the first time.
    """

    def __init__(
        self,
        days: pd.DatetimeIndex,
        names: list[str],
        weather: xr.Dataset | None = None,
        on_day: Callable | None = None,
        on_lines: Callable[[], None] | None = None,
    ):
        # A little room at both ends, so that the first and last marks are not cut by the frame.
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.first, self.last = days[0], days[-1]
        self.range = Range1d(self.first - margin, self.last + margin, bounds="auto")
        self.on_day = on_day
        self.tables: dict[str, dict] = empty_tables()
        # One hairline for all charts: the pointer in one shows its date in the others.
        hairline = Span(dimension="height", line_dash="dotted", line_width=1, line_color="#8794a3")
        self.cursors: list[Span] = []
        if weather is not None:
            self.tables["weather"] = weather_table(weather, self.first, self.last)
        drawn = copy_charts("series", draw_series_charts)
        self.charts = {name: chart for name, chart in drawn.items() if name in names}
        for chart in self.charts.values():
            chart.figure.add_tools(CrosshairTool(overlay=hairline))
            cursor = Span(dimension="height", location=self.first, line_width=1.5)
            # One cursor for each figure: a Bokeh model may be in one figure only.
            chart.figure.add_layout(cursor)
            self.cursors.append(cursor)
        self.figures = {name: chart.figure for name, chart in self.charts.items()}
        link_time_figures(list(self.figures.values()), self.range, self.choose_day if on_day else None)
        if "weather" in self.charts:
            # Weather is that of the place: drawn once, not at each tap.
            self.charts["weather"].update(self.tables, ["weather"])
            tair = [*self.tables["weather"]["tair"], 0]
            # The second axis is HoloViews' own and has no name here.
            air_range = next(iter(self.figures["weather"].extra_y_ranges.values()))
            air_range.start, air_range.end = np.nanmin(tair) - 2, np.nanmax(tair) + 2
        if "ndvi" in self.charts:
            self.figures["ndvi"].y_range = self.ndvi_range = Range1d(*NDVI_RANGE)
        self._area_lines: dict[str, xr.DataArray] = {}
        self.awaited: set[str] = set()
        self._on_lines = on_lines
        # Counts changes of the lines and of the time axis, so that an image that comes late is dropped.
        self._changes = 0
        for name in PIXEL_LINES:
            if name in self.figures:
                # Zoomed in, the lines are counted anew on the pixels of the frame.
                self.figures[name].on_event(
                    RangesUpdate, lambda event, name=name: self._draw_area_lines(name)
                )
        self.show_dates_under(list(self.figures))
        self.apply_theme("light")

    def source(self, chart: str, label: str) -> Any:
        """The Bokeh source of one mark, by the names of its chart and mark."""
        return self.charts[chart].sources[label]

    def show_dates_under(self, shown: list[str]) -> None:
        """Show the date axis under the lowest of the charts ``shown`` only."""
        # Stacked charts share one time axis; repeated dates would only take height.
        lowest = [name for name in self.figures if name in shown][-1:]
        for name, figure in self.figures.items():
            figure.xaxis.visible = name in lowest

    def choose_day(self, milliseconds: float) -> None:
        """Report the day nearest to a tap, given as milliseconds since 1970, clipped to the period."""
        # A tap lies between two days; the nearer one is meant.
        day = pd.Timestamp(milliseconds, unit="ms").round("D")
        self.on_day(min(max(day, self.first), self.last).date())

    def _update(self, tables: dict[str, dict]) -> None:
        self.tables |= tables
        for chart in self.charts.values():
            chart.update(self.tables, list(tables))

    def show(self, series: xr.Dataset, colour: str, tower: xr.Dataset | None = None) -> None:
        """Show the current place.

        Parameters
        ----------
        series : xarray.Dataset
            As ``ExplorerData.place_series``.
        colour : str
            Colour of the place.
        tower : xarray.Dataset, optional
            None draws no tower.
        """
        for chart in self.charts.values():
            chart.recolour(colour)
        tables = series_tables(series)
        # Lines of another area go with it; its own are drawn by ``show_area_lines``.
        self._area_lines, self._changes = {}, self._changes + 1
        self._without_lines = {f"lines_{chart}": tables[f"lines_{chart}"] for chart in PIXEL_LINES}
        if "ndvi" in self.charts:
            # One range for all places, so that they compare by eye; a place of water or snow widens it.
            drawn = np.concatenate(
                [tables["clear"]["ndvi"], tables["masked"]["ndvi"], tables["season"]["ndvi_lo"]]
            )
            lowest = np.nanmin(drawn, initial=NDVI_RANGE[0] + 0.05)
            self.ndvi_range.start = float(lowest - 0.05)
        self._update(tables | {"tower": tower_table(tower, self.first, self.last)})

    def show_area_lines(self, series: xr.Dataset | None) -> None:
        """Show the lines of all pixels of an area under their mean, as a density; None removes them.

        Parameters
        ----------
        series : xarray.Dataset, optional
            As ``ExplorerData.area_series``.
        """
        self._changes += 1
        had = bool(self._area_lines)
        self._area_lines = {
            chart: series[name]
            for chart, name in PIXEL_LINES.items()
            if series is not None and chart in self.charts and name in series
        }
        if series is None and had:
            self._update(self._without_lines)
        # Not at each zoom: the lines of the extent before stay until the new ones are there.
        self.awaited = set(self._area_lines)
        for chart in self._area_lines:
            self._draw_area_lines(chart)

    def _draw_area_lines(self, chart: str) -> None:
        """Count an area's lines on the pixels of a chart's frame, and show them there."""
        if chart not in self._area_lines:
            return
        figure, lines, change = self.figures[chart], self._area_lines[chart], self._changes
        try:
            width, height = figure.inner_width, figure.inner_height
        except UnsetValueError:
            # The browser has not said yet how large the frame is.
            width, height = FRAME_PX
        ends = self.range.start, self.range.end
        times = [
            pd.Timestamp(end, unit="ms") if isinstance(end, (int, float)) else pd.Timestamp(end)
            for end in ends
        ]
        draw_later(
            figure,
            lambda: density_image(lines, width, height, tuple(times)),
            lambda image: self._show_area_image(chart, image),
            # Not shown where another place or range came meanwhile.
            lambda: change == self._changes,
        )

    def _show_area_image(self, chart: str, image: dict) -> None:
        self._update({f"lines_{chart}": image})
        if chart in self.awaited:
            self.awaited.discard(chart)
            if self._on_lines is not None:
                self._on_lines()

    def show_other_places(self, other_places: list[tuple[str, xr.Dataset]]) -> None:
        """One line a chart for each other place: NDVI of every day or else of clear dates, PC1, VV, GPP.

        Parameters
        ----------
        other_places : list of (str, xarray.Dataset)
            Colour and series of each.
        """
        self._update(other_places_tables(other_places))

    def show_tower(self, tower: xr.Dataset | None) -> None:
        """Show measured GPP of a tower, or none (None)."""
        self._update({"tower": tower_table(tower, self.first, self.last)})

    def move_cursor(self, day) -> None:
        """Mark the map's day in every chart."""
        for span in self.cursors:
            span.location = pd.Timestamp(day)

    def apply_theme(self, theme: str) -> None:
        """Colour axes, shading and cursors for the theme "light" or "dark"."""
        for chart in self.charts.values():
            apply_theme(chart.figure, theme)
            # The shading is the last mark of each chart.
            chart.handles[chart.marks[-1].label]["glyph"].fill_color = THEMES[theme]["shade"]
        for span in self.cursors:
            span.line_color = THEMES[theme]["cursor"]
