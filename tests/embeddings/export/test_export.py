"""An export is one tidy file with coordinates, units and where it comes from, or it is not there."""

import csv
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.export import extract, geometries, paths, selection, writers
from fluxlens.embeddings.export.extract import tidy
from fluxlens.embeddings.export.geometries import Point
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import Store, write
from fluxlens.embeddings.towers import footprint
from fluxlens.models.errors import InputError
from tiny_cube import DAYS, NX, NY, blocks_of, random_cube


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return random_cube()


@pytest.fixture(scope="module")
def store(tmp_path_factory, cube) -> Store:
    path = tmp_path_factory.mktemp("export") / "store"
    write(path, cube, blocks_of(cube))
    return Store.open(path)


def centre(cube: xr.Dataset, row: int, col: int, name: str = "") -> Point:
    grid = Grid.from_cube(cube)
    lon, lat = grid.lonlat(grid.x[col], grid.y[row])
    return Point(float(lon), float(lat), name)


def square(cube: xr.Dataset, rows: slice, cols: slice) -> list[list[np.ndarray]]:
    """A polygon that holds exactly those pixel centres."""
    left, bottom, right, top = Grid.from_cube(cube).window(rows, cols).extent
    lon, lat = Grid.from_cube(cube).lonlat(
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
        "observed",
    ]
    days = cube["days_from_s2"].isel(y=3, x=5).values
    assert (table.loc[table.name == "oak", "observed"] == (days == 0)).all()
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


def test_points_may_share_a_pixel_a_column_or_a_name(store, cube):
    points = [centre(cube, 3, 5), centre(cube, 3, 5), centre(cube, 9, 5, "oak")]
    series = extract.cube_of(store, points=points)
    assert series["name"].values.tolist() == ["", "", "oak"]
    assert series["x"].values.tolist() == [cube.x.values[5]] * 3
    np.testing.assert_array_equal(series["e01"][0], series["e01"][1])


def test_outside_is_told_with_the_extent(store, cube):
    with pytest.raises(InputError, match=r"lon .* to .*, lat .* to "):
        tidy(store, points=[Point(0.0, 0.0)])
    with pytest.raises(InputError, match="without a pixel centre"):
        tidy(store, polygon=[[np.array([[0, 0], [0, 1], [1, 1], [0, 0]], float)]])


def test_csv_says_what_it_is_and_runs_no_formula(tmp_path, store, cube):
    path = tmp_path / "a.csv"
    extract.to_file(store, path, points=[centre(cube, 3, 5, "=HYPERLINK(1)")])
    head, table = read_csv(path)
    assert head["simulated"] == "1"
    assert head["units observed"].startswith("1 (of a clear Sentinel-2 acquisition")
    assert head["store_snapshot"] == store.snapshot
    assert {"title", "model_digest", "scene_id", "software", "created", "units x"} <= set(head)
    assert set(table["name"]) == {"'=HYPERLINK(1)"}
    assert table["time"].iloc[0] == "2020-01-01"
    assert not table.isna().any(axis=None)


@pytest.mark.parametrize("title", ["a,=1+1", "=1+1", "a\n=1+1", 'a",@SUM(1)', "a; +1", "a\t-1", "a,＝1+1"])
def test_no_cell_of_a_csv_is_a_formula(tmp_path, cube, title):
    """A cell is what stands between separators, as spreadsheets take them (OWASP, CSV injection)."""
    path = tmp_path / "a.csv"
    writers.write(tidy(cube.assign_attrs(title=title), points=[centre(cube, 3, 5, title)]), path)
    with path.open(newline="") as file:
        cells = [cell.strip() for row in csv.reader(file) for cell in re.split(";", ",".join(row))]
        cells += [cell.strip() for cell in re.split("[,;\t]", path.read_text().splitlines()[0])]
    assert not [cell for cell in cells if re.match("[=+@＝]|-[^0-9.]", cell)]


def test_parquet_keeps_types_metadata_and_places(tmp_path, store, cube):
    import geopandas
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    extract.to_file(store, path, points=[centre(cube, 3, 5), centre(cube, 20, 30)])
    metadata = pq.read_schema(path).metadata
    assert metadata[b"store_snapshot"].decode() == store.snapshot
    assert metadata[b"units sigma"]
    expected = tidy(store, points=[centre(cube, 3, 5), centre(cube, 20, 30)])
    back = geopandas.read_parquet(path)
    pd.testing.assert_frame_equal(
        pd.DataFrame(back.drop(columns="geometry")), expected, check_dtype=False, check_frame_type=False
    )
    assert back.crs.to_string() == "OGC:CRS84"
    np.testing.assert_array_equal(back.geometry.x, expected.lon)
    np.testing.assert_array_equal(back.geometry.y, expected.lat)
    np.testing.assert_allclose(
        json.loads(metadata[b"geo"])["columns"]["geometry"]["bbox"], back.total_bounds, rtol=0
    )


@pytest.fixture
def with_gpp(monkeypatch):
    """An untrained GPP head that knows the tiny cube, and weather."""
    import torch
    from fluxlens.embeddings import gpp
    from fluxlens.embeddings.gpp import cubes
    from fluxlens.models.gpp.daily_head import Config, DailyHead

    torch.manual_seed(3)
    head = gpp.DailyGppHead(DailyHead(Config(4)).eval().requires_grad_(False), "0" * 8, "abc", {})
    for module in (gpp, cubes):
        monkeypatch.setattr(module, "load", lambda *_: head)
    days = pd.date_range("2020-01-01", periods=DAYS, unit="ns")
    weather = xr.Dataset({"sw_in": ("time", np.full(DAYS, 150.0, np.float32))}, {"time": days})
    monkeypatch.setattr(selection.CubeSelection, "_weather", lambda _: weather)


def opened(path):
    if path.suffix == ".zarr":
        return xr.open_zarr(path, decode_coords="all")  # without a warning, which would be an error here
    return xr.open_dataset(path, engine="netcdf4", decode_coords="all")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_cubes_hold_points_or_a_window(tmp_path, store, cube, suffix, with_gpp):
    points = [centre(cube, 3, 5, "oak"), centre(cube, 8, 9, "ash")]
    extract.to_file(store, tmp_path / f"p{suffix}", points=points)
    table = tidy(store, points=points)
    with opened(tmp_path / f"p{suffix}") as back:
        assert dict(back.sizes) == {"point": 2, "time": DAYS}
        assert list(back["name"].values) == ["oak", "ash"]
        assert back.attrs["store_snapshot"] == store.snapshot
        assert back.attrs["gpp_head_digest"] == "abc"
        for name in ("e03", "sigma", "gpp_hi", "observed", "ood"):
            np.testing.assert_allclose(back[name].values.ravel(), table[name])
        ages = table["days_from_s2"].where(table["days_from_s2"] >= 0)
        np.testing.assert_array_equal(back["days_from_s2"].values.ravel(), ages)
    extract.to_file(store, tmp_path / f"w{suffix}", polygon=square(cube, slice(4, 7), slice(10, 12)))
    with opened(tmp_path / f"w{suffix}") as back:
        assert dict(back.sizes) == {"time": DAYS, "y": 3, "x": 2}
        assert Grid.from_cube(back) == Grid.from_cube(cube).window(slice(4, 7), slice(10, 12))
        expected = (cube["embedding"] * cube["scale"]).isel(feature=1, y=slice(4, 7), x=slice(10, 12))
        np.testing.assert_allclose(back["e01"].values, expected, rtol=1e-6)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("place", ["points", "polygon", "footprint_weights"])
def test_netcdf_keeps_the_cf_conventions(tmp_path, store, cube, with_gpp, place):
    """By the numbered rules of CF 1.11, on the bare file; the IOOS compliance-checker 6.1 has nothing to add."""
    import cftime
    import netCDF4

    selection = {"points": [centre(cube, 3, 5, "oak"), centre(cube, 8, 9)]}
    if place == "polygon":
        selection = {"polygon": square(cube, slice(4, 7), slice(10, 12))}
    elif place == "footprint_weights":
        selection["footprint_weights"] = lambda grid, at: footprint.disc(grid, at.lon, at.lat, 11.0)
    extract.to_file(store, tmp_path / "a.nc", **selection)
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        attributes = {name: {a: v.getncattr(a) for a in v.ncattrs()} for name, v in file.variables.items()}
        assert file.Conventions == "CF-1.11"  # 2.6.1
        assert all(file.getncattr(name).strip() for name in ("title", "history", "source"))  # 2.6.2
        assert all(
            {"long_name", "standard_name", "grid_mapping_name"} & set(t) for t in attributes.values()
        )  # 3.2
        for name, attrs in attributes.items():
            assert re.fullmatch(r"[A-Za-z]\w*", name)  # 2.3
            plain = attrs.get("flag_meanings") or name in ("point", "name", "spatial_ref")
            assert plain or attrs["units"] in UDUNITS, name  # 3.1
            assert "_FillValue" not in attrs or name not in ("time", "x", "y", "lon", "lat")  # 2.5.1
            if "grid_mapping" in attrs:  # 5.6
                assert attributes[attrs["grid_mapping"]]["grid_mapping_name"] == "transverse_mercator"
        assert attributes["time"]["standard_name"] == "time"  # 4.4
        first = cftime.num2date(file["time"][0], attributes["time"]["units"], attributes["time"]["calendar"])
        assert first.isoformat() == "2020-01-01T00:00:00"
        assert attributes["gpp"]["standard_name"].endswith("expressed_as_carbon")  # 3.3
        assert (attributes["x"]["standard_name"], attributes["x"]["units"]) == (
            "projection_x_coordinate",
            "m",
        )  # 5.6
        if place != "footprint_weights":  # 3.5
            assert attributes["observed"]["flag_meanings"].split() == ["filled", "observed"]
            assert attributes["observed"]["flag_values"].dtype == file["observed"].dtype == np.int8
        if place == "polygon":  # 2.4, 5.6
            assert file["gpp"].dimensions == ("time", "y", "x")
            assert attributes["x"]["axis"] == "X"
            assert attributes["e00"]["grid_mapping"] == "spatial_ref"
        else:  # 9
            assert file.featureType == "timeSeries"
            assert attributes["point"]["cf_role"] == "timeseries_id"
            assert len(set(file["point"][:].tolist())) == 2
            assert file["gpp"].dimensions == ("point", "time")
            assert {"lat", "lon"} <= set(attributes["gpp"]["coordinates"].split())
            assert attributes["lat"]["units"] == "degrees_north"  # 4.1


UDUNITS = {"1", "d", "m", "degrees_north", "degrees_east", "g m-2 d-1", "days since 1970-01-01"}


def test_a_geotiff_is_one_day_or_the_mean(tmp_path, store, cube):
    from rio_cogeo.cogeo import cog_validate

    polygon = square(cube, slice(4, 7), slice(10, 12))
    extract.to_file(store, tmp_path / "day.tif", polygon=polygon, start="2020-01-02", end="2020-01-02")
    extract.to_file(store, tmp_path / "mean.tif", polygon=polygon)
    features = (cube["embedding"] * cube["scale"]).isel(y=slice(4, 7), x=slice(10, 12))
    for name, expected in [("day", features.isel(time=1)), ("mean", features.mean("time"))]:
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            assert file.descriptions[:4] == ("e00", "e01", "e02", "e03")
            assert file.crs.to_string() == "EPSG:32631"
            assert file.tags()["store_snapshot"] == store.snapshot
            np.testing.assert_allclose(file.read(2), expected.isel(feature=1), rtol=1e-4, atol=1e-7)
            assert file.units[4:7] == ("1", "d", "d")
            assert "reflectance" in file.tags(5)["long_name"]
        valid, errors, warnings = cog_validate(tmp_path / f"{name}.tif", strict=True)
        assert valid, errors + warnings
    ages = cube["days_from_s2"].isel(y=slice(4, 7), x=slice(10, 12))
    with rasterio.open(tmp_path / "mean.tif") as file:
        band = dict(zip(file.descriptions, file.read(), strict=True))
    np.testing.assert_allclose(band["days_from_s2"], ages.where(ages >= 0).mean("time"), rtol=1e-6)
    np.testing.assert_allclose(band["observed"], (ages == 0).mean("time"), rtol=1e-6)
    with pytest.raises(InputError, match="need --polygon"):
        extract.to_file(store, tmp_path / "p.tif", points=[centre(cube, 0, 0)])


def test_a_large_geotiff_is_cloud_optimised(tmp_path):
    from rio_cogeo.cogeo import cog_validate

    grid = Grid("EPSG:32631", 600000.0, 5700000.0, 10.0, 1100, 600)
    values = np.arange(600 * 1100, dtype=np.float32).reshape(600, 1100)
    writers.write(xr.Dataset({"sigma": (("y", "x"), values)}, grid.coords()), tmp_path / "a.tif")
    valid, errors, warnings = cog_validate(tmp_path / "a.tif", strict=True)
    assert valid, errors + warnings
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1) == [2, 4]
        np.testing.assert_array_equal(file.read(1), values)
    with rasterio.open(tmp_path / "a.tif", overview_level=0) as file:
        np.testing.assert_allclose(file.read(1)[0, 0], values[:2, :2].mean())


def test_a_failed_write_leaves_the_old_file(tmp_path, store, cube, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(KeyboardInterrupt):
        extract.to_file(store, path, points=[centre(cube, 0, 0)])
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", ["a.xlsx", "a", "nowhere/a.csv"])
def test_a_wrong_path_is_told_before_anything_is_read(tmp_path, name):
    with pytest.raises(InputError, match=r"need one of|folder that exists"):
        paths.check_path(tmp_path / name)


def test_only_a_folder_that_an_export_made_is_replaced(tmp_path, store, cube):
    point = [centre(cube, 0, 0)]
    scene = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"scene_id": "mine"})})
    scene.to_zarr(tmp_path / "scene.zarr", zarr_format=3, consolidated=False)
    before = (tmp_path / "scene.zarr" / "zarr.json").read_bytes()
    with pytest.raises(InputError, match="a folder that no export made"):
        extract.to_file(store, tmp_path / "scene.zarr", points=point)
    assert (tmp_path / "scene.zarr" / "zarr.json").read_bytes() == before
    # Zarr of version 3 and of version 2, as an export writes it of places and of a whole store.
    for _ in range(2):
        extract.to_file(store, tmp_path / "point.zarr", points=point)
        progress.run(extract.store_to_zarr(store, tmp_path / "whole.zarr"))
    assert "e00" in xr.open_zarr(tmp_path / "whole.zarr")


def test_points_come_from_csv_and_geojson(tmp_path):
    text = tmp_path / "a.csv"
    text.write_text("# mine\nName,LAT,lon\noak,50.75,4.2\n,50.8,4.3\n")
    assert geometries.read_points(text) == [Point(4.2, 50.75, "oak"), Point(4.3, 50.8, "")]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [4.2, 50.75, 10]},
            "properties": {"name": "oak"},
        }
    ]
    geo = tmp_path / "a.geojson"
    geo.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert geometries.read_points(geo) == [Point(4.2, 50.75, "oak")]
    assert geometries.parse_at("-3.5,40.1") == Point(-3.5, 40.1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "lon,lat\n"),
        ("a.csv", "a,b\n1,2\n"),
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
        geometries.read_points(tmp_path / name)


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
        geometries.read_polygon(tmp_path / "a.geojson")


def test_the_last_pixel_can_be_asked(store, cube):
    assert len(tidy(store, points=[centre(cube, NY - 1, NX - 1)])) == DAYS


def test_a_radius_gives_the_mean_of_its_pixels_and_how_mixed_they_are(store, cube, monkeypatch):

    monkeypatch.setattr(selection, "PIXEL_DAYS", 100)  # days in more than one part

    def cross(grid, point):
        return footprint.disc(grid, point.lon, point.lat, 11.0)

    place = centre(cube, 20, 30)
    table = tidy(store, points=[place], footprint_weights=cross)
    rows, cols = [20, 19, 21, 20, 20], [30, 30, 30, 29, 31]
    values = cube["embedding"].values[:, rows, cols].astype(float) * cube["scale"].values
    np.testing.assert_allclose(table["e01"], values[:, :, 1].mean(1), rtol=1e-5)
    np.testing.assert_allclose(table["spread"], np.sqrt((values.std(1) ** 2).mean(1)), rtol=1e-5)
    np.testing.assert_allclose(table["share"], 1)
    assert table.attrs["seen"] == "pixels within 11 m"
    edge = tidy(cube, points=[centre(cube, 0, 30)], footprint_weights=cross)
    np.testing.assert_allclose(edge["share"], 0.8)
    series = extract.cube_of(store, points=[place], footprint_weights=cross)
    np.testing.assert_allclose(series["e01"].values[0], table["e01"])


def test_days_without_an_observation_are_not_averaged_as_minus_one(cube):
    blind = cube.assign(days_from_s2=cube["days_from_s2"] * 0 - 1)
    blind["days_from_s2"][0, 20, 30] = 7
    table = tidy(
        blind,
        points=[centre(cube, 20, 30)],
        footprint_weights=lambda g, p: footprint.disc(g, p.lon, p.lat, 11.0),
    )
    assert list(table["days_from_s2"][:2]) == [7, -1]
