"""What a file says of itself is used: packing, fill values, baselines, transforms; what is odd is told."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes import schema
from fluxlens.models.errors import DataWarning
from raster_files import as_variables, assert_same, truth

NEW = pd.DatetimeIndex(["2022-01-08T10:56:59", "2022-01-23T10:57:04", "2022-01-28T10:56:59"]).as_unit("ns")


def plain(numbers):
    return numbers, {}


PACKINGS = {
    "add_offset": lambda n: (np.where(n == 0, 0, n + 1000).astype("u2"), {"scale_factor": 1e-4, "add_offset": -0.1, "_FillValue": np.uint16(0)}),  # noqa: E501
    "other_step": lambda n: (np.where(n == 0, -32768, n * 2).astype("i2"), {"scale_factor": 5e-5, "_FillValue": np.int16(-32768)}),  # noqa: E501
    "fill_65535": lambda n: (np.where(n == 0, 65535, n).astype("u2"), {"_FillValue": np.uint16(65535)}),
    "missing_value": lambda n: (np.where(n == 0, -1, n).astype("i4"), {"missing_value": np.int32(-1)}),
    "nodata": lambda n: (np.where(n == 0, 7, n).astype("u2"), {"nodata": 7}),
    "valid_range": lambda n: (np.where(n == 0, 60000, n).astype("u2"), {"valid_range": np.array([1, 20000], "u2")}),
    "integer_scale": lambda n: (n.astype("u2"), {"scale_factor": np.int16(1), "_FillValue": np.uint16(0)}),
    "unsigned_short": lambda n: (n.astype("u2").view("i2"), {"_Unsigned": "true", "_FillValue": np.int16(0)}),
    "no_attributes": lambda n: (n.astype("u2"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("folder", ["two_files", "one_file"])
def test_packing_is_read_as_a_cf_reader_does(tmp_path, name, folder):
    of = truth()
    if name == "other_step":
        of.numbers = {band: values // 2 * 2 for band, values in of.numbers.items()}
    data = as_variables(of)
    for band, values in of.numbers.items():
        packed, attrs = PACKINGS[name](values.astype("i8"))
        data[band] = (data[band].dims, packed, attrs)
    data["SCL"].attrs = {"scale_factor": np.int16(1), "_FillValue": np.uint8(0)}
    if folder == "one_file":
        data.to_netcdf(tmp_path / "cube.nc")
        return assert_same(open_scene(tmp_path / "cube.nc"), of, atol=1e-7)
    data[list(schema.S2_BANDS_10M)].to_netcdf(tmp_path / "S2_L2A_10m.nc")
    data[[*schema.S2_BANDS_20M, "SCL"]].to_netcdf(tmp_path / "S2_L2A_20m.nc")
    return assert_same(open_scene(tmp_path), of, atol=1e-7)


@pytest.mark.parametrize(
    ("baseline", "due"),
    [
        (["03.01", "03.01", "04.00"], [0, 0, 1]),
        ([3.01, 4.0, 5.1], [0, 1, 1]),
        (["N0301", "N0301", "N0510"], [0, 0, 1]),
        (["04.00", "04.00", "04.00"], [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("key", ["s2:processing_baseline", "processing:version"])
def test_the_offset_is_taken_off_by_the_baseline_of_each_date(tmp_path, baseline, due, key):
    of = truth(times=NEW)
    data = as_variables(of).assign_coords({key: ("time", baseline)})
    for band, values in of.numbers.items():
        raw = np.where(values == 0, 0, values + 1000 * np.array(due)[:, None, None])
        data[band] = (data[band].dims, raw.astype("u2"))
    data.to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


@pytest.mark.parametrize("key", ["earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"])
def test_an_offset_that_is_off_already_is_not_taken_off_again(tmp_path, key):
    of = truth(times=NEW)
    coordinates = {"s2:processing_baseline": ("time", ["04.00"] * 3), key: ("time", ["True"] * 3)}
    as_variables(of).assign_coords(coordinates).to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_numbers_that_cannot_carry_the_offset_are_told(tmp_path):
    of = truth(times=NEW)
    as_variables(of).assign_attrs(processing_baseline="04.00").to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match="taken to be off already"):
        assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_dates_without_a_baseline_that_seem_to_carry_the_offset_are_told(tmp_path):
    of = truth(times=NEW, holes=0.0)
    of.numbers = {band: values + np.uint16(1000) for band, values in of.numbers.items()}
    as_variables(of).to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match="1 dates since 2022-01-25 .* offset = -1000"):
        assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_dates_before_2022_that_seem_to_carry_the_offset_are_told_and_stay(tmp_path):
    of = truth(holes=0.0)
    of.numbers = {band: values + np.uint16(1000) for band, values in of.numbers.items()}
    as_variables(of).to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match="3 dates before 2022-01-25 .* offset = -1000"):
        assert_same(open_scene(tmp_path / "cube.nc"), of)
    as_variables(of).assign_attrs({"s2:processing_baseline": "05.00"}).to_netcdf(tmp_path / "new.nc")
    of.numbers = {band: values - np.uint16(1000) for band, values in of.numbers.items()}
    assert_same(open_scene(tmp_path / "new.nc"), of)


def test_baselines_in_product_names_count(tmp_path):
    of = truth(times=NEW)
    names = [
        f"S2A_MSIL2A_{time:%Y%m%dT%H%M%S}_N0{number}_R008_T31UES"
        for time, number in zip(NEW, (301, 301, 400), strict=True)
    ]
    data = as_variables(of).assign_coords(productid=("time", names))
    for band, values in of.numbers.items():
        raw = values.copy()
        raw[2] = np.where(values[2] == 0, 0, values[2] + 1000)
        data[band] = (data[band].dims, raw)
    data.to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


@pytest.mark.parametrize("transform", ["corner", "centre", "other_size"])
def test_the_geotransform_says_whether_coordinates_are_corners(tmp_path, transform):
    of = truth()
    data = as_variables(of)
    size = 20 if transform == "other_size" else 10
    data["spatial_ref"].attrs["GeoTransform"] = f"{of.grid.left_m} {size} 0 {of.grid.top_m} 0 -{size}"
    if transform == "corner":
        data = data.assign_coords(x=data.x - 5, y=data.y + 5)
    data.to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_a_geotransform_that_contradicts_the_coordinates_is_told(tmp_path):
    of = truth()
    data = as_variables(of)
    data["spatial_ref"].attrs["GeoTransform"] = f"{of.grid.left_m + 2} 10 0 {of.grid.top_m} 0 -10"
    data.to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match=r"differ by -2\.0 m in x and 0\.0 m in y"):
        assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_a_shifted_grid_of_twenty_metres_is_told_in_metres(tmp_path):
    of = truth(ny=6, nx=8)
    data = as_variables(of)
    data[list(schema.S2_BANDS_10M)].to_netcdf(tmp_path / "S2_L2A_10m.nc")
    coarse = data[[*schema.S2_BANDS_20M, "SCL"]].isel(x=slice(0, None, 2), y=slice(0, None, 2))
    coarse = coarse.assign_coords(
        x=of.grid.left_m + 20.0 * np.arange(4), y=of.grid.top_m - 20.0 * np.arange(3)
    )
    coarse.to_netcdf(tmp_path / "S2_L2A_20m.nc")
    with pytest.warns(
        DataWarning, match="lie 10 m west and 10 m north of the 10 m grid.* 13 of 48 pixels lie outside"
    ):
        scene = open_scene(tmp_path)
    assert Grid.from_cube(scene["s2"].to_dataset()) == of.grid


def test_agera5_of_the_data_store_is_read_at_the_nearest_pixel(tmp_path):
    of = truth()
    data = as_variables(of)
    data[list(schema.S2_BANDS_10M)].to_netcdf(tmp_path / "S2_L2A_10m.nc")
    data[[*schema.S2_BANDS_20M, "SCL"]].to_netcdf(tmp_path / "S2_L2A_20m.nc")
    lon, lat = of.grid.lonlat(of.grid.left_m, of.grid.top_m)
    values = {
        "Solar-Radiation-Flux": (86400.0 * 200, "J m-2 d-1"),
        "Temperature-Air-2m-Mean-24h": (293.15, "K"),
        "Temperature-Air-2m-Max-24h": (298.15, "K"),
        "Temperature-Air-2m-Min-24h": (288.15, "K"),
        "Vapour-Pressure-Mean": (14.0, "hPa"),
        "Precipitation-Flux": (2.0, "mm d-1"),
        "Wind-Speed-10m-Mean": (3.0, "m s-1"),
    }
    for day in pd.date_range("2019-05-12", periods=2):
        for name, (value, units) in values.items():
            field = np.full((1, 2, 2), value * 1.1, "f4")
            field[0, 0, 0] = value  # the near one
            xr.Dataset(
                {name.replace("-", "_"): (("time", "lat", "lon"), field, {"units": units})},
                coords={
                    "time": [day.as_unit("ns")],
                    "lat": [lat + 0.02, lat - 0.08],
                    "lon": [lon + 0.01, lon + 0.11],
                },
            ).to_netcdf(tmp_path / f"{name}_C3S-glob-agric_AgERA5_{day:%Y%m%d}_final-v1.1.nc")
    with pytest.warns(
        DataWarning, match="2 of 14 AgERA5 files hold no known variable and are left out .Wind-Speed"
    ):
        weather = open_scene(tmp_path)["weather"].to_dataset()
    assert weather.sizes["time"] == 2
    assert float(weather.sw_in[1]) == pytest.approx(200)
    assert float(weather.tair[0]) == pytest.approx(20, abs=1e-4)
    assert float(weather.precip[0]) == pytest.approx(2)
    assert float(weather.vpd[0]) == pytest.approx(10 * (3.168 + 1.705) / 2 - 14, abs=0.01)


def test_unknown_files_beside_the_known_ones_are_counted(tmp_path):
    data = as_variables(truth())
    data[list(schema.S2_BANDS_10M)].to_netcdf(tmp_path / "S2_L2A_10m.nc")
    data[[*schema.S2_BANDS_20M, "SCL"]].to_netcdf(tmp_path / "S2_L2A_20m.nc")
    data.to_netcdf(tmp_path / "mine.nc")
    with pytest.warns(DataWarning, match=r"1 of 3 files are of no known kind and left out \(mine\.nc\)"):
        open_scene(tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "acquired"),
    [
        ("10_cf_packing/add_offset", 1.0),
        ("10_cf_packing/other_step", 1.0),
        ("10_cf_packing/fill_65535", 0.625),
        ("13_topleft_coordinates/topleft", 1.0),
    ],
)
def test_each_case_is_as_the_plain_one(real_data, case, acquired):
    cases = real_data.parent / "cases"
    expected = open_scene(cases / "10_cf_packing" / "plain")["s2"].to_dataset()
    s2 = open_scene(cases / case)["s2"].to_dataset()
    assert Grid.from_cube(s2) == Grid.from_cube(expected)
    assert float(s2.x[0]) == 574925
    assert float(s2.reflectance.sel(band="B02").notnull().mean()) == acquired
    np.testing.assert_allclose(
        s2.reflectance, expected.reflectance.where(s2.reflectance.notnull()), atol=1e-7
    )


@pytest.mark.real
def test_the_case_of_two_baselines_has_no_step(real_data):
    cases = real_data.parent / "cases"
    expected = open_scene(cases / "10_cf_packing" / "plain")["s2"].to_dataset()
    s2 = open_scene(cases / "11_baseline_in_files" / "one_file_both_baselines")["s2"].to_dataset()
    np.testing.assert_allclose(s2.reflectance.values, expected.reflectance.values, atol=1e-7)


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "vv_db"), [("plain", -10.87), ("db100", -10.87), ("linear_noise_corrected", -10.84)]
)
@pytest.mark.filterwarnings("ignore:.*power of 0 or less")
def test_radar_of_each_case_is_decibel(real_data, case, vv_db):
    s1 = open_scene(real_data.parent / "cases" / "12_s1_db_times_100" / case)["s1"].to_dataset()
    assert float(s1.backscatter.sel(band="VV").mean()) == pytest.approx(vv_db, abs=0.01)
