"""The map and what steers it: layers, colour bar, the day."""

from html import escape

import numpy as np
import panel as pn

from app.basemap import BASEMAPS
from app.data import Data
from app.pictures import Picture, Sight, fmt
from app.plots import MapPlot, gradient
from app.state import CLUSTERS, LAYERS, State
from app.views.labels import LabelsBar
from app.views.style import sheets

_CAPTION = """
.caption { display: flex; align-items: center; justify-content: space-between; gap: 4px 14px;
  flex-wrap: wrap; min-height: 34px; line-height: 1.3; }
.what b { font-weight: 600; } .what span { color: var(--muted); }
.absent { color: var(--muted); font-size: 12px; line-height: 1.4; padding-top: 4px; } .absent a { color: inherit; }
.bar { flex: 0 1 190px; min-width: 0; font-size: 11px; color: var(--muted); font-variant-numeric: tabular-nums; }
.bar .ramp { height: 8px; border-radius: 2px; }
.bar .ticks { display: flex; justify-content: space-between; margin-top: 2px; }
.rgb { display: flex; flex-wrap: wrap; gap: 2px 10px; font-size: 11px; color: var(--muted); white-space: nowrap; }
.rgb i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 4px; }
"""
_DAY = """
.day { font: 600 15px/30px var(--font); font-variant-numeric: tabular-nums; white-space: nowrap;
  text-align: center; }
"""
_PICTURE = """
:host { aspect-ratio: NX / NY; width: 100%; max-width: calc((100vh - 290px) * NX / NY); min-width: 120px;
  min-height: 0 !important; height: auto !important; flex: none !important; align-self: center !important;
  border-radius: 4px; overflow: hidden; background: var(--hover); }
"""
_HALF = ":host { flex: 1 1 0 !important; min-width: 0; align-self: flex-end !important; }"
ASKED = ("layer", "day", "feature", "places", "current", "year", "threshold", "clusters", "labels")
"""The choices a picture depends on."""
STEPS = {f"{n} day{'s' * (n > 1)}": n for n in (1, 3, 7, 30)}
SPEEDS = {f"{n} a second": n for n in (1, 2, 4, 8)}


def number(value: float, form: str = ".3g") -> str:
    """Short ticks: 0, 0.05, 12, −1.2."""
    return f"{value:{form}}".replace("-", "−")


def colour_bar(picture: Picture) -> str:
    """The stretch, the same for all days; of classes their colours with their shares of the picture."""
    look = picture.look
    if look.classes:
        parts = zip(look.classes, picture.shares, strict=True)
        dots = (
            f'<span><i style="background:{c}"></i>{escape(look.legend(n))}: {p:.0%}</span>'
            for n, (c, p) in enumerate(parts)
        )
        return f'<div class="rgb">{"".join(dots)}</div>'
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


def caption(picture: Picture, more: str = "") -> str:
    """What is shown, when, how well it is known, and in which colours."""
    score = f"; {picture.score}" if picture.score else ""
    return (
        f'<div class="caption"><div class="what"><b>{escape(picture.look.label)}</b><br>'
        f"<span>{escape(picture.note + score + more)}</span></div>{colour_bar(picture)}</div>"
    )


def framed(plot: MapPlot) -> pn.pane.Bokeh:
    """The figure in the shape of its grid."""
    ny, nx = plot.grid.shape
    # on the figure itself: the pane keeps its own sheets to itself
    plot.figure.stylesheets = [_PICTURE.replace("NX", str(nx)).replace("NY", str(ny))]
    return pn.pane.Bokeh(plot.figure, sizing_mode="stretch_width", margin=0)


LOOK_MS = 500
"""Between two looks whether the surroundings of a scene have come."""


class SecondMap:
    """Another layer, or another day, beside the first map; made when first asked for."""

    def __init__(self, state: State, data: Data, first: MapPlot):
        self.state, self.data, self.first = state, data, first
        self.plot: MapPlot | None = None
        self._shown: tuple | None = None
        self.layer = pn.widgets.Select(
            options={LAYERS[key]: key for key in data.layers},
            width=128,
            margin=0,
            visible=False,
            stylesheets=sheets(),
        )
        self.hold = pn.widgets.Toggle(
            label="Hold day", margin=0, visible=False, css_classes=["quiet"], stylesheets=sheets()
        )
        self.held = state.day
        self._caption = pn.pane.HTML(
            "", sizing_mode="stretch_width", margin=(6, 0, 6, 0), stylesheets=sheets(_CAPTION)
        )
        self._body = pn.Column(sizing_mode="stretch_width", margin=0)
        self.view = pn.Column(
            self._caption,
            self._body,
            sizing_mode="stretch_width",
            margin=0,
            visible=False,
            stylesheets=[_HALF],
        )
        self.layer.param.watch(self.update, "value")
        self.hold.param.watch(self._holding, "value")
        state.watch(self.update, list(ASKED))
        state.watch(lambda event: self.plot and self.plot.mark(event.new), "places")

    def _holding(self, _) -> None:
        self.held = self.state.day
        self.update()

    def _question(self) -> tuple:
        return self.state.ask(self.layer.value, self.held if self.hold.value else self.state.day)

    def show(self, on: bool) -> None:
        """Puts the second map there, or takes it away."""
        self.view.visible = self.layer.visible = self.hold.visible = on
        for line in self.first.cross:
            line.visible = on
        if on and self.plot is None:
            first = ("gpp", "true", "sigma", "pca")
            self.layer.value = next(
                key for key in first if key in self.data.layers and key != self.state.layer
            )
            self.plot = MapPlot(
                self.data.grid,
                lambda sight: self.data.picture(*self._question(), sight=sight),
                self.data.tower_xy,
                beside=self.first,
            )
            self.plot.mark(self.state.places)
            self._body[:] = [framed(self.plot)]
        self.update()

    def update(self, *_) -> None:
        if self.plot is None or not self.view.visible or self._question() == self._shown:
            return
        self._shown = self._question()
        self.plot.draw()
        self._caption.object = caption(self.plot.picture)


class MapView:
    """Layer buttons above, the picture, the day below."""

    def __init__(self, state: State, data: Data, on_tap=None, on_area=None, on_box=None):
        self.state, self.data = state, data
        self._shown: tuple | None = None
        self.plot = MapPlot(data.grid, self.picture, data.tower_xy, on_tap, on_area, on_box)
        self.plot.mark(state.places)
        self.layers = pn.widgets.RadioButtonGroup(
            options={LAYERS[key]: key for key in data.layers},
            value=state.layer,
            margin=0,
            stylesheets=sheets(),
        )
        self.feature = pn.widgets.Select(
            options={name: i for i, name in enumerate(data.features)},
            value=state.feature,
            width=116,
            margin=0,
            stylesheets=sheets(),
        )
        self.year = pn.widgets.RadioButtonGroup(
            options={"This day": False, "Whole period": True},
            value=state.year,
            margin=0,
            css_classes=["quiet"],
            stylesheets=sheets(),
        )
        self.threshold = pn.widgets.FloatSlider(
            start=-1,
            end=1,
            step=0.02,
            value=state.threshold,
            show_value=False,
            width=130,
            margin=(9, 10, 6, 10),
            stylesheets=sheets(),
        )
        self.labels = LabelsBar(state)
        self.clusters = pn.widgets.Select(
            options={f"{n} clusters": n for n in CLUSTERS},
            value=state.clusters,
            width=110,
            margin=0,
            stylesheets=sheets(),
        )
        self._caption = pn.pane.HTML(
            "", sizing_mode="stretch_width", margin=(6, 0, 6, 0), stylesheets=sheets(_CAPTION)
        )
        self._absent = pn.pane.HTML(
            f'<div class="absent">{escape(" ".join(data.absent))}</div>',
            visible=bool(data.absent),
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=sheets(_CAPTION),
        )
        self._credit = pn.pane.HTML(
            "", sizing_mode="stretch_width", margin=0, stylesheets=sheets(_CAPTION)
        )  # empty until there is one, never invisible: see ``messages.message``
        self._surround()
        self.pane = framed(self.plot)
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
        self.pace = pn.widgets.Select(options=STEPS, width=84, margin=0, stylesheets=sheets())
        self.speed = pn.widgets.Select(options=SPEEDS, value=4, width=104, margin=0, stylesheets=sheets())
        self._player = None
        self.split = pn.widgets.Toggle(label="Split", margin=0, css_classes=["quiet"], stylesheets=sheets())
        self.second = SecondMap(state, data, self.plot)
        self._wire()
        self._describe()
        self._controls()

    def picture(self, sight: Sight | None) -> Picture:
        """What the state asks for."""
        return self.data.picture(*self.state.question, sight=sight)

    def _wire(self) -> None:
        state = self.state
        state.watch(lambda event: self.plot.mark(event.new), "places")
        state.watch(self._update, list(ASKED))
        for widget, name in (
            (self.layers, "layer"),
            (self.feature, "feature"),
            (self.slider, "day"),
            (self.year, "year"),
            (self.threshold, "threshold"),
            (self.clusters, "clusters"),
        ):
            widget.param.watch(lambda event, name=name: setattr(state, name, event.new), "value")
        self.back.on_click(lambda _: self.step(-self.pace.value))
        self.forth.on_click(lambda _: self.step(self.pace.value))
        self.play.param.watch(self._playing, "value")
        self.speed.param.watch(self._playing, "value")
        self.split.param.watch(lambda event: self.second.show(event.new), "value")

    def _update(self, *_) -> None:
        """Another picture only where another one is asked for: a tap moves a ring, not the map."""
        if self.state.question != self._shown:
            self.plot.draw()
            self._describe()
        self._controls()

    def _surround(self) -> None:
        """Tiles around the scene, when they come; a simulated landscape is nowhere."""
        coming = None if self.data.simulated else BASEMAPS.get(self.data.grid)
        page = pn.state.curdoc
        if coming is None:
            return

        def show() -> None:
            found = coming.result()
            if found is not None:
                self.plot.surround(found.rgba, found.extent)
                if found.credit:
                    self._credit.object = f'<div class="absent">Around the scene: {found.credit}</div>'

        def look() -> None:
            if coming.done() and pn.state.loaded:
                looking.stop()
                show()

        if coming.done():
            show()
        elif page is not None:
            looking = pn.state.add_periodic_callback(look, period=LOOK_MS)

    def step(self, days: int) -> None:
        """Moves the day."""
        with pn.io.unlocked():
            self.state.step(days, self.data.first, self.data.last)

    def scrub(self, features: int) -> None:
        """Moves through the features in the order of the list."""
        if self.state.layer == "feature":
            order = list(self.feature.options.values())
            self.state.feature = order[(order.index(self.state.feature) + features) % len(order)]

    def _playing(self, _) -> None:
        self.play.label = "Pause" if self.play.value else "Play"
        if self._player is not None:
            self._player.stop()
            self._player = None
        if self.play.value:
            self._player = pn.state.add_periodic_callback(self._frame, period=1000 // self.speed.value)

    def _frame(self) -> None:
        if self.state.day >= self.data.last:
            self.state.day = self.data.first
        else:
            self.step(self.pace.value)

    def _rank(self) -> None:
        """Features in the list, those first that move most with GPP at the current pixel."""
        pixel = self.data.pixel(*self.state.pixel)
        if "with_gpp" not in pixel:
            return
        told = pixel.with_gpp.values
        order = np.argsort(-np.abs(told), kind="stable").tolist()
        options = {f"{self.data.features[i]} · r {number(told[i], '+.2f')}": i for i in order}
        if options != self.feature.options:
            self.feature.param.update(options=options, value=self.state.feature)

    def _describe(self) -> None:
        picture = self.plot.picture
        self._shown = self.state.question
        keys = ""
        if self.state.layer == "feature":
            keys = " · ↑ ↓ next" + (", ranked by correlation with GPP here" if self.data.predict else "")
        self._caption.object = caption(picture, keys)

    def _controls(self) -> None:
        state = self.state
        if state.layer == "feature":
            self._rank()
        self.plot.label(tuple(state.labels) if state.layer == "labels" else ())
        self._day.object = f'<div class="day">{fmt(state.day)}</div>'
        for widget, where in (
            (self.feature, ("feature",)),
            (self.year, ("similar", "clusters", "labels")),
            (self.threshold, ("similar",)),
            (self.clusters, ("clusters",)),
            (self.labels.view, ("labels",)),
        ):
            widget.visible = state.layer in where
        self.layers.value, self.feature.value, self.slider.value = state.layer, state.feature, state.day
        self.year.value, self.threshold.value, self.clusters.value = (
            state.year,
            state.threshold,
            state.clusters,
        )

    @property
    def view(self) -> pn.Column:
        above = pn.Row(
            self.layers,
            self.feature,
            self.year,
            self.threshold,
            self.clusters,
            self.labels.view,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { flex-wrap: wrap; gap: 8px; min-width: 0 !important; }"],
        )
        maps = pn.Row(
            pn.Column(self._caption, self.pane, sizing_mode="stretch_width", margin=0, stylesheets=[_HALF]),
            self.second.view,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[":host { gap: 10px; }"],
        )
        below = pn.Row(
            self.back,
            self._day,
            self.forth,
            self.play,
            self.pace,
            self.speed,
            self.split,
            self.second.layer,
            self.second.hold,
            self.slider,
            sizing_mode="stretch_width",
            margin=(10, 0, 0, 0),
            stylesheets=[":host { flex-wrap: wrap; gap: 4px; min-width: 0 !important; }"],
        )
        return pn.Column(
            above,
            maps,
            self._credit,
            below,
            self._absent,
            sizing_mode="stretch_width",
            margin=0,
            css_classes=["card"],
            stylesheets=sheets(":host { padding: 12px 14px; min-width: 0 !important; }"),
        )
