"""The map with its controls: layers, colour scale, day."""

from html import escape

import numpy as np
import panel as pn
from fluxlens.app.background import basemap
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.layer_image import LayerImage, Viewport
from fluxlens.app.plots.chosen_colours import with_chosen_colours
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.state.layer_key import PERIOD_LAYERS, LayerKey
from fluxlens.app.state.selection import CLUSTER_COUNTS, IMAGE_PARAMETERS, State
from fluxlens.app.views.binding import bind_widget
from fluxlens.app.views.colour_bar import ColourBar
from fluxlens.app.views.day_picker import DayPicker
from fluxlens.app.views.html import HTML
from fluxlens.app.views.label_toolbar import LabelToolbar
from fluxlens.app.views.layer_buttons import LayerButtons
from fluxlens.app.views.legend import (
    CAPTION_CSS,
    MAPS_CSS,
    caption_row,
    format_tick,
    half_css,
    map_caption,
    map_pane,
    ramp_ticks,
)
from fluxlens.app.views.map_buttons import move_pixel
from fluxlens.app.views.page_behaviour import group_label
from fluxlens.app.views.second_map import SecondMap
from fluxlens.app.views.visitor_text import visitor_text

DAY_STEPS = {f"{n} day{'s' * (n > 1)}": n for n in (1, 3, 7, 30)}
SPEEDS = {f"{n} a second": n for n in (1, 2, 4, 8)}
BASEMAP_POLL_MS = 500
"""Between two looks whether the basemap has come."""


class MapView:
    """Layer buttons above, the map, the day below.

    Parameters
    ----------
    state : State
        The choices.
    data : ExplorerData
        The store on screen.
    on_tap, on_area, on_box : callable, optional
        As ``MapPlot`` takes them.
    """

    def __init__(self, state: State, data: ExplorerData, on_tap=None, on_area=None, on_box=None):
        self.state, self.data = state, data
        self._drawn: LayerKey | None = None
        self.plot = MapPlot(
            data.grid,
            self.make_image,
            data.observations.xy,
            on_tap,
            on_area,
            on_box,
            colour=lambda image: with_chosen_colours(image, state),
        )
        # Before the first image: places come from a link, and no event will draw them.
        self.plot.draw_places(state.places)
        self._make_layer_controls()
        self._caption = HTML("", sizing_mode="stretch_width", stylesheets=[CAPTION_CSS])
        self.colour_bar = ColourBar(state)
        self._missing = HTML(
            f'<div class="absent">{escape(visitor_text(" ".join(data.missing_reasons)))}</div>',
            visible=bool(data.missing_reasons),
            sizing_mode="stretch_width",
            stylesheets=[CAPTION_CSS],
        )
        self._credit = HTML(
            "", sizing_mode="stretch_width", stylesheets=[CAPTION_CSS]
        )  # empty until there is one, never invisible: see ``messages.message``
        self._add_basemap()
        self.pane = map_pane(self.plot, state, lambda rows, cols: move_pixel(state, data, rows, cols))
        self._make_day_controls()
        self.split = pn.widgets.Toggle(label="Split", css_classes=["quiet"])
        # Made empty: its figure costs time and is needed by few.
        self.second = SecondMap(state, data, self.plot)
        self._wire()
        self._update_caption()
        self._update_controls()

    def _make_layer_controls(self) -> None:
        """Widgets of the layer and of what belongs to single layers, as the state has them."""
        state, data = self.state, self.data
        self.layers = LayerButtons(data.layers, value=state.layer)
        self.feature = pn.widgets.Select(
            options={name: i for i, name in enumerate(data.features)},
            value=state.feature,
            width=116,
            label="Feature",
            css_classes=["no-label"],
        )
        self.whole_period = pn.widgets.RadioButtonGroup(
            options={"This day": False, "Whole period": True},
            value=state.whole_period,
            css_classes=["quiet"],
            **group_label("Period of the layer"),
        )
        self.threshold = pn.widgets.FloatSlider(
            start=-1,
            end=1,
            step=0.02,
            value=state.threshold,
            label="Similarity at least",
            width=150,
            margin=(-4, 10, 0, 10),
        )
        self.labels = LabelToolbar(state)
        self.clusters = pn.widgets.Select(
            options={f"{n} clusters": n for n in CLUSTER_COUNTS},
            value=state.clusters,
            width=110,
            label="Number of clusters",
            css_classes=["no-label"],
        )

    def _make_day_controls(self) -> None:
        """Widgets of the day on screen, and of playing through the days."""
        state, data = self.state, self.data
        self.slider = pn.widgets.DateSlider(
            start=data.first,
            end=data.last,
            value=state.day,
            show_value=False,
            label="Day",
            css_classes=["no-label"],
            sizing_mode="stretch_width",
            margin=(9, 10, 6, 14),
            stylesheets=[":host { flex: 1 1 180px !important; min-width: 180px; }"],
        )
        self.day = DayPicker(state, data)
        self.previous = pn.widgets.Button(label="‹", width=30, **group_label("‹ Earlier"))
        self.next = pn.widgets.Button(label="›", width=30, **group_label("› Later"))
        self.play = pn.widgets.Toggle(label="Play", width=58, css_classes=["quiet"])
        self.day_step = pn.widgets.Select(
            options=DAY_STEPS, width=84, label="Days of a step", css_classes=["no-label"]
        )
        self.speed = pn.widgets.Select(
            options=SPEEDS, value=4, width=104, label="Speed", css_classes=["no-label"]
        )
        # The periodic callback of Play, while it plays.
        self._player = None

    def make_image(self, viewport: Viewport | None) -> LayerImage:
        """The image of the current choices in a viewport, in the layer's own colours."""
        return self.data.layer_image(self.state.layer_key, viewport)

    def _wire(self) -> None:
        state = self.state
        state.watch(lambda event: self.plot.draw_places(event.new), "places")
        state.watch(self._update, list(IMAGE_PARAMETERS))
        state.watch(self._recolour, "colours")
        for widget, name in (
            (self.layers, "layer"),
            (self.feature, "feature"),
            (self.slider, "day"),
            (self.whole_period, "whole_period"),
            (self.threshold, "threshold"),
            (self.clusters, "clusters"),
        ):
            bind_widget(state, name, widget)
        # The step of the player is that of the buttons, so that both go through the season alike.
        self.previous.on_click(lambda _: self.step(-self.day_step.value))
        self.next.on_click(lambda _: self.step(self.day_step.value))
        self.play.param.watch(self._start_or_stop, "value")
        self.speed.param.watch(self._start_or_stop, "value")
        self.split.param.watch(lambda event: self.second.show(event.new), "value")
        # With the store the view ends: a player that went on would move the day of the next store.
        state.on_unwatch(self._stop)

    def _update(self, *_) -> None:
        # Only where the image is another one: a tap moves a ring, not the map.
        if self.state.layer_key != self._drawn:
            self.plot.draw()
            self._update_caption()
        self._update_controls()

    def _recolour(self, _) -> None:
        self.plot.recolour()
        self._update_caption()

    def _add_basemap(self) -> None:
        """Tiles around the scene, once they have come; none around a simulated landscape, which is nowhere."""
        fetching = None if self.data.simulated else basemap.BASEMAPS.get(self.data.grid)
        page = pn.state.curdoc
        if fetching is None:
            return

        def show() -> None:
            image = fetching.result()
            if image is not None:
                self.plot.draw_basemap(image.rgba, image.extent)
                if image.credit:
                    self._credit.object = f'<div class="absent">Around the scene: {image.credit}</div>'

        # Polled by the page: a change made by the fetching thread could be lost while Panel sends the page.
        def poll() -> None:
            if fetching.done() and pn.state.loaded:
                polling.stop()
                show()

        if fetching.done():
            show()
        elif page is not None:
            polling = pn.state.add_periodic_callback(poll, period=BASEMAP_POLL_MS)
            self.state.on_unwatch(polling.stop)

    def step(self, days: int) -> None:
        """Move the day by ``days`` inside the period."""
        # Sent at once, part by part: with a key held down the map must not wait for the charts.
        with pn.io.unlocked():
            self.state.step(days, self.data.first, self.data.last)

    def step_feature(self, features: int) -> None:
        """Move through the features by ``features`` in the order of the list, round its ends."""
        if self.state.layer == "feature":
            order = list(self.feature.options.values())
            # In the order of the list, which is by correlation and not by number.
            self.state.feature = order[(order.index(self.state.feature) + features) % len(order)]

    def _stop(self) -> None:
        """End the player and drop sharper images that are still on their way."""
        self.play.value = False
        self.plot.close()

    def _start_or_stop(self, _) -> None:
        self.play.label = "Pause" if self.play.value else "Play"
        if self._player is not None:
            # A speed cannot be changed on a running callback; it is stopped and begun again.
            self._player.stop()
            self._player = None
        if self.play.value:
            self._player = pn.state.add_periodic_callback(self._next_frame, period=1000 // self.speed.value)

    def _next_frame(self) -> None:
        # From the end round to the start, so that a season can be watched again and again.
        if self.state.day >= self.data.last:
            self.state.day = self.data.first
        else:
            self.step(self.day_step.value)

    def _rank_features(self) -> None:
        """Sort the list of features by their correlation with GPP at the current pixel."""
        pixel = self.data.pixel_series(*self.state.pixel)
        if "gpp_correlation" not in pixel:
            return
        correlation = pixel.gpp_correlation.values
        # Stable: features of equal correlation (NaN sorts last) stay in their own order from pixel to pixel.
        order = np.argsort(-np.abs(correlation), kind="stable").tolist()
        options = {f"{self.data.features[i]} · r {format_tick(correlation[i], '+.2f')}": i for i in order}
        # Panel sends all options of a select again at each set, and the list would close under the user's pointer.
        if options != self.feature.options:
            self.feature.param.update(options=options, value=self.state.feature)

    def _update_caption(self) -> None:
        self._drawn = self.state.layer_key
        keys = ""
        if self.state.layer == "feature":
            keys = " · ↑ ↓ next" + (", ranked by correlation with GPP here" if self.data.predict else "")
        # ISO dates compare as text.
        first = self.data.attrs.get("extrapolated_from")
        if first and self.state.day.isoformat() >= first:
            keys += f" · extrapolated, past the last acquisition (days from {first} on)"
        self._caption.object = map_caption(self.plot.image_shown, keys)
        self.colour_bar.show(self.plot.image_shown, ramp_ticks(self.plot.image_shown))

    def _update_controls(self) -> None:
        state = self.state
        if state.layer == "feature":
            self._rank_features()
        self.plot.draw_labels(tuple(state.labels) if state.layer == "labels" else ())
        for widget, layers in (
            (self.feature, ("feature",)),
            (self.whole_period, PERIOD_LAYERS),
            (self.threshold, ("similar",)),
            (self.clusters, ("clusters",)),
            (self.labels.view, ("labels",)),
        ):
            # Hidden and not removed: Panel would send each widget anew when it comes back.
            widget.visible = state.layer in layers

    @property
    def view(self) -> pn.Column:
        above = pn.Row(
            self.layers,
            self.feature,
            self.whole_period,
            self.threshold,
            self.clusters,
            self.labels.view,
            sizing_mode="stretch_width",
            css_classes=["wrap", "gap-8"],
        )
        maps = pn.Row(
            pn.Column(
                caption_row(self._caption, self.colour_bar),
                self.pane,
                sizing_mode="stretch_width",
                stylesheets=[half_css(self.data.grid)],
            ),
            self.second.view,
            sizing_mode="stretch_width",
            stylesheets=[MAPS_CSS],
        )
        below = pn.Row(
            self.previous,
            self.day,
            self.next,
            self.play,
            self.day_step,
            self.speed,
            self.split,
            self.second.layer,
            self.second.fix_day,
            self.slider,
            sizing_mode="stretch_width",
            margin=(10, 0, 0, 0),
            css_classes=["wrap", "gap-4"],
        )
        return pn.Column(
            above,
            maps,
            self._credit,
            below,
            self._missing,
            sizing_mode="stretch_width",
            css_classes=["card", "follows", "role-region"],
            **group_label("Map"),
            stylesheets=[":host { padding: 12px 14px; min-width: 0 !important; }"],
        )
