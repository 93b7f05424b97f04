"""Two-way binding of a widget and a choice, for as long as the views of one store live."""

import panel as pn
from fluxlens.app.state.selection import State


def bind_widget(state: State, name: str, widget: pn.widgets.base.Widget, trigger: str = "value") -> None:
    """Keep ``widget.value`` and a parameter of the state equal.

    ``Widget.from_param`` is not used: its watchers live as long as the state, which outlives the views of a store, and
    a slider of the store before would refuse days of the next one.

    Parameters
    ----------
    state : State
        The choices of the session.
    name : str
        Parameter of the state.
    widget : panel.widgets.Widget
        A value that is not among its options is not shown.
    trigger : str
        Parameter of the widget that writes to the state: "value", or "value_throttled" for sliders with a slow answer.
    """

    # A value without an option (a partitioning that this tower does not have) keeps the widget as it is: a widget
    # changed to fit would write its own value back into the state.
    def show(*_) -> None:
        value = getattr(state, name)
        options = getattr(widget, "options", None)
        if options is None or value in (options.values() if isinstance(options, dict) else options):
            # A link or a notebook may give 100.0 or 75.5 where a slider has whole numbers and refuses others.
            widget.value = round(value) if isinstance(widget, pn.widgets.IntSlider) else value

    state.watch(show, name)
    show()

    def write(event) -> None:
        # All that follows goes out as one message; as many as there are changes took longer than some of the answers.
        with pn.io.unlocked():
            setattr(state, name, event.new)

    widget.param.watch(write, trigger)
