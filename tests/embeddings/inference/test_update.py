"""An updated store holds what embedding the whole scene from scratch writes, bit for bit."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from filelock import FileLock
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.inference.batched_forward import embed_pixels_steps
from fluxlens.embeddings.inference.changed_days import changed_days
from fluxlens.embeddings.inference.embed import embed
from fluxlens.embeddings.inference.update import Update, update
from fluxlens.embeddings.inference.workers import Execution
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.scenes import packing
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Store
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError

ROOT = Path(__file__).parents[3]
SENSORS = ("s2", "s1")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "m.safetensors"
    checkpoints.save(Embedder(), path, "untrained", {})
    return path


@pytest.fixture(scope="module")
def model(weights) -> Embedder:
    return checkpoints.load(weights, "cpu")


@pytest.fixture(scope="module")
def months() -> xr.DataTree:
    return simulate("update", seed=5, size_px=8, start="2019-01-01", end="2019-03-31", truth=False).load()


def repeated(scene: xr.DataTree, times: int) -> xr.DataTree:
    """The scene's 90 days after each other; cheaper than to simulate as many days."""
    datasets = {}
    for node in scene.subtree:
        dataset = node.to_dataset(inherit=False)
        if "time" in dataset.dims:
            parts = [
                dataset.assign_coords(time=dataset["time"] + np.timedelta64(90 * i, "D"))
                for i in range(times)
            ]
            dataset = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")
        datasets[node.path] = dataset
    return xr.DataTree.from_dict(datasets, name=scene.name)


def without(scene: xr.DataTree, name: str, keep) -> xr.DataTree:
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    node = datasets[f"/{name}"]
    datasets[f"/{name}"] = node.isel(time=np.flatnonzero(keep(node["time"].values)))
    return xr.DataTree.from_dict(datasets, name=scene.name)


def cut(scene: xr.DataTree, day: str) -> xr.DataTree:
    """The scene without what was acquired on ``day`` and later."""
    for name in SENSORS:
        scene = without(scene, name, lambda time: time < np.datetime64(day))
    return scene


def embedded(path, scene: xr.DataTree, model: Embedder, **options) -> Store:
    progress.run(embed(path, scene, model, **options))
    return Store.open(path)


def updated(
    path, scene: xr.DataTree, model: Embedder, monkeypatch, **options
) -> tuple[Update, list[np.ndarray]]:
    """What an update did, and the days it computed, block by block."""
    day_groups = []

    def counted(model, tokens, shape, days, causal):
        day_groups.append(days)
        return embed_pixels_steps(model, tokens, shape, days, causal)

    with monkeypatch.context() as counting:
        counting.setattr(engine, "embed_pixels_steps", counted)
        done = progress.run(update(path, scene, model, **options))
    assert sum(map(len, day_groups)) == done.computed_days
    return done, day_groups


def check_same_bits(store: Store, whole: Store | xr.Dataset, scene: xr.DataTree) -> None:
    for layout in ("maps", "series"):
        cube = whole.cube(layout).load() if isinstance(whole, Store) else whole
        xr.testing.assert_identical(store.cube(layout).load(), cube)
    for name in SENSORS:
        known, new = store.scene()[name].to_dataset(), packing.round_scene(scene)[name].to_dataset()
        xr.testing.assert_equal(known.compute(), new.compute())


def test_a_pass_inserted_early_changes_no_later_day(tmp_path, months, model, monkeypatch):
    scene = repeated(months, 7)  # longer than both windows, so that some days stay as they are
    first = scene["s1"]["time"].values[3]
    old = embedded(tmp_path / "store", without(scene, "s1", lambda time: time != first), model)
    done, day_groups = updated(tmp_path / "store", scene, model, monkeypatch)
    assert (done.acquisitions, done.appended_days) == ({"s1": 1}, 0)
    # From the first day of the cube to the last that the groups of the pass reach, in one stretch.
    assert len(day_groups) == 1
    assert day_groups[0][0] == to_epoch_day(old.days[:1])[0]
    assert 395 < done.computed_days <= 558 + 36 < len(old.days)
    check_same_bits(Store.open(tmp_path / "store"), engine.compute(scene, model), scene)


def test_a_causal_scene_cut_at_a_date_is_updated_to_the_bits_of_the_whole(
    tmp_path, months, model, monkeypatch
):
    scene = repeated(months, 2)
    before = cut(scene, "2019-06-10")
    old = embedded(tmp_path / "store", before, model, causal=True)
    earlier = old.cube().load()
    whole = embedded(tmp_path / "whole", scene, model, causal=True)
    done, _ = updated(tmp_path / "store", scene, model, monkeypatch)
    new = Store.open(tmp_path / "store")
    check_same_bits(new, whole, scene)
    assert new.attrs["causal"] == 1
    assert 0 < done.appended_days <= done.computed_days < len(new.days)
    # One commit, and the earlier one can be read, by its id and by the day it was made.
    assert [commit.id for commit in new.log()] == [done.snapshot, old.snapshot]
    xr.testing.assert_identical(Store.open(tmp_path / "store", old.snapshot).cube().load(), earlier)
    today = f"{new.log()[0].written_at:%Y-%m-%d}"
    assert Store.open(tmp_path / "store", today).snapshot == done.snapshot
    again, day_groups = updated(tmp_path / "store", scene, model, monkeypatch)
    assert (again.is_new, again.snapshot, day_groups) == (False, done.snapshot, [])


def test_what_cannot_be_updated_is_told_and_the_store_stays(tmp_path, months, model):
    part = cut(months, "2019-03-20")
    store = embedded(tmp_path / "store", part, model, start="2019-02-20")
    moved = {node.path: node.to_dataset(inherit=False) for node in months.subtree}
    for name in SENSORS:
        moved[f"/{name}"] = moved[f"/{name}"].assign_coords(x=moved[f"/{name}"].x + 20)
    wrong = {
        "without the s2 acquisition": (cut(months, "2019-03-10"), model),
        "without s1": (part.filter(lambda node: node.name != "s1"), model),
        "other pixels": (xr.DataTree.from_dict(moved, name=months.name), model),
        "need the same; give it with --model": (months, checkpoints.load("default", "cpu")),
    }
    for sentence, (scene, weights) in wrong.items():
        with pytest.raises(InputError, match=sentence):
            progress.run(update(tmp_path / "store", scene, weights))
    with pytest.raises(InputError, match="before the store's last day"):
        progress.run(update(tmp_path / "store", months, model, until="2019-03-01"))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert [commit.id for commit in Store.open(tmp_path / "store").log()] == [store.snapshot]


def test_killed_before_its_commit_and_given_again_it_ends_with_the_same_bits(
    tmp_path, months, model, weights, monkeypatch
):
    before = cut(months, "2019-03-20")
    options = {"start": "2019-03-01"}
    whole = embedded(tmp_path / "whole", months, model, **options)
    old = embedded(tmp_path / "store", before, model, **options)
    zarr.write(months, tmp_path / "scene")
    killed = (
        "import os, signal, sys; from fluxlens.app.cli import main;"
        "from fluxlens.embeddings.store.writer import StoreWriter;"
        "StoreWriter.commit = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "main(['update', 'store', 'scene', '--model', sys.argv[1], '--device', 'cpu', '--resume'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run([sys.executable, "-c", killed, str(weights)], cwd=tmp_path, env=environment)
    assert child.returncode == -signal.SIGKILL
    assert Store.open(tmp_path / "store").snapshot == old.snapshot
    # The finished blocks are taken: nothing is computed again.
    calls = []
    monkeypatch.setattr(engine, "embed_pixels_steps", lambda *args: calls.append(args))
    done = progress.run(
        update(tmp_path / "store", zarr.open(tmp_path / "scene"), model, execution=Execution(resume=True))
    )
    assert (done.is_new, calls) == (True, [])
    new = Store.open(tmp_path / "store")
    np.testing.assert_array_equal(new.cube().embedding.values, whole.cube().embedding.values)
    np.testing.assert_array_equal(new.cube("series").sigma.values, whole.cube("series").sigma.values)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"store", "whole", "scene"}


@pytest.mark.parametrize("command", ["embed", "update"])
def test_what_a_run_left_that_was_killed_after_its_commit_is_removed_by_the_next(
    tmp_path, months, model, weights, command
):
    part = cut(months, "2019-03-20")
    zarr.write(part, tmp_path / "scene")
    words = ["embed", "scene", "--out", "store", "--start", "2019-03-18"]
    if command == "update":
        embedded(tmp_path / "store", cut(part, "2019-03-15"), model, start="2019-03-10")
        words = ["update", "store", "scene"]
    killed = (
        "import os, signal, sys; from fluxlens.app.cli import main;"
        "from fluxlens.embeddings.store import locking;"
        "locking.remove = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "main([*sys.argv[2:], '--model', sys.argv[1], '--device', 'cpu', '--resume'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run(
        [sys.executable, "-c", killed, str(weights), *words], cwd=tmp_path, env=environment
    )
    assert child.returncode == -signal.SIGKILL
    assert (tmp_path / ".store.partial").is_dir()
    # A writer at work keeps its own.
    for at_work in (True, False):
        with FileLock(tmp_path / ".store.partial" / "lock") if at_work else nullcontext():
            scene = zarr.open(tmp_path / "scene")
            if command == "embed":
                progress.run(
                    embed(
                        tmp_path / "store", scene, model, start="2019-03-18", execution=Execution(resume=True)
                    )
                )
            else:
                assert not progress.run(
                    update(tmp_path / "store", scene, model, execution=Execution(resume=True))
                ).is_new
        left = {"scene", "store", ".store.partial"} if at_work else {"scene", "store"}
        assert {path.name for path in tmp_path.iterdir()} == left


def test_of_two_updates_at_once_the_second_is_told(tmp_path, months, model):
    old = embedded(tmp_path / "store", cut(months, "2019-03-20"), model, start="2019-03-10")
    first = update(tmp_path / "store", months, model)
    next(first)
    with pytest.raises(InputError, match="which another process writes"):
        progress.run(update(tmp_path / "store", months, model))
    done = progress.run(first)
    assert [commit.id for commit in Store.open(tmp_path / "store").log()] == [done.snapshot, old.snapshot]


def test_days_past_the_last_acquisition_are_marked_and_stay_with_an_update(
    tmp_path, months, model, monkeypatch
):
    options = {"start": "2019-03-01", "until": "2019-04-20"}
    store = embedded(tmp_path / "store", cut(months, "2019-03-20"), model, **options)
    last = max(cut(months, "2019-03-20")[name]["time"].values[-1] for name in SENSORS)
    assert store.attrs["extrapolated_from"] == str(last.astype("datetime64[D]") + 1)
    assert str(store.days[-1])[:10] == "2019-04-20"
    updated(tmp_path / "store", months, model, monkeypatch)
    new = Store.open(tmp_path / "store")
    check_same_bits(new, embedded(tmp_path / "whole", months, model, **options), months)
    assert new.attrs["extrapolated_from"] > store.attrs["extrapolated_from"]


def test_days_farther_than_both_windows_are_not_changed():
    days = np.arange(18000, 20000)
    which = changed_days(days, np.array([19000]), np.arange(18000, 20000, 5))
    assert which[days == 19000].all()
    assert which[abs(days - 19000) <= 395].all()
    assert not which[abs(days - 19000) > 558].any()
    assert not changed_days(days, np.array([19000]), days, causal=True)[days < 19000 - 127 - 31].any()
