"""Style sheets of an ipywidget."""

from bokeh.models import UIElement
from panel.io.notebook import patch_inline_stylesheets


def inline_styles(_view, root, *_changed) -> None:
    """A hook of a Panel object that puts the text of Panel's style sheets in place of their address on a CDN.

    Panel does so itself for what a cell shows, and not for an ipywidget.
    """
    for model in root.select({"type": UIElement}):
        patch_inline_stylesheets(model)
