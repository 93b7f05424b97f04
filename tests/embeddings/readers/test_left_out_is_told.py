"""Whatever a reader leaves out is counted and named in one warning: in Python, and as one line of the error stream.

A case of each kind of input, in which one thing is wrong and the rest is whole. On the command line the same file goes
through a command that reads it, and ends with exit code 0.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine
from fluxlens.app.cli import main
from fluxlens.embeddings import progress, stac, towers
from fluxlens.embeddings.export import geometries
from fluxlens.embeddings.geometry import Grid, spatial_ref
from fluxlens.embeddings.readers import feature_cube, open_scene, series_sets, series_table, weather_table
from fluxlens.embeddings.stac import access
from fluxlens.embeddings.store import write
from fluxlens.models.errors import DataWarning, InputError
from raster_files import Truth, as_array, as_variables, backscatter, truth
from stac_world import LAT, LON, World
from tiny_cube import blocks_of, random_cube

HALF_HOURLY = "FLX_XX-Abc_FLUXNET2015_FULLSET_HH_2020-2020_1-4.csv"
DAILY = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2020-2020_1-4.csv"


@dataclass
class LeftOut:
    """One case: how Python reads it, the command that reads it, and what the warning says."""

    read: Callable[[], object]
    command: list[str]
    says: str
    """Regular expression: the count and the name."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    cube = random_cube()
    path = tmp_path_factory.mktemp("left_out") / "store"
    write(path, cube, blocks_of(cube))
    return path


def half_hours(count: int = 192) -> pd.DataFrame:
    """Half-hours of a tower with turbulence and GPP."""
    start = pd.date_range("2020-05-12", periods=count, freq="30min").strftime("%Y%m%d%H%M")
    wind = dict(WS=3.0, WD=200.0, USTAR=0.4, H=50.0, TA=12.0)
    return pd.DataFrame({"TIMESTAMP_START": start, "NEE_VUT_REF_QC": 0, "GPP_NT_VUT_REF": 10.0, **wind})


def footprint(store: Path, tower: Path, tmp_path: Path) -> list[str]:
    lon, lat = Grid.from_cube(random_cube()).lonlat(600_300.0, 5_699_800.0)
    place = ["--at", f"{float(lon)},{float(lat)}", "--tower", str(tower), "--height-m", "3"]
    return ["export", str(store), *place, "--out", str(tmp_path / "mean.csv")]


def tower_text(store: Path, tmp_path: Path) -> LeftOut:
    """Rows that repeat a stamp."""
    path = tmp_path / HALF_HOURLY
    pd.concat([half_hours(), half_hours().tail(3)]).to_csv(path, index=False)
    says = f"3 rows of {HALF_HOURLY} repeat a stamp"
    return LeftOut(lambda: towers.turbulence(path), footprint(store, path, tmp_path), says)


def tower_zip(store: Path, tmp_path: Path) -> LeftOut:
    """A day with holes, in an archive."""
    path = tmp_path / HALF_HOURLY.replace(".csv", ".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(HALF_HOURLY, pd.concat([half_hours(), half_hours().tail(3)]).to_csv(index=False))
    says = f"3 rows of {HALF_HOURLY} repeat a stamp"
    return LeftOut(lambda: towers.turbulence(path), footprint(store, path, tmp_path), says)


def tower_folder(store: Path, tmp_path: Path) -> LeftOut:
    """A site of whose files none has GPP."""
    folder = tmp_path / "towers"
    folder.mkdir()
    days = pd.date_range("2020-05-01", periods=3).strftime("%Y%m%d")
    table = pd.DataFrame({"TIMESTAMP": days, "NEE_VUT_REF_QC": 1.0, "GPP_NT_VUT_REF": 2.0})
    table.to_csv(folder / DAILY, index=False)
    (folder / "AMF_US-Non_FLUXNET_FULLSET_2020-2020_3-5.zip").write_bytes(b"PK\x03\x04 cut off")
    command = ["catalog", "towers", str(folder), "--out", str(tmp_path / "towers.yaml")]
    from fluxlens.embeddings.towers import data_files

    return LeftOut(lambda: data_files.files(folder), command, "1 sites of towers left out: US-Non")


def points_table(store: Path, tmp_path: Path) -> LeftOut:
    """A point outside the scene."""
    return points(store, tmp_path, "points.csv")


def points_features(store: Path, tmp_path: Path) -> LeftOut:
    """Features without a geometry."""
    return points(store, tmp_path, "points.geojson")


def places(*cells: tuple[int, int]) -> list[list[float]]:
    """Longitude and latitude of pixels of the store."""
    grid = Grid.from_cube(random_cube())
    return [[float(v) for v in grid.lonlat(grid.x[col], grid.y[row])] for row, col in cells]


def points(store: Path, tmp_path: Path, name: str) -> LeftOut:
    path, (inside, second) = tmp_path / name, places((3, 4), (5, 6))
    if path.suffix == ".csv":
        rows = [("a", *inside), ("b", *second), ("far", inside[0] + 1, inside[1])]
        pd.DataFrame(rows, columns=["name", "lon", "lat"]).to_csv(path, index=False)
        says = r"1 of 3 points lie outside the scene: left out \(far\)"
    else:
        shapes = {"a": {"type": "Point", "coordinates": inside}, "none": None, "nothing": None}
        features = [
            {"type": "Feature", "properties": {"name": key}, "geometry": one} for key, one in shapes.items()
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        says = r"2 features of points.geojson have no geometry: left out \(none, nothing\)"

    def read() -> object:
        from fluxlens.embeddings.export import extract

        return extract.tidy(random_cube(), points=geometries.read_points(path))

    out = str(tmp_path / "rows.csv")
    return LeftOut(read, ["export", str(store), "--points", str(path), "--out", out], says)


def square(row: float, col: float, size: float = 4) -> dict:
    """A square polygon, its upper left corner and side in pixels of the store's grid."""
    grid = Grid.from_cube(random_cube())
    left, top, side = grid.left_m + 10 * col, grid.top_m - 10 * row, 10 * size
    xs, ys = left + side * np.array([0, 1, 1, 0, 0]), top - side * np.array([0, 0, 1, 1, 0])
    return {"type": "Polygon", "coordinates": [np.column_stack(grid.lonlat(xs, ys)).tolist()]}


def polygons(store: Path, tmp_path: Path, says: str, **shapes: dict | None) -> LeftOut:
    path = tmp_path / "fields.geojson"
    features = [
        {"type": "Feature", "properties": {"name": key}, "geometry": one} for key, one in shapes.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    def read() -> object:
        from fluxlens.embeddings.export import extract

        return extract.tidy(random_cube(), polygon=geometries.read_polygon(path))

    out = str(tmp_path / "rows.csv")
    return LeftOut(read, ["export", str(store), "--polygon", str(path), "--out", out], says)


def polygon_without_geometry(store: Path, tmp_path: Path) -> LeftOut:
    says = r"1 features of fields.geojson have no geometry: left out \(empty\)"
    return polygons(store, tmp_path, says, field=square(4, 4), empty=None)


def polygon_across_the_edge(store: Path, tmp_path: Path) -> LeftOut:
    says = "the rest is left out; inside: edge 50%"
    return polygons(store, tmp_path, says, field=square(4, 4), edge=square(4, -2))


def polygon_outside(store: Path, tmp_path: Path) -> LeftOut:
    return polygons(store, tmp_path, "inside: far 0%", field=square(4, 4), far=square(4, -200))


def polygon_between_centres(store: Path, tmp_path: Path) -> LeftOut:
    """A polygon smaller than a pixel that holds no centre."""
    says = r"1 of 2 polygons hold no pixel centre: left out \(small\)"
    return polygons(store, tmp_path, says, field=square(4, 4), small=square(8.1, 8.1, size=0.3))


def series(days: int = 12) -> pd.DataFrame:
    """Two plots, every tenth day."""
    dates = pd.date_range("2021-05-01", periods=days, freq="10D")
    bands = dict(
        B02=0.04, B03=0.07, B04=0.05, B05=0.1, B06=0.25, B07=0.3, B08=0.32, B8A=0.33, B11=0.2, B12=0.1
    )
    return pd.concat([pd.DataFrame({"id": plot, "date": dates, **bands}) for plot in "ab"], ignore_index=True)


def series_case(tmp_path: Path, table: pd.DataFrame, says: str, suffix: str = ".csv") -> LeftOut:
    path = tmp_path / f"plots{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    command = ["embed", str(path), "--out", str(tmp_path / "daily.csv"), "--device", "cpu"]
    return LeftOut(lambda: series_table.read_series(path), command, says)


def series_of_fill_values(store: Path, tmp_path: Path) -> LeftOut:
    """Rows whose bands are all beyond any reflectance."""
    table = series()
    table.loc[[2, 5, 7], list(table.columns[2:])] = 6.5535
    return series_case(tmp_path, table, "3 of 24 rows of the Sentinel-2 table plots.csv have no band within")


def series_with_single_values_out_of_range(store: Path, tmp_path: Path) -> LeftOut:
    table = series()
    table.loc[[2, 5], "B08"] = 6.5535
    says = "2 values in 2 of 24 rows of the Sentinel-2 table plots.csv lie outside"
    return series_case(tmp_path, table, says)


def series_never_clear(store: Path, tmp_path: Path) -> LeftOut:
    """A plot without a clear day, in Parquet."""
    table = series().assign(clear=True)
    table.loc[table["id"] == "b", "clear"] = False
    says = r"1 series of the Sentinel-2 table plots.parquet have no usable row: left out \(b\)"
    return series_case(tmp_path, table, says, ".parquet")


def series_without_a_class(store: Path, tmp_path: Path) -> LeftOut:
    """Rows whose scene classification is empty."""
    table = series().assign(SCL=4.0)
    table.loc[[1, 3], "SCL"] = np.nan
    return series_case(tmp_path, table, "2 of 24 rows of .*plots.csv are empty in SCL: left out as not clear")


def series_without_a_clear_flag(store: Path, tmp_path: Path) -> LeftOut:
    table = series().assign(clear=1.0)
    table.loc[[1, 3], "clear"] = np.nan
    return series_case(
        tmp_path, table, "2 of 24 rows of .*plots.csv are empty in clear: left out as not clear"
    )


def series_twice_a_day(store: Path, tmp_path: Path) -> LeftOut:
    table = pd.concat([series(), series().tail(2)])
    return series_case(tmp_path, table, "2 of 26 rows of .*plots.csv are of a series and day that another")


def series_radar_without_power(store: Path, tmp_path: Path) -> LeftOut:
    """A table of Sentinel-1 beside, of linear power with noise below zero in one row."""
    case = series_case(
        tmp_path, series(), "1 of 24 rows of the Sentinel-1 table radar.csv have no band within"
    )
    radar = series()[["id", "date"]].assign(VV=-11.0, VH=-17.0)
    radar.loc[4, ["VV", "VH"]] = -99.0
    radar.to_csv(tmp_path / "radar.csv", index=False)
    tables = tmp_path / "plots.csv", tmp_path / "radar.csv"
    return LeftOut(
        lambda: series_table.read_series(*tables), [*case.command, "--s1", str(tables[1])], case.says
    )


def folder_of_tables(store: Path, tmp_path: Path) -> LeftOut:
    """A table that holds something else, among tables of series."""
    folder = tmp_path / "tables"
    folder.mkdir()
    series(30).to_csv(folder / "plots.csv", index=False)
    pd.DataFrame({"crop": ["wheat"], "price": [1.0]}).to_csv(folder / "prices.csv", index=False)
    command = ["evaluate", "reconstruction", "--data", str(folder)]
    says = r"1 of 2 tables of tables hold no series .*\(prices.csv\)"
    return LeftOut(lambda: series_sets.find_tables(folder), command, says)


def days_of_weather() -> pd.DataFrame:
    days = pd.date_range("2021-04-01", "2021-09-30", freq="h")
    rows = pd.DataFrame({"time": days.strftime("%Y-%m-%d %H:%M")})
    return rows.assign(sw_in=200.0, tair=15.0, vpd=6.0)


def weather_case(tmp_path: Path, table: pd.DataFrame, says: str) -> LeftOut:
    path, plots = tmp_path / "weather.csv", tmp_path / "plots.csv"
    table.to_csv(path, index=False)
    series().assign(lon=8.0, lat=47.0).to_csv(plots, index=False)
    command = ["embed", str(plots), "--weather", str(path), "--out", str(tmp_path / "daily.csv")]
    return LeftOut(lambda: weather_table.open(path), command, says)


def weather_with_holes(store: Path, tmp_path: Path) -> LeftOut:
    """Hours are missing on two days."""
    table = days_of_weather().drop(index=[50, 51, 100])
    return weather_case(tmp_path, table, "3 of 183 days of sw_in are incomplete and left out")


def scene_case(path: Path, tmp_path: Path, says: str, by: str = "haze") -> LeftOut:
    command = ["scene", "clear", str(path), "--by", by, "--out", str(tmp_path / "scene.zarr")]
    return LeftOut(lambda: open_scene(path), command, says)


def weather_of_one_series_without_values(store: Path, tmp_path: Path) -> LeftOut:
    """Radiation of the second series is -9999 throughout, while the first has it."""
    days = pd.date_range("2020-05-01", "2020-06-20", freq="5D").strftime("%Y-%m-%d")
    bands = {f"B{at:02d}": 0.05 + 0.02 * at for at in range(2, 9)}
    series = [pd.DataFrame({"id": one, "date": days, "lon": 5.0, "lat": 50.0, **bands}) for one in "ab"]
    pd.concat(series).to_csv(tmp_path / "plots.csv", index=False)
    time = pd.date_range("2020-05-01", "2020-06-20").strftime("%Y-%m-%d")
    sun = {"a": 200.0, "b": -9999}
    weather = [pd.DataFrame({"id": one, "time": time, "sw_in": sun[one], "tair": 15.0}) for one in "ab"]
    pd.concat(weather).to_csv(tmp_path / "weather.csv", index=False)
    command = ["embed", str(tmp_path / "plots.csv"), "--weather", str(tmp_path / "weather.csv"), "--out"]
    says = r"1 of 2 series have no value of sw_in in the weather table weather.csv \(b\): GPP of those goes without it"
    return LeftOut(
        lambda: series_table.read_weather(tmp_path / "weather.csv"),
        [*command, str(tmp_path / "out.csv")],
        says,
    )


def tiffs(folder: Path, of: Truth) -> None:
    """One GeoTIFF a date, 10 bands and SCL in their descriptions."""
    folder.mkdir()
    where = dict(crs=of.grid.crs, transform=Affine(10, 0, of.grid.left_m, 0, -10, of.grid.top_m))
    for at, time in enumerate(of.times):
        names = [*of.numbers, "SCL"]
        with rasterio.open(
            folder / f"S2_{time:%Y%m%d}.tif", "w", driver="GTiff", width=of.grid.nx, height=of.grid.ny,
            count=len(names), dtype="uint16", **where,
        ) as file:  # fmt: skip
            file.write(
                np.stack([*(values[at] for values in of.numbers.values()), of.scl[at].astype("uint16")])
            )
            file.descriptions = names


def tiffs_without_a_date(store: Path, tmp_path: Path) -> LeftOut:
    folder = tmp_path / "images"
    tiffs(folder, truth())
    (folder / "S2_20190512.tif").rename(folder / "first.tif")
    return scene_case(
        folder, tmp_path, r"1 of 3 files have no date in their name and are left out \(first.tif"
    )


def tiffs_of_no_known_band(store: Path, tmp_path: Path) -> LeftOut:
    folder = tmp_path / "images"
    tiffs(folder, truth())
    with rasterio.open(folder / "S2_20190512.tif", "r+") as file:
        file.descriptions = [f"x{n}" for n in range(11)]
    says = r"1 of 3 files have no band of a known name and are left out \(S2_20190512.tif"
    return scene_case(folder, tmp_path, says)


def tiffs_beside_netcdf(store: Path, tmp_path: Path) -> LeftOut:
    folder = tmp_path / "images"
    tiffs(folder, truth())
    as_variables(truth()).to_netcdf(folder / "cube.nc")
    return scene_case(folder, tmp_path, "3 GeoTIFF files beside .* are not read")


def netcdf_of_no_known_band(store: Path, tmp_path: Path) -> LeftOut:
    folder = tmp_path / "cubes"
    folder.mkdir()
    as_variables(truth()).to_netcdf(folder / "cube.nc")
    xr.Dataset({"dem": (("y", "x"), np.zeros((4, 6)))}).to_netcdf(folder / "dem.nc")
    return scene_case(folder, tmp_path, r"1 of 2 files hold no known band and are left out \(dem.nc\)")


def netcdf_of_no_known_kind(store: Path, tmp_path: Path) -> LeftOut:
    """Something else in a folder of one file per sensor."""
    folder = tmp_path / "cubes"
    folder.mkdir()
    coarse = ("B05", "B06", "B07", "B8A", "B11", "B12")
    as_variables(truth(bands=coarse)).to_netcdf(folder / "S2_L2A_20m_a.nc")
    xr.Dataset({"dem": (("y", "x"), np.zeros((4, 6)))}).to_netcdf(folder / "dem.nc")
    xr.Dataset({"dem": (("y", "x"), np.zeros((4, 6)))}).to_netcdf(folder / "slope.NC4")
    says = "2 of 3 files are of no known kind and left out .*dem.nc, slope.NC4"
    # Bands of 20 m alone hold no blue, by which haze is told.
    return scene_case(folder, tmp_path, says, by="scl")


def netcdf_images_without_partner(store: Path, tmp_path: Path) -> LeftOut:
    folder, of = tmp_path / "cubes", truth()
    folder.mkdir()
    cube = as_variables(of)
    cube[["B02", "B03", "B04", "B08", "SCL"]].to_netcdf(folder / "a.nc")
    cube.drop_vars(["B02", "B03", "B04", "B08", "SCL"]).isel(time=[0, 1]).to_netcdf(folder / "b.nc")
    return scene_case(folder, tmp_path, r"1 of 3 images of a.nc are left out \(2019-05-22\): no partner")


def zarr_without_a_mask(store: Path, tmp_path: Path) -> LeftOut:
    """Nothing left out but a mask assumed; an array of bands, as stackstac writes it."""
    path = tmp_path / "cube.zarr"
    cube = as_array(truth()).sel(band=[*truth().numbers]).assign_attrs(crs="EPSG:32631").to_dataset()
    cube.to_zarr(path, zarr_format=2)
    return scene_case(path, tmp_path, "no SCL or cloud mask, so every pixel with data counts as clear")


def radar_without_power(store: Path, tmp_path: Path) -> LeftOut:
    """Pixels of power below zero, which have no decibel."""
    path, of = tmp_path / "cube.nc", truth()
    vv, vh = 10 ** (backscatter() / 10)
    vv[0, 0, 0] = -1e-4
    both = as_variables(of).assign(VV=(("time", "y", "x"), vv), VH=(("time", "y", "x"), vh))
    both.to_netcdf(path)
    return scene_case(path, tmp_path, "1.4% of VV in cube.nc is power of 0 or less")


def science_cube(store: Path, tmp_path: Path) -> LeftOut:
    """Two images of one day, of which the first counts."""
    path = tmp_path / "deep.zarr"
    times = pd.DatetimeIndex(["2020-05-01T10:30", "2020-05-01T10:45", "2020-05-06T10:30"])
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 6, 4)
    shape = (12, 3, 4, 6)
    cube = xr.Dataset(
        {
            "s2l2a": (("band", "time", "y", "x"), np.full(shape, 0.2, "float32")),
            "cloud_mask": (("time", "y", "x"), np.zeros(shape[1:], "uint8")),
        },
        {"time": times, "y": grid.y, "x": grid.x},
        {"utm_zone": "32U"},
    )
    cube.to_zarr(path, zarr_format=2)
    return scene_case(path, tmp_path, "1 of 3 images are of a day that another one has and are left out")


def science_cube_with_weather(era5: dict[str, float]) -> xr.Dataset:
    """Two images and three days of weather."""
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 6, 4)
    shape = (12, 2, 4, 6)
    return xr.Dataset(
        {
            "s2l2a": (("band", "time", "y", "x"), np.full(shape, 0.2, "float32")),
            "cloud_mask": (("time", "y", "x"), np.zeros(shape[1:], "uint8")),
            **{f"era5_{name}": ("time_era5", np.full(3, value, "f4")) for name, value in era5.items()},
        },
        {
            "time": pd.DatetimeIndex(["2020-05-01T10:30", "2020-05-06T10:30"]),
            "time_era5": pd.date_range("2020-05-01", periods=3),
            "y": grid.y,
            "x": grid.x,
        },
        {"utm_zone": "32U"},
    )


def science_cube_without_radiation(store: Path, tmp_path: Path) -> LeftOut:
    path = tmp_path / "deep.zarr"
    science_cube_with_weather({"t2m_mean": 288.0}).to_zarr(path, zarr_format=2)
    return scene_case(path, tmp_path, "its ERA5-Land lacks ssrd_sum and is left out")


def science_cube_with_radiation_summed_twice(store: Path, tmp_path: Path) -> LeftOut:
    path = tmp_path / "deep.zarr"
    # 250 W m-2 over the day, added up over the 24 accumulations of the day
    era5 = {"t2m_mean": 288.0, "ssrd_sum": 250.0 * 86400 * 12}
    science_cube_with_weather(era5).to_zarr(path, zarr_format=2)
    return scene_case(
        path, tmp_path, "radiation of 3000 W m-2 in a day's mean, which looks summed twice, and is left"
    )


def feature_cube_of_two_images_a_day(store: Path, tmp_path: Path) -> LeftOut:
    """Published embeddings with two images of one day, of which the first counts."""
    path = tmp_path / "features.zarr"
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 6, 4)
    times = pd.DatetimeIndex(["2020-05-01T10:30", "2020-05-01T10:45", "2020-05-06T10:30"])
    values = np.broadcast_to(np.arange(3, dtype="f4")[:, None, None], (7, 3, 4, 6))
    xr.Dataset(
        {"features": (("feature", "time", "y", "x"), values)},
        {"time": times, "y": grid.y, "x": grid.x},
        {"utm_zone": "32U"},
    ).to_zarr(path, zarr_format=2)
    lon, lat = grid.lonlat(grid.x[2], grid.y[1])
    command = ["export", str(path), "--at", f"{float(lon)},{float(lat)}", "--out", str(tmp_path / "out.csv")]

    def read() -> None:
        days = feature_cube.open(path)["embedding"].isel(y=0, x=0, feature=0)
        assert days.values.tolist() == [0.0, 2.0]

    return LeftOut(read, command, "1 of 3 images are of a day that another one has and are left out")


def stac_dates_without_a_value(store: Path, tmp_path: Path) -> LeftOut:
    """Dates on which the square lies beyond the swath, and radar of a mode over sea."""
    folder = tmp_path / "files"
    folder.mkdir()
    world = World(folder)
    world.s2("A", "2020-06-01T10:40:21", dn=lambda lon, lat: 0 * lon, scl=0)
    world.s2("B", "2020-06-06T10:40:21")
    world.s1("wide", "2020-06-03T05:50:00", **{"sar:instrument_mode": "EW"})
    days = {"start": "2020-06-01", "end": "2020-06-30"}
    request = stac.Request(LON, LAT, 160, provider=world.url, **days)
    command = ["scene", "stac", "--at", f"{LON},{LAT}", "--size-m", "160", "--provider", world.url]
    command += ["--start", "2020-06-01", "--end", "2020-06-30", "--out", str(tmp_path / "scene.zarr")]
    says = (
        r"1 of 3 images left out: wide: its mode is EW, not IW; 1 of 2 dates have no value in the square and are left "
        r"out \(sentinel-2-l2a_2020-06-01\)"
    )
    return LeftOut(lambda: progress.run(stac.fetch(request, tmp_path / "in_python.zarr")), command, says)


def stac_items(store: Path, tmp_path: Path) -> LeftOut:
    """Images that lack a file."""
    folder = tmp_path / "files"
    folder.mkdir()
    world = World(folder)
    world.s2("A", "2020-06-01T10:40:21", lacks=("B8A",))
    world.s2("B", "2020-06-06T10:40:21")
    world.s2("C", "2020-06-11T10:40:21", lacks=("B04",))
    days = {"start": "2020-06-01", "end": "2020-06-30"}
    request = stac.Request(LON, LAT, 160, provider=world.url, **days)
    command = ["scene", "stac", "--at", f"{LON},{LAT}", "--size-m", "160", "--provider", world.url]
    command += ["--start", "2020-06-01", "--end", "2020-06-30", "--out", str(tmp_path / "scene.zarr")]
    says = "2 of 3 images left out: A: it has no B8A; C: it has no B04"
    return LeftOut(lambda: progress.run(stac.fetch(request, tmp_path / "in_python.zarr")), command, says)


CASES = [
    tower_text, tower_zip, tower_folder, points_table, points_features, polygon_without_geometry,
    polygon_across_the_edge, polygon_outside, polygon_between_centres, series_of_fill_values,
    series_with_single_values_out_of_range, series_never_clear, series_without_a_class, series_without_a_clear_flag,
    series_twice_a_day, series_radar_without_power, folder_of_tables, weather_with_holes,
    weather_of_one_series_without_values,
    tiffs_without_a_date, tiffs_of_no_known_band, tiffs_beside_netcdf,
    netcdf_of_no_known_band, netcdf_of_no_known_kind, netcdf_images_without_partner, zarr_without_a_mask,
    radar_without_power, science_cube, science_cube_without_radiation, science_cube_with_radiation_summed_twice,
    feature_cube_of_two_images_a_day, stac_items, stac_dates_without_a_value,
]  # fmt: skip


@pytest.mark.parametrize("make", CASES, ids=lambda one: one.__name__)
def test_what_is_left_out_is_one_warning_and_one_line_of_the_error_stream(
    make, store, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(access, "WAIT_S", 0.02)
    case = make(store, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        case.read()
    messages = [str(one.message) for one in caught]
    assert len(messages) == 1, messages
    assert issubclass(caught[0].category, DataWarning)
    assert re.search(case.says, messages[0]), messages[0]
    capsys.readouterr()
    assert main(case.command) == 0
    lines = [line for line in re.split(r"[\r\n]+", capsys.readouterr().err) if "fluxlens: " in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("fluxlens: warning: ")
    assert re.search(case.says, lines[0]), lines[0]


def test_radar_files_of_two_projections_are_refused_and_both_named(tmp_path, capsys):
    """Nothing is left out: pixels of one zone would be laid on another's as if they were its own."""
    folder, of = tmp_path / "cubes", truth()
    folder.mkdir()
    vv, vh = backscatter()
    radar = (
        as_variables(of)
        .drop_vars([*of.numbers, "SCL"])
        .assign(VV=(("time", "y", "x"), vv), VH=(("time", "y", "x"), vh))
    )
    radar.to_netcdf(folder / "a.nc")
    later = radar.assign_coords(time=of.times + pd.Timedelta(1, "D"))
    other = later.drop_vars("spatial_ref").assign_coords(spatial_ref=spatial_ref("EPSG:32632"))
    other.to_netcdf(folder / "b.nc")
    with pytest.raises(
        InputError, match=r"Got b.nc in EPSG:32632 and a.nc in EPSG:32631, need one CRS; reproject"
    ):
        open_scene(folder)
    assert main(["scene", "clear", str(folder), "--by", "scl", "--out", str(tmp_path / "scene.zarr")]) == 2
    assert "Got b.nc in EPSG:32632 and a.nc in EPSG:32631" in capsys.readouterr().err
    assert not (tmp_path / "scene.zarr").exists()
