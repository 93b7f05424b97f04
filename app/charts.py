"""The series of one pixel as stacked Bokeh charts on one time axis: made once, only their numbers change."""

import numpy as np
import pandas as pd
import xarray as xr
from bokeh.events import DoubleTap, Tap
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    DatetimeTickFormatter,
    HoverTool,
    PanTool,
    Range1d,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from app.data import GAP_DAYS, gaps
from app.plots import ACCENT, TOWER

COMPONENTS = {"PC1": "#d55e00", "PC2": "#009e73", "PC3": "#2f86c9"}
"""Okabe-Ito colours; red, green and blue as on the map."""
NDVI, NIGHT, DAYTIME, USUAL = "#5f6f85", TOWER, "#9b59a6", "#7d8a98"
INK = {
    "light": {"text": "#4a5563", "grid": "#e8ebef", "shade": "#aab4c0", "cursor": "#16202c"},
    "dark": {"text": "#a9b4c2", "grid": "#2a333e", "shade": "#5c6876", "cursor": "#f2f5f8"},
}
FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
BREAK_DAYS = 1.5
"""A line is interrupted where neighbours are further apart than this."""


def broken(time: pd.DatetimeIndex, *columns: np.ndarray, longer_than: float = BREAK_DAYS):
    """``time`` and ``columns`` with a NaN in every longer hole, so that a gap is drawn as a gap."""
    holes = np.flatnonzero(np.diff(time) > pd.Timedelta(days=longer_than)) + 1
    if not len(holes):
        return time, *columns
    middle = time[holes - 1] + pd.Timedelta(hours=12)
    return pd.DatetimeIndex(np.insert(time.values, holes, middle.values)), *(
        np.insert(np.asarray(c, "float32"), holes, np.nan) for c in columns
    )


class Charts:
    """NDVI, embedding and GPP of one pixel; ``show`` changes the numbers, ``cursor`` the marked day."""

    def __init__(self, days: pd.DatetimeIndex, with_gpp: bool = True, with_ndvi: bool = True, on_day=None):
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.first, self.last = days[0], days[-1]
        self.range = Range1d(self.first - margin, self.last + margin, bounds="auto")
        self.hairline = Span(dimension="height", line_dash="dotted", line_width=1, line_color="#8794a3")
        self.cursors: list[Span] = []
        self.on_day = on_day
        self.sources = {name: ColumnDataSource(data=empty) for name, empty in self._empty().items()}
        self.figures = {}
        if with_ndvi:
            self.figures["ndvi"] = self._ndvi()
        self.figures["pc"] = self._components()
        if with_gpp:
            self.figures["gpp"] = self._gpp()
        for fig in list(self.figures.values())[:-1]:
            fig.xaxis.visible = False
        self.ink("light")

    @staticmethod
    def _empty() -> dict[str, dict]:
        return {
            "gaps": {"left": [], "right": []},
            "clear": {"time": [], "ndvi": []},
            "season": {"time": [], "ndvi": []},
            "masked": {"time": [], "ndvi": []},
            "daily": {name: [] for name in ("time", "PC1", "PC2", "PC3", "gpp", "gpp_lo", "gpp_hi", "days")},
            "tower": {"time": [], "gpp_nt": [], "gpp_dt": [], "gpp_usual": []},
        }

    # --- the three charts ---

    def _figure(self, **options):
        fig = figure(
            x_axis_type="datetime",
            x_range=self.range,
            tools=[],
            toolbar_location=None,
            sizing_mode="stretch_both",
            min_height=110,
            min_border_left=46,
            min_border_right=8,
            min_border_top=6,
            min_border_bottom=4,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
            **options,
        )
        wheel, pan = WheelZoomTool(dimensions="width"), PanTool(dimensions="width")
        fig.add_tools(wheel, pan, CrosshairTool(overlay=self.hairline))
        fig.toolbar.active_scroll, fig.toolbar.active_drag = wheel, pan
        fig.js_on_event(DoubleTap, CustomJS(args={"range": self.range}, code="range.reset()"))
        if self.on_day:
            fig.on_event(Tap, lambda event: self._tapped(event.x))
        fig.xgrid.grid_line_color = None
        fig.axis.axis_line_color = None
        fig.axis.minor_tick_line_color = None
        fig.axis.major_tick_in, fig.axis.major_tick_out = 0, 3
        fig.axis.major_label_text_font = FONT
        fig.axis.major_label_text_font_size = "11px"
        fig.yaxis.ticker.desired_num_ticks = 4
        fig.xaxis.formatter = DatetimeTickFormatter(days="%e %b", months="%b %Y", years="%Y")
        fig.xaxis.ticker.desired_num_ticks = 6
        shade = fig.vstrip(
            x0="left", x1="right", source=self.sources["gaps"], line_color=None, fill_alpha=0.22
        )
        shade.level = "underlay"
        cursor = Span(dimension="height", location=self.first, line_width=1.5)
        fig.add_layout(cursor)
        self.cursors.append(cursor)
        fig.tags = [shade]
        return fig

    def _ndvi(self):
        fig = self._figure(y_range=Range1d(-0.15, 1.0))
        fig.line("time", "ndvi", source=self.sources["season"], color=NDVI, line_width=1, alpha=0.35)
        hollow = fig.scatter(
            "time",
            "ndvi",
            source=self.sources["masked"],
            size=5,
            fill_alpha=0,
            line_color=NDVI,
            line_alpha=0.45,
        )
        solid = fig.scatter("time", "ndvi", source=self.sources["clear"], size=6, color=NDVI, line_color=None)
        for renderer, what in ((solid, "clear"), (hollow, "masked")):
            fig.add_tools(
                HoverTool(
                    renderers=[renderer],
                    tooltips=f"<b>@time{{%e %b %Y}}</b> NDVI @ndvi{{0.00}}, {what}",
                    formatters={"@time": "datetime"},
                )
            )
        return fig

    def _components(self):
        fig = self._figure()
        for name, colour in COMPONENTS.items():
            fig.line("time", name, source=self.sources["daily"], color=colour, line_width=1.6)
        tips = (
            "<b>@time{%e %b %Y}</b> PC1 @PC1{0.00}, PC2 @PC2{0.00}, PC3 @PC3{0.00}<br>"
            "nearest clear Sentinel-2 view @days d away"
        )
        fig.add_tools(
            HoverTool(
                renderers=fig.renderers[1:2], mode="vline", tooltips=tips, formatters={"@time": "datetime"}
            )
        )
        return fig

    def _gpp(self):
        fig = self._figure()
        daily = self.sources["daily"]
        fig.varea("time", "gpp_lo", "gpp_hi", source=daily, color=ACCENT, alpha=0.2)
        self.tower_marks = [
            fig.scatter(
                "time",
                "gpp_nt",
                source=self.sources["tower"],
                size=4.5,
                color=NIGHT,
                line_color=None,
                alpha=0.75,
            ),
            fig.scatter(
                "time",
                "gpp_dt",
                source=self.sources["tower"],
                size=4.5,
                marker="diamond",
                color=DAYTIME,
                line_color=None,
                alpha=0.75,
            ),
        ]
        fig.line(
            "time", "gpp_usual", source=self.sources["tower"], color=USUAL, line_width=1.6, line_dash=[5, 3]
        )
        line = fig.line("time", "gpp", source=daily, color=ACCENT, line_width=2)
        tips = "<b>@time{%e %b %Y}</b> GPP @gpp{0.0} (@gpp_lo{0.0} to @gpp_hi{0.0}) gC m⁻² d⁻¹"
        fig.add_tools(
            HoverTool(renderers=[line], mode="vline", tooltips=tips, formatters={"@time": "datetime"})
        )
        return fig

    def _tapped(self, milliseconds: float) -> None:
        day = pd.Timestamp(milliseconds, unit="ms").round("D")
        self.on_day(min(max(day, self.first), self.last).date())

    # --- what changes ---

    def show(self, pixel: xr.Dataset, tower: xr.Dataset | None = None) -> None:
        """The numbers of another pixel; ``tower`` None draws no tower."""
        names = [n for n in (*COMPONENTS, "gpp", "gpp_lo", "gpp_hi") if n in pixel or n in pixel.component]
        columns = [(pixel[n] if n in pixel else pixel.pc.sel(component=n)).values for n in names]
        time, days, *columns = broken(
            pd.DatetimeIndex(pixel.time.values), pixel.days_from_s2.values, *columns
        )
        nothing = np.full(len(time), np.nan, "float32")
        daily = {n: nothing for n in self._empty()["daily"]} | dict(zip(names, columns, strict=True))
        self.sources["daily"].data = daily | {"time": time, "days": days}
        if "ndvi" in pixel:
            times, seen = pd.DatetimeIndex(pixel.acquisition.values), np.isfinite(pixel.ndvi.values)
            clear = pixel.clear.values.astype(bool) & seen
            for name, pick in (("clear", clear), ("masked", ~clear & seen)):
                self.sources[name].data = {"time": times[pick], "ndvi": pixel.ndvi.values[pick]}
            time, ndvi = broken(times[clear], pixel.ndvi.values[clear], longer_than=GAP_DAYS)
            self.sources["season"].data = {"time": time, "ndvi": ndvi}
            stretches = gaps(times[clear], self.first, self.last)
            self.sources["gaps"].data = {
                "left": [a for a, _ in stretches],
                "right": [b for _, b in stretches],
            }
        self.show_tower(tower)

    def show_tower(self, tower: xr.Dataset | None) -> None:
        """Measured GPP beside the prediction, or none."""
        nothing = self._empty()["tower"]
        if tower is None:
            self.sources["tower"].data = nothing
            return
        inside = tower.sel(time=slice(self.first, self.last))
        time = pd.DatetimeIndex(inside.time.values)
        blank = np.full(len(time), np.nan)
        self.sources["tower"].data = {"time": time} | {
            n: inside[n].values if n in inside else blank for n in ("gpp_nt", "gpp_dt", "gpp_usual")
        }

    def cursor(self, day) -> None:
        """Marks the map's day in every chart."""
        for span in self.cursors:
            span.location = pd.Timestamp(day)

    def ink(self, theme: str) -> None:
        """Light or dark lettering."""
        ink = INK[theme]
        for fig in self.figures.values():
            fig.axis.major_label_text_color = ink["text"]
            fig.axis.major_tick_line_color = ink["grid"]
            fig.ygrid.grid_line_color = ink["grid"]
            fig.tags[0].glyph.fill_color = ink["shade"]
        for span in self.cursors:
            span.line_color = ink["cursor"]
