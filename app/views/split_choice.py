"""The second map's layer and fixed day, kept in the state, so that a link keeps them."""

from fluxlens.app.state.selection import State
from fluxlens.app.views.map import MapView


def bind_split(state: State, view: MapView) -> None:
    """Show the second map of the state, and keep the state's at what is shown.

    Parameters
    ----------
    state : State
        ``second_layer`` and ``fixed_day``.
    view : MapView
        The map with its second one.
    """
    second = view.second
    if state.second_layer in view.data.layers:
        fixed_day = state.fixed_day
        view.split.value = True
        second.layer.value = state.second_layer
        if fixed_day is not None:
            second.fix_day.value = True
            # After the button, which holds the day on screen.
            second.fixed_day = min(max(fixed_day, view.data.first), view.data.last)
            second.update()

    def keep(*_) -> None:
        shown = view.split.value
        state.param.update(
            second_layer=second.layer.value if shown else "",
            fixed_day=second.fixed_day if shown and second.fix_day.value else None,
        )

    # The state follows the widgets from here on, and not before: the link was read first.
    for widget in (view.split, second.layer, second.fix_day):
        widget.param.watch(keep, "value")
    keep()
