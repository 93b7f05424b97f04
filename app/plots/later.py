"""Drawing outside the server's loop: what takes longer than a frame is made in a thread and shown when it is there."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bokeh.io import curdoc

# With the priority of the server's own thread: a thread of a lower one that has the interpreter or Numba's lock, on a
# machine whose cores are busy, waits for minutes with both, and so does every page.
WORKER = ThreadPoolExecutor(1, "draw-later")
"""One at a time, so that first views of other sessions come first."""


def draw_later(
    figure: Any,
    make: Callable[[], Any],
    show: Callable[[Any], None],
    is_wanted: Callable[[], bool],
    rest_s: float = 0.0,
) -> None:
    """Make something in a thread and show it in a figure; at once where there is no server.

    Parameters
    ----------
    figure : bokeh.plotting.figure
        Where it is shown; nothing is, if the figure leaves its page meanwhile.
    make : callable
        Runs in the thread; what it raises is dropped with it.
    show : callable
        ``show(made)``, called with the document's lock.
    is_wanted : callable
        Asked before it is made and before it is shown: the user may have moved on.
    rest_s : float
        Seconds to wait before it is made.
    """
    document = figure.document or curdoc()
    # In a notebook or a test no server would call back later.
    if document.session_context is None:
        show(make())
        return

    def begin() -> None:
        WORKER.submit(lambda: make() if is_wanted() else None).add_done_callback(made)

    def made(done: Future) -> None:
        if done.exception() is None and done.result() is not None and figure.document is document:
            document.add_next_tick_callback(lambda: is_wanted() and show(done.result()))

    if rest_s:
        document.add_timeout_callback(lambda: begin() if is_wanted() else None, int(1000 * rest_s))
    else:
        begin()
