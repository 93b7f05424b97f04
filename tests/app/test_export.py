"""An export is one tidy file with coordinates, units and where it comes from, or it is not there."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from tiny_cube import DAYS, NX, NY, blocks_of, random_cube

from app import export
from app.export import Point, tidy
from embeddings import footprint
from embeddings.geometry import Grid
from embeddings.store import Store, write
from models.errors import InputError


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return random_cube()


@pytest.fixture(scope="module")
def store(tmp_path_factory, cube) -> Store:
    path = tmp_path_factory.mktemp("export") / "store"
    write(path, cube, blocks_of(cube))
    return Store.open(path)


def centre(cube: xr.Dataset, row: int, col: int, name: str = "") -> Point:
    grid = Grid.of(cube)
    lon, lat = grid.lonlat(grid.x[col], grid.y[row])
    return Point(float(lon), float(lat), name)


def square(cube: xr.Dataset, rows: slice, cols: slice) -> list[list[np.ndarray]]:
    """A polygon that holds exactly those pixel centres."""
    left, bottom, right, top = Grid.of(cube).window(rows, cols).extent
    lon, lat = Grid.of(cube).lonlat(
        np.array([left, right, right, left, left]), np.array([bottom, bottom, top, top, bottom])
    )
    return [[np.column_stack([lon, lat])]]


def read_csv(path) -> tuple[dict[str, str], pd.DataFrame]:
    lines = path.read_text().splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("#"))
    return head, pd.read_csv(io.StringIO("\n".join(line for line in lines if not line.startswith("#"))))


def test_a_table_has_one_row_per_point_and_day(store, cube):
    table = tidy(store, points=[centre(cube, 3, 5, "oak"), centre(cube, 20, 30, "ash")])
    assert len(table) == 2 * DAYS
    assert [*table.columns] == [
        "time",
        "name",
        "lon",
        "lat",
        "x",
        "y",
        "e00",
        "e01",
        "e02",
        "e03",
        "sigma",
        "days_from_s2",
        "days_from_s1",
    ]
    values = cube["embedding"].isel(y=20, x=30, feature=2) * cube["scale"].isel(feature=2)
    np.testing.assert_allclose(table.loc[table.name == "ash", "e02"], values, rtol=1e-6)
    assert (table.x == np.repeat([cube.x.values[5], cube.x.values[30]], DAYS)).all()


def test_a_store_and_a_cube_export_the_same(store, cube):
    places = [centre(cube, 3, 5)]
    pd.testing.assert_frame_equal(tidy(store, points=places), tidy(cube, points=places))


def test_a_window_of_days(store, cube):
    table = tidy(store, points=[centre(cube, 0, 0)], start="2020-01-03", end="2020-01-05")
    assert list(table.time.dt.day) == [3, 4, 5]
    for start, end, match in [
        ("2020-01-05", "2020-01-03", "before the start"),
        ("2021-01-01", None, "before the start|choose days inside"),
        ("2019-01-01", "2019-02-01", "2020-01-01 to 2020-01-09"),
        ("spring", None, "need a date"),
    ]:
        with pytest.raises(InputError, match=match):
            tidy(store, points=[centre(cube, 0, 0)], start=start, end=end)


def test_a_polygon_holds_the_pixels_whose_centre_is_inside(store, cube):
    table = tidy(store, polygon=square(cube, slice(4, 7), slice(10, 12)))
    assert len(table) == 6 * DAYS
    assert sorted(table.x.unique()) == list(cube.x.values[10:12])
    assert sorted(table.y.unique(), reverse=True) == list(cube.y.values[4:7])
    np.testing.assert_allclose(table.lon.min(), centre(cube, 4, 10).lon, atol=1e-4)


def test_outside_is_told_with_the_extent(store, cube):
    with pytest.raises(InputError, match=r"lon .* to .*, lat .* to "):
        tidy(store, points=[Point(0.0, 0.0)])
    with pytest.raises(InputError, match="without a pixel centre"):
        tidy(store, polygon=[[np.array([[0, 0], [0, 1], [1, 1], [0, 0]], float)]])


def test_csv_says_what_it_is_and_runs_no_formula(tmp_path, store, cube):
    path = tmp_path / "a.csv"
    export.to_file(store, path, points=[centre(cube, 3, 5, "=HYPERLINK(1)")])
    head, table = read_csv(path)
    assert head["simulated"] == "1"
    assert head["store_snapshot"] == store.snapshot
    assert {"title", "model_digest", "scene_id", "software", "created", "units x"} <= set(head)
    assert set(table["name"]) == {"'=HYPERLINK(1)"}
    assert table["time"].iloc[0] == "2020-01-01"
    assert not table.isna().any(axis=None)


def test_parquet_keeps_types_and_metadata(tmp_path, store, cube):
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    export.to_file(store, path, points=[centre(cube, 3, 5)])
    told = pq.read_schema(path).metadata
    assert told[b"store_snapshot"].decode() == store.snapshot
    assert told[b"units sigma"]
    expected = tidy(store, points=[centre(cube, 3, 5)])
    pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_dtype=False)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_cubes_hold_points_or_a_window(tmp_path, store, cube, suffix):
    open_cube = xr.open_zarr if suffix == ".zarr" else xr.open_dataset
    options = {"consolidated": False} if suffix == ".zarr" else {"engine": "netcdf4"}
    export.to_file(
        store, tmp_path / f"p{suffix}", points=[centre(cube, 3, 5, "oak"), centre(cube, 8, 9, "ash")]
    )
    with open_cube(tmp_path / f"p{suffix}", **options) as back:
        assert dict(back.sizes) == {"point": 2, "time": DAYS}
        assert list(back["name"].values) == ["oak", "ash"]
        assert back.attrs["Conventions"] == "CF-1.11"
    export.to_file(store, tmp_path / f"w{suffix}", polygon=square(cube, slice(4, 7), slice(10, 12)))
    with open_cube(tmp_path / f"w{suffix}", decode_coords="all", **options) as back:
        assert dict(back.sizes) == {"time": DAYS, "y": 3, "x": 2}
        assert Grid.of(back) == Grid.of(cube).window(slice(4, 7), slice(10, 12))
        expected = (cube["embedding"] * cube["scale"]).isel(feature=1, y=slice(4, 7), x=slice(10, 12))
        np.testing.assert_allclose(back["e01"].values, expected, rtol=1e-6)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_geotiff_is_one_day_or_the_mean(tmp_path, store, cube):
    polygon = square(cube, slice(4, 7), slice(10, 12))
    export.to_file(store, tmp_path / "day.tif", polygon=polygon, start="2020-01-02", end="2020-01-02")
    export.to_file(store, tmp_path / "mean.tif", polygon=polygon)
    features = (cube["embedding"] * cube["scale"]).isel(y=slice(4, 7), x=slice(10, 12))
    for name, expected in [("day", features.isel(time=1)), ("mean", features.mean("time"))]:
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            assert file.descriptions[:4] == ("e00", "e01", "e02", "e03")
            assert file.crs.to_string() == "EPSG:32631"
            assert file.tags()["store_snapshot"] == store.snapshot
            np.testing.assert_allclose(file.read(2), expected.isel(feature=1), rtol=1e-4, atol=1e-7)
    with pytest.raises(InputError, match="need --polygon"):
        export.to_file(store, tmp_path / "p.tif", points=[centre(cube, 0, 0)])


def test_a_failed_write_leaves_the_old_file(tmp_path, store, cube, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(KeyboardInterrupt):
        export.to_file(store, path, points=[centre(cube, 0, 0)])
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", ["a.xlsx", "a", "nowhere/a.csv"])
def test_a_wrong_path_is_told_before_anything_is_read(tmp_path, name):
    with pytest.raises(InputError, match=r"need one of|folder that exists"):
        export.check_path(tmp_path / name)


def test_points_come_from_csv_and_geojson(tmp_path):
    text = tmp_path / "a.csv"
    text.write_text("# mine\nName,LAT,lon\noak,50.75,4.2\n,50.8,4.3\n")
    assert export.read_points(text) == [Point(4.2, 50.75, "oak"), Point(4.3, 50.8, "")]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [4.2, 50.75, 10]},
            "properties": {"name": "oak"},
        }
    ]
    geo = tmp_path / "a.geojson"
    geo.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert export.read_points(geo) == [Point(4.2, 50.75, "oak")]
    assert export.parse_at("-3.5,40.1") == Point(-3.5, 40.1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "lon,lat\n"),
        ("a.csv", "x,y\n1,2\n"),
        ("a.csv", "lon,lat\nfour,5\n"),
        ("a.csv", "lon,lat\n400,5\n"),
        ("a.geojson", "{"),
        ("a.geojson", "[1]"),
        ("a.geojson", '{"type": "Point"}'),
        ("a.geojson", '{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}'),
        ("a.geojson", '{"type": "FeatureCollection", "features": [3]}'),
    ],
)
def test_broken_points_are_told(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError):
        export.read_points(tmp_path / name)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [["a"]]},
        {"type": "Polygon"},
    ],
)
def test_broken_polygons_are_told(tmp_path, geometry):
    (tmp_path / "a.geojson").write_text(json.dumps(geometry))
    with pytest.raises(InputError):
        export.read_polygon(tmp_path / "a.geojson")


def test_the_last_pixel_can_be_asked(store, cube):
    assert len(tidy(store, points=[centre(cube, NY - 1, NX - 1)])) == DAYS


def test_a_radius_gives_the_mean_of_its_pixels_and_how_mixed_they_are(store, cube, monkeypatch):

    monkeypatch.setattr(export, "PIXEL_DAYS", 100)  # days in more than one part

    def cross(grid, point):
        return footprint.disc(grid, point.lon, point.lat, 11.0)

    here = centre(cube, 20, 30)
    table = tidy(store, points=[here], sight=cross)
    rows, cols = [20, 19, 21, 20, 20], [30, 30, 30, 29, 31]
    values = cube["embedding"].values[:, rows, cols].astype(float) * cube["scale"].values
    np.testing.assert_allclose(table["e01"], values[:, :, 1].mean(1), rtol=1e-5)
    np.testing.assert_allclose(table["spread"], np.sqrt((values.std(1) ** 2).mean(1)), rtol=1e-5)
    np.testing.assert_allclose(table["share"], 1)
    assert table.attrs["seen"] == "pixels within 11 m"
    edge = tidy(cube, points=[centre(cube, 0, 30)], sight=cross)
    np.testing.assert_allclose(edge["share"], 0.8)
    series = export.cube_of(store, points=[here], sight=cross)
    np.testing.assert_allclose(series["e01"].values[0], table["e01"])


def test_days_without_an_observation_are_not_averaged_as_minus_one(cube):
    blind = cube.assign(days_from_s2=cube["days_from_s2"] * 0 - 1)
    blind["days_from_s2"][0, 20, 30] = 7
    told = tidy(
        blind, points=[centre(cube, 20, 30)], sight=lambda g, p: footprint.disc(g, p.lon, p.lat, 11.0)
    )
    assert list(told["days_from_s2"][:2]) == [7, -1]
