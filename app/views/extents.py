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
    link = _ExtentLink(state, name, list(axes.values()))
    link.show()
    link.watch()
    state.on_unwatch(link.end)


class _ExtentLink:
    """A parameter of the state and the axes that show it, which change each other until ``end``."""

    def __init__(self, state: State, name: str, ranges: list[Range1d]) -> None:
        self.state, self.name, self.ranges = state, name, ranges
        self.whole = [(_number(axis.start), _number(axis.end)) for axis in ranges]
        # At most one timer is pending; one that comes after the end does nothing.
        self._is_pending = self._has_ended = False

    def show(self) -> None:
        """Put the extent of the state on the axes."""
        shown = getattr(self.state, self.name)
        if shown is None:
            return
        # A link of a larger scene: its extent lies outside of this one and is forgotten.
        if not _are_inside(shown, self.whole):
            setattr(self.state, self.name, None)
            return
        extents = zip(shown[::2], shown[1::2], strict=True)
        for axis, (start, end), ends in zip(self.ranges, extents, self.whole, strict=True):
            # Else "reset" would come back to the extent of the link.
            axis.reset_start, axis.reset_end = ends
            axis.start, axis.end = start, end

    def watch(self) -> None:
        """Follow the axes from now on."""
        for axis in self.ranges:
            axis.on_change("start", self._moved)
            axis.on_change("end", self._moved)

    def end(self) -> None:
        """Follow the axes no longer."""
        self._has_ended = True
        for axis in self.ranges:
            for end in ("start", "end"):
                # A display that has gone from a notebook has taken its callbacks with it.
                with suppress(ValueError):
                    axis.remove_on_change(end, self._moved)

    def _moved(self, attr, old, new) -> None:
        document = self.ranges[0].document
        # Start and end of both axes change one after another: one timer gathers all four events.
        if self._has_ended or self._is_pending:
            return
        self._is_pending = True
        if document is None or document.session_context is None:
            self._take()  # in a notebook no link is written; in a test nothing calls back later
        else:
            document.add_timeout_callback(self._take, REST_MS)

    def _take(self) -> None:
        """Write what the axes show to the state; None where it is the whole."""
        self._is_pending = False
        if self._has_ended:
            return
        ends = [(_number(axis.start), _number(axis.end)) for axis in self.ranges]
        # Wheel zoom in and out ends a rounding error away from the whole; such an extent is not written to the link.
        same = all(
            abs(a - b) <= SAME * abs(home[1] - home[0])
            for end, home in zip(ends, self.whole, strict=True)
            for a, b in zip(end, home, strict=True)
        )
        setattr(self.state, self.name, None if same else tuple(value for end in ends for value in end))


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
