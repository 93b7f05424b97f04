"""Labelling pixels: the name that the next tap gives, and removing all labels."""

import panel as pn
from fluxlens.app.state.labels import MAX_NAME_LENGTH
from fluxlens.app.state.selection import State


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
        css = ":host { flex: 0 1 320px !important; min-width: 280px; }"
        self.view = pn.Row(
            self.name,
            self.tap_toggle,
            self.clear,
            sizing_mode="stretch_width",
            css_classes=["gap-6"],
            stylesheets=[css],
        )

    @property
    def captures_taps(self) -> bool:
        """Whether a tap on the map labels a pixel instead of choosing it."""
        return self.state.layer == "labels" and self.tap_toggle.value

    def label_pixel(self, row: int, col: int) -> None:
        """Give the typed name to the pixel (``row``, ``col``)."""
        # value_input is what is typed so far: a tap right after typing must not need Enter
        self.state.label(row, col, self.name.value_input or self.name.value)
