"""What figures show of their axes, kept in the state, so that a link keeps it."""

import datetime as dt
from contextlib import suppress

import pandas as pd
from bokeh.models import Range1d
from fluxlens.app.state.selection import State

REST_MS = 250
"""Without a move, before an extent is taken: a drag changes the ends of an axis with every pixel."""
SAME = 1e-3
"""Share of an axis by which its ends may differ from those of the whole and still show the whole."""


def keep_extent(state: State, name: str, **axes: Range1d) -> None:
    """Show the extent of the state on these axes, and keep the state's at what they show, while a store is on screen.

    Parameters
    ----------
    state : State
        The choices of the session.
    name : str
        Its parameter: (start, end) of each axis in turn, or None where they show all.
    **axes : bokeh.models.Range1d
        The axes, showing all of the store.
    """
    ranges = list(axes.values())
    whole = [(_number(axis.start), _number(axis.end)) for axis in ranges]
    shown = getattr(state, name)
    if shown is not None and _are_inside(shown, whole):
        for axis, (start, end), ends in zip(
            ranges, zip(shown[::2], shown[1::2], strict=True), whole, strict=True
        ):
            # Else "reset" would come back to the extent of the link.
            axis.reset_start, axis.reset_end = ends
            axis.start, axis.end = start, end
    # A link of a larger scene: its extent lies outside of this one and is forgotten.
    elif shown is not None:
        setattr(state, name, None)
    # Lists and not booleans: the nested functions change them. ``pending`` holds at most one timer, ``ended`` stops
    # late ones.
    pending: list = []
    ended: list = []

    def take() -> None:
        pending.clear()
        if ended:
            return
        ends = [(_number(axis.start), _number(axis.end)) for axis in ranges]
        # Wheel zoom in and out ends a rounding error away from the whole; such an extent is not written to the link.
        same = all(
            abs(a - b) <= SAME * abs(home[1] - home[0])
            for end, home in zip(ends, whole, strict=True)
            for a, b in zip(end, home, strict=True)
        )
        setattr(state, name, None if same else tuple(value for end in ends for value in end))

    def moved(attr, old, new) -> None:
        document = ranges[0].document
        # Start and end of both axes change one after another: one timer gathers all four events.
        if ended or pending:
            return
        pending.append(True)
        if document is None or document.session_context is None:
            take()  # in a notebook no link is written; in a test nothing calls back later
        else:
            document.add_timeout_callback(take, REST_MS)

    for axis in ranges:
        axis.on_change("start", moved)
        axis.on_change("end", moved)

    def end() -> None:
        ended.append(True)
        for axis in ranges:
            for name in ("start", "end"):
                # A display that has gone from a notebook has taken its callbacks with it.
                with suppress(ValueError):
                    axis.remove_on_change(name, moved)

    state.on_unwatch(end)


def _number(end) -> float:
    """An end of an axis as a number; of a time axis as milliseconds since 1970."""
    # Of a date without a zone, Python would take the zone of the server's clock.
    return pd.Timestamp(end).timestamp() * 1000 if isinstance(end, dt.datetime) else float(end)


def _are_inside(shown: tuple, whole: list[tuple[float, float]]) -> bool:
    """Whether something of the whole is in the extent shown: the store may be another one than the link's."""
    return len(shown) == 2 * len(whole) and all(
        max(min(start, end), min(home)) < min(max(start, end), max(home))
        for start, end, home in zip(shown[::2], shown[1::2], whole, strict=True)
    )
