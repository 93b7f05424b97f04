"""What the page does in the browser beyond Bokeh: gestures over figures, names and roles for assistive technology."""

from typing import ClassVar

from fluxlens.app.views.style import read_js
from panel.custom import JSComponent

MAP_TAG = "map"
"""Tag of a Bokeh figure that is a map: the wheel and two fingers move it; other figures leave the wheel to the page."""
TEXT_TAG = "text: "
"""Prefix of the tag with a figure's text alternative."""
LABEL_TAG = "label: "
"""Prefix of the tag with the name of a group of buttons, which Bokeh has no property for."""


class PageBehaviour(JSComponent):
    """An invisible component; one on a page. The tags of the models say what it does.

    Names of inputs are not its work: they have labels of their own, out of sight with the CSS class ``no-label``.
    """

    _esm: ClassVar[str] = read_js("page_behaviour.js")


def group_label(name: str) -> dict[str, list[str]]:
    """Keyword arguments of a group of buttons that give it the accessible name ``name``."""
    return {"tags": [LABEL_TAG + name]}


def set_text_alternative(figure, text: str) -> None:
    """Say in words what a Bokeh figure shows; screen readers read it in place of the canvas.

    Parameters
    ----------
    figure : bokeh.models.Plot
        The figure; its other tags stay.
    text : str
        What is shown, its range and trend.
    """
    # Tags and not ``name``: the tag travels with the figure's own changes, and names are for those who look it up.
    others = [tag for tag in figure.tags if not str(tag).startswith(TEXT_TAG)]
    figure.tags = [*others, TEXT_TAG + text]


def mark_as_map(figure) -> None:
    """Let the wheel, two fingers and keys move a Bokeh figure."""
    if MAP_TAG not in figure.tags:
        figure.tags = [*figure.tags, MAP_TAG]
