"""NetCDF of towers with fill values, flags, zones and units that people write: xarray's numbers, or one sentence."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError

STARTS = pd.date_range("2019-06-01", periods=3 * 48, freq="30min")
STEP = np.arange(len(STARTS)) % 48
NOON = np.clip(np.sin(np.pi * (STEP - 12) / 24), 0, None)
GPP = 20 * NOON
DAILY = GPP[:48].mean() * 1.0377
DAYS = pd.date_range("2019-06-01", periods=3)


def write(folder, gpp=GPP, attrs=None, since="2019-06-01 00:00:00", encoding=None, **others):
    """A file of one tower as PLUMBER2 has it, with ``others`` as (values, attrs)."""
    variables = {"GPP": (gpp, {"units": "umol/m2/s"} | (attrs or {}))} | others
    data = xr.Dataset(
        {
            name: (("time", "y", "x"), np.asarray(one)[:, None, None], of)
            for name, (one, of) in variables.items()
        }
    )
    data["time"] = "time", np.arange(len(STARTS)) * 1800, {"units": f"seconds since {since}"}
    path = folder / "XX-Abc_2019-2019_FLUXNET2015_Flux.nc"
    data.to_netcdf(path, encoding={"GPP": encoding} if encoding else None)
    return path


@pytest.mark.parametrize(
    ("code", "attrs", "encoding"),
    [
        (1e20, {}, {"_FillValue": None}), (9.969209968386869e36, {}, {"_FillValue": None}),
        (-9999.0, {"missing_value": "-9999"}, {"_FillValue": None}), (-1e7, {}, {"_FillValue": -1e7}),
        (500.0, {"valid_range": [-50.0, 100.0]}, {"_FillValue": None}), (500.0, {"valid_range": "-50,100"}, None),
        (500.0, {"valid_max": 100.0, "valid_min": -50.0}, {"_FillValue": None}),
    ],
)  # fmt: skip
def test_a_fill_value_is_missing_whether_declared_or_not(tmp_path, code, attrs, encoding):
    gpp = np.where(np.arange(len(STARTS)) < 48, code, GPP)
    tower = towers.read(write(tmp_path, gpp, attrs, encoding=encoding))
    known = tower["gpp_nt"].dropna("time")
    np.testing.assert_array_equal(known["time"], DAYS[1:])
    np.testing.assert_allclose(known, DAILY, rtol=1e-6)


@pytest.mark.parametrize(
    ("good", "bad", "attrs", "message"),
    [
        (0, 3, {}, ""),
        (1, 0, {"flag_values": [0, 1], "flag_meanings": "bad good"}, "counts the other way .* \\(1 good\\)"),
        (1, 0, {"long_name": "quality of NEE: 1 = good, 0 = poor"}, "counts the other way"),
        (0, 1, {"flag_values": [0, 1], "flag_meanings": "good_quality not_good"}, ""),
        (0, 2, {"comment": "0 = measured, 1 = well filled, 2 = poorly filled"}, ""),
    ],
)
def test_flags_count_by_what_the_file_says_of_them(tmp_path, good, bad, attrs, message):
    flags = np.where(STEP < 36, good, bad)
    path = write(tmp_path, NEE_qc=(flags, attrs))
    with pytest.warns(DataWarning, match=message) if message else contextlib.nullcontext():
        tower = towers.read(path)
    np.testing.assert_allclose(tower["qc"], 0.75)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"units": "%"}, "NEE_qc of .* is in percent"),
        ({"flag_values": [0, 1], "flag_meanings": "alpha beta"}, "has the flag 0 \\(alpha\\)"),
        ({"long_name": "1 = good"}, "has the flag 0, of which it says nothing"),
    ],
)
def test_flags_that_cannot_be_told_are_no_quality(tmp_path, attrs, message):
    with pytest.warns(DataWarning, match=message):
        tower = towers.read(write(tmp_path, NEE_qc=(np.where(STEP < 36, 0, 1), attrs)))
    assert "qc" not in tower
    np.testing.assert_allclose(tower["gpp_nt"], DAILY, rtol=1e-6)


@pytest.mark.parametrize("zone", ["", "+10:00", " -0600", " +00:00"])
def test_days_are_those_of_the_clock_as_written_whatever_zone_stands_behind_it(tmp_path, zone):
    tower = towers.read(write(tmp_path, since=f"2019-06-01 00:00:00{zone}"))
    np.testing.assert_array_equal(tower["time"], DAYS)
    np.testing.assert_allclose(tower["gpp_nt"], DAILY, rtol=1e-6)


def test_kg_per_second_of_carbon_by_its_standard_name_is_read_and_without_it_refused(tmp_path):
    gpp, units = GPP * 12.011e-9, {"units": "kg m-2 s-1"}
    name = {"standard_name": "gross_primary_productivity_of_biomass_expressed_as_carbon"}
    np.testing.assert_allclose(towers.read(write(tmp_path, gpp, units | name))["gpp_nt"], DAILY, rtol=1e-4)
    with pytest.raises(InputError, match="GPP in kg m-2 s-1, need units such as"):
        towers.read(write(tmp_path, gpp, units))


@pytest.mark.parametrize(
    ("name", "units", "values", "ours", "right"),
    [
        ("Tair", "degrees_Celsius", 12.0, "tair", 12), ("Tair", "°C", 12.0, "tair", 12), ("VPD", "mbar", 6.0, "vpd", 6),
        ("Precip", "mm/30min", 0.25, "precip", 12), ("Precip", "kg m-2", 0.25, "precip", 12),
        ("Precip", "mm h-1", 0.5, "precip", 12), ("Precip", "mm day-1", 12.0, "precip", 12),
        ("SWdown", "MJ m-2 d-1", 8.64, "sw_in", 100), ("SWdown", "J m-2", 180e3, "sw_in", 100),
    ],
)  # fmt: skip
def test_weather_has_many_spellings_of_its_units(tmp_path, name, units, values, ours, right):
    weather = {name: (np.full(len(STARTS), values), {"units": units})}
    np.testing.assert_allclose(towers.read(write(tmp_path, **weather))[ours], right, rtol=1e-6)


def test_weather_in_units_of_something_else_does_not_cost_gpp(tmp_path):
    weather = {"VPD": (np.full(len(STARTS), 6.0), {"units": "mmol/mol"})}
    with pytest.warns(DataWarning, match="VPD of .* in mmol/mol is left out: needs hPa, kPa or Pa"):
        tower = towers.read(write(tmp_path, **weather))
    assert list(tower.data_vars) == ["gpp_nt"]


@pytest.mark.parametrize("group", ["Daily", None])
def test_summaries_of_pyfluxpro_have_daily_sums_in_a_group(tmp_path, group):
    path = tmp_path / "AbcSite_L6_Summary.nc"
    dims = ("time", "latitude", "longitude")
    columns = {
        "GPP_SOLO": (4.0, "gC/m^2"),
        "Fsd": (8.64, "MJ/m^2"),
        "Precip": (3.0, "mm"),
        "Ta": (12.0, "degC"),
    }
    days = xr.Dataset(
        {name: (dims, np.full((90, 1, 1), one), {"units": of}) for name, (one, of) in columns.items()}
    )
    days["time"] = "time", np.arange(90.0), {"units": "days since 2019-01-01 00:00:00"}
    days.attrs = {"nc_level": "L6"}
    if group:
        xr.Dataset(attrs={"time_step": "30"}).to_netcdf(path)
    days.to_netcdf(path, mode="a" if group else "w", group=group)
    tower = towers.read(path)
    assert tower.sizes["time"] == 90
    for name, right in (("gpp_nt", 4), ("sw_in", 100), ("precip", 3), ("tair", 12)):
        np.testing.assert_allclose(tower[name], right, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("name", "units", "factor"), [("Ws", "km/h", 3.6), ("ustar", "cm/s", 100), ("Wd", "degrees true", 1)]
)
def test_wind_has_many_spellings_of_its_units(tmp_path, name, units, factor):
    plain = {
        "Ws": (3.0, "m/s"),
        "Wd": (200.0, "deg"),
        "ustar": (0.4, "m/s"),
        "Fh": (60.0, "W/m^2"),
        "Ta": (15.0, "degC"),
    }
    wind = {key: (np.full(len(STARTS), one), {"units": of}) for key, (one, of) in plain.items()}
    right = towers.turbulence(write(tmp_path, **wind))
    wind[name] = np.full(len(STARTS), plain[name][0] * factor), {"units": units}
    pd.testing.assert_frame_equal(towers.turbulence(write(tmp_path, **wind)), right)


@pytest.mark.parametrize(("share", "units"), [(0.95, "1"), (95.0, "%")])
def test_the_quality_of_days_is_a_share_whatever_is_said_of_it(tmp_path, share, units):
    attrs = {"units": units, "long_name": "good half-hours, 1 = good"}
    days = xr.Dataset({"GPP": ("time", np.full(90, 5.0), {"units": "gC m-2 d-1"})})
    days["NEE_qc"] = "time", np.full(90, share), attrs
    days["time"] = "time", np.arange(90), {"units": "days since 2019-01-01"}
    days.to_netcdf(tmp_path / "XX-Abc_Flux.nc")
    with pytest.warns(DataWarning, match="read as percent") if share > 1 else contextlib.nullcontext():
        tower = towers.read(tmp_path / "XX-Abc_Flux.nc")
    np.testing.assert_allclose(tower["qc"], 0.95)
