"""Thread-safe LRU cache bounded by bytes, shared by all sessions of a process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class ByteLimitedCache:
    """Results of ``compute`` by its arguments; the least recently used go when ``max_bytes`` are exceeded.

    The newest result stays whatever its size, so that the layers of one day share one read of the store.

    Parameters
    ----------
    compute : callable
        Called with hashable positional arguments; returns an array, or a tuple or list of arrays.
    max_bytes : int
        Upper bound on the bytes of the cached results together.

    Attributes
    ----------
    nbytes : int
        Bytes of the cached results.
    """

    def __init__(self, compute: Callable[..., Any], max_bytes: int) -> None:
        self.compute, self.max_bytes = compute, max_bytes
        self.nbytes = 0
        self._results: OrderedDict[tuple, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *key: Any) -> Any:
        """``compute(*key)``, from the cache where it is there."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        # Outside the lock: a slow read must not block other keys. Two threads that miss the same key compute it
        # twice; the first result is the one kept.
        result = self.compute(*key)
        with self._lock:
            if key not in self._results:
                self._results[key] = result
                self.nbytes += count_bytes(result)
            # The newest stays even where it is larger than the bound: whoever asked for it asks again.
            while self.nbytes > self.max_bytes and len(self._results) > 1:
                self.nbytes -= count_bytes(self._results.popitem(last=False)[1])
        return result

    def clear(self) -> None:
        """Drop all results."""
        with self._lock:
            self._results.clear()
            self.nbytes = 0


def count_bytes(value: Any) -> int:
    """Bytes of an array, or of all arrays of a (nested) tuple or list.

    Parameters
    ----------
    value : array-like, tuple, list or any
        What has no ``nbytes`` counts 0.
    """
    if isinstance(value, tuple | list):
        return sum(count_bytes(item) for item in value)
    # Images and datasets know their own size; what holds no arrays counts as nothing.
    return int(getattr(value, "nbytes", 0))
