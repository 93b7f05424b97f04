"""Style sheets of a page as models that its widgets share: else each widget brings the text of its own."""

from weakref import WeakKeyDictionary

from bokeh.model import Model
from bokeh.models import InlineStyleSheet, UIElement
from fluxlens.app.views.model_hooks import call_for_all, changed_model
from panel.viewable import Viewable

MIN_LENGTH = 200
"""Shorter sheets stay with their widget: a model of their own would be longer."""
_SHEETS: WeakKeyDictionary[Model, dict[str, InlineStyleSheet]] = WeakKeyDictionary()
"""By the root of a page: its sheets by their text. A model can be in one document only."""


def share_styles(view: Viewable, root: Model, changed: Viewable, old_models=None) -> None:
    """Put one model in place of the text of a style sheet; a hook of Panel that sees what it makes.

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
    sheets = _SHEETS.setdefault(root, {})
    # Along the children and not all models: style sheets belong to what is laid out, and a page has hundreds of others.
    waiting = [changed_model(view, root, changed)]
    while waiting:
        model = waiting.pop()
        waiting += [child for child in getattr(model, "children", ()) if isinstance(child, UIElement)]
        if isinstance(model, UIElement) and any(_is_long(sheet) for sheet in model.stylesheets):
            model.stylesheets = [
                sheets.setdefault(sheet, InlineStyleSheet(css=sheet)) if _is_long(sheet) else sheet
                for sheet in model.stylesheets
            ]


def _is_long(sheet: str | Model) -> bool:
    return isinstance(sheet, str) and len(sheet) >= MIN_LENGTH


def share_all_styles() -> None:
    """Do so for all pages of this process."""
    call_for_all(share_styles)
