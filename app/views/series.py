"""The charts of the chosen places, with their legends and the day's numbers."""

from html import escape

import numpy as np
import pandas as pd
import panel as pn
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.series import GAP_DAYS
from fluxlens.app.data.towers.observations import NEAR_TOWER_M
from fluxlens.app.palette import (
    AREA_LINES_COLOUR,
    CLIMATOLOGY_COLOUR,
    COMPONENT_COLOURS,
    GPP_DT_COLOUR,
    GPP_NT_COLOUR,
    PLACE_COLOURS,
    RADAR_COLOURS,
    WEATHER_COLOURS,
)
from fluxlens.app.plots.area_lines import PIXEL_LINES
from fluxlens.app.plots.series_figures import SeriesFigures
from fluxlens.app.plots.series_layout import AREA_LINES, TITLES
from fluxlens.app.state.place import Place
from fluxlens.app.state.selection import State
from fluxlens.app.views.binding import bind_widget
from fluxlens.app.views.html import HTML
from fluxlens.app.views.legend import LEGEND_CSS, legend_key
from fluxlens.app.views.page_behaviour import group_label, mark_as_chart, save_buttons
from fluxlens.app.views.text_alternatives import describe_place_charts

_TOP = """
.pixel { font-size: 13px; line-height: 1.4; padding: 6px 0; color: var(--muted);
  font-variant-numeric: tabular-nums; }
.pixel b { color: var(--ink); font-weight: 600; margin-right: 10px; } .pixel span { white-space: nowrap; }
"""
MIN_HEIGHT_PX = 96
_PANE = """
:host { flex: 1 1 0px !important; }
/* with the dates below it, which are as high as this: its frame is as high as those of the others */
:host(.dated) { flex-basis: 44px !important; min-height: 140px !important; }
"""
AREA_RANGE = "90 % of its pixels"
WEATHER_LABELS = {
    "sw_in": ("shortwave", "W m⁻²", 0),
    "tair": ("air", "°C", 1),
    "vpd": ("vapour pressure deficit", "hPa", 1),
    "precip": ("rain", "mm", 1),
}


class SeriesView:
    """The charts with their legends; charts are made once, then only their data change.

    Parameters
    ----------
    state : State
        The choices.
    data : ExplorerData
        The store on screen.
    above : list of panel.viewable.Viewable
        Widgets above the charts.
    """

    def __init__(self, state: State, data: ExplorerData, above: list[pn.viewable.Viewable] = ()):
        self.state, self.data, self.above = state, data, above
        self.charts = SeriesFigures(
            data.days,
            [name for name, available in self._available_charts().items() if available],
            data.weather,
            on_day=lambda day: setattr(state, "day", day),
            on_lines=self._update_legends,
        )
        for name, figure in self.charts.figures.items():
            mark_as_chart(figure, f"series/{name}")
        # Legends are HTML above each chart, not Bokeh legends: values of the day change without a new layout.
        self.heads = {
            name: HTML("", sizing_mode="stretch_width", margin=(6, 0, 0, 0), stylesheets=[LEGEND_CSS])
            for name in self.charts.figures
        }
        self.panes = {
            name: pn.pane.Bokeh(
                figure, sizing_mode="stretch_both", min_height=MIN_HEIGHT_PX, stylesheets=[_PANE]
            )
            for name, figure in self.charts.figures.items()
        }
        self._make_controls()
        # One way only: the state is also set by a link, and then updates the buttons in `_update_charts`.
        self.shown.param.watch(lambda event: setattr(state, "charts", event.new), "value")
        state.watch(self._update_places, ["places", "current"])
        state.watch(self._update_day, "day")
        state.watch(self._update_tower, "show_tower")
        state.watch(self._update_charts, "charts")
        state.watch(lambda event: self.charts.apply_theme("dark" if event.new else "light"), "dark")
        # Functions by chart and not by name in text, so that a search for one finds its caller.
        self._legend_makers = {
            "ndvi": self._ndvi_legend,
            "pc": self._pc_legend,
            "radar": self._radar_legend,
            "gpp": self._gpp_legend,
            "weather": self._weather_legend,
        }
        # Everything once by hand: watchers hear only of changes, and the state may come complete from a link.
        self._update_places()
        self._update_charts()
        self.charts.move_cursor(state.day)
        self.charts.apply_theme("dark" if state.dark else "light")

    def _make_controls(self) -> None:
        """The place's text, and the widgets of charts, tower and single pixels."""
        state = self.state
        self._location = HTML("", stylesheets=[_TOP, ":host { flex: 1 1 270px; }"])
        self.shown = pn.widgets.CheckButtonGroup(
            options={TITLES[name]: name for name in self.panes},
            value=[name for name in self.panes if name in state.charts],
            css_classes=["quiet"],
            **group_label("Charts"),
        )
        self.tower = pn.widgets.Toggle(
            label="Tower",
            value=state.show_tower,
            visible=self.data.tower is not None and "gpp" in self.charts.figures,
            css_classes=["quiet"],
        )
        # Both ways: the permalink sets the state, the toggle follows.
        bind_widget(state, "show_tower", self.tower)
        self.all_pixels = pn.widgets.Toggle(
            label="All pixels", value=True, visible=False, css_classes=["quiet"]
        )
        self.all_pixels.param.watch(self._toggle_area_lines, "value")

    def _available_charts(self) -> dict[str, bool]:
        """By chart: whether this store has what it shows."""
        return {
            "ndvi": self.data.has_ndvi,
            "pc": True,
            "radar": self.data.has_radar,
            "gpp": self.data.predict is not None or self.data.tower is not None,
            "weather": self.data.weather is not None,
        }

    # --- changes ---

    def _update_places(self, *_) -> None:
        place = self.state.place
        if place is None:
            return
        series = self.data.place_series(place)
        self.charts.show(series, PLACE_COLOURS[place.slot], self._shown_tower())
        self._update_area_lines()
        # Others are thin lines without a band, so that the current place stays readable among them.
        self.charts.show_other_places(
            [(PLACE_COLOURS[other.slot], self.data.place_series(other)) for other in self._other_places()]
        )
        lon, lat = self.data.grid.lonlat(*self.data.centre(place.row, place.col))
        # The name stands in its field above; here is where the place is.
        what = f"Pixel {place.row}, {place.col}"
        if place.area:
            read, count = series.attrs["pixels_read"], series.attrs["pixels"]
            hectares = count * self.data.grid.size_m**2 / 10_000
            what = f"Area of {count} pixels ({hectares:,.{2 if hectares < 100 else 0}f} ha)"
            what += f", mean of {read} of them" if read < count else ", mean"
        self._location.object = (
            f'<div class="pixel"><b>{what}</b> '
            f"<span>{abs(lat):.5f}° {'N' if lat >= 0 else 'S'},</span> "
            f"<span>{abs(lon):.5f}° {'E' if lon >= 0 else 'W'}</span></div>"
        )
        self._update_legends()
        describe_place_charts(self.charts.figures, self.state, self.data)

    def _update_area_lines(self, *_) -> None:
        place = self.state.place
        series = self.data.place_series(place) if place is not None and place.area else None
        # Of a store without weather and decoder nothing is known of single pixels.
        has_lines = series is not None and any(name in series for name in PIXEL_LINES.values())
        self.all_pixels.visible = has_lines
        self.charts.show_area_lines(series if has_lines and self.all_pixels.value else None)

    def _toggle_area_lines(self, _) -> None:
        self._update_area_lines()
        self._update_legends()

    def _area_lines_key(self, chart: str, series):
        """The key of an area's lines in the legend of a chart, where they are shown."""
        if self.all_pixels.value and PIXEL_LINES[chart] in series:
            read, count = series.attrs["pixels_read"], series.attrs["pixels"]
            words = AREA_LINES if read == count else f"{read} of its {count} pixels"
            # The first image of a process may take seconds; what is missing says that it comes.
            waiting = ", being drawn …" if chart in self.charts.awaited else ""
            yield legend_key("line", AREA_LINES_COLOUR, words + waiting)

    def _update_charts(self, *_) -> None:
        self.shown.value = [name for name in self.panes if name in self.state.charts]
        self.charts.show_dates_under(self.state.charts)
        lowest = next((name for name in reversed(self.panes) if name in self.state.charts), "")
        for name, pane in self.panes.items():
            pane.visible = self.heads[name].visible = name in self.state.charts
            pane.css_classes = ["dated"] if name == lowest else []

    def _update_tower(self, *_) -> None:
        self.charts.show_tower(self._shown_tower())
        self._update_legends()
        describe_place_charts(self.charts.figures, self.state, self.data)

    def _update_day(self, *_) -> None:
        self.charts.move_cursor(self.state.day)
        self._update_legends()

    def _shown_tower(self):
        return self.data.tower if self.state.show_tower else None

    def _other_places(self) -> list[Place]:
        """Places of which a chart shows one line each."""
        return [place for place in self.state.places if place is not self.state.place]

    # --- legends: each yields its title, then its keys with the values of the day ---

    def _update_legends(self) -> None:
        place = self.state.place
        if place is None:
            return
        series, day = self.data.place_series(place), pd.Timestamp(self.state.day)
        # -1 cannot occur: the state keeps the day inside the store's days.
        index = self.data.days.get_indexer([day])[0]
        # Every chart says so by itself, since people cut single charts out of a page.
        note = " · simulated" if self.data.simulated else ""
        for name, head in self.heads.items():
            title, *keys = self._legend_makers[name](series, index, PLACE_COLOURS[place.slot])
            words = "".join([*keys, save_buttons(f"series/{name}")])
            head.object = f'<div class="head saved"><b>{title}{note}</b>{words}</div>'

    def _ndvi_legend(self, series, index: int, colour: str):
        at = _index_of_day(series.acquisition.values, self.state.day)
        value = "" if at is None else _format(series.ndvi.values[at], 2)
        # Only days of an acquisition have a measured value; on others the legend shows none.
        clear = at is not None and bool(series.clear.values[at])
        yield "NDVI, Sentinel-2"
        yield legend_key("dot", colour, "clear", value if clear else "")
        yield legend_key("ring", colour, "masked", "" if clear else value)
        if "ndvi_decoded" in series:
            yield legend_key(
                "line", colour, "decoded from the embedding", _format(series.ndvi_decoded.values[index], 2)
            )
        yield legend_key("area", "#7d8a98", f"no clear view for over {GAP_DAYS} d")
        # Whether what is shown of the day was seen or filled.
        days = series.days_from_s2.values[index] if "days_from_s2" in series else np.nan
        if days >= 0:
            when = "that day" if days < 0.5 else f"{days:.0f} d away"
            yield f'<span class="key">nearest clear view <em>{when}</em></span>'
        if "ndvi_lo" in series:
            yield legend_key("area", colour, AREA_RANGE)
        yield from self._area_lines_key("ndvi", series)

    def _pc_legend(self, series, index: int, colour: str):
        yield "Embedding"
        for i, name in enumerate(series.component.values):
            yield legend_key(
                "line", COMPONENT_COLOURS[name], str(name), _format(series.pc.values[index, i], 2)
            )
        for place in self._other_places():
            yield legend_key("line", PLACE_COLOURS[place.slot], f"PC1 of {escape(place.label)}")
        yield f"sigma {series.sigma.values[index]:.3f}"

    def _radar_legend(self, series, index: int, colour: str):
        at = _index_of_day(series.passage.values, self.state.day)
        yield "Radar, Sentinel-1, dB"
        for band, ink in RADAR_COLOURS.items():
            if band in series:
                yield legend_key("line", ink, band, "" if at is None else _format(series[band].values[at], 1))
        if "VV" in series:
            for place in self._other_places():
                yield legend_key("line", PLACE_COLOURS[place.slot], f"VV of {escape(place.label)}")

    def _weather_legend(self, series, index: int, colour: str):
        at = _index_of_day(self.data.weather.time.values, self.state.day)
        yield "Weather"
        for name, (label, unit, digits) in WEATHER_LABELS.items():
            if name in self.data.weather and at is not None:
                number = _format(self.data.weather[name].values[at], digits)
                ink = WEATHER_COLOURS.get(name)
                text = f"{number} {unit}" if number else ""
                yield (
                    legend_key("line", ink, label, text)
                    if ink
                    else f'<span class="key">{label} <em>{text}</em></span>'
                )

    def _gpp_legend(self, series, index: int, colour: str):
        yield "GPP, gC m⁻² d⁻¹"
        if "gpp" in series:
            low, value, high = (float(series[n].values[index]) for n in ("gpp_lo", "gpp", "gpp_hi"))
            # Of a single pixel it is the model's band, of an area the spread of its pixels: two different things.
            what = AREA_RANGE if self.state.place.area else "90 % band"
            fitted = self.data.scene.calibration
            name = "predicted" if fitted is None else f"predicted, calibrated with {escape(fitted.name)}"
            yield legend_key("line", colour, name, _format(value, 1))
            # Empty where weather is missing: no "nan to nan".
            band = f"{_format(low, 1)} to {_format(high, 1)}" if np.isfinite([low, high]).all() else ""
            yield legend_key("area", colour, what, band)
        yield from self._area_lines_key("gpp", series)
        tower = self._shown_tower()
        if tower is None:
            return
        at = _index_of_day(tower.time.values, self.state.day)
        site = escape(str(tower.attrs.get("site", "tower")))
        distance_m = self.data.observations.distance_m(*self.state.pixel)
        # A tower far from the pixel measures other land; the legend says how far.
        far = (
            f", {distance_m / 1000:.1f} km away"
            if distance_m is not None and distance_m > NEAR_TOWER_M
            else ""
        )
        for column, shape, ink, label in (
            ("gpp_nt", "dot", GPP_NT_COLOUR, f"{site} NT"),
            ("gpp_dt", "diamond", GPP_DT_COLOUR, f"{site} DT{far}"),
            ("gpp_usual", "dash", CLIMATOLOGY_COLOUR, "mean of its other years"),
        ):
            if column in tower:
                value = "" if at is None else _format(tower[column].values[at], 1)
                band = self._format_tower_band(tower, at) if column == "gpp_nt" else ""
                yield legend_key(shape, ink, label, value + band)

    @staticmethod
    def _format_tower_band(tower, at: int | None) -> str:
        """The 90 % band that the file itself gives for night-time GPP of a day, where it has one."""
        # Only full-set files have percentiles of the partitioning.
        if at is None or not {"gpp_nt_05", "gpp_nt_95"} <= set(tower):
            return ""
        low, high = (_format(tower[name].values[at], 1) for name in ("gpp_nt_05", "gpp_nt_95"))
        return f" ({low} to {high})" if low and high else ""

    @property
    def view(self) -> pn.Column:
        top = pn.Row(
            self._location,
            self.shown,
            self.all_pixels,
            self.tower,
            sizing_mode="stretch_width",
            css_classes=["wrap", "gap-8"],
        )
        # Each legend directly above its chart, also when some are hidden.
        stack = [pane for name in self.panes for pane in (self.heads[name], self.panes[name])]
        return pn.Column(
            *self.above,
            top,
            *stack,
            sizing_mode="stretch_width",
            css_classes=["grow"],
        )


def _index_of_day(times: np.ndarray, day) -> int | None:
    """Index of the first of rising ``times`` (time,) that falls on a day, or None."""
    # Acquisitions keep their time of day, so a day is an interval and not an equality.
    first = np.datetime64(day, "ns")
    at = int(np.searchsorted(times, first))
    return at if at < len(times) and times[at] < first + np.timedelta64(1, "D") else None


def _format(value: float, digits: int) -> str:
    """A number with a typographic minus, or an empty string for NaN."""
    return f"{value:.{digits}f}".replace("-", "−") if np.isfinite(value) else ""
