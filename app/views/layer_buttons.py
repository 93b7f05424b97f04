"""The buttons that choose the layer of the map, in groups, each with what it shows."""

from typing import ClassVar

import param
from fluxlens.app.state.layer_key import LAYERS
from fluxlens.app.views.layer_groups import EXPLANATIONS, GROUPS
from fluxlens.app.views.style import read_css, read_js
from panel.custom import JSComponent


class LayerButtons(JSComponent):
    """Buttons of the layers that a store can show.

    Parameters
    ----------
    layers : list of str
        Keys of ``LAYERS``.
    **params
        ``value`` and those of any widget.
    """

    value = param.String(doc="Key of the chosen layer.")
    groups = param.List(
        default=[], constant=True, doc="(group, [(key, label, explanation), ...]) of the buttons."
    )

    _esm: ClassVar[str] = read_js("popover.js", "layer_buttons.js")

    def __init__(self, layers: list[str], **params):
        # A group of which this store can show nothing is left out.
        groups = [
            (group, [(key, LAYERS[key], EXPLANATIONS[key]) for key in keys if key in layers])
            for group, keys in GROUPS.items()
        ]
        super().__init__(
            groups=[group for group in groups if group[1]],
            stylesheets=[read_css("popover.css"), read_css("layer_buttons.css")],
            **params,
        )
