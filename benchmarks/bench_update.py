"""What it costs to add one pass to a store, beside its share of the days: both timed in one run on one thread.

A store of all acquisitions but those of the last days is updated, and the whole is embedded from scratch. The days that
an update must compute are those whose windows the new acquisitions lie in (``changed_days``); their share of all days,
times the time from scratch, is what it would cost if nothing but computing took time.
"""

from __future__ import annotations

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


def run(side_px: int = 96, days: int = 731, causal: bool = False) -> dict[str, float]:
    """One flat object.

    Parameters
    ----------
    side_px : int
        Side of the scene, pixels of 10 m.
    days : int
        Of the scene.
    causal : bool
        Whether each day is made of its past alone.
    """
    model = checkpoints.load("default", "cpu")
    period = {"start": str(START), "end": str(START + days - 1)}
    whole = simulate("bench", seed=3, size_px=side_px, truth=False, **period).load()
    part = _without_last_days(whole)
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        # First, so that what is done once in a process counts for neither of the two below.
        progress.run(embed(Path(folder) / "store", part, model, causal=causal))
        scratch_s, _ = _timed(embed(Path(folder) / "scratch", whole, model, causal=causal))
        update_s, done = _timed(update(Path(folder) / "store", whole, model))
        assert isinstance(done, Update)
        store, scratch = (Store.open(Path(folder) / name) for name in ("store", "scratch"))
        same = all(
            np.array_equal(store.map(day).embedding, scratch.map(day).embedding) for day in store.days[::50]
        )
    share = done.computed_days / len(store.days)
    return {
        "side_px": side_px,
        "days": len(store.days),
        "new_acquisitions": sum(done.acquisitions.values()),
        "computed_days": done.computed_days,
        "appended_days": done.appended_days,
        "scratch_s": scratch_s,
        "update_s": update_s,
        "share_of_days": share,
        "update_over_scratch": update_s / scratch_s,
        "update_over_share": update_s / scratch_s / share,
        "same_bits": float(same),
    }


def _without_last_days(scene: xr.DataTree) -> xr.DataTree:
    datasets = {node.path: node.to_dataset(inherit=False) for node in scene.subtree}
    last = max(datasets[path]["time"].values[-1] for path in ("/s2", "/s1")).astype("datetime64[D]")
    for path in ("/s2", "/s1"):
        old = datasets[path]["time"].values.astype("datetime64[D]") <= last - LAST_DAYS
        datasets[path] = datasets[path].isel(time=np.flatnonzero(old))
    return xr.DataTree.from_dict(datasets, name=scene.name)


def _timed(steps: Generator) -> tuple[float, object]:
    """Seconds a generator takes, on the clock, and its result."""
    began = time.perf_counter()
    result = progress.run(steps)
    return time.perf_counter() - began, result
