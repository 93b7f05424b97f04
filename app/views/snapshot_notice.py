"""The line that says that the store on screen has a newer snapshot, with a button that moves to it."""

import threading
from collections.abc import Callable
from html import escape
from typing import Any

import panel as pn
from fluxlens.app.views.html import HTML
from fluxlens.app.views.messages import BANNER_CSS
from fluxlens.app.views.style import fluxlens_design
from fluxlens.models.errors import InputError

CHECK_MS = 20_000
"""Between two looks at the branch tip: one small file, or one request of an object store, per session."""


class SnapshotNotice:
    """Empty until a newer snapshot of the store on screen is found.

    Parameters
    ----------
    on_move : callable
        Called with the id of the newer snapshot when the user asks for it.
    """

    def __init__(self, on_move: Callable[[str], None]):
        # A column without children and not an invisible one, for the reason of ``messages.message``.
        self.view = pn.Column(sizing_mode="stretch_width")
        self._on_move = on_move
        self._store: Any = None
        self._newest: tuple[Any, Any] | None = None
        """A store and its newest ``Snapshot``, as the last thread found them."""
        self._looking: threading.Thread | None = None
        self._polling: Any = None

    def watch(self, store: Any) -> None:
        """Look for newer snapshots of a store instead of the one before.

        Parameters
        ----------
        store : embeddings.store.Store
            The one on screen. Others (of several stores, of a test) have no snapshots and are not looked at.
        """
        self._store = store if hasattr(store, "newest_snapshot") else None
        self.view[:] = []
        if self._polling is None and pn.state.curdoc is not None:
            self._polling = pn.state.add_periodic_callback(self.poll, period=CHECK_MS)

    def poll(self) -> None:
        """Show what the last look found, and begin another in a thread, since a server may take seconds to answer."""
        # One look at a time, however slow the server is.
        if self._store is None or (self._looking is not None and self._looking.is_alive()):
            return
        if self._newest is not None and self._newest[0] is self._store:
            self._show(self._newest[1])
        self._looking = threading.Thread(
            target=self._fetch_newest, args=(self._store,), daemon=True, name="newest snapshot"
        )
        self._looking.start()

    def wait(self) -> None:
        """Block until the look that was begun has ended."""
        if self._looking is not None:
            self._looking.join()

    def _fetch_newest(self, store: Any) -> None:
        try:
            self._newest = store, store.newest_snapshot()
        except InputError:
            # A server that does not answer now is told by what reads the store; this is looked at again.
            return

    @fluxlens_design()
    def _show(self, newest: Any) -> None:
        if newest.id == self._store.snapshot or len(self.view):
            return
        text = HTML(
            f'<div class="banner hello" role="status"><span>A newer snapshot of this store was committed on '
            f"{newest.written_at:%Y-%m-%d %H:%M} UTC: {escape(newest.message)}.</span></div>",
            sizing_mode="stretch_width",
            stylesheets=[BANNER_CSS],
        )
        move = pn.widgets.Button(label="Show it", align="center", margin=(0, 0, 0, 8))
        move.on_click(lambda _: self._move(newest.id))
        self.view[:] = [pn.Row(text, move, sizing_mode="stretch_width", margin=(0, 0, 10, 0))]

    def _move(self, snapshot: str) -> None:
        self.view[:] = []
        self._on_move(snapshot)
