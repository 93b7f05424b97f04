"""Round-robin work queue per device; the jobs of a session can be cancelled between two steps.

Several sessions compute on one device, such as visitors of a dashboard. Each gets one job (a strip of pixels or a
batch of acquisitions) in turn, whoever came first and however much the others want.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

T = TypeVar("T")

JobSteps = Callable[[T], Generator[None, None, None]]
"""From an item to the generator that computes it, pausing where it may be cancelled."""

SESSION: ContextVar[Hashable] = ContextVar("session", default=None)
"""For whom this thread computes; a thread that does not set it is a session of its own."""

PAUSE_S = 0.2
"""Longest time that a waiting session is not asked whether it goes on."""

END = object()
"""What ``next`` gives at a generator's end."""


@dataclass
class _Job:
    """One item of a session."""

    steps: Generator[None, None, None]
    cancelled: threading.Event
    """Shared by all jobs of one call of ``Queue.map``."""
    done: Future = field(default_factory=Future)

    def run(self) -> None:
        """All steps, or those until it is cancelled; errors go to whoever waits."""
        try:
            # Between two steps the device is free: a cancelled job ends there and not in the middle of a product.
            while not self.cancelled.is_set() and next(self.steps, END) is not END:
                pass
        # Also KeyboardInterrupt and panics: an error that ended the thread would leave its session waiting for ever.
        except BaseException as error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


class Queue:
    """Worker threads that take jobs from all sessions in turn.

    Parameters
    ----------
    places
        Number of threads; None: those of torch. On a CPU each has one core and one strip: operations on a strip are too
        small to be shared by cores, and so their numbers do not depend on how many cores there are.
    """

    def __init__(self, places: int | None = None) -> None:
        self.places = places
        self._pending: dict[Hashable, deque[_Job]] = {}
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def map(self, work: JobSteps, items: Iterable[Any]) -> Iterator[None]:
        """Compute items on the device, in any order.

        Parameters
        ----------
        work
            From an item to the generator that computes it.
        items
            One job each.

        Yields
        ------
        None
            Several times a second until all items are done. Closed early, unfinished jobs are cancelled.

        Raises
        ------
        BaseException
            What a job raised.
        """
        cancelled = threading.Event()
        # Generators: nothing is computed before a worker thread takes the first step.
        jobs = [_Job(work(item), cancelled) for item in items]
        if not jobs:
            return
        # Looked up in the caller's thread: a ContextVar is not inherited by the worker threads.
        session = SESSION.get() or threading.get_ident()
        with self._changed:
            self._start_threads()
            self._pending.setdefault(session, deque()).extend(jobs)
            self._changed.notify_all()
        try:
            for job in jobs:
                # Woken now and then without a result, since only a generator that yields can be closed by its caller.
                while not wait([job.done], PAUSE_S).done:
                    yield
                job.done.result()
                yield
        finally:
            # Also after the normal end, where nothing is left to cancel; jobs still pending end without a step.
            cancelled.set()

    def _start_threads(self) -> None:
        """As many as there are places, less those that live."""
        self.places = self.places or torch.get_num_threads()
        # a forked process has none of its parent's threads
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        # Daemon threads: a process that wants to end does not wait for a block that nobody will read.
        for _ in range(self.places - len(self._threads)):
            self._threads.append(threading.Thread(target=self._serve, daemon=True, name="device"))
            self._threads[-1].start()

    def _serve(self) -> None:
        # OpenMP keeps this number per calling thread, so that each worker must set it itself.
        torch.set_num_threads(1)
        while True:
            self._next().run()

    def _next(self) -> _Job:
        """The first job of the session whose turn it is; waits for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending)
            # Dicts keep their order: the first key has waited longest, and goes behind all others when it is put back.
            session = next(iter(self._pending))
            jobs = self._pending.pop(session)
            job = jobs.popleft()
            if jobs:
                self._pending[session] = jobs  # behind all other sessions
            return job


QUEUES = {"cpu": Queue(), "cuda": Queue(1)}
"""By the type of device; the CPU has a place per thread of torch, a GPU one."""
