"""The charts of the chosen places, with their legends and the day's numbers."""

from html import escape

import numpy as np
import pandas as pd
import panel as pn

from app.charts import COMPONENTS, DAYTIME, NIGHT, RADAR, TITLES, USUAL, WEATHER, Charts
from app.data import GAP_DAYS, NEAR_TOWER_M, Data
from app.state import COLOURS, State
from app.views.places import label
from app.views.style import sheets

HEAD = """
.head { display: flex; align-items: baseline; gap: 4px 14px; flex-wrap: wrap; line-height: 1.35;
  font-size: 12px;
  color: var(--muted); font-variant-numeric: tabular-nums; }
.head b { color: var(--ink); font-weight: 600; font-size: 13px; }
.key { white-space: nowrap; } .key em { font-style: normal; color: var(--ink); }
.dot, .ring, .line, .area, .diamond { display: inline-block; margin-right: 5px; vertical-align: middle;
  box-sizing: border-box; }
.dot { width: 8px; height: 8px; border-radius: 4px; } .ring { width: 8px; height: 8px;
  border-radius: 4px; border: 1px solid; }
.diamond { width: 7px; height: 7px; transform: rotate(45deg); }
.line { width: 14px; height: 2px; } .area { width: 14px; height: 9px; opacity: .3; }
"""
_TOP = """
.pixel { white-space: nowrap; font-size: 13px; line-height: 30px; color: var(--muted);
  font-variant-numeric: tabular-nums; }
.pixel b { color: var(--ink); font-weight: 600; }
"""
NINE = "90 % of its pixels"
AIR = {
    "sw_in": ("shortwave", "W m⁻²", 0),
    "tair": ("air", "°C", 1),
    "vpd": ("vapour pressure deficit", "hPa", 1),
    "precip": ("rain", "mm", 1),
}


def key(shape: str, colour: str, text: str, value: str = "") -> str:
    """One entry of a legend, with the day's value."""
    paint = f"border-color:{colour}" if shape == "ring" else f"background:{colour}"
    number = f" <em>{value}</em>" if value else ""
    return f'<span class="key"><i class="{shape}" style="{paint}"></i>{text}{number}</span>'


class SeriesView:
    """Charts are made once; a place changes their numbers, a day their cursor and the legends' numbers."""

    def __init__(self, state: State, data: Data, above: list[pn.viewable.Viewable] = ()):
        self.state, self.data, self.above = state, data, above
        self.charts = Charts(
            data.days,
            [name for name, there in self._there().items() if there],
            data.weather,
            on_day=lambda day: setattr(state, "day", day),
        )
        self.heads = {
            name: pn.pane.HTML("", sizing_mode="stretch_width", margin=(6, 0, 0, 0), stylesheets=sheets(HEAD))
            for name in self.charts.figures
        }
        self.panes = {
            name: pn.pane.Bokeh(figure, sizing_mode="stretch_both", margin=0, min_height=96)
            for name, figure in self.charts.figures.items()
        }
        self._where = pn.pane.HTML("", margin=0, stylesheets=sheets(_TOP, ":host { flex: 1 1 270px; }"))
        self.shown = pn.widgets.CheckButtonGroup(
            options={TITLES[name]: name for name in self.panes},
            value=[name for name in self.panes if name in state.charts],
            margin=0,
            css_classes=["quiet"],
            stylesheets=sheets(),
        )
        self.tower = pn.widgets.Toggle(
            label="Tower",
            value=state.tower,
            margin=0,
            visible=data.tower is not None and "gpp" in self.charts.figures,
            css_classes=["quiet"],
            stylesheets=sheets(),
        )
        self.tower.param.watch(lambda event: setattr(state, "tower", event.new), "value")
        self.shown.param.watch(lambda event: setattr(state, "charts", event.new), "value")
        state.watch(self._places, ["places", "current"])
        state.watch(self._day, "day")
        state.watch(self._tower, "tower")
        state.watch(self._charts, "charts")
        state.watch(lambda event: self.charts.ink("dark" if event.new else "light"), "dark")
        self._places()
        self._charts()
        self.charts.cursor(state.day)
        self.charts.ink("dark" if state.dark else "light")

    def _there(self) -> dict[str, bool]:
        """Which charts this store can fill."""
        return {
            "ndvi": self.data.has_ndvi,
            "pc": True,
            "radar": self.data.has_radar,
            "gpp": self.data.predict is not None or self.data.tower is not None,
            "weather": self.data.weather is not None,
        }

    # --- changes ---

    def _places(self, *_) -> None:
        place = self.state.place
        if place is None:
            return
        series = self.data.series(place)
        self.charts.show(series, COLOURS[place.slot], self._shown_tower())
        others = [other for other in self.state.places if other is not place]
        self.charts.show_others([(COLOURS[other.slot], self.data.series(other)) for other in others])
        lon, lat = self.data.grid.lonlat(*self.data.centre(place.row, place.col))
        name = f"Pixel {place.row}, {place.col}"
        if place.area:
            told, held = series.attrs["told_by"], series.attrs["pixels"]
            name = f"Area of {held} pixels" + (f", {told} of them read" if told < held else "")
        self._where.object = (
            f'<div class="pixel"><b>{name}</b> &nbsp; '
            f"{abs(lat):.5f}° {'N' if lat >= 0 else 'S'}, "
            f"{abs(lon):.5f}° {'E' if lon >= 0 else 'W'}</div>"
        )
        self._legends()

    def _charts(self, *_) -> None:
        self.shown.value = [name for name in self.panes if name in self.state.charts]
        self.charts.axis_under(self.state.charts)
        for name, pane in self.panes.items():
            pane.visible = self.heads[name].visible = name in self.state.charts

    def _tower(self, *_) -> None:
        self.charts.show_tower(self._shown_tower())
        self._legends()

    def _day(self, *_) -> None:
        self.charts.cursor(self.state.day)
        self._legends()

    def _shown_tower(self):
        return self.data.tower if self.state.tower else None

    # --- legends ---

    def _legends(self) -> None:
        place = self.state.place
        if place is None:
            return
        series, day = self.data.series(place), pd.Timestamp(self.state.day)
        today = self.data.days.get_indexer([day])[0]
        made = " · simulated" if self.data.simulated else ""
        for name, head in self.heads.items():
            title, *parts = getattr(self, f"_{name}_head")(series, today, COLOURS[place.slot])
            head.object = f'<div class="head"><b>{title}{made}</b>{"".join(parts)}</div>'

    def _ndvi_head(self, series, today: int, colour: str):
        at = _on(series.acquisition.values, self.state.day)
        seen = "" if at is None else _told(series.ndvi.values[at], 2)
        clear = at is not None and bool(series.clear.values[at])
        yield "NDVI, Sentinel-2"
        yield key("dot", colour, "clear", seen if clear else "")
        yield key("ring", colour, "masked", "" if clear else seen)
        if "ndvi_told" in series:
            yield key("line", colour, "read off the embedding", _told(series.ndvi_told.values[today], 2))
        yield key("area", "#7d8a98", f"no clear view for over {GAP_DAYS} d")
        if "ndvi_lo" in series:
            yield key("area", colour, NINE)

    def _pc_head(self, series, today: int, colour: str):
        yield "Embedding, principal components"
        for i, name in enumerate(series.component.values):
            yield key("line", COMPONENTS[name], str(name), _told(series.pc.values[today, i], 2))
        for place in self.state.places:
            if place is not self.state.place:
                yield key("line", COLOURS[place.slot], f"PC1 of {label(place)}")
        yield f"sigma {series.sigma.values[today]:.3f}"

    def _radar_head(self, series, today: int, colour: str):
        at = _on(series.passage.values, self.state.day)
        yield "Radar, Sentinel-1, dB"
        for band, ink in RADAR.items():
            if band in series:
                yield key("line", ink, band, "" if at is None else _told(series[band].values[at], 1))

    def _weather_head(self, series, today: int, colour: str):
        at = _on(self.data.weather.time.values, self.state.day)
        yield "Weather"
        for name, (words, unit, digits) in AIR.items():
            if name in self.data.weather and at is not None:
                number = _told(self.data.weather[name].values[at], digits)
                ink = WEATHER.get(name)
                text = f"{number} {unit}" if number else ""
                yield (
                    key("line", ink, words, text)
                    if ink
                    else f'<span class="key">{words} <em>{text}</em></span>'
                )

    def _gpp_head(self, series, today: int, colour: str):
        yield "GPP, gC m⁻² d⁻¹"
        if "gpp" in series:
            low, value, high = (float(series[n].values[today]) for n in ("gpp_lo", "gpp", "gpp_hi"))
            what = NINE if self.state.place.area else "90 % band"
            yield key("line", colour, "predicted", f"{value:.1f}")
            yield key("area", colour, what, f"{low:.1f} to {high:.1f}")
        tower = self._shown_tower()
        if tower is None:
            return
        at = _on(tower.time.values, self.state.day)
        site = escape(str(tower.attrs.get("site", "tower")))
        away = self.data.tower_distance_m(*self.state.pixel)
        far = f", {away / 1000:.1f} km away" if away is not None and away > NEAR_TOWER_M else ""
        for column, shape, ink, words in (
            ("gpp_nt", "dot", NIGHT, f"{site} NT"),
            ("gpp_dt", "diamond", DAYTIME, f"{site} DT{far}"),
            ("gpp_usual", "line", USUAL, "its other years"),
        ):
            if column in tower:
                value = "" if at is None else _told(tower[column].values[at], 1)
                yield key(shape, ink, words, value + (self._doubt(tower, at) if column == "gpp_nt" else ""))

    @staticmethod
    def _doubt(tower, at: int | None) -> str:
        """The 90 % the file itself gives to night-time GPP of a day, where it does."""
        if at is None or not {"gpp_nt_05", "gpp_nt_95"} <= set(tower):
            return ""
        low, high = (_told(tower[name].values[at], 1) for name in ("gpp_nt_05", "gpp_nt_95"))
        return f" ({low} to {high})" if low and high else ""

    @property
    def view(self) -> pn.Column:
        top = pn.Row(
            self._where,
            self.shown,
            self.tower,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { gap: 8px; flex-wrap: wrap; }"],
        )
        stack = [part for name in self.panes for part in (self.heads[name], self.panes[name])]
        return pn.Column(
            *self.above,
            top,
            *stack,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { flex: 1 0 auto !important; }"],
        )


def _on(times: np.ndarray, day) -> int | None:
    """Index of the first of rising ``times`` that falls on a day."""
    first = np.datetime64(day, "ns")
    at = int(np.searchsorted(times, first))
    return at if at < len(times) and times[at] < first + np.timedelta64(1, "D") else None


def _told(value: float, digits: int) -> str:
    """A number, or nothing where it is unknown."""
    return f"{value:.{digits}f}" if np.isfinite(value) else ""
