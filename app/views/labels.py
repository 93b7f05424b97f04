"""Naming pixels: what the next tap says, and how to take it all back."""

import panel as pn

from app.labels import NAME_AT_MOST
from app.state import State
from app.views.style import sheets


class LabelsBar:
    """A name, whether taps give it, and an end; seen while the map shows labels."""

    def __init__(self, state: State):
        self.state = state
        self.name = pn.widgets.TextInput(
            placeholder="class or number",
            max_length=NAME_AT_MOST,
            sizing_mode="stretch_width",  # a fixed width would widen the map's column, seen or not
            margin=0,
            stylesheets=sheets("input.bk-input { padding-right: 9px !important; }"),
        )
        self.taps = pn.widgets.Toggle(
            label="Tap to label", value=True, margin=0, css_classes=["quiet"], stylesheets=sheets()
        )
        self.clear = pn.widgets.Button(label="Clear", margin=0, stylesheets=sheets())
        self.clear.on_click(lambda _: setattr(state, "labels", []))
        look = ":host { gap: 6px; flex: 0 1 320px !important; min-width: 280px; }"
        self.view = pn.Row(
            self.name, self.taps, self.clear, sizing_mode="stretch_width", margin=0, stylesheets=[look]
        )

    @property
    def asked(self) -> bool:
        """Whether a tap on the map is a label, not a choice of a pixel."""
        return self.state.layer == "labels" and self.taps.value

    def put(self, row: int, col: int) -> None:
        """What is typed, said of a pixel."""
        self.state.label(row, col, self.name.value_input or self.name.value)
