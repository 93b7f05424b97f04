"""Weather as Daymet, gridMET, E-OBS, DWD, ERA5-Land and NASA POWER hand it out: the same numbers in our units."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.meteorology import saturation_vapour_pressure_hpa
from fluxlens.embeddings.readers import weather_table
from fluxlens.models.errors import DataWarning
from test_weather_units import DAYS, assert_season, season

DAYMET = """Latitude: 50.7  Longitude: 4.0
X & Y on Lambert Conformal Conic: 1 2
Tile: 12094
Elevation: 250 meters
All years; all variables; Daymet Software Version 4.0; Daymet Data Version 4.0.
How to cite: Thornton et al.
"""


def test_daymet_has_its_radiation_over_the_whole_day(tmp_path):
    right, dayl = season(), 50_000.0
    high, low = right.tair + 5, right.tair - 5
    saturated = (saturation_vapour_pressure_hpa(high) + saturation_vapour_pressure_hpa(low)) / 2
    table = pd.DataFrame(
        {
            "year": DAYS.year, "yday": DAYS.day_of_year, "dayl (s)": dayl, "prcp (mm/day)": right.precip,
            "srad (W/m^2)": right.sw_in * 86400 / dayl, "tmax (deg c)": high, "tmin (deg c)": low,
            "vp (Pa)": (saturated - right.vpd) * 100,
        }
    )  # fmt: skip
    (tmp_path / "daymet.csv").write_text(DAYMET + table.to_csv(index=False))
    with pytest.warns(
        DataWarning, match=r"tair is the middle of tmax.*srad, a mean over daylight, times dayl"
    ):
        assert_season(tmp_path / "daymet.csv")


def test_millimetres_that_gridmet_calls_pr_are_millimetres(tmp_path):
    right = season()
    table = right[["time", "vpd"]].assign(
        srad=right.sw_in, tmmx=right.tair + 277.15, tmmn=right.tair + 269.15, pr=right.precip
    )
    table.to_csv(tmp_path / "gridmet.csv", index=False)
    with pytest.warns(DataWarning, match="tair is the middle of tmmx and tmmn"):
        assert_season(tmp_path / "gridmet.csv")


@pytest.mark.parametrize(
    "names",
    [
        {"tair": "tg", "precip": "rr", "sw_in": "qq"},
        {"time": "MESS_DATUM", "tair": "TMK", "precip": "RSK"},
        {
            "time": "Datum",
            "sw_in": "Globalstrahlung [W/m2]",
            "tair": "Lufttemperatur [°C]",
            "precip": "Niederschlag [mm]",
        },
        {"sw_in": "Rs"},
        {"sw_in": "Rg_f", "tair": "Tair_f", "vpd": "VPD_f"},
    ],
)
def test_columns_have_the_names_of_services(tmp_path, names):
    season().rename(columns=names).to_csv(tmp_path / "w.csv", sep=";", index=False)
    assert_season(tmp_path / "w.csv")
    assert {"sw_in", "tair", "vpd", "precip"} == set(weather_table.open(tmp_path / "w.csv"))


def test_hourly_amounts_of_era5_land_are_summed_and_its_dew_point_gives_vpd(tmp_path):
    right = season()
    hours = pd.date_range(DAYS[0], periods=24 * 60, freq="h")
    day = right.loc[np.repeat(np.arange(60), 24)].reset_index(drop=True)
    # The dew point at which saturated air holds what the air of the day holds.
    vapour_hpa = saturation_vapour_pressure_hpa(day.tair) - day.vpd
    log = np.log(vapour_hpa / 6.108)
    table = pd.DataFrame(
        {
            "system:index": hours.strftime("%Y%m%dT%H"), "temperature_2m": day.tair + 273.15,
            "dewpoint_temperature_2m": 237.3 * log / (17.27 - log) + 273.15,
            "surface_solar_radiation_downwards_hourly": day.sw_in * 3600,
            "total_precipitation_hourly": day.precip / 24 / 1000,
        }
    )  # fmt: skip
    table.to_csv(tmp_path / "era5.csv", index=False)
    with pytest.warns(DataWarning, match="vpd is computed from dewpoint_temperature_2m and temperature_2m"):
        assert_season(tmp_path / "era5.csv", atol=0.02)


def test_relative_humidity_gives_vpd(tmp_path):
    right = season()
    humidity = 100 * (1 - right.vpd / saturation_vapour_pressure_hpa(right.tair))
    right.drop(columns="vpd").assign(RH=humidity).to_csv(tmp_path / "w.csv", index=False)
    with pytest.warns(DataWarning, match="vpd is computed from rh and tair"):
        assert_season(tmp_path / "w.csv")


def test_the_unit_of_powers_header_is_read(tmp_path):
    right = season()
    head = (
        "-BEGIN HEADER-\nNASA/POWER Daily Data\nParameter(s):\n"
        "ALLSKY_SFC_SW_DWN     CERES SYN1deg All Sky Surface Shortwave Downward Irradiance (kW-hr/m^2/day)\n"
        "T2M                   MERRA-2 Temperature at 2 Meters (C)\n-END HEADER-\n"
    )
    table = pd.DataFrame(
        {
            "YEAR": DAYS.year,
            "DOY": DAYS.day_of_year,
            "T2M": right.tair,
            "ALLSKY_SFC_SW_DWN": right.sw_in * 0.024,
        }
    )
    (tmp_path / "power.csv").write_text(head + table.to_csv(index=False))
    assert_season(tmp_path / "power.csv")


def test_what_looks_like_weather_and_is_not_read_is_named(tmp_path):
    season().rename(columns={"sw_in": "PPFD_IN"}).to_csv(tmp_path / "w.csv", index=False)
    with pytest.warns(DataWarning, match="no column of it is sw_in; not read: ppfd_in"):
        assert "sw_in" not in weather_table.open(tmp_path / "w.csv")


def test_fill_values_of_netcdf_and_days_of_the_year_in_one_number(tmp_path):
    table = season().assign(time=DAYS.strftime("%Y%j"))
    table.loc[5, "vpd"] = 9.969209968386869e36
    table.to_csv(tmp_path / "w.csv", index=False)
    found = weather_table.open(tmp_path / "w.csv")
    assert int(found["vpd"].isnull().sum()) == 1
    np.testing.assert_allclose(found["vpd"][6:], season()["vpd"][6:], atol=1e-5)
    np.testing.assert_array_equal(
        found.time.values.astype("datetime64[D]"), DAYS.values.astype("datetime64[D]")
    )
