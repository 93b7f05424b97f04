"""Long work as generators of progress: the command line, the screen and the tests run the same generator.

A function that takes long yields :class:`Progress` and returns its result. Whoever runs it decides what becomes of the
progress, and may close the generator between two steps, which cancels the work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Progress(NamedTuple):
    """One step of long work; unpacks as ``message, fraction``."""

    message: str
    """What is being done, for people."""
    fraction: float
    """Share of the work that is finished, 0-1."""


Steps = Generator[Progress, None, T]
"""Long work: yields ``Progress`` (or an equal tuple) and returns its result."""


def run(steps: Generator[Any, None, T], on_progress: Callable[[Any], None] | None = None) -> T:
    """Run a generator to its end.

    Parameters
    ----------
    steps
        Long work, usually ``Steps``; what it yields is not looked at.
    on_progress
        Called with each yielded value. An exception it raises closes the generator, which cancels the work, and is
        passed on.

    Returns
    -------
    T
        The generator's return value.
    """
    # Not a for loop, which drops the value that the generator returns.
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            return stop.value
        if on_progress is not None:
            try:
                on_progress(step)
            # Ctrl-C too: the generator then leaves the device and its temporary files at once.
            except BaseException:
                steps.close()
                raise


def relay(steps: Generator[Any, None, T], as_progress: Callable[[Any], Any]) -> Steps[T]:
    """The same work with other progress.

    Parameters
    ----------
    steps
        Long work that yields anything.
    as_progress
        From what it yields to what is yielded in its place.

    Yields
    ------
    Progress, or what ``as_progress`` makes of a step

    Returns
    -------
    T
        The generator's return value.
    """
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                return stop.value
            yield as_progress(step)
    finally:
        steps.close()  # closed early, the work stops now and not when it is collected
