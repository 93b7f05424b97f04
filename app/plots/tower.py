"""A tower's charts: series, scatter with the 1:1 line, climatology, anomalies; made once, only their data change."""

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, HoverTool, PanTool, Range1d, WheelZoomTool
from fluxlens.app.data.towers.comparison import LINES, TowerComparison
from fluxlens.app.palette import CLIMATOLOGY_COLOUR, GPP_DT_COLOUR, GPP_NT_COLOUR, PLACE_COLOURS, THEMES
from fluxlens.app.plots.series import apply_theme, bare_figure

LINE_COLOURS = {
    "model": PLACE_COLOURS[0],
    "day_of_year": CLIMATOLOGY_COLOUR,
    "nirv": PLACE_COLOURS[1],
    "p_model": PLACE_COLOURS[3],
}
FLUX_COLOURS = {"gpp_nt": GPP_NT_COLOUR, "gpp_dt": GPP_DT_COLOUR}
LEAP_YEAR = pd.date_range("2020-01-01", "2020-12-31")
"""Days of the climatology's axis."""
DAY_HOVER = {"formatters": {"@time": "datetime"}, "mode": "mouse"}


class TowerCharts:
    """Four figures by name in ``figures``; every line is drawn with the same weight.

    Parameters
    ----------
    days : pandas.DatetimeIndex
        Days of the cube.
    """

    def __init__(self, days: pd.DatetimeIndex):
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.range = Range1d(days[0] - margin, days[-1] + margin, bounds="auto")
        # One range for both axes of the scatter, so that the 1:1 line is a diagonal.
        self.square = Range1d(0, 1)
        self.sources = {
            "measured": _empty_source("time", "gpp", "anomaly"),
            "band": _empty_source("time", "low", "high"),
            "cycle": _empty_source("time", "gpp"),
        }
        self.sources |= {
            f"{what}_{name}": _empty_source("time", "gpp")
            for what in ("series", "cycle", "anomaly")
            for name in LINES
        } | {f"scatter_{name}": _empty_source("measured", "gpp", "time") for name in LINES}
        self.dots: list = []
        # All marks of one line by its name: a button shows or hides them together.
        self.lines: dict[str, list] = {name: [] for name in LINES}
        self.figures = {
            "series": self._make_series("series", self._make_time_figure(), "gpp"),
            "scatter": self._make_scatter(),
            "cycle": self._make_cycle(),
            "anomaly": self._make_series("anomaly", self._make_time_figure(), "anomaly"),
        }
        self.apply_theme("light")

    def _make_time_figure(self):
        fig = bare_figure(x_axis_type="datetime", x_range=self.range, min_height=140)
        wheel, pan = WheelZoomTool(dimensions="width"), PanTool(dimensions="width")
        fig.add_tools(wheel, pan)
        fig.toolbar.active_scroll, fig.toolbar.active_drag = wheel, pan
        fig.xaxis.formatter = DatetimeTickFormatter(days="%e %b", months="%b %Y", years="%Y")
        fig.xaxis.ticker.desired_num_ticks = 4  # more would run into each other on a phone
        return fig

    def _make_series(self, what: str, fig, column: str):
        # Only the model has a band; it is drawn first, under the observations.
        if what == "series":
            band = fig.varea("time", "low", "high", source=self.sources["band"], alpha=0.2)
            band.glyph.fill_color = LINE_COLOURS["model"]
            self.lines["model"].append(band)
        dots = fig.scatter(
            "time", column, source=self.sources["measured"], size=4, line_color=None, alpha=0.6
        )
        self.dots.append(dots)
        for name in LINES:
            source = self.sources[f"{what}_{name}"]
            self.lines[name].append(
                fig.line("time", "gpp", source=source, color=LINE_COLOURS[name], line_width=1.5)
            )
        fig.add_tools(
            HoverTool(renderers=[dots], tooltips=f"<b>@time{{%e %b %Y}}</b> @{column}{{0.0}}", **DAY_HOVER)
        )
        return fig

    def _make_scatter(self):
        fig = bare_figure(x_range=self.square, y_range=self.square, min_height=200)
        fig.xaxis.axis_label, fig.yaxis.axis_label = "measured", "line"
        # Beyond any GPP, so that the line crosses the whole figure at every range.
        self.diagonal = fig.line([-100, 100], [-100, 100], line_dash=[5, 3], line_width=1)
        for name in LINES:
            source = self.sources[f"scatter_{name}"]
            dots = fig.scatter("measured", "gpp", source=source, size=4, line_color=None, alpha=0.45)
            dots.glyph.fill_color = LINE_COLOURS[name]
            self.lines[name].append(dots)
            tooltip = f"<b>@time{{%e %b %Y}}</b> measured @measured{{0.0}}, {LINES[name]} @gpp{{0.0}}"
            fig.add_tools(HoverTool(renderers=[dots], tooltips=tooltip, **DAY_HOVER))
        return fig

    def _make_cycle(self):
        # A leap year, so that 29 February has its place in the mean cycle.
        ends = Range1d(LEAP_YEAR[0], LEAP_YEAR[-1])
        fig = bare_figure(x_axis_type="datetime", x_range=ends, min_height=200)
        fig.xaxis.formatter = DatetimeTickFormatter(days="%b", months="%b", years="%b")
        dots = fig.scatter("time", "gpp", source=self.sources["cycle"], size=3.5, line_color=None, alpha=0.6)
        self.dots.append(dots)
        for name in LINES:
            source = self.sources[f"cycle_{name}"]
            self.lines[name].append(
                fig.line("time", "gpp", source=source, color=LINE_COLOURS[name], line_width=1.5)
            )
        return fig

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
        for dots in self.dots:
            dots.glyph.fill_color = FLUX_COLOURS[flux]
        self.sources["measured"].data = {
            "time": comparison.time,
            "gpp": comparison.measured,
            "anomaly": comparison.anomaly(comparison.measured),
        }
        self.sources["band"].data = {"time": comparison.time, "low": comparison.low, "high": comparison.high}
        self.sources["cycle"].data = {"time": LEAP_YEAR, "gpp": comparison.climatology(comparison.measured)}
        for name in LINES:
            # A baseline that could not be made keeps its place in the figures, empty.
            available = name in comparison.lines
            measured, line = comparison.pair(name) if available else (comparison.measured * np.nan,) * 2
            parts = {
                "series": (comparison.time, comparison.lines.get(name, line)),
                "cycle": (LEAP_YEAR, comparison.climatology(line)),
                "anomaly": (comparison.time, comparison.anomaly(line)),
            }
            for what, (time, values) in parts.items():
                self.sources[f"{what}_{name}"].data = {"time": time, "gpp": values}
            self.sources[f"scatter_{name}"].data = {
                "measured": measured,
                "gpp": line,
                "time": comparison.time,
            }
            for mark in self.lines[name]:
                mark.visible = name in shown
        # Zero and one are always inside: a tower in winter must not blow up noise.
        everything = np.concatenate([comparison.measured, *comparison.lines.values(), [0, 1]])
        low, high = np.nanmin(everything), np.nanmax(everything)
        ends = {"start": float(min(0, low)), "end": float(high * 1.05)}
        # The ends of a reset too: else a double click would bring back the range before the first comparison.
        self.square.update(**ends, reset_start=ends["start"], reset_end=ends["end"])

    def apply_theme(self, theme: str) -> None:
        """Colour axes and the 1:1 line for the theme "light" or "dark"."""
        for fig in self.figures.values():
            apply_theme(fig, theme)
        self.diagonal.glyph.line_color = THEMES[theme]["text"]


def _empty_source(*columns: str) -> ColumnDataSource:
    return ColumnDataSource(data={name: [] for name in columns})
