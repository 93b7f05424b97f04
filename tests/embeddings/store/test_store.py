"""A store gives back, day by day and pixel by pixel, what was written, or it does not exist."""

import numpy as np
import pytest
import xarray as xr
import zarr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import Store, routing, tiles, write
from fluxlens.embeddings.store import layout as store_layout
from fluxlens.embeddings.store.quantise import decode_sigma, encode_sigma
from fluxlens.models.errors import InputError
from tiny_cube import DAYS, FEATURES, NX, NY, blocks_of, random_cube
from zarr.core.sync import sync


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    """A small cube of random numbers that keeps the cube contract."""
    return random_cube()


@pytest.fixture(scope="module")
def scene(cube) -> xr.DataTree:
    weather = xr.Dataset(
        {"sw_in": ("time", np.arange(DAYS, dtype=np.float32), {"units": "W m-2"})}, coords={"time": cube.time}
    )
    s2 = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), np.full((2, 2, NY, NX), 0.25, np.float32)),
            "clear": (("time", "y", "x"), np.ones((2, NY, NX), bool)),
        },
        coords={
            "time": cube.time[:2],
            "band": ["B04", "B08"],
            "x": cube.x,
            "y": cube.y,
            "spatial_ref": cube.spatial_ref,
        },
    )
    root = xr.Dataset(attrs={"id": "tiny", "simulated": np.int64(1)})
    return xr.DataTree.from_dict({"/": root, "/s2": s2, "/weather": weather})


@pytest.fixture(scope="module")
def stored(tmp_path_factory, cube, scene) -> Store:
    path = tmp_path_factory.mktemp("store") / "tiny.icechunk"
    write(path, cube, blocks_of(cube), scene=scene, message="first")
    return Store.open(path)


@pytest.mark.parametrize("layout", [None, "maps", "series"])
def test_what_was_written_is_read_back_identically(stored, cube, layout):
    back = stored.cube(layout)
    xr.testing.assert_identical(back.compute(), cube)
    assert list(back.dims) == list(cube.dims)
    assert list(back.data_vars) == list(cube.data_vars)
    assert {name: back[name].dtype for name in back.variables} == {
        name: cube[name].dtype for name in cube.variables
    }


def test_a_pixel_s_series_is_the_cube_at_that_pixel(stored, cube):
    for row, col in [(0, 0), (17, 33), (NY - 1, NX - 1)]:
        xr.testing.assert_identical(stored.series(row, col), cube.isel(y=row, x=col))


def test_a_day_s_map_is_the_cube_on_that_day(stored, cube):
    xr.testing.assert_identical(stored.map("2020-01-04"), cube.sel(time="2020-01-04"))
    xr.testing.assert_identical(stored.map(cube.time.values[-1]), cube.isel(time=-1))


def test_a_window_is_the_same_from_whichever_layout(stored, cube):
    for key in [(slice(0, 1), slice(0, NY), slice(0, NX)), (slice(0, DAYS), slice(3, 4), slice(5, 7))]:
        window = cube.isel(dict(zip(("time", "y", "x"), key, strict=True)))
        xr.testing.assert_identical(stored.window(*key), window)


def test_the_router_takes_maps_for_a_day_and_series_for_a_pixel(stored):
    day, pixel = (slice(0, 1), slice(0, NY), slice(0, NX)), (slice(0, DAYS), slice(0, 1), slice(0, 1))
    maps, series = (stored.arrays.by_layout[layout].values() for layout in ("maps", "series"))
    assert routing.bytes_touched(maps, day) < routing.bytes_touched(series, day)
    assert routing.bytes_touched(series, pixel) < routing.bytes_touched(maps, pixel)


def test_the_scene_comes_along(stored, scene):
    back = stored.scene()
    assert back.attrs == {"id": "tiny", "simulated": 1}
    for name in ("s2", "weather"):
        xr.testing.assert_equal(back[name].to_dataset().compute(), scene[name].to_dataset())
    assert back["s2"]["clear"].dtype == bool
    assert back["s2"]["band"].dtype.kind == "U"


def test_the_grid_is_the_cube_s(stored, cube):
    assert stored.grid == Grid.from_cube(cube)


def test_tiles_and_shards_larger_and_smaller_than_blocks_give_the_same(tmp_path, monkeypatch, cube):
    monkeypatch.setattr(store_layout, "MAP_PX", 32)
    monkeypatch.setattr(store_layout, "_shard_px", lambda embedding: 16)
    for px in (7, 24, 64):
        write(tmp_path / f"{px}", cube, reversed(list(blocks_of(cube, px))))
        for layout in ("maps", "series"):
            xr.testing.assert_identical(Store.open(tmp_path / f"{px}").cube(layout).compute(), cube)


def test_a_frame_is_as_fine_as_its_bytes_allow(tmp_path, monkeypatch):
    monkeypatch.setattr(store_layout, "MAP_PX", 8)
    monkeypatch.setattr(routing, "FRAME_BYTES", 8 * 8 * (FEATURES + 3) * 6)
    wide = random_cube(3, days=2, ny=37, nx=64)
    write(tmp_path / "store", wide, blocks_of(wide))
    store, day = Store.open(tmp_path / "store"), wide.time.values[1]
    near = store.frame(day, slice(8, 20), slice(30, 40))
    xr.testing.assert_equal(near, wide.isel(time=1, y=slice(8, 20), x=slice(30, 40)))
    whole = store.frame(day, slice(None), slice(None))
    assert dict(whole.sizes) == {"y": 10, "x": 16, "feature": FEATURES}
    assert Grid.from_cube(whole).extent[0::3] == Grid.from_cube(wide).extent[0::3]
    corner = wide.isel(time=1, y=slice(0, 4), x=slice(0, 4))
    assert whole["days_from_s2"][0, 0] == worst_days(corner["days_from_s2"].values)
    mean = corner["embedding"].mean(("y", "x")).values
    np.testing.assert_allclose(whole["embedding"][0, 0].values, mean, atol=1.0)
    for rows, cols in ((slice(0, 37), slice(5, 64)), (slice(7, 9), slice(7, 9)), (slice(0, 1), slice(0, 64))):
        level, key = routing.finest_level(store.arrays.by_layout, store.grid_shape, 0, rows, cols)
        arrays = store.arrays.by_layout[store_layout.level_layouts(*store.grid_shape)[level]]
        assert routing.bytes_touched(arrays.values(), key) <= routing.FRAME_BYTES
        assert store.frame(day, rows, cols).sizes["x"] > 0


def worst_days(days: np.ndarray) -> int:
    return -1 if (days < 0).any() else int(days.max())


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_write_leaves_nothing(tmp_path, cube, failure):
    def broken():
        yield from list(blocks_of(cube))[:5]
        raise failure

    with pytest.raises(failure):
        write(tmp_path / "store", cube, broken())
    assert list(tmp_path.iterdir()) == []


def test_a_forgotten_block_is_noticed(tmp_path, cube):
    with pytest.raises(RuntimeError, match="never computed"):
        write(tmp_path / "store", cube, list(blocks_of(cube))[:-1])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_overwrite_leaves_the_old_cube(tmp_path, cube):
    path = tmp_path / "store"
    first = write(path, cube, blocks_of(cube))
    with pytest.raises(RuntimeError):
        write(path, random_cube(1), [], overwrite=True)
    assert Store.open(path).snapshot == first
    xr.testing.assert_identical(Store.open(path).cube().compute(), cube)


def test_a_snapshot_pins_what_was_seen(tmp_path, cube):
    path, other = tmp_path / "store", random_cube(1, days=5)
    first = write(path, cube, blocks_of(cube), message="first")
    before = Store.open(path)
    second = write(path, other, blocks_of(other), message="second", overwrite=True)
    assert [commit.id for commit in Store.open(path).log()] == [second, first]
    xr.testing.assert_identical(Store.open(path).cube().compute(), other)
    xr.testing.assert_identical(Store.open(path, snapshot=first).cube().compute(), cube)
    xr.testing.assert_identical(before.series(3, 4), cube.isel(y=3, x=4))


def test_an_existing_path_is_not_touched(tmp_path, cube):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path / "notes", cube, blocks_of(cube))
    with pytest.raises(InputError, match="need an embedding store"):
        write(tmp_path / "notes", cube, blocks_of(cube), overwrite=True)
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"


def test_what_is_no_store_is_told_so(tmp_path, stored):
    with pytest.raises(InputError, match="does not exist"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match="need an embedding store"):
        Store.open(tmp_path)
    for snapshot in ("NOPE", "1CECHNKREP0F1RSTCMT0"):
        with pytest.raises(InputError):
            Store.open(stored.path, snapshot=snapshot)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_store_is_told_so(tmp_path, cube):
    path = tmp_path / "store"
    write(path, cube, blocks_of(cube))
    for file in (path / "manifests").iterdir():
        file.write_bytes(b"rubbish")
    with pytest.raises(InputError, match="damaged"):
        Store.open(path).series(0, 0)
    for file in (path / "snapshots").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="damaged"):
        Store.open(path)


def test_a_pixel_or_day_outside_is_told_so(stored):
    with pytest.raises(InputError, match="need 0 to 39"):
        stored.series(NY, 0)
    with pytest.raises(InputError, match="need 0 to 55"):
        stored.series(0, -1)
    with pytest.raises(InputError, match="2020-01-01 to 2020-01-09"):
        stored.map("2021-01-01")
    with pytest.raises(InputError, match="need a date"):
        stored.map("spring")
    with pytest.raises(InputError, match="maps, series"):
        stored.cube("cubes")


def test_sigma_is_a_byte_on_disk_and_survives_the_round_trip(stored):
    assert stored.arrays.by_layout["maps"]["quality"].dtype == np.uint8
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode_sigma(decode_sigma(codes)), codes)
    assert decode_sigma(codes).dtype == np.float32
    assert decode_sigma(encode_sigma(np.array([9.0])))[0] == pytest.approx(0.127)


def without_chunk(monkeypatch, path, cube, layout: str, name: str, index: tuple[int, ...]) -> Store:
    """A store in which one chunk was never written."""
    put = tiles.Tile.write

    def write_less(tile, session):
        put(tile, session)
        if tile.layout == layout:
            group = zarr.open_group(session.store, path=layout, mode="r+", zarr_format=3)
            key = f"{layout}/{name}/c/{'/'.join(map(str, index))}"
            sync(session.store.delete(key))
            assert group[name].nchunks_initialized < group[name].nchunks or group[name].shards
        return session

    with monkeypatch.context() as patched:
        patched.setattr(tiles.Tile, "write", write_less)
        write(path, cube, blocks_of(cube))
    return Store.open(path)


@pytest.mark.parametrize("name", ["embedding", "quality"])
def test_a_chunk_that_is_not_found_is_told_and_never_read_as_zeros(tmp_path, monkeypatch, cube, name):
    maps = without_chunk(monkeypatch, tmp_path / "maps", cube, "maps", name, (3, 0, 0, 0))
    series = without_chunk(monkeypatch, tmp_path / "series", cube, "series", name, (0, 0, 0, 0))
    everywhere = slice(None), slice(None)
    for read in (
        lambda: maps.map(cube.time.values[3]),
        lambda: maps.frame(cube.time.values[3], *everywhere),
        lambda: maps.tile(cube.time.values[3], 1, slice(0, 2), slice(0, 2)),
        lambda: maps.window(slice(3, 4), *everywhere),
        lambda: maps.cube().compute(),
        lambda: series.series(0, 0),
        lambda: series.cube("series").isel(y=0, x=0).compute(),
    ):
        with pytest.raises(InputError, match=f"a chunk of {name} is missing"):
            read()
    xr.testing.assert_identical(maps.map(cube.time.values[4]), cube.isel(time=4))
    xr.testing.assert_identical(maps.series(0, 0), cube.isel(y=0, x=0))
    xr.testing.assert_identical(series.map(cube.time.values[3]), cube.isel(time=3))


def test_a_store_of_before_that_fills_with_zeros_still_opens(tmp_path, monkeypatch, cube):
    monkeypatch.setattr(store_layout, "FILL_VALUES", {"embedding": 0, "quality": 0})
    write(tmp_path / "old", cube, blocks_of(cube))
    monkeypatch.undo()
    old = Store.open(tmp_path / "old")
    assert old.arrays.by_layout["maps"]["quality"].fill_value == 0
    for layout in ("maps", "series"):
        xr.testing.assert_identical(old.cube(layout).compute(), cube)
    xr.testing.assert_identical(old.series(2, 3), cube.isel(y=2, x=3))


@pytest.mark.parametrize(("name", "value"), [("embedding", -128), ("sigma", np.nan)])
def test_a_block_with_a_hole_is_not_written(tmp_path, cube, name, value):
    holed = cube.copy(deep=True)
    holed[name][0, 0, 0] = value
    with pytest.raises(ValueError, match="has missing values"):
        write(tmp_path / "store", cube, blocks_of(holed))
    assert list(tmp_path.iterdir()) == []
