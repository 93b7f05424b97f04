"""Style sheets of Panel as text, where a notebook would ask a CDN for them."""

from bokeh.model import Model
from bokeh.models import UIElement
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
    # Only the new part: a page has a thousand models, and a button that comes must not go through all.
    new = root if changed is view else changed._models.get(root.ref["id"], (root,))[0]
    for model in new.select({"type": UIElement}):
        patch_inline_stylesheets(model)


def inline_all_styles() -> None:
    """Do so for all that this process shows from now on: a notebook's kernel, which has the scripts inline as well."""
    if inline_styles not in Viewable._preprocessing_hooks:
        Viewable._preprocessing_hooks.append(inline_styles)
