"""Coarse images of a wide scene: means of what is known, few bytes for a look at all of it."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import zarr as scenes
from fluxlens.embeddings.store import true_colour

GRID = Grid("EPSG:32631", 500_000.0, 5_600_000.0, 10.0, 601, 520)
DATES = 3


def written(grid: Grid = GRID) -> tuple[zarr.storage.MemoryStore, np.ndarray]:
    draw = np.random.default_rng(0)
    reflectance = draw.integers(0, 4000, (DATES, 4, *grid.shape)).astype("float32") / 10_000
    reflectance[0, :, :5, :5] = np.nan
    known = np.isfinite(reflectance[:, 0])
    s2 = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), reflectance),
            "clear": (("time", "y", "x"), known & (np.arange(grid.nx) % 4 > 0)),
        },
        {"time": pd.date_range("2020-05-01", periods=DATES), "band": ["B02", "B03", "B04", "B08"]},
    ).assign_coords(grid.coords())
    store = zarr.storage.MemoryStore()
    scenes.write(xr.DataTree.from_dict({"/": xr.Dataset(attrs={"id": "wide"}), "/s2": s2}), store, "scene")
    true_colour.write_overviews(store)
    return store, reflectance


@pytest.fixture(scope="module")
def wide():
    return written()


def test_a_coarse_pixel_is_the_mean_of_those_known_in_it(wide):
    store, fine = wide
    found = true_colour.open_overviews(store)
    assert [(level, array.sizes["y"], array.sizes["x"]) for level, array in found.items()] == [
        (2, 260, 301),
        (4, 130, 151),
    ]
    red = fine[1, 2, :, :600].reshape(260, 2, 300, 2).mean((1, 3))
    np.testing.assert_allclose(found[2].reflectance[1, 0, :, :300], red, atol=6e-5)
    assert np.isnan(found[2].reflectance[0, :, :2, :2]).all()
    known = np.nanmean(fine[0, 2, 4:6, 4:6])
    np.testing.assert_allclose(found[2].reflectance[0, 0, 2, 2], known, atol=6e-5)
    np.testing.assert_allclose(found[4].clear[1, :, :150], 0.75, atol=0.01)


def test_a_look_at_one_date_reads_that_date_alone(wide):
    """7 bytes a pixel at most, that is 3.4 MB for the 686 px by which a screen shows all of a Sentinel-2 tile."""
    store, _ = wide
    array = zarr.open_group(store, mode="r")["photos/2"]
    assert (array["reflectance"].chunks[0], array["clear"].chunks[0]) == (1, 1)
    read = [f"photos/2/{name}/c/1/" for name in ("reflectance", "clear")]
    size = sum(len(part) for key, part in store._store_dict.items() if key.startswith(tuple(read)))
    assert size <= 7 * 260 * 301


def test_a_small_scene_has_none():
    store, _ = written(Grid("EPSG:32631", 500_000.0, 5_600_000.0, 10.0, 40, 30))
    assert true_colour.open_overviews(store) == {}
