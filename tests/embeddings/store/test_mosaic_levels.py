"""Overviews and images of a scene cut in four are those of the uncut one; what does not fit is shown near its place."""

from pathlib import Path

import mosaic_world
import numpy as np
import pytest
import xarray as xr
from app_world import GRID, make_cube, make_scene
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import Mosaic, Store, write
from fluxlens.models.errors import InputError
from tiny_cube import blocks_of


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return mosaic_world.write_world(tmp_path_factory.mktemp("world"))


DAYS, NY, NX, FEATURES = 2, 600, 520, 3
"""Levels to 8; quarters have fewer than the whole."""

CUT = (72, 328)
"""Row and column, multiples of 8."""


def wide_cube() -> xr.Dataset:
    rng = np.random.default_rng(7)
    shape = (DAYS, NY, NX)
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, NX, NY)
    cube = xr.Dataset(
        {
            "embedding": (("time", "y", "x", "feature"), rng.integers(-127, 128, (*shape, FEATURES), "int8")),
            "sigma": (("time", "y", "x"), rng.uniform(0, 0.2, shape).astype("float32")),
            "days_from_s2": (("time", "y", "x"), rng.integers(0, 40, shape, "int16")),
            "days_from_s1": (("time", "y", "x"), rng.integers(0, 12, shape, "int16")),
        },
        {
            "time": np.array(["2020-05-01", "2020-05-02"], "datetime64[ns]"),
            "feature": [f"e{i:02d}" for i in range(FEATURES)],
            "scale": ("feature", np.full(FEATURES, 1 / 64, "float32")),
        },
        {"title": "wide", "model": "made-up", "model_digest": "0"},
    )
    return cube.assign_coords(grid.coords())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder, cube = tmp_path_factory.mktemp("wide"), wide_cube()
    write(folder / "whole", cube, blocks_of(cube, 1000))
    return folder


def cut(folder: Path, row: int, col: int) -> Mosaic:
    """The cube as four stores, cut at a row and a column."""
    cube, paths = wide_cube(), []
    for rows in (slice(0, row), slice(row, NY)):
        for cols in (slice(0, col), slice(col, NX)):
            part = cube.isel(y=rows, x=cols)
            paths.append(folder / f"{row}_{col}_{rows.start}_{cols.start}")
            if not paths[-1].exists():
                write(paths[-1], part, blocks_of(part, 1000))
    return Mosaic.open(paths)


@pytest.mark.parametrize("level", [1, 2, 4, 8])
def test_overviews_across_the_edges_are_those_of_the_uncut_store(folder, level):
    whole, mosaic = Store.open(folder / "whole"), cut(folder, *CUT)
    middle = tuple(slice(edge // level - 3, edge // level + 5) for edge in CUT)
    for rows, cols in [(slice(0, NY), slice(0, NX)), middle, (slice(0, 2), slice(60, 62))]:
        for quality in (True, False):
            pair = (store.tile("2020-05-02", level, rows, cols, quality) for store in (mosaic, whole))
            xr.testing.assert_equal(*pair)


def test_a_whole_day_is_that_of_the_uncut_store(folder):
    whole, mosaic = Store.open(folder / "whole"), cut(folder, *CUT)
    xr.testing.assert_equal(mosaic.map("2020-05-01"), whole.map("2020-05-01"))
    with pytest.raises(InputError, match="Got level 3"):
        mosaic.tile("2020-05-01", 3, slice(0, 1), slice(0, 1))
    with pytest.raises(InputError, match="2021-05-01"):
        mosaic.tile("2021-05-01", 1, slice(0, 1), slice(0, 1))


@pytest.mark.parametrize("level", [2, 4, 8])
def test_stores_between_coarse_pixels_are_shown_up_to_half_of_one_away(folder, level):
    whole, mosaic = Store.open(folder / "whole"), cut(folder, 101, 203)
    found = mosaic.tile("2020-05-01", level, slice(None), slice(None))
    assert found.sizes["y"] == -(-NY // level)
    # Every coarse pixel comes from some store: none is left at the value for "missing".
    assert int(found["embedding"].min()) >= -127
    assert found["sigma"].notnull().all()
    # Those of the first store begin where the box does, and are exact.
    first = {"y": slice(0, 101 // level), "x": slice(0, 203 // level)}
    xr.testing.assert_equal(
        found.isel(first), whole.tile("2020-05-01", level, slice(None), slice(None)).isel(first)
    )
    if level == 8:  # halved from the last level of the stores
        return
    # The last store is its own overview, moved by less than half a coarse pixel.
    south_east = mosaic.stores[3].tile("2020-05-01", level, slice(None), slice(None))
    inside = np.asarray(found["embedding"].isel(y=-20, x=slice(-20, -10)))
    centre_m = float(found["y"][-20])
    near = int(np.abs(south_east["y"].values - centre_m).argmin())
    assert abs(float(south_east["y"][near]) - centre_m) <= level * 10 / 2
    assert any(
        np.array_equal(inside, south_east["embedding"].values[near + step, at : at + 10])
        for step in (0, -1, 1)
        for at in range(south_east.sizes["x"] - 10)
    )


def test_images_weather_and_tower_are_those_of_the_uncut_scene(world):
    whole = Store.open(world / "whole").scene()
    mosaic = Mosaic.open([world / f"part{i}" for i in (2, 0, 3, 1)])
    found = mosaic.scene()
    assert set(found.children) == {"s2", "s1", "weather", "tower"}
    assert found.attrs["title"] == whole.attrs["title"]
    for name in whole.children:
        mine, theirs = found[name].to_dataset().load(), whole[name].to_dataset().load()
        assert set(mine.data_vars) == set(theirs.data_vars)
        for variable in theirs.data_vars:
            assert mine[variable].dims == theirs[variable].dims
            assert mine[variable].dtype == theirs[variable].dtype
            pair = (one[variable].drop_vars("spatial_ref", errors="ignore") for one in (mine, theirs))
            xr.testing.assert_equal(*pair)


def test_images_of_other_times_are_blank_where_a_store_has_none(tmp_path):
    cube = make_cube().assign_coords(GRID.coords())
    scene = make_scene().copy()
    s2 = scene["s2"].to_dataset().assign_coords(GRID.coords())
    paths = []
    for i, cols in enumerate((slice(0, 28), slice(28, None))):
        part = cube.isel(x=cols)
        times = slice(0, 4) if i == 0 else slice(2, 6)
        one = xr.DataTree.from_dict(
            {"/s2": s2.isel(x=cols, time=times), "/weather": scene["weather"].to_dataset()}
        )
        one.attrs = scene.attrs
        paths.append(tmp_path / f"store{i}")
        write(paths[-1], part, blocks_of(part, 60), one)
    found = Mosaic.open(paths).scene()["s2"].to_dataset().load()
    assert found.sizes["time"] == 6
    assert not found["clear"].isel(time=slice(4, 6), x=slice(0, 28)).any()
    assert found["reflectance"].isel(time=slice(0, 2), x=slice(28, None)).isnull().all()
    whole = Store.open(paths[0]).scene()["s2"].to_dataset().load()
    np.testing.assert_array_equal(
        found["reflectance"].isel(time=slice(0, 4), x=slice(0, 28)), whole["reflectance"]
    )
    assert found["clear"].dtype == whole["clear"].dtype
