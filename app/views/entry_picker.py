"""The list of the catalog's entries, with their descriptions, to be searched."""

from typing import ClassVar

import param
from fluxlens.app.views.style import read_css, read_js
from panel.custom import JSComponent


class EntryPicker(JSComponent):
    """A button with the entry on screen; it opens the list of all.

    Parameters
    ----------
    **params
        ``options``, ``descriptions``, ``value`` and those of any widget.
    """

    value = param.String(default="", doc="Name of the entry on screen; empty for none.")
    options = param.Dict(default={}, doc="Names of entries by their labels.")
    descriptions = param.Dict(default={}, doc="Descriptions by names of entries.")

    _esm: ClassVar[str] = read_js("popover.js", "entry_picker.js")

    def __init__(self, **params):
        super().__init__(stylesheets=[read_css("popover.css"), read_css("entry_picker.css")], **params)
