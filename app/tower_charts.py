"""A tower's charts: series, scatter with the 1:1 line, usual year, departures from it; made once, numbers change."""

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, HoverTool, PanTool, Range1d, WheelZoomTool

from app.charts import DAYTIME, INK, NIGHT, USUAL, lettering, plain
from app.state import COLOURS
from app.tower import LINES, Beside

INKS = {"model": COLOURS[0], "day_of_year": USUAL, "nirv": COLOURS[1], "p_model": COLOURS[3]}
MEASURED = {"gpp_nt": NIGHT, "gpp_dt": DAYTIME}
LEAP_YEAR = pd.date_range("2020-01-01", "2020-12-31")
"""The usual year is drawn on its 366 days."""
DAY = {"formatters": {"@time": "datetime"}, "mode": "mouse"}


class TowerCharts:
    """Four figures, ``figures`` by name; every line is drawn with the same weight."""

    def __init__(self, days: pd.DatetimeIndex):
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.range = Range1d(days[0] - margin, days[-1] + margin, bounds="auto")
        self.square = Range1d(0, 1)
        self.sources = {
            "measured": _source("time", "gpp", "departure"),
            "band": _source("time", "low", "high"),
            "cycle": _source("time", "gpp"),
        }
        self.sources |= {
            f"{what}_{name}": _source("time", "gpp")
            for what in ("series", "cycle", "departure")
            for name in LINES
        } | {f"scatter_{name}": _source("measured", "gpp", "time") for name in LINES}
        self.dots: list = []
        self.lines: dict[str, list] = {name: [] for name in LINES}
        self.figures = {
            "series": self._series("series", self._along(), "gpp"),
            "scatter": self._scatter(),
            "cycle": self._cycle(),
            "departure": self._series("departure", self._along(), "departure"),
        }
        self.ink("light")

    def _along(self):
        fig = plain(x_axis_type="datetime", x_range=self.range, min_height=140)
        wheel, pan = WheelZoomTool(dimensions="width"), PanTool(dimensions="width")
        fig.add_tools(wheel, pan)
        fig.toolbar.active_scroll, fig.toolbar.active_drag = wheel, pan
        fig.xaxis.formatter = DatetimeTickFormatter(days="%e %b", months="%b %Y", years="%Y")
        return fig

    def _series(self, what: str, fig, column: str):
        if what == "series":
            band = fig.varea("time", "low", "high", source=self.sources["band"], alpha=0.2)
            band.glyph.fill_color = INKS["model"]
            self.lines["model"].append(band)
        dots = fig.scatter(
            "time", column, source=self.sources["measured"], size=4, line_color=None, alpha=0.6
        )
        self.dots.append(dots)
        for name in LINES:
            source = self.sources[f"{what}_{name}"]
            self.lines[name].append(fig.line("time", "gpp", source=source, color=INKS[name], line_width=1.5))
        fig.add_tools(
            HoverTool(renderers=[dots], tooltips=f"<b>@time{{%e %b %Y}}</b> @{column}{{0.0}}", **DAY)
        )
        return fig

    def _scatter(self):
        fig = plain(x_range=self.square, y_range=self.square, min_height=200)
        fig.xaxis.axis_label, fig.yaxis.axis_label = "measured", "line"
        self.diagonal = fig.line([-100, 100], [-100, 100], line_dash=[5, 3], line_width=1)
        for name in LINES:
            source = self.sources[f"scatter_{name}"]
            dots = fig.scatter("measured", "gpp", source=source, size=4, line_color=None, alpha=0.45)
            dots.glyph.fill_color = INKS[name]
            self.lines[name].append(dots)
            words = f"<b>@time{{%e %b %Y}}</b> measured @measured{{0.0}}, {LINES[name]} @gpp{{0.0}}"
            fig.add_tools(HoverTool(renderers=[dots], tooltips=words, **DAY))
        return fig

    def _cycle(self):
        ends = Range1d(LEAP_YEAR[0], LEAP_YEAR[-1])
        fig = plain(x_axis_type="datetime", x_range=ends, min_height=200)
        fig.xaxis.formatter = DatetimeTickFormatter(days="%b", months="%b", years="%b")
        dots = fig.scatter("time", "gpp", source=self.sources["cycle"], size=3.5, line_color=None, alpha=0.6)
        self.dots.append(dots)
        for name in LINES:
            source = self.sources[f"cycle_{name}"]
            self.lines[name].append(fig.line("time", "gpp", source=source, color=INKS[name], line_width=1.5))
        return fig

    def show(self, told: Beside, flux: str, shown: list[str]) -> None:
        """The numbers of a tower, its ``flux`` in its colour, and which lines are seen."""
        for dots in self.dots:
            dots.glyph.fill_color = MEASURED[flux]
        self.sources["measured"].data = {
            "time": told.time,
            "gpp": told.measured,
            "departure": told.departure(told.measured),
        }
        self.sources["band"].data = {"time": told.time, "low": told.low, "high": told.high}
        self.sources["cycle"].data = {"time": LEAP_YEAR, "gpp": told.usual(told.measured)}
        for name in LINES:
            there = name in told.lines
            measured, line = told.paired(name) if there else (told.measured * np.nan,) * 2
            parts = {
                "series": (told.time, told.lines.get(name, line)),
                "cycle": (LEAP_YEAR, told.usual(line)),
                "departure": (told.time, told.departure(line)),
            }
            for what, (time, values) in parts.items():
                self.sources[f"{what}_{name}"].data = {"time": time, "gpp": values}
            self.sources[f"scatter_{name}"].data = {"measured": measured, "gpp": line, "time": told.time}
            for mark in self.lines[name]:
                mark.visible = name in shown
        everything = np.concatenate([told.measured, *told.lines.values(), [0, 1]])
        low, high = np.nanmin(everything), np.nanmax(everything)
        self.square.start, self.square.end = float(min(0, low)), float(high * 1.05)

    def ink(self, theme: str) -> None:
        """Light or dark lettering."""
        for fig in self.figures.values():
            lettering(fig, theme)
        self.diagonal.glyph.line_color = INK[theme]["text"]


def _source(*columns: str) -> ColumnDataSource:
    return ColumnDataSource(data={name: [] for name in columns})
