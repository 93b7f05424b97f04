"""Catalog entries opened in threads, once per process, told step by step to every session that waits."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app import published
from app.data import Data
from models.errors import InputError

PAGE_S = 5
"""Who waited for the entry has the page by then, and the machine is free for what only later taps gain from."""

Steps = Callable[[], Iterator]
"""Yields (message, fraction 0-1) and finally the Data."""


@dataclass
class Opening:
    """How far one entry is; ``data`` or ``error`` is set when it has ended."""

    entry: str
    message: str = "Looking at the catalog"
    fraction: float = 0.0
    error: str = ""
    data: Data | None = None
    begun: float = field(default_factory=time.monotonic)
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def ended(self) -> bool:
        return self.data is not None or bool(self.error)

    @property
    def seconds(self) -> float:
        """Since the opening began."""
        return time.monotonic() - self.begun

    def wait(self, seconds: float) -> None:
        """Until it has ended, but no longer."""
        self._over.wait(seconds)

    def follow(self, steps: Iterator) -> None:
        """Takes every step; an error becomes a sentence, never a dead page."""
        try:
            for step in steps:
                if isinstance(step, Data):
                    self.message, self.fraction = "Reading the season's colours", 0.98
                    step.warm()
                    self.data = step
                    self._over.set()
                    time.sleep(PAGE_S)
                    step.keep()
                else:
                    self.message, self.fraction = step
        except InputError as error:
            self.error = str(error)
        except Exception as error:  # whatever a file or a driver does, the page must say it and live
            self.error = (
                f"Got {type(error).__name__} while opening {self.entry!r} ({error}); choose another entry."
            )
        if not self.ended:
            self.error = f"Got nothing from {self.entry!r}, need a store of embeddings; choose another entry."
        self._over.set()


class Openings:
    """All openings of this process; a failed one is tried again when asked for again."""

    def __init__(self):
        self._known: dict[tuple[str, str, str], Opening] = {}
        self._lock = threading.Lock()

    def get(self, catalog: str, entry: str, steps: Steps, snapshot: str = "") -> Opening:
        """The opening of an entry, begun if nobody has."""
        with self._lock:
            known = self._known.get((catalog, entry, snapshot))
            if known is None or known.error:
                known = Opening(entry)
                self._known[catalog, entry, snapshot] = known
                threading.Thread(
                    target=known.follow, args=(steps(),), daemon=True, name=f"open {entry}"
                ).start()
            return known


OPENINGS = Openings()


def steps(catalog, entry: str, snapshot: str = "") -> Iterator:
    """Opens an embeddings entry, making it first where it is not stored yet; ``snapshot`` may name an earlier state."""
    from embeddings.catalog import source
    from embeddings.driver import EmbeddingsSource
    from embeddings.store import Store

    found = source(catalog, entry)
    if not isinstance(found, EmbeddingsSource):
        raise InputError(f"Got the entry {entry!r}, need one that holds embeddings; choose another.")
    store = yield from found.store_steps()
    if snapshot and snapshot != store.snapshot:
        store = Store.open(store.path, snapshot)
    yield Data(store, predictor(store), *published.over(catalog, store.grid))


def predictor(store):
    """The GPP model; None where it was taught with another model than made the store, so that the rest still works."""
    from embeddings import gpp

    return gpp.predict if gpp.is_compatible(store.attrs) else None
