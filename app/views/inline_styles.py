"""Style sheets of Panel as text, where a notebook would ask a CDN for them."""

from bokeh.model import Model
from bokeh.models import UIElement
from fluxlens.app.views.model_hooks import call_for_all, changed_model
from panel.io.notebook import patch_inline_stylesheets
from panel.viewable import Viewable


def inline_styles(view: Viewable, root: Model, changed: Viewable, old_models=None) -> None:
    """Put the text of Panel's style sheets in place of their addresses; a hook of Panel that sees what it makes.

    Panel does so itself for what a cell shows, but not for an ipywidget, nor for what HoloViews shows.

    Parameters
    ----------
    view : panel.viewable.Viewable
        What is shown.
    root : bokeh.model.Model
        Its model.
    changed : panel.viewable.Viewable
        The part that is new; ``view`` where all is.
    old_models : list of bokeh.model.Model, optional
        Unused.
    """
    for model in changed_model(view, root, changed).select({"type": UIElement}):
        patch_inline_stylesheets(model)


def inline_all_styles() -> None:
    """Do so for all that this process shows from now on: a notebook's kernel, which has the scripts inline as well."""
    call_for_all(inline_styles)
