"""Which days of a scene have other images than before."""

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.embeddings.scenes.difference import changed_acquisitions
from fluxlens.embeddings.simulate import simulate

SENSORS = ("s2", "s1")


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    # longer than one box of 16 dates
    return simulate("difference", seed=4, size_px=8, start="2019-01-01", end="2019-05-31", truth=False).load()


@pytest.fixture(scope="module")
def stored(scene, tmp_path_factory) -> xr.DataTree:
    path = tmp_path_factory.mktemp("scenes") / "scene.zarr"
    zarr.write(scene, path)
    return zarr.open(path)


def replaced(scene: xr.DataTree, name: str, dataset: xr.Dataset) -> xr.DataTree:
    datasets = {node.path: node.to_dataset(inherit=False) for node in scene.subtree}
    return xr.DataTree.from_dict(datasets | {f"/{name}": dataset}, name=scene.name)


def compared(old: xr.DataTree, new: xr.DataTree) -> dict[str, list[int]]:
    return {name: days.tolist() for name, days in changed_acquisitions(old, new, SENSORS).items()}


def test_a_scene_and_its_stored_copy_are_the_same(scene, stored):
    assert compared(stored, scene) == {"s2": [], "s1": []}


def test_a_pixel_a_mask_and_an_inserted_image_are_told(scene, stored):
    s2 = scene["s2"].to_dataset(inherit=False).copy(deep=True)
    s2["reflectance"][17, 2, 3, 4] = 0.4321
    cloud = int(np.flatnonzero(s2["clear"].values.any((1, 2)))[-1])
    s2["clear"][cloud] = False
    days = to_epoch_day(s2["time"].values)
    assert compared(stored, replaced(scene, "s2", s2)) == {"s2": sorted({days[17], days[cloud]}), "s1": []}
    old = replaced(stored, "s2", stored["s2"].to_dataset(inherit=False).drop_isel(time=[0, 5]))
    assert compared(old, scene) == {"s2": days[[0, 5]].tolist(), "s1": []}


def test_the_same_images_at_other_times_of_their_days_are_the_same(scene, stored):
    s1 = scene["s1"].to_dataset(inherit=False)
    later = s1.assign_coords(time=s1["time"] + np.timedelta64(3, "h"))
    assert compared(stored, replaced(scene, "s1", later)) == {"s2": [], "s1": []}


def test_a_second_image_of_a_day_changes_that_day(scene, stored):
    s1 = scene["s1"].to_dataset(inherit=False)
    second = s1.isel(time=[3]).assign_coords(time=s1["time"][[3]] + np.timedelta64(90, "m"))
    both = xr.concat(
        [s1, second], "time", data_vars="minimal", coords="minimal", compat="override", join="outer"
    )
    day = to_epoch_day(s1["time"].values)[3]
    assert compared(stored, replaced(scene, "s1", both.sortby("time"))) == {"s2": [], "s1": [day]}
