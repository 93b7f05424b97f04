"""The series of places as stacked Bokeh charts on one time axis: made once, only their data change.

Long on purpose: all charts share one time axis, one cursor and their sources.
"""

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
from fluxlens.app.data.series import GAP_DAYS, find_gaps
from fluxlens.app.palette import (
    CLIMATOLOGY_COLOUR,
    COMPONENT_COLOURS,
    FONT,
    GPP_DT_COLOUR,
    GPP_NT_COLOUR,
    RADAR_COLOURS,
    THEMES,
    WEATHER_COLOURS,
)
from fluxlens.app.plots.elements import break_at_gaps

TOWER_COLUMNS = ("gpp_nt", "gpp_nt_05", "gpp_nt_95", "gpp_dt", "gpp_usual")
"""Columns of a tower that are drawn; the percentiles bound the uncertainty of its night-time partitioning."""
TITLES = {"ndvi": "NDVI", "pc": "Embedding", "radar": "Radar", "gpp": "GPP", "weather": "Weather"}


def bare_figure(**options):
    """A Bokeh figure without toolbar and axis lines; ``options`` go to ``bokeh.plotting.figure``."""
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


def apply_theme(fig, theme: str) -> None:
    """Colour the axes of a figure for the theme "light" or "dark"."""
    colours = THEMES[theme]
    fig.axis.major_label_text_color = colours["text"]
    fig.axis.axis_label_text_color = colours["text"]
    fig.axis.major_tick_line_color = colours["grid"]
    fig.ygrid.grid_line_color = colours["grid"]


class Charts:
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
    """

    def __init__(
        self, days: pd.DatetimeIndex, names: list[str], weather: xr.Dataset | None = None, on_day=None
    ):
        # A little room at both ends, so that the first and last marks are not cut by the frame.
        margin = pd.Timedelta(days=max(2, len(days) // 100))
        self.first, self.last = days[0], days[-1]
        self.range = Range1d(self.first - margin, self.last + margin, bounds="auto")
        # One hairline for all charts: the pointer in one shows its date in the others.
        self.hairline = Span(dimension="height", line_dash="dotted", line_width=1, line_color="#8794a3")
        self.cursors: list[Span] = []
        self.coloured: list = []
        """Renderers that take the colour of the current place."""
        self.shades: list = []
        """Renderers of the gap shading, whose colour depends on the theme."""
        self.on_day = on_day
        self.sources = {name: ColumnDataSource(data=empty) for name, empty in self._empty().items()}
        if weather is not None:
            inside = weather.sel(time=slice(self.first, self.last))
            # Weather files may lack a variable; its column must still exist for the glyph.
            blank = np.full(inside.sizes["time"], np.nan)
            self.sources["weather"].data = {"time": inside.time.values} | {
                name: inside[name].values if name in inside else blank for name in WEATHER_COLOURS
            }
        # By name and not by attribute, so that a search finds every caller.
        makers = {
            "ndvi": self._make_ndvi,
            "pc": self._make_pc,
            "radar": self._make_radar,
            "gpp": self._make_gpp,
            "weather": self._make_weather,
        }
        self.figures = {name: makers[name]() for name in TITLES if name in names}
        for name, fig in self.figures.items():
            if name != "weather":
                # One multi-line for all other places: their number changes, the number of glyphs does not.
                lines = MultiLine(xs="xs", ys="ys", line_color="colour", line_width=1.6)
                fig.add_glyph(self.sources[f"others_{name}"], lines)
        self.show_dates_under(list(self.figures))
        self.apply_theme("light")

    def show_dates_under(self, shown: list[str]) -> None:
        """Show the date axis under the lowest of the charts ``shown`` only."""
        # Stacked charts share one time axis; repeated dates would only take height.
        lowest = [name for name in self.figures if name in shown][-1:]
        for name, fig in self.figures.items():
            fig.xaxis.visible = name in lowest

    @staticmethod
    def _empty() -> dict[str, dict]:
        pcs = [f"{name}{end}" for name in COMPONENT_COLOURS for end in ("", "_lo", "_hi")]
        columns = {
            "gaps": ("left", "right"),
            "clear": ("time", "ndvi"),
            "season": ("time", "ndvi", "ndvi_lo", "ndvi_hi"),
            "masked": ("time", "ndvi"),
            "daily": ("time", *pcs, "ndvi_decoded", "gpp", "gpp_lo", "gpp_hi", "days"),
            "radar": ("time", *RADAR_COLOURS),
            "tower": ("time", *TOWER_COLUMNS),
            "weather": ("time", *WEATHER_COLOURS),
        } | {f"others_{name}": ("xs", "ys", "colour") for name in TITLES if name != "weather"}
        return {source: {name: [] for name in names} for source, names in columns.items()}

    # --- the charts ---

    def _make_figure(self, **options):
        fig = bare_figure(x_axis_type="datetime", x_range=self.range, min_height=110, **options)
        # Time is shared by all charts and may be zoomed; values keep their range, so that days compare by eye.
        wheel, pan = WheelZoomTool(dimensions="width"), PanTool(dimensions="width")
        fig.add_tools(wheel, pan, CrosshairTool(overlay=self.hairline))
        fig.toolbar.active_scroll, fig.toolbar.active_drag = wheel, pan
        # In the browser, without a round trip: a slow line must not keep the reader zoomed in.
        fig.js_on_event(DoubleTap, CustomJS(args={"range": self.range}, code="range.reset()"))
        if self.on_day:
            fig.on_event(Tap, lambda event: self.choose_day(event.x))
        fig.xaxis.formatter = DatetimeTickFormatter(days="%e %b", months="%b %Y", years="%Y")
        fig.xaxis.ticker.desired_num_ticks = 5
        strips = VStrip(x0="left", x1="right", line_color=None, fill_alpha=0.22)
        # Under the data: a gap is a property of the period, not a mark of its own.
        self.shades.append(fig.add_glyph(self.sources["gaps"], strips, level="underlay"))
        cursor = Span(dimension="height", location=self.first, line_width=1.5)
        fig.add_layout(cursor)
        self.cursors.append(cursor)
        return fig

    def _make_ndvi(self):
        fig = self._make_figure(y_range=Range1d(-0.15, 1.0))
        season, at = self.sources["season"], {"x": "time", "y": "ndvi"}
        spread = fig.add_glyph(season, VArea(x="time", y1="ndvi_lo", y2="ndvi_hi", fill_alpha=0.2))
        line = fig.add_glyph(season, Line(**at, line_width=1.2, line_alpha=0.5))
        decoded = fig.add_glyph(self.sources["daily"], Line(x="time", y="ndvi_decoded", line_width=1.4))
        hollow = fig.add_glyph(self.sources["masked"], Scatter(**at, size=5, fill_alpha=0, line_alpha=0.6))
        solid = fig.add_glyph(self.sources["clear"], Scatter(**at, size=6, line_color=None))
        # The current place changes its colour with its pin, so these renderers are recoloured together.
        self.coloured += [spread, line, decoded, hollow, solid]
        # Observed and masked acquisitions say what they are in the hover, since the marks differ by fill alone.
        for renderer, what in ((solid, "clear"), (hollow, "masked")):
            fig.add_tools(
                HoverTool(
                    renderers=[renderer],
                    tooltips=f"<b>@time{{%e %b %Y}}</b> NDVI @ndvi{{0.00}}, {what}",
                    formatters={"@time": "datetime"},
                )
            )
        return fig

    def _make_pc(self):
        fig = self._make_figure()
        self.pc_lines = []
        for name, colour in COMPONENT_COLOURS.items():
            daily = self.sources["daily"]
            ends = {"y1": f"{name}_lo", "y2": f"{name}_hi"}
            fig.add_glyph(daily, VArea(x="time", **ends, fill_color=colour, fill_alpha=0.15))
            line = Line(x="time", y=name, line_color=colour, line_width=1.6)
            self.pc_lines.append(fig.add_glyph(daily, line))
        # One hover for all three components: the vertical line reads them together.
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

    def _make_gpp(self):
        fig = self._make_figure()
        daily = self.sources["daily"]
        band = fig.add_glyph(daily, VArea(x="time", y1="gpp_lo", y2="gpp_hi", fill_alpha=0.2))
        uncertainty = VArea(
            x="time", y1="gpp_nt_05", y2="gpp_nt_95", fill_color=GPP_NT_COLOUR, fill_alpha=0.22
        )
        fig.add_glyph(self.sources["tower"], uncertainty)
        dots = {"x": "time", "size": 4.5, "line_color": None, "fill_alpha": 0.75}
        self.tower_marks = [
            fig.add_glyph(self.sources["tower"], Scatter(y="gpp_nt", fill_color=GPP_NT_COLOUR, **dots)),
            fig.add_glyph(
                self.sources["tower"], Scatter(y="gpp_dt", marker="diamond", fill_color=GPP_DT_COLOUR, **dots)
            ),
        ]
        climatology = Line(
            x="time", y="gpp_usual", line_color=CLIMATOLOGY_COLOUR, line_width=1.6, line_dash=[5, 3]
        )
        fig.add_glyph(self.sources["tower"], climatology)
        line = fig.add_glyph(daily, Line(x="time", y="gpp", line_width=2))
        self.coloured += [band, line]
        tips = "<b>@time{%e %b %Y}</b> GPP @gpp{0.0} (@gpp_lo{0.0} to @gpp_hi{0.0}) gC m⁻² d⁻¹"
        fig.add_tools(
            HoverTool(renderers=[line], mode="vline", tooltips=tips, formatters={"@time": "datetime"})
        )
        return fig

    def _make_radar(self):
        fig = self._make_figure()
        points = {}
        for band, colour in RADAR_COLOURS.items():
            line = Line(x="time", y=band, line_color=colour, line_width=1, line_alpha=0.6)
            dots = Scatter(x="time", y=band, fill_color=colour, size=3.5, line_color=None)
            fig.add_glyph(self.sources["radar"], line)
            points[band] = fig.add_glyph(self.sources["radar"], dots)
        # both bands share their times: the hover of one shows both
        tips = "<b>@time{%e %b %Y}</b> VV @VV{0.0}, VH @VH{0.0} dB"
        fig.add_tools(
            HoverTool(renderers=[points["VV"]], mode="vline", tooltips=tips, formatters={"@time": "datetime"})
        )
        return fig

    def _make_weather(self):
        fig = self._make_figure()
        tair = self.sources["weather"].data["tair"]
        ends = [np.nanmin([*tair, 0]) - 2, np.nanmax([*tair, 0]) + 2]
        fig.extra_y_ranges = {"tair": Range1d(*ends)}
        fig.add_layout(LinearAxis(y_range_name="tair", axis_label=None), "right")
        light, air = (
            Line(x="time", y=name, line_color=colour, line_width=1.3)
            for name, colour in WEATHER_COLOURS.items()
        )
        light = fig.add_glyph(self.sources["weather"], light)
        fig.add_glyph(self.sources["weather"], air, y_range_name="tair")
        tips = "<b>@time{%e %b %Y}</b> @sw_in{0} W m⁻², @tair{0.0} °C"
        fig.add_tools(
            HoverTool(renderers=[light], mode="vline", tooltips=tips, formatters={"@time": "datetime"})
        )
        fig.axis.minor_tick_line_color = fig.axis.axis_line_color = None
        fig.axis.major_label_text_font, fig.axis.major_label_text_font_size = FONT, "11px"
        fig.yaxis.major_tick_in, fig.yaxis.major_tick_out = 0, 3
        fig.yaxis.ticker.desired_num_ticks = 4
        return fig

    def choose_day(self, milliseconds: float) -> None:
        """Report the day nearest to a tap, given as milliseconds since 1970, clipped to the period."""
        day = pd.Timestamp(milliseconds, unit="ms").round("D")
        self.on_day(min(max(day, self.first), self.last).date())

    # --- what changes ---

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
        columns = {n: series[n].values for n in ("ndvi_decoded", "gpp", "gpp_lo", "gpp_hi") if n in series}
        for end in ("", "_lo", "_hi"):
            if f"pc{end}" in series:
                for i, name in enumerate(series.component.values):
                    columns[f"{name}{end}"] = series[f"pc{end}"].values[:, i]
        time, days, *values = break_at_gaps(
            pd.DatetimeIndex(series.time.values), series.days_from_s2.values, *columns.values()
        )
        blank = np.full(len(time), np.nan, "float32")
        daily = {n: blank for n in self._empty()["daily"]} | dict(zip(columns, values, strict=True))
        self.sources["daily"].data = daily | {"time": time, "days": days}
        clear_times = pd.DatetimeIndex(series.time.values[series.days_from_s2.values == 0])
        if "ndvi" in series:
            times, known = pd.DatetimeIndex(series.acquisition.values), np.isfinite(series.ndvi.values)
            clear = series.clear.values.astype(bool) & known
            clear_times = times[clear]
            for name, pick in (("clear", clear), ("masked", ~clear & known)):
                self.sources[name].data = {"time": times[pick], "ndvi": series.ndvi.values[pick]}
            ends = [
                series[n if n in series else "ndvi"].values[clear] for n in ("ndvi", "ndvi_lo", "ndvi_hi")
            ]
            time, ndvi, low, high = break_at_gaps(clear_times, *ends, min_days=GAP_DAYS)
            if "ndvi_decoded" in series:  # the decoded line is drawn instead of one through the clear dates
                ndvi = np.full(len(time), np.nan)
            self.sources["season"].data = {"time": time, "ndvi": ndvi, "ndvi_lo": low, "ndvi_hi": high}
        gaps = find_gaps(clear_times, self.first, self.last)
        self.sources["gaps"].data = {"left": [a for a, _ in gaps], "right": [b for _, b in gaps]}
        if "passage" in series:
            blank = np.full(series.sizes["passage"], np.nan)
            bands = {band: series[band].values if band in series else blank for band in RADAR_COLOURS}
            self.sources["radar"].data = {"time": pd.DatetimeIndex(series.passage.values)} | bands
        for mark in self.coloured:
            for side in ("line_color", "fill_color"):
                if getattr(mark.glyph, side, None) is not None:
                    setattr(mark.glyph, side, colour)
        self.show_tower(tower)

    def show_others(self, others: list[tuple[str, xr.Dataset]]) -> None:
        """One line a chart for each other place: NDVI of every day or else of clear dates, PC1, VV, GPP.

        Parameters
        ----------
        others : list of (str, xarray.Dataset)
            Colour and series of each.
        """
        for name in self.figures:
            if name == "weather":
                continue
            lines = [(colour, _line_of(name, series)) for colour, series in others]
            lines = [(colour, line) for colour, line in lines if line is not None]
            self.sources[f"others_{name}"].data = {
                "xs": [line[0] for _, line in lines],
                "ys": [line[1] for _, line in lines],
                "colour": [colour for colour, _ in lines],
            }

    def show_tower(self, tower: xr.Dataset | None) -> None:
        """Show measured GPP of a tower, or none (None)."""
        empty = self._empty()["tower"]
        if tower is None:
            self.sources["tower"].data = empty
            return
        inside = tower.sel(time=slice(self.first, self.last))
        time = pd.DatetimeIndex(inside.time.values)
        blank = np.full(len(time), np.nan)
        self.sources["tower"].data = {"time": time} | {
            n: inside[n].values if n in inside else blank for n in TOWER_COLUMNS
        }

    def move_cursor(self, day) -> None:
        """Mark the map's day in every chart."""
        for span in self.cursors:
            span.location = pd.Timestamp(day)

    def apply_theme(self, theme: str) -> None:
        """Colour axes, shading and cursors for the theme "light" or "dark"."""
        for fig in self.figures.values():
            apply_theme(fig, theme)
        for shade in self.shades:
            shade.glyph.fill_color = THEMES[theme]["shade"]
        for span in self.cursors:
            span.line_color = THEMES[theme]["cursor"]


def _line_of(chart: str, series: xr.Dataset):
    """Times and values of the one line that stands for a place in a chart, or None."""
    if chart == "pc":
        return series.time.values, series.pc.values[:, 0]
    if chart == "ndvi" and "ndvi_decoded" in series:
        return series.time.values, series.ndvi_decoded.values
    if chart == "ndvi" and "ndvi" in series:
        clear = series.clear.values.astype(bool) & np.isfinite(series.ndvi.values)
        return break_at_gaps(
            pd.DatetimeIndex(series.acquisition.values[clear]),
            series.ndvi.values[clear],
            min_days=GAP_DAYS,
        )
    if chart == "radar" and "VV" in series:
        return series.passage.values, series.VV.values
    if chart == "gpp" and "gpp" in series:
        return series.time.values, series.gpp.values
    return None
