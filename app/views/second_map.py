"""A second map, linked to the first: another layer, or another day."""

import panel as pn
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.plots.chosen_colours import with_chosen_colours
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.state.layer_key import LAYERS, LayerKey
from fluxlens.app.state.selection import IMAGE_PARAMETERS, State
from fluxlens.app.views.colour_bar import ColourBar
from fluxlens.app.views.html import HTML
from fluxlens.app.views.legend import CAPTION_CSS, caption_row, half_css, map_caption, map_pane, ramp_ticks
from fluxlens.app.views.style import fluxlens_design

PREFERRED_LAYERS = ("gpp", "true", "sigma", "pca")
"""The second map starts with the first of these that is there and is not on the first map."""


class SecondMap:
    """A linked map; its plot is made when it is first shown.

    Parameters
    ----------
    state : State
        The choices, of which the second map takes all but the layer and, with "Hold day", the day.
    data : ExplorerData
        The store on screen.
    first : MapPlot
        The map with which it pans and zooms.
    """

    def __init__(self, state: State, data: ExplorerData, first: MapPlot):
        self.state, self.data, self.first = state, data, first
        self.plot: MapPlot | None = None
        self._drawn: LayerKey | None = None
        self.layer = pn.widgets.Select(
            options={LAYERS[key]: key for key in data.layers},
            width=128,
            visible=False,
            label="Layer of the second map",
            css_classes=["no-label"],
        )
        self.fix_day = pn.widgets.Toggle(label="Hold day", visible=False, css_classes=["quiet"])
        self.fixed_day = state.day
        self._caption = HTML("", sizing_mode="stretch_width", stylesheets=[CAPTION_CSS])
        self.colour_bar = ColourBar(state)
        # Empty until the map is first shown: a Bokeh figure costs time in every page.
        self._body = pn.Column(sizing_mode="stretch_width")
        self.view = pn.Column(
            caption_row(self._caption, self.colour_bar),
            self._body,
            sizing_mode="stretch_width",
            visible=False,
            stylesheets=[half_css(data.grid)],
        )
        self.layer.param.watch(self.update, "value")
        self.fix_day.param.watch(self._update_fixed_day, "value")
        state.watch(self.update, list(IMAGE_PARAMETERS))
        state.watch(self._recolour, "colours")
        state.watch(lambda event: self.plot and self.plot.draw_places(event.new), "places")

    def _update_fixed_day(self, _) -> None:
        # Also when it is switched off: switched on again, it fixes the day then on screen.
        self.fixed_day = self.state.day
        self.update()
        # The day is the same at first, and so is the image; what is said of it is not.
        if self.plot is not None:
            self._update_caption()

    @property
    def _layer_key(self) -> LayerKey:
        day = self.fixed_day if self.fix_day.value else self.state.day
        return self.state.key_of(self.layer.value, day)

    @fluxlens_design()  # the second plot is made when it is first shown
    def show(self, on: bool) -> None:
        """Show the second map where ``on``, else hide it."""
        # The crossing lines show the pointer of one map on the other; on one map alone they would only cover it.
        for line in self.first.cross:
            line.visible = on
        if on and self.plot is None:
            self.layer.value = next(
                key for key in PREFERRED_LAYERS if key in self.data.layers and key != self.state.layer
            )
            # ``linked_to``: both figures share their ranges, so panning needs no callback of ours.
            self.plot = MapPlot(
                self.data.grid,
                lambda viewport: self.data.layer_image(self._layer_key, viewport),
                self.data.observations.xy,
                linked_to=self.first,
                colour=lambda image: with_chosen_colours(image, self.state),
            )
            self.plot.draw_places(self.state.places)
            self._body[:] = [map_pane(self.plot, self.state)]
        # Once there is a map to be seen: until then its card would be empty, and the list at a layer of its own.
        self.view.visible = self.layer.visible = self.fix_day.visible = on
        self.update()

    def update(self, *_) -> None:
        """Draw the image of the current choices, unless it is drawn already."""
        if self.plot is None or not self.view.visible or self._layer_key == self._drawn:
            return
        self._drawn = self._layer_key
        self.plot.draw()
        self._update_caption()

    def _update_caption(self) -> None:
        suffix = " · day held" if self.fix_day.value else ""
        self._caption.object = map_caption(self.plot.image_shown, suffix)
        self.colour_bar.show(self.plot.image_shown, ramp_ticks(self.plot.image_shown))

    def _recolour(self, _) -> None:
        if self.plot is not None:
            self.plot.recolour()
            self._update_caption()
