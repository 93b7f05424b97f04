"""One fair queue for each device: whoever waits gets turns, a strip of pixels at a time, and may leave at once."""

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
Work = Callable[[T], Generator[None, None, None]]
"""Does its item bit by bit, pausing where it may be dropped."""

SESSION: ContextVar[Hashable] = ContextVar("session", default=None)
"""For whom this thread computes; a thread that does not say so is a session of its own."""


PAUSE_S = 0.2
END = object()


@dataclass
class _Job:
    steps: Generator[None, None, None]
    dropped: threading.Event
    done: Future = field(default_factory=Future)

    def run(self) -> None:
        try:
            while not self.dropped.is_set() and next(self.steps, END) is not END:
                pass
        except BaseException as error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


class Queue:
    """Threads that take jobs from all sessions in turn, as many as the device has places.

    On a CPU a place is one core with one strip: operations on a strip are too small to be shared by cores, and their
    numbers do not depend on how many cores there are.
    """

    def __init__(self, places: int | None = None) -> None:
        self.places = places
        self._lines: dict[Hashable, deque[_Job]] = {}
        self._news = threading.Condition()
        self._threads: list[threading.Thread] = []

    def map(self, work: Work, items: Iterable[Any]) -> Iterator[None]:
        """Yields several times a second until all items are done; closed early, it drops what is not."""
        dropped = threading.Event()
        jobs = [_Job(work(item), dropped) for item in items]
        if not jobs:
            return
        session = SESSION.get() or threading.get_ident()
        with self._news:
            self._hire()
            self._lines.setdefault(session, deque()).extend(jobs)
            self._news.notify_all()
        try:
            for job in jobs:
                while not wait([job.done], PAUSE_S).done:
                    yield
                job.done.result()
                yield
        finally:
            dropped.set()

    def _hire(self) -> None:
        self.places = self.places or torch.get_num_threads()
        # a fork takes no threads along
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for _ in range(self.places - len(self._threads)):
            self._threads.append(threading.Thread(target=self._serve, daemon=True, name="device"))
            self._threads[-1].start()

    def _serve(self) -> None:
        torch.set_num_threads(1)
        while True:
            self._next().run()

    def _next(self) -> _Job:
        with self._news:
            self._news.wait_for(lambda: self._lines)
            session = next(iter(self._lines))
            line = self._lines.pop(session)
            job = line.popleft()
            if line:
                self._lines[session] = line  # behind all who wait
            return job


QUEUES = {"cpu": Queue(), "cuda": Queue(1)}
"""By the type of device; the CPU has a place per thread of torch."""
