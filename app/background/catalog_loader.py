"""Catalog entries opened in threads, once per process; every session that waits for one sees its progress."""

import difflib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fluxlens.app.data.data_warnings import collect_data_warnings
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.published import find_published
from fluxlens.embeddings.export.geometries import first_few
from fluxlens.models.errors import InputError

IMAGE_LOAD_DELAY_S = 5
"""Seconds between opening an entry and reading its images into memory: the sessions that waited are drawing their
page then, which must have the machine; the images only speed up later taps."""

LoadSteps = Callable[[], Iterator]
"""Starts the work: yields (message, fraction 0-1) and finally the ExplorerData."""


@dataclass
class EntryLoad:
    """Progress of opening one entry; ``data`` or ``error`` is set when it has ended."""

    entry: str
    message: str = "Looking at the catalog"
    fraction: float = 0.0
    error: str = ""
    data: ExplorerData | None = None
    notes: list[str] = field(default_factory=list)
    """What the readers left out, for every session that opens the entry."""
    started: float = field(default_factory=time.monotonic)
    _done: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def ended(self) -> bool:
        return self.data is not None or bool(self.error)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def wait(self, seconds: float) -> None:
        """Block until the load has ended, at most ``seconds``."""
        self._done.wait(seconds)

    def run(self, steps: Iterator) -> None:
        """Take every step; an error becomes a sentence, never a dead page.

        Parameters
        ----------
        steps : iterator
            Yields (message, fraction) and finally the ExplorerData.
        """
        try:
            # Only until the store is open: the filters of warnings are the process's, and go back as soon as possible.
            with collect_data_warnings(self.notes):
                data = self._take_steps(steps)
            if data is not None:
                # The sessions see the store before its images are read, which only make later taps faster.
                self.data = data
                self._done.set()
                time.sleep(IMAGE_LOAD_DELAY_S)
                data.load_images()
        except InputError as error:
            self.error = str(error)
        except Exception as error:  # whatever a file or a driver does, the page must say it and live
            self.error = (
                f"Got {type(error).__name__} while opening {self.entry!r} ({error}); choose another entry."
            )
        # Steps may end without data and without an error: sessions would wait for ever.
        if not self.ended:
            self.error = f"Got nothing from {self.entry!r}, need a store of embeddings; choose another entry."
        self._done.set()

    def _take_steps(self, steps: Iterator) -> ExplorerData | None:
        """Take every step to the data, whose overview is then in memory; None where the steps end without data."""
        for step in steps:
            if isinstance(step, ExplorerData):
                self.message, self.fraction = "Reading the season's colours", 0.98
                # Before any session has the data: the first page would else wait for it without a bar.
                step.preload()
                return step
            self.message, self.fraction = step
        return None


class CatalogLoader:
    """All loads of this process; one that failed is tried again when the entry is next asked for."""

    def __init__(self):
        self._loads: dict[tuple[str, str, str], EntryLoad] = {}
        self._lock = threading.Lock()

    def get(self, catalog: str, entry: str, steps: LoadSteps, snapshot: str = "") -> EntryLoad:
        """The load of an entry, started if no session has.

        Parameters
        ----------
        catalog : str
            Path of the catalog, part of the key.
        entry : str
            Name of the entry.
        steps : callable
            Starts the work where it has not been started.
        snapshot : str
            Snapshot id that a permalink names; empty for the latest.
        """
        with self._lock:
            load = self._loads.get((catalog, entry, snapshot))
            # A load that failed is not kept: the user may have mended the file meanwhile.
            if load is None or load.error:
                load = EntryLoad(entry)
                self._loads[catalog, entry, snapshot] = load
                threading.Thread(target=load.run, args=(steps(),), daemon=True, name=f"open {entry}").start()
            return load

    @property
    def is_opening(self) -> bool:
        """Whether an entry is being opened now."""
        with self._lock:
            return any(not load.ended for load in self._loads.values())

    def forget(self, catalog: str, entry: str, snapshot: str) -> None:
        """Have the newest snapshot of an entry opened anew by the next session; those that show it keep theirs.

        Parameters
        ----------
        catalog, entry : str
            As of :meth:`get`.
        snapshot : str
            Id of the one that is the newest no more; a load of another stays.
        """
        with self._lock:
            load = self._loads.get((catalog, entry, ""))
            if load is not None and load.data is not None and load.data.store.snapshot == snapshot:
                del self._loads[catalog, entry, ""]


LOADER = CatalogLoader()


def open_entry(
    catalog, entry: str, snapshot: str = "", prepare: Callable[[], None] = lambda: None
) -> Iterator:
    """Steps that open an embeddings entry, making its store first where it is not there yet.

    Parameters
    ----------
    catalog : intake.Catalog
        The open catalog.
    entry : str
        Name of the entry.
    snapshot : str
        An earlier state of the store; empty for the latest.
    prepare : callable
        What else takes seconds before a first page, done in a thread beside the opening.

    Yields
    ------
    (message, fraction) and finally the ExplorerData.
    """
    from fluxlens.embeddings.catalog import entries, source

    # Before the catalog is asked, whose own message names scenes and towers too, which no page can show.
    names = [one.name for one in entries(catalog) if one.kind == "embeddings"]
    if entry not in names:
        near = difflib.get_close_matches(entry, names, n=1)
        advice = f"did you mean {near[0]}?" if near else "choose one."
        raise InputError(
            f"Got the entry {entry!r}, need one with embeddings: {first_few(sorted(names))}; {advice}"
        )
    entry_source = source(catalog, entry)
    # HoloViews takes seconds to import and to draw with: they pass beside the opening of the store, whose progress the
    # page shows.
    preparing = threading.Thread(target=prepare, name="prepare page", daemon=True)
    preparing.start()
    store = yield from entry_source.store_steps()
    if snapshot:
        store = store.at_snapshot(snapshot)
    data = ExplorerData(store, gpp_predictor(store), *find_published(catalog, store.grid))
    preparing.join()
    yield data


def gpp_predictor(store) -> Callable | None:
    """The GPP model; None where it was trained on another model's embeddings, so that the rest still works.

    Parameters
    ----------
    store : embeddings.store.Store
        Its attributes name the model that made the embeddings.
    """
    from fluxlens.embeddings import gpp

    return gpp.predict if gpp.is_compatible(store.attrs) else None
