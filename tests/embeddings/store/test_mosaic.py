"""Several stores on one grid read as the uncut store does; stores that do not fit together are refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import mosaic_world
import numpy as np
import pytest
import xarray as xr
from app_world import GRID, make_cube
from fluxlens.app.cli import main
from fluxlens.embeddings import catalog, gpp
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.scenes.reflectance_check import ATTR as FAULT
from fluxlens.embeddings.store import Mosaic, Store, write
from fluxlens.embeddings.store import mosaic as mosaics
from fluxlens.embeddings.store.cube_arrays import read_boxes
from fluxlens.models.errors import InputError
from tiny_cube import NX, NY, blocks_of, random_cube

CUT_ROW, CUT_COL = 24, 17
"""Neither half the grid nor a multiple of chunks."""

QUARTERS = {
    "north_west": (slice(0, CUT_ROW), slice(0, CUT_COL)),
    "north_east": (slice(0, CUT_ROW), slice(CUT_COL, NX)),
    "south_west": (slice(CUT_ROW, NY), slice(0, CUT_COL)),
    "south_east": (slice(CUT_ROW, NY), slice(CUT_COL, NX)),
}


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return random_cube()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cube) -> Path:
    """The uncut store and its four quarters, written one by one."""
    folder = tmp_path_factory.mktemp("mosaic")
    write(folder / "whole", cube, blocks_of(cube))
    for name, (rows, cols) in QUARTERS.items():
        part = cube.isel(y=rows, x=cols)
        write(folder / name, part, blocks_of(part))
    return folder


@pytest.fixture(scope="module")
def mosaic(folder) -> Mosaic:
    # Not in the order of the map: a catalog may list them in any.
    return Mosaic.open([folder / name for name in reversed(QUARTERS)])


@pytest.mark.parametrize("layout", [None, "maps", "series"])
def test_four_stores_read_as_the_uncut_one(folder, mosaic, layout):
    found = mosaic.cube(layout)
    assert found["embedding"].chunks
    xr.testing.assert_identical(found.compute(), Store.open(folder / "whole").cube(layout).compute())


def test_windows_and_series_across_the_edges_are_those_of_the_uncut_store(folder, mosaic):
    whole = Store.open(folder / "whole")
    assert mosaic.grid == whole.grid
    boxes = [(slice(20, 30), slice(10, 30)), (slice(0, 5), slice(0, 5)), (slice(None), slice(16, 18))]
    for rows, cols in boxes:
        days = slice(2, 5)
        xr.testing.assert_identical(mosaic.window(days, rows, cols), whole.window(days, rows, cols))
    for row, col in [(CUT_ROW - 1, CUT_COL), (CUT_ROW, CUT_COL - 1), (0, 0), (NY - 1, NX - 1)]:
        xr.testing.assert_identical(mosaic.series(row, col), whole.series(row, col))
    with pytest.raises(InputError, match="Got row -1"):
        mosaic.series(-1, 0)


def test_only_the_stores_of_a_box_are_read(mosaic, monkeypatch):
    read = []

    def counted(boxes, *names):
        read.extend(store.path.name for store, *_ in boxes)
        return read_boxes(boxes, *names)

    monkeypatch.setattr(mosaics, "read_boxes", counted)
    mosaic.window(slice(0, 1), slice(0, 3), slice(CUT_COL, CUT_COL + 3))
    assert read == ["north_east"]


def test_a_missing_store_is_unobserved_and_the_others_are_as_they_were(folder, cube):
    three = Mosaic.open([folder / name for name in QUARTERS if name != "south_east"])
    rows, cols = QUARTERS["south_east"]
    for found in (three.cube().compute(), three.window(slice(None), slice(None), slice(None))):
        gap = found.isel(y=rows, x=cols)
        assert (gap["embedding"] == -128).all()
        assert np.isnan(gap["sigma"]).all()
        assert (gap["days_from_s2"] == -1).all()
        assert (gap["days_from_s1"] == -1).all()
        assert {name: array.dtype for name, array in found.items()} == {
            name: array.dtype for name, array in cube.items()
        }
        for name in ("north_west", "north_east", "south_west"):
            part = dict(zip(("y", "x"), QUARTERS[name], strict=True))
            xr.testing.assert_equal(found.isel(part), cube.isel(part))


def moved(cube: xr.Dataset, **changes) -> xr.Dataset:
    """A cube on another grid with the same numbers."""
    grid = Grid.from_cube(cube)
    facts = {name: getattr(grid, name) for name in ("crs", "left_m", "top_m", "size_m", "nx", "ny")} | changes
    return cube.drop_vars("spatial_ref").assign_coords(Grid(**facts).coords())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cube: moved(cube, crs="EPSG:32632"), "need one CRS"),
        (lambda cube: moved(cube, size_m=20.0), "10 m and 20 m pixels, need one size"),
        (lambda cube: moved(cube, left_m=600563.0), "lie 563 m apart along x, need a multiple of 10 m"),
        (lambda cube: moved(cube, top_m=5700005.0), "lie 5 m apart along y"),
        (lambda cube: cube.assign_attrs(model_digest="1" * 8), "with model_digest 00000000 and 11111111"),
        (lambda cube: cube.assign_attrs(causal=1), "with causal None and 1"),
        (lambda cube: cube.assign_coords(scale=cube["scale"] * 2), "another scale"),
        (lambda cube: cube.isel(time=slice(1, None)), "need the same days"),
        (lambda cube: cube, "which overlap"),
    ],
)
def test_stores_that_are_not_one_cube_are_refused_in_one_sentence(folder, tmp_path, cube, change, message):
    # Beside the first to the east, so that nothing but the change is wrong; the last one stays and overlaps.
    other = change(cube if message == "which overlap" else moved(cube, left_m=600000.0 + 10 * NX))
    write(tmp_path / "other", other, blocks_of(other))
    with pytest.raises(InputError) as error:
        Mosaic.open([folder / "whole", tmp_path / "other"])
    assert message in str(error.value)
    assert "need" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mosaic_with_one_simulated_store_is_simulated_and_names_all_scenes(tmp_path, cube):
    for name, simulated, left in (("a", 0, 600000.0), ("b", 1, 600000.0 + 10 * NX)):
        part = moved(cube, left_m=left).assign_attrs(simulated=simulated, scene_id=name)
        write(tmp_path / name, part, blocks_of(part))
    attrs = Mosaic.open([tmp_path / "a", tmp_path / "b"]).cube().attrs
    assert attrs["simulated"] == 1
    assert attrs["scene_id"] == "a, b"
    assert attrs["model_digest"] == cube.attrs["model_digest"]


def test_earlier_states_of_all_stores_are_named_by_one_text(tmp_path, cube):
    halves = [cube.isel(x=slice(0, 20)), cube.isel(x=slice(20, NX))]
    paths = [tmp_path / "west", tmp_path / "east"]
    for path, half in zip(paths, halves, strict=True):
        write(path, half, blocks_of(half))
    then = Mosaic.open(paths)
    changed = random_cube(5).isel(x=slice(20, NX))
    write(paths[1], changed, blocks_of(changed), overwrite=True)
    now = Mosaic.open(paths)
    assert now.snapshot != then.snapshot
    assert not now.cube().compute().equals(cube)
    assert now.at_snapshot(then.snapshot).cube().compute().equals(cube)
    assert Mosaic.open(paths, then.snapshot).cube().compute().equals(cube)
    with pytest.raises(InputError, match="of 1 stores, need one id for each of 2"):
        Mosaic.open(paths, then.stores[0].snapshot)


# --- catalog entries and exports, with the weather that GPP needs


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """The tiny made-up world uncut, cut in four, and a catalog of both."""
    return mosaic_world.write_world(tmp_path_factory.mktemp("world"))


def test_a_list_of_stores_is_one_catalog_entry(world):
    opened = catalog.open(world / "catalog.yaml")
    whole, quarters = (catalog.source(opened, name) for name in ("whole", "quarters"))
    quarters.check()
    assert quarters.ready
    found = quarters.read()
    assert found["embedding"].chunks
    xr.testing.assert_equal(found.compute(), whole.read().compute())
    for name in ("none", "mixed"):
        with pytest.raises(InputError, match="need a path, a URL, or a list of at least one"):
            catalog.source(opened, name)


def export(world: Path, entry: str, out: Path, *options: str) -> None:
    command = ["export", entry, "--catalog", str(world / "catalog.yaml"), *options, "--out", str(out)]
    assert main(command) == 0


def rows_of(table: Path) -> list[str]:
    """Without the lines at its head that tell of the store and the moment."""
    rows = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    assert len(rows) > 1
    return rows


@pytest.fixture
def places(tmp_path) -> dict[str, Path]:
    """Points on both sides of the edges, and a polygon across the corner of all four."""
    rows, cols = [19, 20, 19, 20, 3], [27, 28, 28, 27, 50]
    lon, lat = GRID.lonlat(GRID.x[cols], GRID.y[rows])
    points = tmp_path / "points.csv"
    lines = [f"{a:.8f},{b:.8f},p{i}" for i, (a, b) in enumerate(zip(lon, lat, strict=True))]
    points.write_text("\n".join(["lon,lat,name", *lines]))
    box = [(24, 16), (32, 16), (32, 24), (24, 24), (24, 16)]
    ring = [list(map(float, GRID.lonlat(GRID.x[col], GRID.y[row]))) for col, row in box]
    polygon = tmp_path / "field.geojson"
    polygon.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return {"points": points, "polygon": polygon}


@pytest.mark.parametrize("place", ["points", "polygon"])
@pytest.mark.parametrize("suffix", [".csv", ".nc"])
def test_exports_across_the_edges_are_those_of_the_uncut_store(world, tmp_path, places, place, suffix):
    for entry in ("whole", "quarters"):
        export(world, entry, tmp_path / f"{entry}{suffix}", f"--{place}", str(places[place]))
    if suffix == ".csv":
        assert rows_of(tmp_path / "quarters.csv") == rows_of(tmp_path / "whole.csv")
        return
    with xr.open_dataset(tmp_path / "quarters.nc") as cut, xr.open_dataset(tmp_path / "whole.nc") as whole:
        xr.testing.assert_equal(cut.load(), whole.load())
        assert cut.attrs["store_snapshot"].count(",") == 3


def test_an_export_is_made_again_from_its_replay_file(world, tmp_path, places, capsys):
    replay = tmp_path / "made.json"
    export(world, "quarters", tmp_path / "a.csv", "--points", str(places["points"]), "--replay", str(replay))
    again = ["export", "--again", str(replay), "--catalog", str(world / "catalog.yaml")]
    assert main([*again, "--out", str(tmp_path / "b.csv")]) == 0
    assert "the same numbers" in capsys.readouterr().out
    assert rows_of(tmp_path / "b.csv") == rows_of(tmp_path / "a.csv")


def test_a_point_in_a_gap_has_no_features_and_no_gpp(world, tmp_path):
    gap = catalog.source(catalog.open(world / "catalog.yaml"), "gap")
    lon, lat = (float(value) for value in GRID.lonlat(GRID.x[40], GRID.y[30]))
    export(world, "gap", tmp_path / "gap.nc", "--at", f"{lon:.8f},{lat:.8f}")
    with xr.open_dataset(tmp_path / "gap.nc") as found:
        assert found["e00"].isnull().all()
        assert found["sigma"].isnull().all()
        assert found["gpp"].isnull().all()
    weather = gap.store().scene()["weather"].to_dataset()
    row = gap.read().isel(y=slice(29, 31)).compute()
    predicted = gpp.predict(row, weather)["gpp"]
    assert predicted.isel(x=slice(28, None)).isnull().all()
    assert predicted.isel(x=slice(0, 28)).notnull().all()


def test_the_whole_mosaic_is_written_as_zarr_with_nan_in_its_gap(world, tmp_path):
    for layout in ("cf", "science-cube"):
        export(world, "gap", tmp_path / f"{layout}.zarr", "--end", "2020-03-03", "--layout", layout)
    with xr.open_zarr(tmp_path / "cf.zarr") as cf, xr.open_zarr(tmp_path / "science-cube.zarr") as science:
        features = cf["e00"].load(), science["features"].isel(feature=0).load()
    for found in features:
        inside = found.isnull().any("time").values
        assert inside[20:, 28:].all()
        assert inside.sum() == inside[20:, 28:].size


def test_stores_with_other_weather_give_no_gpp_instead_of_a_neighbour_s(world, tmp_path):
    part = make_cube().assign_coords(GRID.coords()).isel(y=slice(20, None), x=slice(28, None))
    scene = Store.open(world / "part0").scene().load()
    scene["weather"] = scene["weather"].to_dataset() * 2
    write(tmp_path / "other", part, blocks_of(part, 60), scene)
    first = world / "part0"
    assert "weather" in Mosaic.open([first, world / "part1"]).scene().children
    assert "weather" not in Mosaic.open([first, tmp_path / "other"]).scene().children
    write(tmp_path / "bare", part, blocks_of(part, 60))
    assert "weather" not in Mosaic.open([first, tmp_path / "bare"]).scene().children


def test_one_store_of_wrong_reflectance_is_one_too_many():
    stores = [SimpleNamespace(attrs=attrs) for attrs in ({"title": "a"}, {"title": "b", FAULT: "too high"})]
    assert Mosaic.attrs.fget(SimpleNamespace(stores=stores)) == {"title": "a, b", FAULT: "too high"}
