"""What readers leave out or convert (``DataWarning``), collected for the page of the session that reads."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from fluxlens.models.errors import DataWarning

_lock = threading.Lock()
_notes_by_thread: dict[int, list[str]] = {}
_catchers: list[warnings.catch_warnings] = []
"""At most one: the filters as they were before the first thread began to collect."""


@contextmanager
def collect_data_warnings(notes: list[str]) -> Iterator[None]:
    """Append the text of every ``DataWarning`` of this thread to a list; other warnings are shown as before.

    Parameters
    ----------
    notes : list of str
        Gets each sentence once, in the order of the warnings.
    """
    # ``warnings.catch_warnings`` swaps filters of the whole process (until Python 3.14): of two sessions that read at
    # the same time, the first to end would take the other's list away. So the filters are changed by the first thread
    # and set back by the last, and each warning goes to the list of its own thread.
    thread = threading.get_ident()
    with _lock:
        if not _notes_by_thread:
            # Filters of warnings are the process's: the first thread to collect sets them, the last one puts them back.
            _catchers.append(warnings.catch_warnings())
            _catchers[0].__enter__()
            warnings.simplefilter("always", DataWarning)
            shown_before = warnings.showwarning

            def show(message, category, filename, lineno, file=None, line=None) -> None:
                collected = _notes_by_thread.get(threading.get_ident())
                if collected is None or not issubclass(category, DataWarning):
                    shown_before(message, category, filename, lineno, file, line)
                elif str(message) not in collected:
                    collected.append(str(message))

            warnings.showwarning = show
        # Collecting inside of collecting: the inner list gets the notes, then the outer one again.
        outer = _notes_by_thread.get(thread)
        _notes_by_thread[thread] = notes
    try:
        yield
    finally:
        with _lock:
            if outer is not None:
                _notes_by_thread[thread] = outer
            else:
                del _notes_by_thread[thread]
            if not _notes_by_thread:
                _catchers.pop().__exit__(None, None, None)
