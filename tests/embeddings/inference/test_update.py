"""An updated store holds what embedding the whole scene from scratch writes, bit for bit."""

import numpy as np
import pytest
import torch
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference.changed_days import changed_days
from fluxlens.embeddings.inference.embed import embed
from fluxlens.embeddings.inference.update import update
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Store
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError

SENSORS = ("s2", "s1")


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.manual_seed(0)
    return Embedder().eval()


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    """Longer than the two windows, so that some days stay as they are: three months, nine times over."""
    months = simulate("update", seed=5, size_px=8, start="2019-01-01", end="2019-03-31", truth=False).load()
    return repeated(months, 9)


def repeated(scene: xr.DataTree, times: int) -> xr.DataTree:
    """The scene's 90 days after each other; cheaper than to simulate as many days."""
    datasets = {}
    for node in scene.subtree:
        dataset = node.to_dataset(inherit=False)
        if "time" in dataset.dims:
            parts = [
                dataset.assign_coords(time=dataset["time"] + np.timedelta64(90 * i, "D")) for i in range(times)
            ]
            dataset = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")
        datasets[node.path] = dataset
    return xr.DataTree.from_dict(datasets, name=scene.name)


def without(scene: xr.DataTree, name: str, keep) -> xr.DataTree:
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    node = datasets[f"/{name}"]
    datasets[f"/{name}"] = node.isel(time=np.flatnonzero(keep(node["time"].values)))
    return xr.DataTree.from_dict(datasets, name=scene.name)


def check_updated(tmp_path, before: xr.DataTree, after: xr.DataTree, model: Embedder, causal: bool = False):
    progress.run(embed(tmp_path / "scratch", after, model, causal=causal))
    progress.run(embed(tmp_path / "store", before, model, causal=causal))
    old = Store.open(tmp_path / "store")
    earlier = old.cube().load()
    done = progress.run(update(tmp_path / "store", after, model))
    new, scratch = Store.open(tmp_path / "store"), Store.open(tmp_path / "scratch")
    for layout in ("maps", "series"):
        xr.testing.assert_identical(new.cube(layout).load(), scratch.cube(layout).load())
    for name in SENSORS:
        xr.testing.assert_identical(*(s.scene()[name].to_dataset().compute() for s in (new, scratch)))
    xr.testing.assert_identical(Store.open(tmp_path / "store", old.snapshot).cube().load(), earlier)
    assert [commit.id for commit in new.log()] == [done.snapshot, old.snapshot]
    assert done.computed_days < len(new.days)
    return done


@pytest.mark.parametrize("causal", [False, True])
def test_a_scene_cut_at_a_date_is_updated_to_the_bits_of_the_whole(tmp_path, scene, model, causal):
    before = scene
    for name in SENSORS:
        before = without(before, name, lambda time: time < np.datetime64("2021-03-08"))
    done = check_updated(tmp_path, before, scene, model, causal)
    assert done.appended_days > 0
    again = progress.run(update(tmp_path / "store", scene, model))
    assert (again.is_new, again.snapshot) == (False, done.snapshot)
    with pytest.raises(InputError, match="without the s2 acquisition"):
        progress.run(update(tmp_path / "store", before, model))


def test_an_acquisition_inserted_early_changes_no_later_day(tmp_path, scene, model):
    first = scene["s1"]["time"].values[3]
    done = check_updated(tmp_path, without(scene, "s1", lambda time: time != first), scene, model)
    assert done.acquisitions == {"s1": 1}
    assert done.appended_days == 0


def test_days_farther_than_both_windows_are_not_changed():
    days = np.arange(18000, 20000)
    which = changed_days(days, np.array([19000]), np.arange(18000, 20000, 5))
    assert which[days == 19000].all()
    assert which[abs(days - 19000) <= 395].all()
    assert not which[abs(days - 19000) > 558].any()
    assert not changed_days(days, np.array([19000]), days, causal=True)[days < 19000 - 127 - 31].any()
