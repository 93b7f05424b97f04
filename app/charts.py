"""The series of places as stacked Bokeh charts on one time axis: made once, only their numbers change."""

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
    Line,
    LinearAxis,
    MultiLine,
    PanTool,
    Range1d,
    Scatter,
    Span,
    VArea,
    VStrip,
    WheelZoomTool,
)
from bokeh.plotting import figure

from app.data import GAP_DAYS, gaps
from app.plots import TOWER

COMPONENTS = {"PC1": "#d55e00", "PC2": "#009e73", "PC3": "#2f86c9"}
"""Okabe-Ito colours; red, green and blue as on the map."""
NIGHT, DAYTIME, USUAL = TOWER, "#9b59a6", "#7d8a98"
RADAR = {"VV": "#3b6fa0", "VH": "#b0643c"}
WEATHER = {"sw_in": "#b8860b", "tair": "#c0392b"}
FLUXES = ("gpp_nt", "gpp_nt_05", "gpp_nt_95", "gpp_dt", "gpp_usual")
"""Columns of a tower that are drawn; between the percentiles lies the doubt of its night-time partitioning."""
TITLES = {"ndvi": "NDVI", "pc": "Embedding", "radar": "Radar", "gpp": "GPP", "weather": "Weather"}
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


def plain(**options):
    """A figure without chrome: numbers on its axes, quiet lines across."""
    fig = figure(
        tools=[],
        toolbar_location=None,
        sizing_mode="stretch_both",
        min_border_left=46,
        min_border_right=8,
        min_border_top=6,
        min_border_bottom=4,
        outline_line_color=None,
        background_fill_alpha=0,
        border_fill_alpha=0,
        **options,
    )
    fig.xgrid.grid_line_color = None
    fig.axis.axis_line_color = None
    fig.axis.minor_tick_line_color = None
    fig.axis.major_tick_in, fig.axis.major_tick_out = 0, 3
    fig.axis.major_label_text_font = FONT
    fig.axis.major_label_text_font_size = "11px"
    fig.yaxis.ticker.desired_num_ticks = 4
    return fig


def lettering(fig, theme: str) -> None:
    """Light or dark axes."""
    ink = INK[theme]
    fig.axis.major_label_text_color = ink["text"]
    fig.axis.axis_label_text_color = ink["text"]
    fig.axis.major_tick_line_color = ink["grid"]
    fig.ygrid.grid_line_color = ink["grid"]


class Charts:
    """The current place in full, the others as one line each in their colours; ``cursor`` marks the day.

    ``names`` are those of ``TITLES`` that can be drawn. ``weather`` (time) is the same for all places.
    """

    def __init__(
        self, days: pd.DatetimeIndex, names: list[str], weather: xr.Dataset | None = None, on_day=None
    ):
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.first, self.last = days[0], days[-1]
        self.range = Range1d(self.first - margin, self.last + margin, bounds="auto")
        self.hairline = Span(dimension="height", line_dash="dotted", line_width=1, line_color="#8794a3")
        self.cursors: list[Span] = []
        self.coloured: list = []
        self.on_day = on_day
        self.sources = {name: ColumnDataSource(data=empty) for name, empty in self._empty().items()}
        if weather is not None:
            inside = weather.sel(time=slice(self.first, self.last))
            blank = np.full(inside.sizes["time"], np.nan)
            self.sources["weather"].data = {"time": inside.time.values} | {
                name: inside[name].values if name in inside else blank for name in WEATHER
            }
        self.figures = {name: getattr(self, f"_{name}")() for name in TITLES if name in names}
        for name, fig in self.figures.items():
            if name != "weather":
                lines = MultiLine(xs="xs", ys="ys", line_color="colour", line_width=1.6)
                fig.add_glyph(self.sources[f"others_{name}"], lines)
        self.axis_under(list(self.figures))
        self.ink("light")

    def axis_under(self, shown: list[str]) -> None:
        """Dates stand under the lowest chart shown."""
        lowest = [name for name in self.figures if name in shown][-1:]
        for name, fig in self.figures.items():
            fig.xaxis.visible = name in lowest

    @staticmethod
    def _empty() -> dict[str, dict]:
        pcs = [f"{name}{end}" for name in COMPONENTS for end in ("", "_lo", "_hi")]
        columns = {
            "gaps": ("left", "right"),
            "clear": ("time", "ndvi"),
            "season": ("time", "ndvi", "ndvi_lo", "ndvi_hi"),
            "masked": ("time", "ndvi"),
            "daily": ("time", *pcs, "ndvi_told", "gpp", "gpp_lo", "gpp_hi", "days"),
            "radar": ("time", *RADAR),
            "tower": ("time", *FLUXES),
            "weather": ("time", *WEATHER),
        } | {f"others_{name}": ("xs", "ys", "colour") for name in TITLES if name != "weather"}
        return {source: {name: [] for name in names} for source, names in columns.items()}

    # --- the charts ---

    def _figure(self, **options):
        fig = plain(x_axis_type="datetime", x_range=self.range, min_height=110, **options)
        wheel, pan = WheelZoomTool(dimensions="width"), PanTool(dimensions="width")
        fig.add_tools(wheel, pan, CrosshairTool(overlay=self.hairline))
        fig.toolbar.active_scroll, fig.toolbar.active_drag = wheel, pan
        fig.js_on_event(DoubleTap, CustomJS(args={"range": self.range}, code="range.reset()"))
        if self.on_day:
            fig.on_event(Tap, lambda event: self._tapped(event.x))
        fig.xaxis.formatter = DatetimeTickFormatter(days="%e %b", months="%b %Y", years="%Y")
        fig.xaxis.ticker.desired_num_ticks = 5
        strips = VStrip(x0="left", x1="right", line_color=None, fill_alpha=0.22)
        shade = fig.add_glyph(self.sources["gaps"], strips, level="underlay")
        cursor = Span(dimension="height", location=self.first, line_width=1.5)
        fig.add_layout(cursor)
        self.cursors.append(cursor)
        fig.tags = [shade]
        return fig

    def _ndvi(self):
        fig = self._figure(y_range=Range1d(-0.15, 1.0))
        season, at = self.sources["season"], {"x": "time", "y": "ndvi"}
        spread = fig.add_glyph(season, VArea(x="time", y1="ndvi_lo", y2="ndvi_hi", fill_alpha=0.2))
        line = fig.add_glyph(season, Line(**at, line_width=1.2, line_alpha=0.5))
        told = fig.add_glyph(self.sources["daily"], Line(x="time", y="ndvi_told", line_width=1.4))
        hollow = fig.add_glyph(self.sources["masked"], Scatter(**at, size=5, fill_alpha=0, line_alpha=0.6))
        solid = fig.add_glyph(self.sources["clear"], Scatter(**at, size=6, line_color=None))
        self.coloured += [spread, line, told, hollow, solid]
        for renderer, what in ((solid, "clear"), (hollow, "masked")):
            fig.add_tools(
                HoverTool(
                    renderers=[renderer],
                    tooltips=f"<b>@time{{%e %b %Y}}</b> NDVI @ndvi{{0.00}}, {what}",
                    formatters={"@time": "datetime"},
                )
            )
        return fig

    def _pc(self):
        fig = self._figure()
        self.pc_lines = []
        for name, colour in COMPONENTS.items():
            daily = self.sources["daily"]
            ends = {"y1": f"{name}_lo", "y2": f"{name}_hi"}
            fig.add_glyph(daily, VArea(x="time", **ends, fill_color=colour, fill_alpha=0.15))
            line = Line(x="time", y=name, line_color=colour, line_width=1.6)
            self.pc_lines.append(fig.add_glyph(daily, line))
        tips = (
            "<b>@time{%e %b %Y}</b> PC1 @PC1{0.00}, PC2 @PC2{0.00}, PC3 @PC3{0.00}<br>"
            "nearest clear Sentinel-2 view @days d away"
        )
        fig.add_tools(
            HoverTool(
                renderers=self.pc_lines[:1], mode="vline", tooltips=tips, formatters={"@time": "datetime"}
            )
        )
        return fig

    def _gpp(self):
        fig = self._figure()
        daily = self.sources["daily"]
        band = fig.add_glyph(daily, VArea(x="time", y1="gpp_lo", y2="gpp_hi", fill_alpha=0.2))
        doubt = VArea(x="time", y1="gpp_nt_05", y2="gpp_nt_95", fill_color=NIGHT, fill_alpha=0.22)
        fig.add_glyph(self.sources["tower"], doubt)
        dots = {"x": "time", "size": 4.5, "line_color": None, "fill_alpha": 0.75}
        self.tower_marks = [
            fig.add_glyph(self.sources["tower"], Scatter(y="gpp_nt", fill_color=NIGHT, **dots)),
            fig.add_glyph(
                self.sources["tower"], Scatter(y="gpp_dt", marker="diamond", fill_color=DAYTIME, **dots)
            ),
        ]
        others = Line(x="time", y="gpp_usual", line_color=USUAL, line_width=1.6, line_dash=[5, 3])
        fig.add_glyph(self.sources["tower"], others)
        line = fig.add_glyph(daily, Line(x="time", y="gpp", line_width=2))
        self.coloured += [band, line]
        tips = "<b>@time{%e %b %Y}</b> GPP @gpp{0.0} (@gpp_lo{0.0} to @gpp_hi{0.0}) gC m⁻² d⁻¹"
        fig.add_tools(
            HoverTool(renderers=[line], mode="vline", tooltips=tips, formatters={"@time": "datetime"})
        )
        return fig

    def _radar(self):
        fig = self._figure()
        for band, colour in RADAR.items():
            line = Line(x="time", y=band, line_color=colour, line_width=1, line_alpha=0.6)
            fig.add_glyph(self.sources["radar"], line)
            dots = Scatter(x="time", y=band, fill_color=colour, size=3.5, line_color=None)
            fig.add_glyph(self.sources["radar"], dots)
        tips = "<b>@time{%e %b %Y}</b> VV @VV{0.0}, VH @VH{0.0} dB"
        fig.add_tools(
            HoverTool(
                renderers=fig.renderers[-3:-2], mode="vline", tooltips=tips, formatters={"@time": "datetime"}
            )
        )
        return fig

    def _weather(self):
        fig = self._figure()
        held = self.sources["weather"].data
        reach = [np.nanmin([*held["tair"], 0]) - 2, np.nanmax([*held["tair"], 0]) + 2]
        fig.extra_y_ranges = {"warmth": Range1d(*reach)}
        fig.add_layout(LinearAxis(y_range_name="warmth", axis_label=None), "right")
        light, air = (
            Line(x="time", y=name, line_color=colour, line_width=1.3) for name, colour in WEATHER.items()
        )
        light = fig.add_glyph(self.sources["weather"], light)
        fig.add_glyph(self.sources["weather"], air, y_range_name="warmth")
        tips = "<b>@time{%e %b %Y}</b> @sw_in{0} W m⁻², @tair{0.0} °C"
        fig.add_tools(
            HoverTool(renderers=[light], mode="vline", tooltips=tips, formatters={"@time": "datetime"})
        )
        fig.axis.minor_tick_line_color = fig.axis.axis_line_color = None
        fig.axis.major_label_text_font, fig.axis.major_label_text_font_size = FONT, "11px"
        fig.yaxis.major_tick_in, fig.yaxis.major_tick_out = 0, 3
        fig.yaxis.ticker.desired_num_ticks = 4
        return fig

    def _tapped(self, milliseconds: float) -> None:
        day = pd.Timestamp(milliseconds, unit="ms").round("D")
        self.on_day(min(max(day, self.first), self.last).date())

    # --- what changes ---

    def show(self, series: xr.Dataset, colour: str, tower: xr.Dataset | None = None) -> None:
        """The numbers of the current place, in its colour; ``tower`` None draws no tower."""
        columns = {n: series[n].values for n in ("ndvi_told", "gpp", "gpp_lo", "gpp_hi") if n in series}
        for end in ("", "_lo", "_hi"):
            if f"pc{end}" in series:
                for i, name in enumerate(series.component.values):
                    columns[f"{name}{end}"] = series[f"pc{end}"].values[:, i]
        time, days, *values = broken(
            pd.DatetimeIndex(series.time.values), series.days_from_s2.values, *columns.values()
        )
        nothing = np.full(len(time), np.nan, "float32")
        daily = {n: nothing for n in self._empty()["daily"]} | dict(zip(columns, values, strict=True))
        self.sources["daily"].data = daily | {"time": time, "days": days}
        seen = pd.DatetimeIndex(series.time.values[series.days_from_s2.values == 0])
        if "ndvi" in series:
            times, known = pd.DatetimeIndex(series.acquisition.values), np.isfinite(series.ndvi.values)
            clear = series.clear.values.astype(bool) & known
            seen = times[clear]
            for name, pick in (("clear", clear), ("masked", ~clear & known)):
                self.sources[name].data = {"time": times[pick], "ndvi": series.ndvi.values[pick]}
            ends = [
                series[n if n in series else "ndvi"].values[clear] for n in ("ndvi", "ndvi_lo", "ndvi_hi")
            ]
            time, ndvi, low, high = broken(seen, *ends, longer_than=GAP_DAYS)
            if "ndvi_told" in series:  # one line is enough
                ndvi = np.full(len(time), np.nan)
            self.sources["season"].data = {"time": time, "ndvi": ndvi, "ndvi_lo": low, "ndvi_hi": high}
        stretches = gaps(seen, self.first, self.last)
        self.sources["gaps"].data = {"left": [a for a, _ in stretches], "right": [b for _, b in stretches]}
        if "passage" in series:
            blank = np.full(series.sizes["passage"], np.nan)
            bands = {band: series[band].values if band in series else blank for band in RADAR}
            self.sources["radar"].data = {"time": pd.DatetimeIndex(series.passage.values)} | bands
        for mark in self.coloured:
            for side in ("line_color", "fill_color"):
                if getattr(mark.glyph, side, None) is not None:
                    setattr(mark.glyph, side, colour)
        self.show_tower(tower)

    def show_others(self, others: list[tuple[str, xr.Dataset]]) -> None:
        """One line a chart for each other place: NDVI of every day or else of clear dates, PC1, VV, GPP."""
        for name in self.figures:
            if name == "weather":
                continue
            lines = [(colour, _line(name, series)) for colour, series in others]
            lines = [(colour, line) for colour, line in lines if line is not None]
            self.sources[f"others_{name}"].data = {
                "xs": [line[0] for _, line in lines],
                "ys": [line[1] for _, line in lines],
                "colour": [colour for colour, _ in lines],
            }

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
            n: inside[n].values if n in inside else blank for n in FLUXES
        }

    def cursor(self, day) -> None:
        """Marks the map's day in every chart."""
        for span in self.cursors:
            span.location = pd.Timestamp(day)

    def ink(self, theme: str) -> None:
        """Light or dark lettering."""
        ink = INK[theme]
        for fig in self.figures.values():
            lettering(fig, theme)
            fig.tags[0].glyph.fill_color = ink["shade"]
        for span in self.cursors:
            span.line_color = ink["cursor"]


def _line(chart: str, series: xr.Dataset):
    """Times and values of the one line that stands for a place in a chart, or None."""
    if chart == "pc":
        return series.time.values, series.pc.values[:, 0]
    if chart == "ndvi" and "ndvi_told" in series:
        return series.time.values, series.ndvi_told.values
    if chart == "ndvi" and "ndvi" in series:
        clear = series.clear.values.astype(bool) & np.isfinite(series.ndvi.values)
        return broken(
            pd.DatetimeIndex(series.acquisition.values[clear]),
            series.ndvi.values[clear],
            longer_than=GAP_DAYS,
        )
    if chart == "radar" and "VV" in series:
        return series.passage.values, series.VV.values
    if chart == "gpp" and "gpp" in series:
        return series.time.values, series.gpp.values
    return None
