"""Answers kept by their question, within a number of bytes; all sessions of a process share them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class Held:
    """``make``, remembered: what was not asked for longest is forgotten when ``most_bytes`` are passed.

    The newest answer stays whatever its size, so that the layers of one day share one read.
    """

    def __init__(self, make: Callable[..., Any], most_bytes: int) -> None:
        self.make, self.most_bytes = make, most_bytes
        self.nbytes = 0
        self._known: OrderedDict[tuple, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *question: Any) -> Any:
        with self._lock:
            if question in self._known:
                self._known.move_to_end(question)
                return self._known[question]
        answer = self.make(*question)  # not in the lock: another question need not wait
        with self._lock:
            if question not in self._known:
                self._known[question] = answer
                self.nbytes += weight(answer)
            while self.nbytes > self.most_bytes and len(self._known) > 1:
                self.nbytes -= weight(self._known.popitem(last=False)[1])
        return answer

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._known.clear()
            self.nbytes = 0


def weight(answer: Any) -> int:
    """Bytes of arrays, or of all parts of a tuple or list."""
    if isinstance(answer, tuple | list):
        return sum(weight(part) for part in answer)
    return int(getattr(answer, "nbytes", 0))
