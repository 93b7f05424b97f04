"""What the page does in the browser beyond Bokeh: gestures over figures, names and roles for assistive technology."""

from collections.abc import Callable
from typing import ClassVar

from fluxlens.app.views.style import read_js
from panel.custom import JSComponent

MAP_TAG = "map"
"""Tag of a Bokeh figure that is a map: the wheel and two fingers move it; other figures leave the wheel to the page."""
TEXT_TAG = "text: "
"""Prefix of the tag with a figure's text alternative."""
CHART_TAG = "chart: "
"""Prefix of the tag with the key of a figure that can be saved."""
LABEL_TAG = "label: "
"""Prefix of the tag with the name of a group of buttons, which Bokeh has no property for."""


class PageBehaviour(JSComponent):
    """An invisible component; one on a page. The tags of the models say what it does.

    Names of inputs are not its work: they have labels of their own, out of sight with the CSS class ``no-label``.
    """

    _esm: ClassVar[str] = read_js("page_behaviour.js", "save_chart.js")

    def __init__(self, make_table: Callable[[str], tuple[str, str] | None] | None = None, **params):
        super().__init__(**params)
        self.make_table = make_table
        """``make_table(key)`` returns name and text of the CSV file of a chart, or None after a message."""

    def _handle_msg(self, data) -> None:
        """A click on the button "CSV" of a chart."""
        # A browser may send anything.
        if self.make_table is not None and isinstance(data, dict) and isinstance(data.get("table"), str):
            table = self.make_table(data["table"])
            if table is not None:
                self._send_msg({"name": table[0], "text": table[1]})


def save_buttons(key: str, picture: bool = True) -> str:
    """HTML of the buttons that save a chart as PNG and its numbers as CSV.

    Parameters
    ----------
    key : str
        Of the chart, as ``mark_as_chart`` gives it to the figure.
    picture : bool
        Whether there is a figure to save as PNG.
    """
    kinds = [("png", "picture")] if picture else []
    return (
        '<span class="save">'
        + "".join(
            f'<button type="button" data-save="{kind}" data-chart="{key}" title="Save the {what} ({kind.upper()})">'
            f"{kind.upper()}</button>"
            for kind, what in [*kinds, ("csv", "numbers")]
        )
        + "</span>"
    )


def mark_as_chart(figure, key: str) -> None:
    """Let the buttons of ``save_buttons(key)`` find a Bokeh figure."""
    figure.tags = [*figure.tags, CHART_TAG + key]


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
    other_tags = [tag for tag in figure.tags if not str(tag).startswith(TEXT_TAG)]
    figure.tags = [*other_tags, TEXT_TAG + text]


def mark_as_map(figure) -> None:
    """Let the wheel, two fingers and keys move a Bokeh figure."""
    if MAP_TAG not in figure.tags:
        figure.tags = [*figure.tags, MAP_TAG]
