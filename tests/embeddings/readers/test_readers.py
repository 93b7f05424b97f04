"""Every format opens as the same kind of scene, and a broken file is named with what to do."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings.geometry import Grid, spatial_ref
from fluxlens.embeddings.readers import netcdf_folder, open_scene, science_cube
from fluxlens.embeddings.readers import zarr as own_zarr
from fluxlens.embeddings.scenes import digest, packing, schema
from fluxlens.models.errors import DataWarning, InputError

LEFT_M, TOP_M = 574_680.0, 5_622_440.0
FINE, COARSE = Grid("EPSG:32631", LEFT_M, TOP_M, 10.0, 8, 6), Grid("EPSG:32631", LEFT_M, TOP_M, 20.0, 4, 3)
TIMES = pd.DatetimeIndex(
    ["2019-06-01T10:50:22", "2019-06-04T10:40:00", "2019-06-04T10:40:07", "2019-06-09T10:50:00"]
).as_unit("ns")
PASSES = pd.DatetimeIndex(["2019-06-02T17:31:51", "2019-06-08T17:31:51"]).as_unit("ns")
MAPS = ("timestamp", "y", "x")
YEAR = pd.Timedelta("365D")
WEATHER = {
    "solar_radiation_flux": 86400.0 * 200,
    "temperature_mean": 293.15,
    "temperature_max": 298.15,
    "temperature_min": 288.15,
    "vapour_pressure": 14.0,
    "precipitation_flux": 2.0,
}


def rasters(names, grid: Grid, time, dtype: str, value) -> xr.Dataset:
    """Constant undecoded rasters as providers write them: an integer fill value and a timestamp."""
    shape = (len(time), grid.ny, grid.nx)
    return xr.Dataset(
        {
            name: (MAPS, np.full(shape, value, dtype), {"_FillValue": np.dtype(dtype).type()})
            for name in names
        },
        coords={"timestamp": time, "y": grid.y, "x": grid.x},
        attrs={"epsg": 32631, "source": "made up"},
    )


@pytest.fixture
def files() -> dict[str, xr.Dataset]:
    """What a folder holds, by file name; three days of Sentinel-2, the second seen twice."""
    fine = rasters(schema.S2_BANDS_10M, FINE, TIMES, "uint16", 1000)
    coarse = rasters(schema.S2_BANDS_20M, COARSE, TIMES, "uint16", 3000)
    scl = rasters(["SCL"], COARSE, TIMES, "uint8", 4)
    scl["SCL"].attrs["scale_factor"] = 1  # with a _FillValue, this is where xarray's decoding fails
    coarse = coarse.merge(scl)
    days = pd.date_range("2019-06-01", periods=10).as_unit("ns")
    place = rasters([], Grid("EPSG:32631", LEFT_M, TOP_M, 1000.0, 1, 1), days, "float32", 0)
    weather = place.assign(
        {name: (MAPS, np.full((10, 1, 1), value, "f4")) for name, value in WEATHER.items()}
    )
    return {
        "S2_L2A_10m_X.nc": fine,
        "S2_L2A_20m_X.nc": coarse,
        "S1_GRD-ASCENDING_20m_X.nc": rasters(schema.S1_BANDS, COARSE, PASSES, "int32", -123_456),
        "AgERA5_DAILY_1000m_X.nc": weather,
    }


@pytest.fixture
def put(tmp_path):
    """A function that writes files into a new folder and returns it."""

    def write(files: dict[str, xr.Dataset], name: str = "X") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for name, data in files.items():
            data.to_netcdf(folder / name)
        return folder

    return write


def test_a_folder_becomes_a_scene_on_the_ten_metre_grid(files, put):
    scene = open_scene(put(files))
    s2 = scene["s2"].to_dataset()
    assert Grid.from_cube(s2) == FINE
    assert Grid.from_cube(scene["s1"].to_dataset()) == COARSE
    assert list(s2.band.values) == list(schema.S2_BANDS)
    assert s2.reflectance.dtype == np.float32
    assert (s2.reflectance.sel(band="B02") == np.float32(0.1)).all()
    assert (s2.reflectance.sel(band="B11") == np.float32(0.3)).all()
    assert bool(s2.clear.all())
    assert list(schema.utc_days(s2).astype(str)) == ["2019-06-01", "2019-06-04", "2019-06-09"]
    np.testing.assert_allclose(scene["s1/backscatter"], -12.3456, rtol=1e-6)
    assert set(scene["s1/orbit"].values) == {"ascending"}
    assert scene.attrs["id"] == "X"
    assert scene.attrs["simulated"] == 0
    assert "2019" in scene.attrs["source"]


def test_weather_comes_in_the_units_of_the_contract(files, put):
    weather = open_scene(put(files))["weather"]
    assert [weather[name].attrs["units"] for name in schema.WEATHER] == ["W m-2", "degC", "hPa", "mm d-1"]
    assert float(weather["sw_in"][0]) == pytest.approx(200)
    assert float(weather["tair"][0]) == pytest.approx(20, abs=1e-4)
    assert float(weather["precip"][0]) == pytest.approx(2)
    # FAO-56, example 3 of chapter 3: e0(25) = 3.17 kPa and e0(15) = 1.71 kPa
    assert float(weather["vpd"][0]) == pytest.approx(10 * (3.168 + 1.705) / 2 - 14, abs=0.01)


def test_without_the_ten_metre_file_the_scene_stays_on_twenty(files, put):
    del files["S2_L2A_10m_X.nc"]
    s2 = open_scene(put(files))["s2"].to_dataset()
    assert Grid.from_cube(s2) == COARSE
    assert list(s2.band.values) == list(schema.S2_BANDS_20M)


@pytest.mark.parametrize(("sensor", "nodes"), [("S2", {"s2"}), ("S1", {"s1"})])
def test_one_sensor_alone_is_a_scene(files, put, sensor, nodes):
    folder = put({name: data for name, data in files.items() if name.startswith(sensor)})
    assert set(open_scene(folder).children) == nodes


def test_tiles_of_one_day_are_merged_and_clear_values_win(files, put):
    coarse = files["S2_L2A_20m_X.nc"]
    coarse["B05"][1], coarse["B05"][2] = 2000, 4001
    coarse["SCL"][1, :, 0] = 9  # cloud in the first tile only: the second one's value counts
    coarse["SCL"][1:3, :, 1] = 8  # cloud in both: their mean, and not clear
    coarse["B05"][1, :, 2] = 0  # no data in the first
    s2 = open_scene(put(files))["s2"].to_dataset()
    b05 = s2.reflectance.sel(band="B05")[1].values[::2, ::2]
    np.testing.assert_array_equal(b05[0], np.float32([0.4001, 0.3, 0.4001, 0.3]))
    assert list(s2.clear[1, 0, ::2].values) == [True, False, True, True]
    assert bool(s2.clear[[0, 2]].all())


def test_no_data_is_nan_and_never_clear(files, put):
    files["S2_L2A_10m_X.nc"]["B08"][0, 2, 3] = 0
    files["S2_L2A_20m_X.nc"]["SCL"][3, 0, 0] = 0
    s2 = open_scene(put(files))["s2"].to_dataset()
    assert np.isnan(s2.reflectance.sel(band="B08")[0, 2, 3])
    assert not s2.clear[0, 2, 3]
    assert int((~s2.clear[0]).sum()) == 1
    assert int((~s2.clear[2]).sum()) == 4


@pytest.mark.parametrize(
    ("label", "clear"), [(3, False), (4, True), (5, True), (6, True), (7, False), (11, False)]
)
def test_only_vegetation_soil_and_water_are_clear(files, put, label, clear):
    files["S2_L2A_20m_X.nc"]["SCL"][:] = label
    assert bool(open_scene(put(files))["s2/clear"].all()) is clear


def test_the_offset_of_new_baselines_is_taken_off(files, put):
    for name in ("S2_L2A_10m_X.nc", "S2_L2A_20m_X.nc"):
        files[name].attrs["offset"] = -1000
    folder = put(files)
    assert float(open_scene(folder)["s2/reflectance"].sel(band="B05").max()) == pytest.approx(0.2)
    by_hand = netcdf_folder.open(folder, offset=-500)
    assert float(by_hand["s2/reflectance"].sel(band="B05").max()) == pytest.approx(0.25)


def test_saturated_cloud_is_held_at_the_brightest_legal_value(files, put):
    files["S2_L2A_20m_X.nc"]["B05"][0, 0, 0] = 61_000
    s2 = open_scene(put(files))["s2"].to_dataset()
    assert float(s2.reflectance.max()) == packing.SATURATION
    assert float(s2.reflectance.sel(band="B05")[0, 0, 2]) == pytest.approx(0.3)


def test_files_of_float_reflectance_open_and_float_numbers_do_not(files, put):
    coarse = files["S2_L2A_20m_X.nc"]
    for band in schema.S2_BANDS_20M:
        coarse[band] = (coarse[band].dims, np.full(coarse[band].shape, 0.25, "f4"))
    coarse["B05"][0, 0, 0] = np.nan
    folder = put({"S2_L2A_20m_X.nc": coarse})
    s2 = open_scene(folder)["s2"].to_dataset()
    assert float(s2.reflectance.max()) == 0.25
    assert not s2.clear[0, 0, 0]
    (coarse[[*schema.S2_BANDS_20M]] * 10_000.0).merge(coarse[["SCL"]]).assign_attrs(coarse.attrs).to_netcdf(
        folder / "S2_L2A_20m_X.nc"
    )
    with pytest.raises(InputError, match="digital numbers"):
        open_scene(folder)


def test_both_orbits_are_kept_and_named(files, put):
    later = PASSES + pd.Timedelta("12h")  # the next morning
    same_day = PASSES[:1] - pd.Timedelta("12h")
    descending = rasters(schema.S1_BANDS, COARSE, same_day.append(later), "int32", -100_000)
    s1 = open_scene(put(files | {"S1_GRD-DESCENDING_20m_X.nc": descending}))["s1"].to_dataset()
    assert [orbit[0] for orbit in s1.orbit.values] == ["d", "a", "d", "a", "d"]
    assert list(schema.utc_days(s1)[:2].astype(str)) == ["2019-06-02", "2019-06-02"]


def test_slices_of_one_pass_are_averaged_as_power(files, put):
    times = PASSES[[0, 0]] + pd.to_timedelta([0, 25], "s")
    twice = rasters(schema.S1_BANDS, COARSE, times, "int32", -100_000)
    twice["VV"][1] = -200_000
    s1 = open_scene(put({"S1_GRD-ASCENDING_20m_X.nc": twice}))["s1"].to_dataset()
    assert s1.sizes["time"] == 1
    assert float(s1.backscatter.sel(band="VV")[0, 0, 0]) == pytest.approx(10 * np.log10((0.1 + 0.01) / 2))


def test_images_missing_in_one_resolution_are_left_out(files, put):
    files["S2_L2A_10m_X.nc"] = files["S2_L2A_10m_X.nc"].isel(timestamp=[0, 3])
    with pytest.warns(DataWarning, match=r"2 of 4 images of S2_L2A_20m_X\.nc are left out \(2019-06-04"):
        days = schema.utc_days(open_scene(put(files))["s2"].to_dataset())
    assert list(days.astype(str)) == ["2019-06-01", "2019-06-09"]


def test_rasters_upside_down_or_turned_are_put_right(files, put):
    marked = files["S2_L2A_20m_X.nc"]
    marked["B05"][:, 0, 1] = 500
    expected = open_scene(put(files))
    turned = {
        name: data.transpose("x", "y", "timestamp").isel(y=slice(None, None, -1))
        for name, data in files.items()
    }
    assert digest.digest(open_scene(put(turned, "turned"))) == digest.digest(expected)


def test_landsat_keeps_its_own_names_and_mask(files, put):
    names = [f"B0{number}" for number in range(2, 8)]
    landsat = rasters(names, FINE, TIMES[:3], "uint16", 800)
    quality = rasters(["pixel_qa"], FINE, TIMES[:3], "uint16", 322)
    quality["pixel_qa"][0, 0] = 480  # cloud, high confidence
    quality["pixel_qa"][0, 1] = 324  # water
    landsat["B02"][0, 2] = 65535  # -1 that was cast to unsigned
    node = open_scene(put(files | {"L8_SR_10m_X.nc": landsat.merge(quality)}))["landsat8"].to_dataset()
    assert list(node.band.values) == list(schema.L8_BANDS)
    assert list(node.clear[0, :3, 0].values) == [False, True, True]
    assert float(node.reflectance.sel(band="L2")[0, 2, 0]) == pytest.approx(-1e-4)


def drop(name: str, variable: str):
    return lambda files: files.update({name: files[name].drop_vars(variable)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("S2_L2A_10m_X.nc", "B08"), r"S2_L2A_10m_X.nc without B08"),
        (drop("S2_L2A_20m_X.nc", "B8A"), r"S2_L2A_20m_X.nc without B8A"),
        (drop("S2_L2A_20m_X.nc", "SCL"), r"without SCL, need"),
        (drop("S1_GRD-ASCENDING_20m_X.nc", "VH"), r"S1_GRD.* without VH"),
        (drop("AgERA5_DAILY_1000m_X.nc", "vapour_pressure"), r"AgERA5.* without vapour_pressure"),
        (lambda files: files.pop("S2_L2A_20m_X.nc"), r"no S2_L2A_20m, need its SCL"),
        (lambda files: [files.pop(name) for name in list(files) if name[0] == "S"], r"without Sentinel"),
        (lambda files: files["S2_L2A_20m_X.nc"].attrs.pop("epsg"), r"without a CRS, need an attribute"),
        (lambda files: files["S2_L2A_20m_X.nc"].attrs.update(epsg="north"), r"CRS 'EPSG:north'"),
        (drop("S2_L2A_20m_X.nc", "timestamp"), r"without times"),
        (drop("S2_L2A_20m_X.nc", "x"), r"without x and y"),
        (
            lambda files: files.update(
                {name: data.isel(timestamp=[]) for name, data in files.items() if "S1" in name}
            ),
            r"without a single date",
        ),
        (
            lambda files: files.update(
                {"S2_L2A_10m_X.nc": files["S2_L2A_10m_X.nc"].assign_coords(timestamp=TIMES + YEAR)}
            ),
            r"share no date",
        ),
    ],
)
def test_what_is_missing_is_named(files, put, spoil, message):
    spoil(files)
    with pytest.raises(InputError, match=message) as caught:
        open_scene(put(files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_file_is_named(files, put, share):
    folder = put(files)
    path = folder / "S2_L2A_20m_X.nc"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(
        InputError, match=r"S2_L2A_20m_X\.nc, which (cannot be read|is damaged|is an empty file).*fetch"
    ):
        open_scene(folder)


def test_places_without_a_scene_are_told_apart(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    for name, message in [
        ("absent", "does not exist"),
        ("empty", "an empty folder"),
        ("other", "without zarr.json"),
        ("other/notes.txt", "a single file"),
    ]:
        with pytest.raises(InputError, match=message):
            open_scene(tmp_path / name)


def test_our_zarr_gives_the_same_scene_back_bit_for_bit(files, put, tmp_path):
    rng = np.random.default_rng(1)
    for name in ("S2_L2A_10m_X.nc", "S2_L2A_20m_X.nc"):
        for band in files[name]:
            if band != "SCL":
                files[name][band][:] = rng.integers(0, 18_000, files[name][band].shape)
    scene = open_scene(put(files))
    own_zarr.write(scene, tmp_path / "deep" / "scene.zarr")
    back = open_scene(tmp_path / "deep" / "scene.zarr")
    assert back["s2/reflectance"].chunks is not None
    assert digest.digest(back) == digest.digest(scene)
    assert back.attrs == scene.attrs
    assert back["weather/vpd"].attrs == scene["weather/vpd"].attrs
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["scene.zarr"]


def test_a_lazy_scene_whose_variables_are_cut_differently_can_be_written(files, put, tmp_path):
    scene = open_scene(put(files))
    # As xarray writes them where each variable has chunks of its own.
    scene["s2/clear"] = scene["s2/clear"].chunk({"time": 1})
    scene["s2/reflectance"] = scene["s2/reflectance"].chunk({"time": -1})
    own_zarr.write(scene, tmp_path / "one.zarr")
    assert open_scene(tmp_path / "one.zarr")["s2/clear"].equals(scene["s2/clear"])


def test_a_lazy_scene_can_be_written_again(files, put, tmp_path):
    own_zarr.write(open_scene(put(files)), tmp_path / "one.zarr")
    own_zarr.write(open_scene(tmp_path / "one.zarr"), tmp_path / "two.zarr")
    one, two = (digest.digest(open_scene(tmp_path / name)) for name in ("one.zarr", "two.zarr"))
    assert one == two


def test_finer_values_are_rounded_as_announced(files, put, tmp_path):
    scene = open_scene(put(files))
    noise = np.random.default_rng(2).uniform(0, 1, scene["s2/reflectance"].shape)
    scene["s2/reflectance"] = scene["s2/reflectance"].copy(data=noise.astype("float32"))
    own_zarr.write(scene, tmp_path / "scene.zarr")
    assert digest.digest(open_scene(tmp_path / "scene.zarr")) == digest.digest(packing.round_scene(scene))


def test_a_scene_can_live_inside_a_transactional_store(files, put):
    import icechunk

    scene = open_scene(put(files))
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    own_zarr.write(scene, session.store, group="scene")
    session.commit("scene")
    back = own_zarr.open(repo.readonly_session("main").store, group="scene")
    assert digest.digest(back) == digest.digest(scene)
    assert back.attrs == scene.attrs


def test_an_existing_path_is_never_overwritten(files, put, tmp_path):
    scene = open_scene(put(files))
    own_zarr.write(scene, tmp_path / "scene.zarr")
    with pytest.raises(InputError, match="exists already"):
        own_zarr.write(scene, tmp_path / "scene.zarr")


def test_a_failed_write_leaves_nothing(files, put, tmp_path, monkeypatch):
    scene, place = open_scene(put(files)), tmp_path / "out"
    real, written = xr.Dataset.to_zarr, []

    def fails_later(self, *args, **kwargs):
        written.append(kwargs["group"])
        if len(written) == 3:
            raise OSError("disk full")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(xr.Dataset, "to_zarr", fails_later)
    with pytest.raises(OSError, match="disk full"):
        own_zarr.write(scene, place / "scene.zarr")
    assert list(place.iterdir()) == []


def test_a_broken_zarr_is_refused(tmp_path):
    (tmp_path / "scene.zarr").mkdir()
    (tmp_path / "scene.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="no readable Zarr scene"):
        open_scene(tmp_path / "scene.zarr")


@pytest.fixture
def deep_cube() -> xr.Dataset:
    """A ScienceCube of 6 x 8 pixels, four dates and five days of weather."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2020-06-01", periods=5).as_unit("ns")
    era5 = {
        "ssrd_sum": 86400 * 250.0,
        "t2m_mean": 290.0,
        "t2m_max": 298.15,
        "t2m_min": 288.15,
        "d2m_mean": 283.15,
        "tp_sum": 0.003,
    }
    bands = list(science_cube.ALL_BANDS)
    return xr.Dataset(
        {
            "s2l2a": (("band", "time", "y", "x"), rng.uniform(0, 0.5, (12, 4, 6, 8)).astype("float32")),
            "cloud_mask": (("time", "y", "x"), rng.integers(0, 4, (4, 6, 8)).astype("uint8")),
            **{f"era5_{key}": ("time_era5", np.full(5, value, "f4")) for key, value in era5.items()},
        },
        coords={
            "band": bands,
            "time": TIMES,
            "y": FINE.y,
            "x": FINE.x,
            "time_era5": days,
            "spatial_ref": spatial_ref("EPSG:32631"),
        },
        attrs={"id": 7, "utm_zone": "31U", "center_wgs84": [50.7, 4.06]},
    )


@pytest.mark.filterwarnings("ignore:.*of a day that another one has")
def test_a_science_cube_is_a_scene(deep_cube, tmp_path):
    deep_cube.to_zarr(tmp_path / "000007.zarr", zarr_format=2)
    scene = open_scene(tmp_path / "000007.zarr")
    s2 = scene["s2"].to_dataset()
    assert list(s2.band.values) == list(schema.S2_BANDS)
    assert Grid.from_cube(s2) == FINE
    assert s2.reflectance.chunks is not None
    first = deep_cube.s2l2a.isel(time=0).sel(band=list(schema.S2_BANDS))
    np.testing.assert_array_equal(s2.reflectance[0], first)
    np.testing.assert_array_equal(s2.clear[0], deep_cube.cloud_mask[0] == 0)
    weather = scene["weather"].to_dataset()
    assert float(weather.sw_in[0]) == pytest.approx(250)
    assert float(weather.tair[0]) == pytest.approx(16.85, abs=1e-3)
    assert float(weather.vpd[0]) == pytest.approx(10 * (3.168 + 1.705) / 2 - 12.28, abs=0.02)
    assert float(weather.precip[0]) == pytest.approx(3)
    assert scene.attrs["id"] == "7"


@pytest.mark.filterwarnings("ignore:.*of a day that another one has")
@pytest.mark.parametrize(
    ("zone", "crs"), [("31U", "EPSG:32631"), ("5H", "EPSG:32705"), ("EPSG:32632", "EPSG:32632")]
)
def test_the_utm_zone_is_enough_for_the_crs(deep_cube, tmp_path, zone, crs):
    deep_cube.drop_vars("spatial_ref").assign_attrs(utm_zone=zone).to_zarr(tmp_path / "c.zarr", zarr_format=2)
    assert Grid.from_cube(open_scene(tmp_path / "c.zarr")["s2"].to_dataset()).crs == crs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cube: cube.drop_vars("cloud_mask"), "without cloud_mask"),
        (lambda cube: cube.drop_vars("band").isel(band=slice(5)), "5 unnamed bands"),
        (lambda cube: cube.drop_vars("spatial_ref").assign_attrs(utm_zone="north"), "utm_zone 'north'"),
    ],
)
def test_a_wrong_science_cube_is_refused(deep_cube, tmp_path, change, message):
    change(deep_cube).to_zarr(tmp_path / "c.zarr", zarr_format=2)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path / "c.zarr")


@pytest.mark.filterwarnings("ignore:.*of a day that another one has")
def test_a_science_cube_in_a_newer_zarr_opens_as_well(deep_cube, tmp_path):
    numeric = deep_cube.drop_vars("band")  # text has no final specification in Zarr v3
    numeric.to_zarr(tmp_path / "c.zarr", zarr_format=3, consolidated=False)
    assert list(open_scene(tmp_path / "c.zarr")["s2/band"].values) == list(schema.S2_BANDS)


def test_radiation_that_was_summed_twice_is_not_believed(deep_cube, tmp_path):
    deep_cube.assign(era5_ssrd_sum=deep_cube.era5_ssrd_sum * 12).to_zarr(tmp_path / "c.zarr", zarr_format=2)
    with pytest.warns(
        DataWarning, match="3000 W m-2 in a day's mean, which looks summed twice, and is left out"
    ):
        assert "weather" not in open_scene(tmp_path / "c.zarr").children


@pytest.mark.real
def test_the_measured_cube_with_ten_metre_bands(real_data):
    scene = open_scene(real_data / "s1s2_daily_cubes" / "0000280849BAC91C")
    s2 = scene["s2"].to_dataset()
    assert dict(s2.sizes) == {"time": 72, "band": 10, "y": 64, "x": 64}
    assert scene["s1/backscatter"].shape == (80, 2, 32, 32)
    assert scene["weather"].sizes["time"] == 487
    assert Grid.from_cube(s2).size_m == 10
    assert int((s2.clear.mean(("y", "x")) > 0.5).sum()) == pytest.approx(35, abs=1)  # of SCL 4, 5
    lon, lat = Grid.from_cube(s2).lonlat(s2.x.values.mean(), s2.y.values.mean())
    assert (lon, lat) == pytest.approx((4.0631, 50.7460), abs=2e-4)


@pytest.mark.real
def test_the_measured_cube_without_ten_metre_bands(real_data):
    scene = open_scene(real_data / "s1s2_daily_cubes" / "000028085BF08E7E")
    s2 = scene["s2"].to_dataset()
    assert dict(s2.sizes) == {"time": 143, "band": 6, "y": 32, "x": 32}
    assert scene["s1"].sizes["time"] == 157
    assert int((s2.clear.mean(("y", "x")) > 0.5).sum()) == pytest.approx(59, abs=2)
    assert dict(scene["landsat8"].sizes) == {"time": 23, "band": 6, "y": 64, "x": 64}


@pytest.mark.real
def test_measured_twenty_metre_bands_lie_under_the_ten_metre_ones(real_data):
    """B8A (20 m) and B08 (10 m) see almost the same light: shifted against each other, they agree less."""
    s2 = open_scene(real_data / "s1s2_daily_cubes" / "0000280849BAC91C")["s2"].to_dataset()
    clear = s2.clear.mean(("y", "x")) > 0.95
    b08, b8a = (s2.reflectance.sel(band=band)[clear].values for band in ("B08", "B8A"))

    def agreement(dy: int, dx: int) -> float:
        inner = slice(4, -4)
        moved = np.roll(b8a, (dy, dx), axis=(1, 2))[:, inner, inner]
        return np.corrcoef(b08[:, inner, inner].ravel(), moved.ravel())[0, 1]

    at_place = agreement(0, 0)
    assert at_place > 0.9
    assert all(at_place > agreement(dy, dx) for dy in (-2, 0, 2) for dx in (-2, 0, 2) if dy or dx)


@pytest.mark.real
def test_measured_landsat_and_sentinel_agree_on_a_clear_day(real_data):
    """Two sensors within two days over the same fields: the mask and scale of both must be right."""
    scene = open_scene(real_data / "s1s2_daily_cubes" / "000028085BF08E7E")
    s2, l8 = scene["s2"].to_dataset(), scene["landsat8"].to_dataset()
    s2, l8 = (node.isel(time=(node.clear.mean(("y", "x")) > 0.95).values) for node in (s2, l8))
    near = s2.reflectance.reindex(time=l8.time, method="nearest", tolerance=np.timedelta64(2, "D"))
    infrared = near.sel(band="B8A", drop=True), l8.reflectance.sel(band="L5", drop=True)
    difference = (infrared[0].mean(("y", "x")) - infrared[1].mean(("y", "x"))).dropna("time")
    assert difference.size >= 2
    assert float(abs(difference).mean()) < 0.04


def test_a_server_that_ignores_the_warning_of_text_does_so_whichever_thread_leaves_first():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        own_zarr.ignore_text_warning()
        # Two threads whose work overlaps: the first to enter is the first to leave, and takes the other's filter away.
        first, second = own_zarr._quiet(), own_zarr._quiet()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn("The data type (...) does not have a Zarr V3 specification. That means", stacklevel=1)
        second.__exit__(None, None, None)
        warnings.warn("The data type (...) does not have a Zarr V3 specification. That means", stacklevel=1)
    assert not shown
