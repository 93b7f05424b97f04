"""The map and what steers it: layers, colour bar, the day."""

from html import escape

import panel as pn

from app.data import Data, fmt
from app.plots import MapPlot, gradient
from app.state import LAYERS, State
from app.views.style import sheets

_CAPTION = """
.caption { display: flex; align-items: center; justify-content: space-between; gap: 14px;
  min-height: 34px; line-height: 1.3; }
.what b { font-weight: 600; } .what span { color: var(--muted); }
.bar { flex: 0 0 190px; font-size: 11px; color: var(--muted); font-variant-numeric: tabular-nums; }
.bar .ramp { height: 8px; border-radius: 2px; }
.bar .ticks { display: flex; justify-content: space-between; margin-top: 2px; }
.rgb { display: flex; gap: 10px; font-size: 11px; color: var(--muted); white-space: nowrap; }
.rgb i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 4px; }
"""
_DAY = """
.day { font: 600 15px/30px var(--font); font-variant-numeric: tabular-nums; white-space: nowrap;
  text-align: center; }
"""
PLAY_MS = 250


def number(value: float) -> str:
    """Short ticks: 0, 0.05, 12, −1.2."""
    return f"{value:.3g}".replace("-", "−")


def colour_bar(look) -> str:
    """The stretch, the same for all days."""
    if look.palette is None:
        dots = zip(("#e05252", "#3fa45b", "#4a7fd6"), look.planes, strict=True)
        return (
            '<div class="rgb">'
            + "".join(f'<span><i style="background:{c}"></i>{n}</span>' for c, n in dots)
            + "</div>"
        )
    low, high = look.low[0], look.high[0]
    ticks = [number(low), number((low + high) / 2), f"{number(high)} {look.unit}".strip()]
    return (
        f'<div class="bar"><div class="ramp" style="background:{gradient(look.palette)}"></div>'
        f'<div class="ticks">{"".join(f"<span>{escape(t)}</span>" for t in ticks)}</div></div>'
    )


class MapView:
    """Layer buttons above, the picture, the day below."""

    def __init__(self, state: State, data: Data, on_tap=None):
        self.state, self.data = state, data
        self.plot = MapPlot(state, data.grid, data.picture, data.tower_xy, on_tap)
        self.layers = pn.widgets.RadioButtonGroup(
            options={LAYERS[key]: key for key in data.layers},
            value=state.layer,
            margin=0,
            stylesheets=sheets(),
        )
        self.feature = pn.widgets.Select(
            options={name: i for i, name in enumerate(data.features)},
            value=state.feature,
            width=84,
            margin=0,
            visible=state.layer == "feature",
            stylesheets=sheets(),
        )
        self._caption = pn.pane.HTML(
            "", sizing_mode="stretch_width", margin=(6, 0, 6, 0), stylesheets=sheets(_CAPTION)
        )
        self.pane = pn.pane.HoloViews(
            self.plot.element,
            sizing_mode="stretch_both",
            linked_axes=False,
            margin=0,
            stylesheets=[
                f":host {{ aspect-ratio: {data.grid.nx} / {data.grid.ny}; width: 100%; "
                f"max-width: calc((100vh - 232px) * {data.grid.nx / data.grid.ny:.4f}); min-height: 240px; "
                "margin: 0 auto !important; "
                "height: auto !important; "
                "border-radius: 4px; overflow: hidden; background: var(--hover); flex: none !important; }"
            ],
        )
        self.slider = pn.widgets.DateSlider(
            start=data.first,
            end=data.last,
            value=state.day,
            show_value=False,
            sizing_mode="stretch_width",
            margin=(9, 10, 6, 14),
            stylesheets=sheets(":host { flex: 1 1 180px !important; min-width: 180px; }"),
        )
        self._day = pn.pane.HTML("", width=104, margin=0, stylesheets=sheets(_DAY))
        self.back = pn.widgets.Button(label="‹", width=30, margin=0, stylesheets=sheets(), description=None)
        self.forth = pn.widgets.Button(label="›", width=30, margin=0, stylesheets=sheets())
        self.play = pn.widgets.Toggle(
            label="Play", width=58, margin=0, css_classes=["quiet"], stylesheets=sheets()
        )
        self._player = None
        self._wire()
        self._describe()

    def _wire(self) -> None:
        state = self.state
        self.layers.param.watch(lambda event: setattr(state, "layer", event.new), "value")
        self.feature.param.watch(lambda event: setattr(state, "feature", event.new), "value")
        self.slider.param.watch(lambda event: setattr(state, "day", event.new), "value")
        self.back.on_click(lambda _: self.step(-1))
        self.forth.on_click(lambda _: self.step(1))
        self.play.param.watch(self._playing, "value")
        state.param.watch(self._describe, ["layer", "day", "feature"])

    def step(self, days: int) -> None:
        """Moves the day."""
        self.state.step(days, self.data.first, self.data.last)

    def _playing(self, event) -> None:
        self.play.label = "Pause" if event.new else "Play"
        if event.new:
            self._player = pn.state.add_periodic_callback(self._frame, period=PLAY_MS)
        elif self._player is not None:
            self._player.stop()
            self._player = None

    def _frame(self) -> None:
        if self.state.day >= self.data.last:
            self.state.day = self.data.first
        else:
            self.step(1)

    def _describe(self, *_) -> None:
        state = self.state
        picture = self.data.picture(state.layer, state.day, state.feature)
        self._caption.object = (
            f'<div class="caption"><div class="what"><b>{escape(picture.look.label)}</b><br>'
            f"<span>{escape(picture.note)}</span></div>{colour_bar(picture.look)}</div>"
        )
        self._day.object = f'<div class="day">{fmt(state.day)}</div>'
        self.feature.visible = state.layer == "feature"
        self.layers.value, self.feature.value, self.slider.value = state.layer, state.feature, state.day

    @property
    def view(self) -> pn.Column:
        above = pn.Row(
            self.layers,
            self.feature,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { flex-wrap: wrap; gap: 8px; }"],
        )
        below = pn.Row(
            self.back,
            self._day,
            self.forth,
            self.play,
            self.slider,
            sizing_mode="stretch_width",
            margin=(10, 0, 0, 0),
            stylesheets=[":host { flex-wrap: wrap; gap: 4px; }"],
        )
        return pn.Column(
            above,
            self._caption,
            self.pane,
            below,
            sizing_mode="stretch_width",
            margin=0,
            css_classes=["card"],
            stylesheets=sheets(":host { padding: 12px 14px; }"),
        )
