"""The second map's layer and held day, kept in the state, so that a link keeps them."""

from fluxlens.app.state.selection import State
from fluxlens.app.views.map import MapView


def bind_split(state: State, view: MapView) -> None:
    """Show the second map of the state, and keep the state's at what is shown.

    Parameters
    ----------
    state : State
        ``second_layer`` and ``held_day``.
    view : MapView
        The map with its second one.
    """
    second = view.second
    if state.second_layer in view.data.layers:
        held_day = state.held_day
        view.split.value = True
        second.layer.value = state.second_layer
        if held_day is not None:
            second.hold.value = True
            # After the button, which holds the day on screen.
            second.held_day = min(max(held_day, view.data.first), view.data.last)
            second.update()

    def keep(*_) -> None:
        shown = view.split.value
        state.param.update(
            second_layer=second.layer.value if shown else "",
            held_day=second.held_day if shown and second.hold.value else None,
        )

    # The state follows the widgets from here on, and not before: the link was read first.
    for widget in (view.split, second.layer, second.hold):
        widget.param.watch(keep, "value")
    keep()
