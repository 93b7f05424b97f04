"""The colour bar of a map: shows range and palette of its layer, and chooses others until they are given back."""

from typing import ClassVar

import param
from fluxlens.app.data.layer_image import LayerImage
from fluxlens.app.plots.colour import gradient
from fluxlens.app.state.selection import State
from fluxlens.app.views.style import read_css, read_js
from panel.custom import JSComponent

PALETTES = {
    "CET_CBL2": "Black, blue, yellow, white",
    "CET_CBL1": "Black, blue, ochre, pale",
    "CET_CBD1": "Blue, white, ochre: for values around a middle",
    "CET_CBTL1": "Black, red, blue-green, white",
    "CET_L1": "Grey",
}
"""Names of colorcet palettes that are safe with colour-vision deficiency, and what they are called on screen."""


class ColourBar(JSComponent):
    """The colour bar of one map; invisible where the layer has no palette.

    Parameters
    ----------
    state : State
        ``colours`` gets what is chosen.
    """

    shown = param.List(
        default=[0.0, 1.0, "CET_CBL2"], doc="Lowest value, highest value and palette on screen."
    )
    ticks = param.List(default=[], item_type=str, doc="Lowest, middle and highest value with its unit.")
    chosen = param.List(default=[], doc="As ``shown``, where the user chose it; else empty.")
    palettes = param.Dict(default={}, doc="CSS gradients by names of palettes.")
    names = param.Dict(default=PALETTES, constant=True, doc="What palettes are called on screen.")

    _esm: ClassVar[str] = read_js("popover.js", "colour_bar.js")

    def __init__(self, state: State, **params):
        palettes = {name: gradient(name) for name in PALETTES}
        super().__init__(
            palettes=palettes, stylesheets=[read_css("popover.css"), read_css("colour_bar.css")], **params
        )
        self._state, self._label = state, ""
        self._showing = False
        self.param.watch(self._take, "chosen")

    def show(self, image: LayerImage, ticks: list[str]) -> None:
        """Show the colours of an ``image`` with the texts of its ``ticks``: lowest, middle, highest."""
        style = image.style
        self.visible = style.palette is not None
        if style.palette is None:
            return
        # ``chosen`` is set here as well as by the browser; only what comes from there is a choice.
        self._label, self._showing = style.label, True
        chosen = self._state.colours.get(style.label)
        palettes = self.palettes
        # A layer may have a palette that is offered for no other; it must be there to be gone back to.
        if style.palette not in palettes:
            palettes = {style.palette: gradient(style.palette)} | palettes
        self.param.update(
            shown=[float(style.low[0]), float(style.high[0]), style.palette],
            ticks=ticks,
            chosen=list(chosen or []),
            palettes=palettes,
        )
        self._showing = False

    def _take(self, event) -> None:
        if self._showing:
            return
        other_ranges = {label: value for label, value in self._state.colours.items() if label != self._label}
        if not event.new:
            self._state.colours = other_ranges
            return
        low, high, palette = event.new
        # What a browser sends may be anything; a wrong range or name must not reach the drawing code.
        if palette in self.palettes and float(low) < float(high):
            self._state.colours = other_ranges | {self._label: (float(low), float(high), palette)}
