"""Cubes, scenes and weather in the shapes that users report trouble with: the right value or one sentence."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import open_scene, weather_table
from fluxlens.models.errors import DataWarning, InputError

pytestmark = pytest.mark.real

LEFT_M, TOP_M = 574_920.0, 5_622_200.0
# Means over pixels and dates of the numbers in the plain files / 10000, computed with xarray alone.
PLAIN_2019 = dict(B02=0.1623, B04=0.1797, B08=0.4107, B11=0.2711)
THREE_DATES = dict(B02=0.1715, B04=0.1830, B08=0.4141, B11=0.2648)


@pytest.fixture
def cases(real_data):
    return real_data.parent / "cases"


def opened(path, message: str | None) -> xr.DataTree:
    """The scene, with a warning where one is due and without any where none is."""
    if message:
        with pytest.warns(DataWarning, match=message):
            return open_scene(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return open_scene(path)


@pytest.mark.parametrize(
    ("case", "means", "dates", "clear", "message"),
    [
        ("10_cf_packing/plain", PLAIN_2019, 8, 0.7090, None),
        ("10_cf_packing/add_offset", PLAIN_2019, 8, 0.7090, None),
        ("10_cf_packing/other_step", PLAIN_2019, 8, 0.7090, None),
        ("11_baseline_in_files/one_file_both_baselines", PLAIN_2019, 8, 0.7090, None),
        ("13_topleft_coordinates/topleft", PLAIN_2019, 8, 0.7090, None),
        ("13_topleft_coordinates/twenty_metre_off_by_10m", dict(B04=0.1797, B11=0.2795), 8, 0.6201,
         "10 m west and 10 m north .* 31 of 256 pixels"),
        ("15_agera5_of_cds/scene", PLAIN_2019, 8, 0.7090, None),
        ("19_one_cube/odc_stac.nc", THREE_DATES, 3, 0.5677, None),
        ("19_one_cube/odc_stac_v2.zarr", THREE_DATES, 3, 0.5677, None),
        ("19_one_cube/odc_stac_v3.zarr", THREE_DATES, 3, 0.5677, None),
        ("19_one_cube/openeo", THREE_DATES, 3, 0.5677, None),
    ],
)  # fmt: skip
def test_a_cube_has_its_reflectance_place_and_clear_pixels(cases, case, means, dates, clear, message):
    s2 = opened(cases / case, message)["s2"].to_dataset()
    assert Grid.from_cube(s2) == Grid("EPSG:32631", LEFT_M, TOP_M, 10.0, 16, 16)
    assert s2.sizes["time"] == dates
    for band, mean in means.items():
        assert float(s2.reflectance.sel(band=band).mean()) == pytest.approx(mean, abs=6e-5), band
    assert float(s2.clear.mean()) == pytest.approx(clear, abs=1e-4)


def test_stored_numbers_of_65535_are_missing_and_not_saturated(cases):
    plain = open_scene(cases / "10_cf_packing/plain")["s2"].to_dataset()
    filled = open_scene(cases / "10_cf_packing/fill_65535")["s2"].to_dataset()
    missing = np.isnan(filled.reflectance.values)
    assert missing.any()
    np.testing.assert_array_equal(
        filled.reflectance.values, np.where(missing, np.nan, plain.reflectance.values).astype("float32")
    )
    # a pixel that lacks one band is not clear
    np.testing.assert_array_equal(filled.clear.values, plain.clear.values & ~missing.any(axis=1))


@pytest.mark.parametrize(
    ("case", "vv_db", "message"),
    [
        ("plain", -10.87, None),
        ("db100", -10.87, None),
        ("linear_noise_corrected", -10.84, "1.6% of VV .* power of 0 or less"),
    ],
)
def test_radar_is_decibel(cases, case, vv_db, message):
    s1 = opened(cases / "12_s1_db_times_100" / case, message)["s1"].to_dataset()
    assert float(s1.backscatter.sel(band="VV").mean()) == pytest.approx(vv_db, abs=0.01)


def test_daily_files_of_the_climate_data_store_are_the_weather(cases):
    weather = open_scene(cases / "15_agera5_of_cds/scene")["weather"].to_dataset()
    assert weather.sizes["time"] == 3
    means = {str(name): float(weather[name].mean()) for name in weather}
    assert means == pytest.approx(dict(sw_in=231.48, tair=11.85, vpd=5.55, precip=1.0), abs=0.01)


RIGHT = dict(sw_in=219.25, tair=15.545, vpd=8.085, precip=1.05)


@pytest.mark.parametrize(
    ("name", "days", "means"),
    [
        ("right.csv", 60, RIGHT),
        ("excel_german.csv", 60, RIGHT),
        ("local_midnight_stamps.csv", 60, RIGHT),
        ("FLX_XX-Fld_FLUXNET2015_FULLSET_DD.csv", 60, RIGHT),
        ("POWER_Point_Daily.csv", 60, {key: RIGHT[key] for key in ("sw_in", "tair", "precip")}),
        ("minus_999.csv", 60, RIGHT | {"precip": 1.068}),
        ("hourly.csv", 3, dict(tair=15.0, precip=2.4)),
    ],
)
def test_a_weather_table_is_daily_in_the_units_of_the_contract(cases, name, days, means):
    weather = weather_table.open(cases / "16_weather_tables" / name)
    assert weather.sizes["time"] == days
    assert {str(one): float(weather[one].mean()) for one in weather} == pytest.approx(means, abs=0.006)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("radiation_MJ_per_day.csv", "MJ m-2 d-1"),
        ("vpd_kPa.csv", "kPa"),
        ("precip_m_of_era5.csv", r"m \(as ERA5"),
    ],
)
def test_a_weather_table_in_other_units_is_refused_by_the_unit_it_looks_like(cases, name, unit):
    with pytest.raises(InputError, match=f"it looks like {unit}") as refused:
        weather_table.open(cases / "16_weather_tables" / name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "case", ["10_cf_packing/fill_65535", "19_one_cube/odc_stac_v2.zarr", "19_one_cube/openeo"]
)
def test_a_case_is_embedded_by_the_command(cases, tmp_path, capsys, case):
    assert main(["embed", str(cases / case), "--out", str(tmp_path / "store")]) == 0
    assert "16 x 16 pixels" in capsys.readouterr().out


def test_a_folder_that_is_no_scene_ends_with_exit_2_and_one_sentence(cases, tmp_path, capsys):
    (tmp_path / "cube.nc").write_text(json.dumps({"error": "token expired"}))
    assert main(["embed", str(tmp_path / "cube.nc"), "--out", str(tmp_path / "store")]) == 2
    said = capsys.readouterr().err.strip()
    assert "which is a JSON document" in said
    assert "Traceback" not in said
    assert not (tmp_path / "store").exists()
