"""What it costs to add one pass to a store, beside its share of the days: both timed in turn on one thread.

A store of all acquisitions but those of the last days is updated, and the whole is embedded from scratch. The days that
an update must compute are those whose windows the new acquisitions lie in (``changed_days``); their share of all days,
times the time from scratch, is what it would cost if nothing but computing took time. Of several rounds the least of
each counts: another program on the machine can only add to a time. Processor seconds stand beside those of the clock,
since they add less of it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference.embed import embed
from fluxlens.embeddings.inference.update import Update, update
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Store
from fluxlens.models import checkpoints

START = np.datetime64("2019-01-01")
LAST_DAYS = 5
"""Acquisitions of so many last days are new: a pass of Sentinel-2, or one of Sentinel-1 and one of Sentinel-2."""


def run(side_px: int = 96, days: int = 731, causal: bool = False, rounds: int = 2) -> dict[str, float]:
    """One flat object.

    Parameters
    ----------
    side_px : int
        Side of the scene, pixels of 10 m.
    days : int
        Of the scene.
    causal : bool
        Whether each day is made of its past alone.
    rounds : int
        How often both are timed.
    """
    model = checkpoints.load("default", "cpu")
    period = {"start": str(START), "end": str(START + days - 1)}
    whole = simulate("bench", seed=3, size_px=side_px, truth=False, **period).load()
    part = _without_last_days(whole)
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        # First, so that what is done once in a process counts for neither of the two below.
        progress.run(embed(Path(folder) / "store", part, model, causal=causal))
        scratch, updated = Path(folder) / "scratch", Path(folder) / "updated"
        seconds: dict[str, list[tuple[float, float]]] = {"scratch": [], "update": []}
        for _ in range(rounds):
            for path in (scratch, updated):
                shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(Path(folder) / "store", updated)
            done = _timed(update(updated, whole, model), seconds["update"])
            _timed(embed(scratch, whole, model, causal=causal), seconds["scratch"])
        assert isinstance(done, Update)
        store, other = Store.open(updated), Store.open(scratch)
        same = all(
            np.array_equal(store.map(day).embedding, other.map(day).embedding) for day in store.days[::50]
        )
    (scratch_s, scratch_cpu_s), (update_s, update_cpu_s) = (
        np.min(taken, axis=0) for taken in seconds.values()
    )
    share = done.computed_days / len(store.days)
    return {
        "side_px": side_px,
        "days": len(store.days),
        "new_acquisitions": sum(done.acquisitions.values()),
        "computed_days": done.computed_days,
        "appended_days": done.appended_days,
        "scratch_s": float(scratch_s),
        "update_s": float(update_s),
        "scratch_processor_s": float(scratch_cpu_s),
        "update_processor_s": float(update_cpu_s),
        "share_of_days": share,
        "update_over_scratch": float(update_s / scratch_s),
        "update_over_share": float(update_s / scratch_s / share),
        "update_over_share_processor": float(update_cpu_s / scratch_cpu_s / share),
        "same_bits": float(same),
    }


def _without_last_days(scene: xr.DataTree) -> xr.DataTree:
    datasets = {node.path: node.to_dataset(inherit=False) for node in scene.subtree}
    last = max(datasets[path]["time"].values[-1] for path in ("/s2", "/s1")).astype("datetime64[D]")
    for path in ("/s2", "/s1"):
        old = datasets[path]["time"].values.astype("datetime64[D]") <= last - LAST_DAYS
        datasets[path] = datasets[path].isel(time=np.flatnonzero(old))
    return xr.DataTree.from_dict(datasets, name=scene.name)


def _timed(steps: Generator, taken: list[tuple[float, float]]) -> object:
    """The result of a generator; adds its seconds on the clock and of the processor."""
    began, used = time.perf_counter(), time.process_time()
    result = progress.run(steps)
    taken.append((time.perf_counter() - began, time.process_time() - used))
    return result
