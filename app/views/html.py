"""Panel's HTML pane, whose updates carry what has changed and no more."""

import panel as pn
from bokeh.model import Model


class HTML(pn.pane.HTML):
    """HTML whose style sheets are sent once.

    Panel 1.9 sends them again with each new text: Bokeh then makes them anew, and in a notebook they are addresses on a
    CDN, also where the first display had their text in place.
    """

    def _update(self, ref: str, model: Model) -> None:
        properties = self._get_properties(model.document)
        properties.pop("stylesheets", None)
        model.update(**properties)
