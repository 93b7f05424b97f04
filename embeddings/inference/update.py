"""From a store and a scene with new acquisitions to the store of all of them: only days that change are computed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.embeddings import store
from fluxlens.embeddings.inference import changed_days as changes
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.inference.block_files import BlockFolder, BlockWindow, resume_folder
from fluxlens.embeddings.inference.embed import FinishedBlock, write_blocks
from fluxlens.embeddings.inference.request import Request
from fluxlens.embeddings.inference.workers import IN_PROCESS, Execution, executor
from fluxlens.embeddings.object_url import Location, locate
from fluxlens.embeddings.scenes import digest as scenes_digest
from fluxlens.embeddings.scenes.acquisitions import (
    AcquisitionSeries,
    first_and_last_day,
    from_epoch_day,
    to_epoch_day,
)
from fluxlens.embeddings.scenes.difference import changed_acquisitions
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError


@dataclass(frozen=True)
class Update:
    """What an update did."""

    snapshot: str
    """Id of the store's newest snapshot; the one of before where there was nothing new."""
    is_new: bool
    """Whether anything was committed."""
    acquisitions: dict[str, int] = field(default_factory=dict)
    """Days with new or changed images, by sensor."""
    computed_days: int = 0
    """Days whose numbers were computed, the appended ones among them."""
    appended_days: int = 0
    """Days that the store did not have."""


@dataclass(frozen=True)
class _Changes:
    """How a scene differs from the one that a store was made from."""

    acquisitions: dict[str, np.ndarray]
    """Days since 1970-01-01 with new or changed images, by sensor."""
    computed: np.ndarray
    """(day,) bool, of the days of the request those whose numbers change; the appended ones among them."""
    appended: np.ndarray
    """(day,) bool, those that the store does not have."""


@dataclass(frozen=True)
class UpdateTask(engine.BlockTask):
    """As ``BlockTask``, with all days of the request: ``day_slices`` computed, the others read from the store."""

    path: Location = Path()
    snapshot: str = ""

    def steps(
        self, window: BlockWindow, read: Callable[[], dict[str, AcquisitionSeries]] | None = None
    ) -> Generator[None, None, dict[str, np.ndarray]]:
        """Compute the changed days of a window, and put them over those of the store.

        Parameters
        ----------
        window, read
            As of ``BlockTask.steps``.

        Yields
        ------
        None
            As of ``BlockTask.steps``.

        Returns
        -------
        dict of numpy.ndarray
            The variables of the cube, all days: ``embedding`` (day, y, x, feature) int8, the others (day, y, x).
        """
        # Where no day changes, the block is copied alone.
        computed = (yield from super().steps(window, read)) if self.day_slices else {}
        base = _open(self.path, self.snapshot)
        # At the snapshot of the start: what another writer commits meanwhile changes nothing here.
        known = base.window(slice(0, len(base.days)), *window)
        # Days of the store keep their place in time; those it does not have are all computed.
        days = self.request.days
        at = np.searchsorted(days, to_epoch_day(base.days))
        computed_at = np.searchsorted(days, self.days)
        arrays = {}
        for name in known.data_vars:
            stored = known[name].values  # (old day, y, x[, feature])
            arrays[str(name)] = array = np.empty((len(days), *stored.shape[1:]), stored.dtype)
            array[at] = stored
            if self.day_slices:
                array[computed_at] = computed[str(name)]
        return arrays


@lru_cache(maxsize=2)
def _open(path: Location, snapshot: str) -> store.Store:
    """The store as it was before, opened once in each process."""
    return store.Store.open(path, snapshot)


def update(
    path: str | Location,
    scene: xr.DataTree,
    model: Embedder,
    until: str | None = None,
    execution: Execution = IN_PROCESS,
) -> Generator[FinishedBlock | None, None, Update]:
    """Bring a store up to date with a scene that has more acquisitions than when it was written.

    The store then holds what :func:`embed.embed` of the scene writes, bit for bit. A store that was written with a
    ``start`` or an ``end`` keeps it, and days once asked for with ``until`` stay.

    Parameters
    ----------
    path
        Of the store: a path, or a URL of an object store.
    scene
        Validated; it holds all acquisitions that the store was made from.
    model
        The one of the store.
    until
        Last day, YYYY-MM-DD, also past the last acquisition.
    execution
        As of :func:`embed.embed`.

    Yields
    ------
    FinishedBlock or None
        As of :func:`embed.embed`.

    Returns
    -------
    Update

    Raises
    ------
    InputError
        Where the store does not carry its scene, is of another model or other pixels, or knows acquisitions that the
        scene lacks.
    """
    path = locate(path)
    # Workers may run in other folders.
    path = path.resolve() if isinstance(path, Path) else path
    base, known = _open_base(path, model)
    # As the store was written, whatever the command's defaults are today.
    causal, digest = bool(base.attrs.get("causal", 0)), scenes_digest.digest(scene)
    period = _period(base.days, known, scene, model, until)
    request = Request.from_scene(scene, model, **period)
    # The whole updated cube without numbers: its coordinates and attributes name the folder of a resumed run.
    cube = engine.empty_cube(scene, model, **period, causal=causal, digest=digest)
    finished = resume_folder(path, cube)
    if digest == base.attrs["scene_digest"] and np.array_equal(base.days, cube["time"].values):
        shutil.rmtree(finished, ignore_errors=True)  # of a run killed between its last steps
        store.remove_leftovers(path)
        return Update(base.snapshot, is_new=False)
    sensors = model.config.sensors
    found = _find_changes(known, scene, sensors, request.days, base.days, causal)
    day_slices = changes.runs(found.computed)
    # Fewer acquisitions to read and encode; those out of reach have no weight on the days computed.
    near = _near(scene, sensors, request.days[found.computed], causal)
    # Each block takes its unchanged days from the store itself, on the worker that computes it.
    task = UpdateTask(near, model, request, causal, day_slices, path=path, snapshot=base.snapshot)
    last = cube["time"].values[-1].astype("datetime64[D]")
    count = sum(map(len, found.acquisitions.values()))
    message = (
        f"{cube.attrs['title']}, updated to {last} by {count} acquisitions, model {model.name} {model.digest}"
    )
    # One writer at a time; readers keep the snapshot they have opened until they ask for the new one.
    with store.writable(path), store.open_update(base, cube, day_slices) as writer:
        blocks = BlockFolder(task, finished if execution.resume else writer.scratch, execution.resume)
        with executor(execution, writer) as compute:
            yield from write_blocks(writer, scene, blocks, compute)
            snapshot = writer.commit(message)
    if execution.resume:
        shutil.rmtree(finished, ignore_errors=True)
    counts = {name: len(days) for name, days in found.acquisitions.items() if len(days)}
    return Update(snapshot, True, counts, int(found.computed.sum()), int(found.appended.sum()))


def _find_changes(
    known: xr.DataTree,
    scene: xr.DataTree,
    sensors: tuple[str, ...],
    days: np.ndarray,
    stored_days: np.ndarray,
    causal: bool,
) -> _Changes:
    """What a scene changes on ``days`` (since 1970-01-01) beside the known one, of which a store has some days."""
    # By digests of the images and not by dates alone: a reprocessed image of a known date changes its days too.
    new = changed_acquisitions(known, scene, sensors)
    # The empty array gives ``concatenate`` its dtype where no sensor has anything new.
    changed = np.unique(np.concatenate([np.empty(0, np.int64), *new.values()]))
    # All days with an acquisition, old and new: they bound how far a new one reaches.
    acquired = np.unique(
        np.concatenate(
            [to_epoch_day(scene[name]["time"].values) for name in sensors if name in scene.children]
        )
    )
    appended = ~np.isin(days, to_epoch_day(stored_days))
    # New days are computed even where no acquisition is near: the store has nothing for them.
    return _Changes(new, changes.changed_days(days, changed, acquired, causal) | appended, appended)


def _open_base(path: Location, model: Embedder) -> tuple[store.Store, xr.DataTree]:
    """The store to update and the scene it was made from; InputError without one, and for another model."""
    base = store.Store.open(path)
    known = base.scene()
    if known is None:
        raise InputError(
            f"Got the store {path} without the scene it was made from, need one that `fluxlens embed` wrote; embed the "
            "scene to a new store."
        )
    if base.attrs.get("model_digest") != model.digest:
        raise InputError(
            f"Got the model {model.name} {model.digest} for the store {path} of {base.attrs.get('model')} "
            f"{base.attrs.get('model_digest')}, need the same; give it with --model."
        )
    return base, known


def _period(
    days: np.ndarray, known: xr.DataTree, scene: xr.DataTree, model: Embedder, until: str | None
) -> dict[str, str | None]:
    """``start``, ``end`` and ``until`` of the updated store."""
    first, last = (str(day.astype("datetime64[D]")) for day in (days[0], days[-1]))
    began, ended = first_and_last_day(known, model.config.sensors)
    observed = first_and_last_day(scene, model.config.sensors)[1]
    first_day, last_day = to_epoch_day(days[[0, -1]]).tolist()
    # A store that begins after its first acquisition, or ends before its last, was written so on purpose.
    start = first if first_day > began else None
    if until is not None:
        if np.datetime64(until, "D") < days[-1].astype("datetime64[D]"):
            raise InputError(
                f"Got until {until}, before the store's last day {last}, need that day or a later one."
            )
        return {"start": start, "end": None, "until": until}
    if last_day < ended:
        return {"start": start, "end": last, "until": None}
    return {"start": start, "end": None, "until": last if last_day > observed else None}


def _near(scene: xr.DataTree, sensors: tuple[str, ...], days: np.ndarray, causal: bool) -> xr.DataTree:
    """The scene with those acquisitions alone that bear on the days to compute."""
    if not len(days):
        return scene
    first, last = from_epoch_day(np.array(changes.needed_acquisitions(days, causal))).astype("datetime64[D]")
    # Other nodes, such as the weather, stay whole: only the time axes of sensors are cut.
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    for name in sensors:
        if name in scene.children:
            times = scene[name]["time"].values.astype("datetime64[D]")
            dataset = datasets[f"/{name}"]
            datasets[f"/{name}"] = dataset.isel(time=np.flatnonzero((times >= first) & (times <= last)))
    return xr.DataTree.from_dict(datasets, name=scene.name)
