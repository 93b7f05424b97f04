"""Visitors for a long time, while stores are written to and connections are cut: nothing dies, nothing piles up.

``python benchmarks/soak.py --minutes 60 --visitors 20`` serves two stores. Each visitor opens one of them on some
layer, taps and steps, then leaves: by closing the page, or by a connection that breaks in the middle of an answer; and
comes again, to either store. Every ``--rewrite-s`` seconds one of the stores gets a new snapshot underneath.
Reported are answers and their waits, errors, tracebacks on the server's stderr, and its memory at the first quarter
and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import bench_screen
import numpy as np
import visitors
from fluxlens.embeddings import store as embeddings_store
from fluxlens.embeddings.store import Store

LAYERS = ("pca", "gpp", "true", "sigma", "feature")
ACTIONS = (2, 9)
"""Of a visit, at least and at most."""
CUT = 0.3
"""Share of visits that end with a broken connection."""


@dataclass
class Outcome:
    """What all visits came to."""

    waits_ms: list[float] = field(default_factory=list)
    visits: int = 0
    cut: int = 0
    rewritten: int = 0
    errors: Counter = field(default_factory=Counter)
    resident_mb: list[float] = field(default_factory=list)


async def keep_visiting(server: visitors.Server, until: float, draw: random.Random, outcome: Outcome) -> None:
    """One visitor who comes again and again until the time is over."""
    while time.monotonic() < until:
        query = f"?entry={draw.choice(('bench', 'bench2'))}&layer={draw.choice(LAYERS)}"
        visitor = visitors.Visitor(server, query)
        try:
            await asyncio.wait_for(visitor.open(), 10 * visitors.PATIENCE_S)
            outcome.visits += 1
            for _ in range(draw.randint(*ACTIONS)):
                action = draw.choice((visitor.tap, visitor.step))
                outcome.waits_ms.append(await asyncio.wait_for(action(draw), visitors.PATIENCE_S))
                await asyncio.sleep(draw.uniform(*visitors.THINKING_S))
            if draw.random() < CUT:
                # the question is under way when the line breaks: no close frame, as of a train in a tunnel
                question = asyncio.ensure_future(visitor.tap(draw))
                await asyncio.sleep(draw.uniform(0, 0.05))
                question.cancel()
                visitor.socket.stream.close() if hasattr(visitor.socket, "stream") else visitor.socket.close()
                outcome.cut += 1
        except Exception as error:  # whatever goes wrong is what is counted
            outcome.errors[f"{type(error).__name__} {error}"[:200]] += 1
        finally:
            if hasattr(visitor, "listening"):
                visitor.close()


def rewrite(path: Path) -> None:
    """A new snapshot of a store with the same numbers."""
    store = Store.open(path)
    ny, nx = store.grid_shape
    whole = SimpleNamespace(rows=slice(0, ny), cols=slice(0, nx), cube=store.cube().load())
    embeddings_store.write(path, whole.cube, [whole], store.scene(), overwrite=True)


def run(minutes: float, count: int, rewrite_s: float) -> int:
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="fluxlens-soak-") as name:
        folder = Path(name)
        first, second = folder / "first", folder / "second"
        source = bench_screen.tiled(64, 120)
        shutil.copytree(source, first)
        shutil.copytree(source, second)
        log = folder / "server.txt"
        with visitors.served(first, second, log=log) as server:
            until = time.monotonic() + 60 * minutes
            ended = threading.Event()

            def write_underneath() -> None:
                while not ended.wait(rewrite_s):
                    rewrite((first, second)[outcome.rewritten % 2])
                    outcome.rewritten += 1

            def measure() -> None:
                while not ended.wait(5):
                    outcome.resident_mb.append(server.resident_mb)

            threads = [threading.Thread(target=one, daemon=True) for one in (write_underneath, measure)]
            for thread in threads:
                thread.start()

            async def all_visitors() -> None:
                # what is written to a line that was just cut fails, as it should
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
                draws = [random.Random(n) for n in range(count)]
                await asyncio.gather(*(keep_visiting(server, until, draw, outcome) for draw in draws))

            asyncio.run(all_visitors())
            ended.set()
            for thread in threads:
                thread.join(60)
            # still answers
            last = visitors.Visitor(server)
            asyncio.run(one_tap(last))
        words = log.read_text()
    return report(outcome, words, minutes, count)


async def one_tap(visitor: visitors.Visitor) -> None:
    await visitor.open()
    await visitor.tap(random.Random(0))
    visitor.close()


def report(outcome: Outcome, words: str, minutes: float, count: int) -> int:
    """The table; 1 where there was an error or a traceback."""
    tracebacks = words.count("Traceback (most recent call last)")
    quarter = max(1, len(outcome.resident_mb) // 4)
    early, late = (
        float(np.median(part))
        for part in (outcome.resident_mb[quarter : 2 * quarter] or [0], outcome.resident_mb[-quarter:] or [0])
    )
    waits = np.array(outcome.waits_ms or [np.nan])
    print(
        f"{count} visitors, {minutes:g} minutes, {outcome.visits} visits, {outcome.cut} cut,"
        f" {outcome.rewritten} new snapshots"
    )
    print(
        f"answers {len(outcome.waits_ms)}: median {np.median(waits):.0f} ms, p95 {np.percentile(waits, 95):.0f} ms"
    )
    print(f"errors {outcome.errors.total()}, tracebacks of the server {tracebacks}")
    print(f"memory {early:.0f} MB in the second quarter, {late:.0f} MB in the last")
    for error, times in outcome.errors.most_common(5):
        print(f"  {times} x {error}")
    if tracebacks:
        # Kinds by what was raised; the first of them whole.
        parts = words.split("Traceback (most recent call last)")[1:]
        raised = (
            re.search(r"^\w[\w.]*(?:Error|Exception|Interrupt).*", part, re.MULTILINE) for part in parts
        )
        for kind, times in Counter(found[0][:150] for found in raised if found).most_common(5):
            print(f"  {times} x {kind}")
        print(words[words.index("Traceback") :][:3000])
    return int(bool(outcome.errors or tracebacks))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--visitors", type=int, default=20)
    options.add_argument("--rewrite-s", type=float, default=60)
    options.add_argument(
        "--patience-s",
        type=float,
        default=visitors.PATIENCE_S,
        help="an answer that takes longer is an error; longer where other programs have the processor",
    )
    given = options.parse_args()
    visitors.PATIENCE_S = given.patience_s
    sys.exit(run(given.minutes, given.visitors, given.rewrite_s))
