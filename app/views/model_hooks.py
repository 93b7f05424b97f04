"""Hooks that Panel calls with the Bokeh models it makes."""

from collections.abc import Callable

from bokeh.model import Model
from panel.viewable import Viewable


def changed_model(view: Viewable, root: Model, changed: Viewable) -> Model:
    """The model of what is new: a page has hundreds of models, and a button that comes must not go through all.

    Parameters
    ----------
    view : panel.viewable.Viewable
        What is shown.
    root : bokeh.model.Model
        Its model.
    changed : panel.viewable.Viewable
        The part that is new; ``view`` where all is.
    """
    return root if changed is view else changed._models.get(root.ref["id"], (root,))[0]


def call_for_all(hook: Callable) -> None:
    """Let Panel call a hook for all that this process shows from now on, once however often this is called.

    Parameters
    ----------
    hook : callable
        ``hook(view, root, changed, old_models)``.
    """
    if hook not in Viewable._preprocessing_hooks:
        Viewable._preprocessing_hooks.append(hook)
