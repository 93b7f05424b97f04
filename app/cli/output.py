"""What commands print: progress on stderr, numbers as JSON on stdout and in a file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from fluxlens.embeddings.store import Store

T = TypeVar("T")

UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_per_s": "per s",
    "_mb": "MB",
    "_gb": "GB",
    "_gflops": "GFLOP/s",
    "_us_per_pixel_day": "us per pixel and day",
}
"""Units of the numbers of a benchmark, by the ending of their names."""


class ProgressLine:
    """One line on stderr that changes in place; where stderr is a file, a line every few seconds."""

    EVERY_S = 5.0
    """Between two lines in a file: a log of hours stays readable."""
    REPEAT_S = 60.0
    """Until a line that has not changed is printed again in a file: enough to show that work goes on."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        # The first message of a log is printed at once.
        self.last_printed_s = -self.EVERY_S
        self.last_printed = ""
        self.is_open = False

    def show(self, message: str, fraction: float) -> None:
        """Show how far the work is.

        Parameters
        ----------
        message : str
            What is being done.
        fraction : float
            Share of the work that is finished, 0-1.
        """
        line = f"{fraction:4.0%} {message}"
        if self.is_terminal:
            # Carriage return and "erase to the end of the line": the next message may be shorter.
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            self.is_open = True
        # The last message of a log is always printed, so that it does not seem to have stopped before its end.
        elif fraction >= 1 or time.monotonic() - self.last_printed_s > (
            self.REPEAT_S if line == self.last_printed else self.EVERY_S
        ):
            self.last_printed_s, self.last_printed = time.monotonic(), line
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line, so that what is printed next starts on its own."""
        if self.is_open:
            print(file=sys.stderr)
            self.is_open = False


def run_with_progress(steps: Generator[tuple[str, float], None, T]) -> T:
    """Run long work to its end, with its progress on stderr.

    Parameters
    ----------
    steps : generator of (str, float)
        Yields a message and the finished share, 0-1; returns the result.

    Returns
    -------
    T
        The generator's result.
    """
    from fluxlens.embeddings import progress

    line = ProgressLine()
    result = progress.run(steps, lambda step: line.show(*step))
    line.end()
    return result


def print_evaluation(steps: Generator[Any, None, tuple[dict, str]], json_path: str | None) -> None:
    """Run an evaluation; its table goes to stderr, its numbers to stdout and, where asked, to a file.

    Parameters
    ----------
    steps : generator
        Yields progress, returns the numbers and a table for people.
    json_path : str or None
        File for the numbers.
    """
    numbers, table = run_with_progress(steps)
    # The table is for people: stdout holds one JSON object and nothing else, so that it can be piped.
    print(table, file=sys.stderr)
    print_json(numbers, json_path)


def print_table(result: dict, json_path: str | None) -> None:
    """Print a flat object as a table of names, numbers and units, and write it as JSON where a file is asked for.

    Parameters
    ----------
    result : dict
        Numbers and texts by name; a name that ends in a key of ``UNITS`` has that unit.
    json_path : str or None
        File that gets the object as JSON.
    """
    for name, value in result.items():
        # The longest ending first: ``_per_s`` is a rate, not a time.
        ending = next((one for one in sorted(UNITS, key=len, reverse=True) if name.endswith(one)), "")
        label, unit = name.removesuffix(ending), UNITS.get(ending, "")
        number = value if isinstance(value, str) else f"{float(value):,.4g}"
        print(f"{label.replace('_', ' '):44} {number:>12} {unit}".rstrip())
    if json_path:
        write_json(result, json_path)


def print_json(result: dict, json_path: str | None) -> None:
    """Print a flat object on stdout, and write it to a file where one is asked for.

    Parameters
    ----------
    result : dict
        Numbers and texts by name; NumPy scalars become floats.
    json_path : str or None
        File that gets the same text.
    """
    print(json.dumps(result, indent=2, default=float))
    if json_path:
        write_json(result, json_path)


def write_json(result: dict, json_path: str) -> None:
    """Write an object as JSON, whole or not at all.

    Parameters
    ----------
    result : dict
        NumPy scalars become floats.
    json_path : str
        File that gets it.
    """
    from fluxlens.embeddings.export.extract import replacing

    # Written beside and renamed: a reader never meets half a file.
    with replacing(json_path) as temporary:
        temporary.write_text(json.dumps(result, indent=2, default=float) + "\n")


def extrapolated_note(written: Store) -> str:
    """What is said of a store's days past its last acquisition.

    Parameters
    ----------
    written : embeddings.store.Store
        Open.

    Returns
    -------
    str
        Begins with a semicolon; empty where there is no such day.
    """
    first = written.attrs.get("extrapolated_from")
    return f"; extrapolated from {first}, past the last acquisition" if first else ""
