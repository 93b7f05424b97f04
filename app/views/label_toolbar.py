"""Labelling pixels: the name that the next tap gives, and removing all labels."""

from collections import Counter
from html import escape

import panel as pn
from fluxlens.app.plots.colour import label_colours
from fluxlens.app.state.labels import MAX_NAME_LENGTH, Label, as_numbers, class_names, is_fittable
from fluxlens.app.state.selection import State
from fluxlens.app.views.html import HTML
from fluxlens.app.views.legend import LEGEND_CSS, legend_key

_KEYS = ".square { width: 10px; height: 10px; display: inline-block; margin-right: 5px; border: 1px solid var(--ink); }"


def labels_legend(labels: tuple[Label, ...]) -> str:
    """HTML of the classes of ``labels`` in the colours of their markers; nothing without labels.

    Parameters
    ----------
    labels : tuple of Label
        Classes, or numbers, which the colour bar of the map explains.
    """
    if not labels:
        # Never an empty text: the browser's part of the pane keeps the words before it then.
        return '<div class="head"></div>'
    if as_numbers(labels) is not None and is_fittable(labels):
        return f'<div class="head"><span class="key">{len(labels)} numbers, coloured as the map</span></div>'
    colours = dict(zip((label.name for label in labels), label_colours(labels), strict=True))
    counts = Counter(label.name for label in labels)
    # Names are typed by the user: escaped, as everything that ends in HTML.
    keys = "".join(
        legend_key("square", colours[name], escape(name), str(counts[name])) for name in class_names(labels)
    )
    return f'<div class="head">{keys}</div>'


class LabelToolbar:
    """A name, whether taps give it, and a button to clear; visible while the map shows labels.

    Parameters
    ----------
    state : State
        Gets the labels.
    """

    def __init__(self, state: State):
        self.state = state
        self.name = pn.widgets.TextInput(
            placeholder="class or number",
            label="Label",
            css_classes=["no-label", "text-field"],
            max_length=MAX_NAME_LENGTH,
            sizing_mode="stretch_width",  # a fixed width would widen the map's column even while hidden
        )
        self.tap_toggle = pn.widgets.Toggle(label="Tap to label", value=True, css_classes=["quiet"])
        self.clear = pn.widgets.Button(label="Clear")
        self.clear.on_click(lambda _: setattr(state, "labels", []))
        self.legend = HTML("", sizing_mode="stretch_width", stylesheets=[LEGEND_CSS, _KEYS])
        css = ":host { flex: 0 1 320px !important; min-width: 280px; }"
        row = pn.Row(
            self.name, self.tap_toggle, self.clear, sizing_mode="stretch_width", css_classes=["gap-6"]
        )
        self.view = pn.Column(row, self.legend, sizing_mode="stretch_width", stylesheets=[css])
        state.watch(self._update, "labels")
        self._update()

    def _update(self, *_) -> None:
        """Names of the classes with their colours and number of labels; of numbers how many there are."""
        self.legend.object = labels_legend(tuple(self.state.labels))

    @property
    def captures_taps(self) -> bool:
        """Whether a tap on the map labels a pixel instead of choosing it."""
        return self.state.layer == "labels" and self.tap_toggle.value

    def label_pixel(self, row: int, col: int) -> None:
        """Give the typed name to the pixel (``row``, ``col``)."""
        # value_input is what is typed so far: a tap right after typing must not need Enter
        self.state.label(row, col, self.name.value_input or self.name.value)
