"""The tapped pixel: where it is, its charts with their legends and the day's numbers, and the export."""

from html import escape

import numpy as np
import pandas as pd
import panel as pn

from app.charts import COMPONENTS, DAYTIME, NDVI, NIGHT, USUAL, Charts
from app.data import GAP_DAYS, NEAR_TOWER_M, Data
from app.plots import ACCENT
from app.state import State
from app.views.style import sheets

_HEAD = """
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
.pixel { font-size: 13px; line-height: 30px; color: var(--muted); font-variant-numeric: tabular-nums; }
.pixel b { color: var(--ink); font-weight: 600; }
"""


def key(shape: str, colour: str, text: str, value: str = "") -> str:
    """One entry of a legend, with the day's value."""
    paint = f"border-color:{colour}" if shape == "ring" else f"background:{colour}"
    number = f" <em>{value}</em>" if value else ""
    return f'<span class="key"><i class="{shape}" style="{paint}"></i>{text}{number}</span>'


class SeriesView:
    """Charts are made once; a tap changes their numbers, a day their cursor and the legends' numbers."""

    def __init__(self, state: State, data: Data, export: pn.viewable.Viewable | None = None):
        self.state, self.data = state, data
        self.charts = Charts(
            data.days,
            with_gpp=data.predict is not None or data.tower is not None,
            with_ndvi=data._ndvi is not None,
            on_day=lambda day: setattr(state, "day", day),
        )
        self.heads = {
            name: pn.pane.HTML(
                "", sizing_mode="stretch_width", margin=(6, 0, 0, 0), stylesheets=sheets(_HEAD)
            )
            for name in self.charts.figures
        }
        self._where = pn.pane.HTML("", margin=0, stylesheets=sheets(_TOP, ":host { flex: 1 1 200px; }"))
        self.tower = pn.widgets.Toggle(
            label="Tower",
            value=state.tower,
            margin=0,
            visible=data.tower is not None and "gpp" in self.charts.figures,
            css_classes=["quiet"],
            stylesheets=sheets(),
        )
        self.export = export
        self.tower.param.watch(lambda event: setattr(state, "tower", event.new), "value")
        state.param.watch(self._pixel, "pins")
        state.param.watch(self._day, "day")
        state.param.watch(self._tower, "tower")
        state.param.watch(lambda event: self.charts.ink("dark" if event.new else "light"), "dark")
        self._pixel()
        self._day()

    # --- changes ---

    def _pixel(self, *_) -> None:
        if self.state.pixel is None:
            return
        row, col = self.state.pixel
        self.charts.show(self.data.pixel(row, col), self._shown_tower())
        lon, lat = self.data.grid.lonlat(*self.data.centre(row, col))
        self._where.object = (
            f'<div class="pixel"><b>Pixel {row}, {col}</b> &nbsp; '
            f"{abs(lat):.5f}° {'N' if lat >= 0 else 'S'}, "
            f"{abs(lon):.5f}° {'E' if lon >= 0 else 'W'}</div>"
        )
        self._legends()

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
        if self.state.pixel is None:
            return
        pixel = self.data.pixel(*self.state.pixel)
        today = pixel.sel(time=pd.Timestamp(self.state.day))
        made = " · simulated" if self.data.simulated else ""
        if "ndvi" in self.heads:
            self.heads["ndvi"].object = self._ndvi_head(pixel, made)
        shades = (
            key("line", colour, name, f"{float(today.pc.sel(component=name)):.2f}")
            for name, colour in COMPONENTS.items()
        )
        self.heads["pc"].object = self._head(
            "Embedding, principal components", made, *shades, f"sigma {float(today.sigma):.3f}"
        )
        if "gpp" in self.heads:
            self.heads["gpp"].object = self._gpp_head(today, made)

    def _ndvi_head(self, pixel, made: str) -> str:
        apart = np.abs(
            (pd.DatetimeIndex(pixel.acquisition.values).normalize() - pd.Timestamp(self.state.day)).days
        )
        that_day = pixel.isel(acquisition=int(apart.argmin())) if len(apart) and apart.min() == 0 else None
        seen = f"{float(that_day.ndvi):.2f}" if that_day is not None else ""
        clear = that_day is not None and bool(that_day.clear)
        return self._head(
            "NDVI, Sentinel-2",
            made,
            key("dot", NDVI, "clear", seen if clear else ""),
            key("ring", NDVI, "masked", "" if clear else seen),
            key("area", "#7d8a98", f"no clear view for over {GAP_DAYS} d"),
        )

    def _gpp_head(self, today, made: str) -> str:
        parts = []
        if "gpp" in today:
            band = f"{float(today.gpp_lo):.1f} to {float(today.gpp_hi):.1f}"
            parts = [
                key("line", ACCENT, "predicted", f"{float(today.gpp):.1f}"),
                key("area", ACCENT, "90 % band", band),
            ]
        tower = self._shown_tower()
        if tower is not None:
            that_day = tower.reindex(time=[pd.Timestamp(self.state.day)])
            site = escape(str(tower.attrs.get("site", "tower")))
            away = self.data.tower_distance_m(*self.state.pixel)
            far = f", {away / 1000:.1f} km away" if away is not None and away > NEAR_TOWER_M else ""
            for name, shape, colour in (("NT", "dot", NIGHT), ("DT", "diamond", DAYTIME)):
                column = f"gpp_{name.lower()}"
                value = float(that_day[column].values[0]) if column in that_day else np.nan
                parts.append(
                    key(
                        shape,
                        colour,
                        f"{site} {name}{far if name == 'DT' else ''}",
                        f"{value:.1f}" if np.isfinite(value) else "",
                    )
                )
            if "gpp_usual" in that_day:
                value = float(that_day["gpp_usual"].values[0])
                parts.append(
                    key("line", USUAL, "its other years", f"{value:.1f}" if np.isfinite(value) else "")
                )
        return self._head("GPP, gC m⁻² d⁻¹", made, *parts)

    @staticmethod
    def _head(title: str, made: str, *parts: str) -> str:
        return f'<div class="head"><b>{title}{made}</b>{"".join(parts)}</div>'

    @property
    def view(self) -> pn.Column:
        top = pn.Row(
            self._where,
            self.tower,
            *([self.export] if self.export else []),
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { gap: 8px; flex-wrap: wrap; }"],
        )
        stack = []
        for name, figure in self.charts.figures.items():
            stack += [
                self.heads[name],
                pn.pane.Bokeh(figure, sizing_mode="stretch_both", margin=0, min_height=110),
            ]
        return pn.Column(
            top,
            *stack,
            sizing_mode="stretch_width",
            margin=0,
            css_classes=["card"],
            stylesheets=sheets(":host { padding: 12px 14px 6px; min-height: 540px; }"),
        )
