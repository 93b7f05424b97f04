"""Weather tables as people have them: the same numbers, or one sentence that names the unit."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.text_table import read_text_table
from fluxlens.embeddings.units import parse_unit
from fluxlens.models.errors import DataWarning, InputError

DAYS = pd.date_range("2020-05-02", periods=60)


def season() -> pd.DataFrame:
    """Sixty days of early summer in the units of the contract."""
    draw = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "time": DAYS.strftime("%Y-%m-%d"),
            "sw_in": draw.uniform(120, 330, 60).round(1),
            "tair": draw.uniform(11, 21, 60).round(1),
            "vpd": draw.uniform(4, 12, 60).round(2),
            "precip": np.where(draw.random(60) < 0.3, draw.uniform(0.5, 9, 60), 0).round(1),
        }
    )


def assert_season(path, atol=0.01, **missing) -> None:
    node = weather_table.open(path)
    right = season()
    np.testing.assert_array_equal(
        node.time.values.astype("datetime64[D]"), DAYS.values.astype("datetime64[D]")
    )
    for name in node.data_vars:
        np.testing.assert_allclose(node[name], right[name], atol=atol, err_msg=str(name))


@pytest.mark.parametrize(
    ("columns", "factors"),
    [
        ({"sw_in": "sw_in_MJ"}, {"sw_in": 0.0864}),
        ({"sw_in": "shortwave_radiation_sum (MJ/m²)", "tair": "temperature_2m_mean (°C)"}, {"sw_in": 0.0864}),
        ({"sw_in": "ssrd_sum [J m-2 d-1]", "precip": "tp_sum (m)"}, {"sw_in": 86400, "precip": 1e-3}),
        ({"vpd": "vpd_kPa"}, {"vpd": 0.1}),
        ({"vpd": "VPD (Pa)"}, {"vpd": 100}),
        ({"precip": "precip_mm", "sw_in": "SW_IN_F", "tair": "TA_F", "vpd": "VPD_F"}, {}),
        ({"precip": "pr (kg m-2 s-1)"}, {"precip": 1 / 86400}),
        ({"precip": "rain_mm_h-1"}, {"precip": 1 / 24}),
    ],
)
def test_a_unit_in_the_column_name_is_converted(tmp_path, columns, factors):
    table = season()
    for name, factor in factors.items():
        table[name] *= factor
    table.rename(columns=columns).to_csv(tmp_path / "w.csv", index=False, encoding="utf-8")
    assert_season(tmp_path / "w.csv")
    assert set(weather_table.open(tmp_path / "w.csv")) == {"sw_in", "tair", "vpd", "precip"}


@pytest.mark.parametrize(
    ("name", "factor", "shift", "unit"),
    [
        ("sw_in", 0.0864, 0, "MJ m-2 d-1"),
        ("sw_in", 86400, 0, "J m-2 d-1"),
        ("sw_in", 0.024, 0, "kWh m-2 d-1"),
        ("vpd", 0.1, 0, "kPa"),
        ("vpd", 100, 0, "Pa"),
        ("tair", 1, 273.15, "subtract 273.15"),
        ("tair", 1.8, 32, "degF"),
        ("precip", 1e-3, 0, "m .as ERA5"),
        ("precip", 1 / 86400, 0, "kg m-2 s-1"),
    ],
)
def test_a_season_that_cannot_be_is_refused_with_the_unit_it_looks_like(tmp_path, name, factor, shift, unit):
    table = season()
    table[name] = table[name] * factor + shift
    table.to_csv(tmp_path / "w.csv", index=False)
    with pytest.raises(InputError, match=f"{name} from .* it looks like .*{unit}") as caught:
        weather_table.open(tmp_path / "w.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(("sep", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", "."), ("\t", ",")])
def test_delimiters_decimal_marks_and_encodings(tmp_path, encoding, sep, decimal):
    text = "# Messwerte der Station Höhe 3\n" + season().to_csv(index=False, sep=sep, decimal=decimal)
    (tmp_path / "w.csv").write_bytes(text.encode(encoding))
    assert_season(tmp_path / "w.csv")
    table = read_text_table(tmp_path / "w.csv")
    assert (table.separator, table.decimal) == (sep, decimal)
    assert table.preamble == ("# Messwerte der Station Höhe 3",)


@pytest.mark.parametrize(
    "spell",
    [
        lambda days: days.strftime("%Y%m%d"),
        lambda days: days.strftime("%d.%m.%Y"),
        lambda days: days.strftime("%m/%d/%Y"),
        lambda days: days.strftime("%d/%m/%Y"),
        lambda days: days.strftime("%Y-%m-%dT00:00:00+02:00"),
        lambda days: (days - pd.Timedelta("2h")).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        lambda days: days.strftime("%Y-%m-%d 12:00:00"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*UTC stamps in the evening")
def test_stamps_are_the_local_day(tmp_path, spell):
    season().assign(time=spell(DAYS)).to_csv(tmp_path / "w.csv", index=False)
    assert_season(tmp_path / "w.csv")


def test_nasa_power_writes_its_own_header(tmp_path):
    right = season()
    body = pd.DataFrame(
        {"YEAR": DAYS.year, "MO": DAYS.month, "DY": DAYS.day, "ALLSKY_SFC_SW_DWN": right.sw_in * 0.0864, "T2M": right.tair, "PRECTOTCORR": right.precip}  # noqa: E501
    )  # fmt: skip
    head = (
        "-BEGIN HEADER-\nNASA/POWER Daily \nThe value for missing source data: -999 \nparameter(s): \n"
        "ALLSKY_SFC_SW_DWN     CERES SYN1deg All Sky Irradiance (MJ/m^2/day) \nT2M     MERRA-2 Temperature (C) \n-END HEADER-\n"  # noqa: E501
    )
    (tmp_path / "POWER.csv").write_text(head + body.to_csv(index=False))
    assert_season(tmp_path / "POWER.csv")


@pytest.mark.parametrize("code", ["-999", "-9999.0", "", "NA", "nan"])
def test_codes_for_missing_values_are_missing(tmp_path, code):
    table = season().astype(object)
    table.loc[3, "precip"] = code
    table.to_csv(tmp_path / "w.csv", index=False)
    node = weather_table.open(tmp_path / "w.csv")
    assert np.isnan(node.precip[3])
    assert int(node.precip.isnull().sum()) == 1


def test_a_column_without_a_value_is_left_out_and_told(tmp_path):
    season().assign(vpd=-9999).to_csv(tmp_path / "w.csv", index=False)
    with pytest.warns(DataWarning, match="vpd has no value in any of 60 rows and is left out"):
        assert "vpd" not in weather_table.open(tmp_path / "w.csv")
    season().assign(vpd="", sw_in="", tair="", precip="").to_csv(tmp_path / "w.csv", index=False)
    with pytest.raises(InputError, match="no value in any of 60 rows, need numbers"):
        weather_table.open(tmp_path / "w.csv")


def test_hours_are_summed_or_averaged_over_complete_days(tmp_path):
    stamps = pd.date_range("2020-06-01", periods=60, freq="h")
    pd.DataFrame({"time": stamps, "tair": stamps.hour, "precip": 0.1}).to_csv(tmp_path / "w.csv", index=False)
    with pytest.warns(DataWarning, match="1 of 3 days of precip are incomplete and left out"):
        node = weather_table.open(tmp_path / "w.csv")
    np.testing.assert_allclose(node.precip, [2.4, 2.4, np.nan], rtol=1e-6)
    np.testing.assert_allclose(node.tair, [11.5, 11.5, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,tair\n2.01905E+11,3\n", "rounded by a spreadsheet"),
        ("time,tair\n03/04/2020,3\n05/06/2020,4\n", "day first or month first"),
        ("time,tair\n2020-01-01,3\n2020-01-08,4\n2020-01-15,4\n2020-01-22,4\n", "a row every 7 days"),
    ],
)
def test_dates_that_cannot_be_told_are_refused(tmp_path, text, message):
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        weather_table.open(tmp_path / "w.csv")


@pytest.mark.parametrize(
    ("variable", "text", "factor"),
    [
        ("sw_in", "W/m2", 1), ("sw_in", "W m**-2", 1), ("sw_in", "MJ/m^2/day", 1e6 / 86400), ("sw_in", "J m-2", 1 / 86400),  # noqa: E501
        ("sw_in", "kWh/m2/d", 1e3 / 24), ("tair", "°C", 1), ("tair", "K", 1), ("vpd", "kPa", 10), ("vpd", "mbar", 1),
        ("precip", "mm/day", 1), ("precip", "kg m**-2 s**-1", 86400), ("precip", "m", 1e3), ("precip", "mm h-1", 24),
    ],
)  # fmt: skip
def test_spellings_of_units(variable, text, factor):
    assert parse_unit(variable, text).factor == pytest.approx(factor)
    assert parse_unit(variable, "furlong") is None


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "right",
        "POWER_Point_Daily",
        "FLX_XX-Fld_FLUXNET2015_FULLSET_DD",
        "excel_german",
        "local_midnight_stamps",
    ],
)
def test_the_cases_read_as_the_right_one(real_data, name):
    folder = real_data.parent / "cases" / "16_weather_tables"
    right, node = (weather_table.open(folder / f"{one}.csv") for one in ("right", name))
    for variable in node.data_vars:
        np.testing.assert_allclose(node[variable], right[variable], atol=0.06)
    assert (node.time == right.time).all()


def daily_rows(**columns) -> pd.DataFrame:
    days = pd.date_range("2020-06-01", periods=60)
    table = dict(
        time=days.strftime("%Y-%m-%d"), sw_in=220 + 40 * np.sin(np.arange(60)), tair=15.0 + np.arange(60) % 7
    )
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize("missing", [-99, -99.9, -999, -9999, 9999])
def test_missing_values_of_weather_stations_are_missing(tmp_path, missing):
    rows = daily_rows()
    rows.loc[[3, 9], "tair"] = missing
    rows.to_csv(tmp_path / "weather.csv", index=False)
    tair = weather_table.open(tmp_path / "weather.csv")["tair"].values
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(tair)), [3, 9])
    assert np.nanmax(tair) == 21.0


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    rows = daily_rows(extra=1.0).rename(columns={"extra": "SW_IN"})
    rows.to_csv(tmp_path / "weather.csv", index=False)
    with pytest.raises(InputError, match="two columns called sw_in, need each once"):
        weather_table.open(tmp_path / "weather.csv")


def test_three_months_are_not_three_days(tmp_path):
    daily_rows().iloc[::29].to_csv(tmp_path / "weather.csv", index=False)
    with pytest.raises(InputError, match="a row every 29 days, need daily rows"):
        weather_table.open(tmp_path / "weather.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"vpd": 75.0}, "vpd from 75 to 75 over 60 days, need hPa; it looks like relative humidity in %"),
        ({"sw_in": -5.0}, "sw_in from -5 to -5 over 60 days, need W m-2; it looks like net radiation"),
    ],
)
def test_another_quantity_under_the_name_is_refused(tmp_path, columns, message):
    daily_rows(**columns).to_csv(tmp_path / "weather.csv", index=False)
    with pytest.raises(InputError, match=message):
        weather_table.open(tmp_path / "weather.csv")


def test_polar_nights_and_dry_summers_are_plausible(tmp_path):
    dark = daily_rows(vpd=1.0).assign(time=pd.date_range("2020-11-01", periods=60), sw_in=0.0, tair=-20.0)
    dry = daily_rows(vpd=45.0).assign(tair=38.0)
    for rows in (dark, dry):
        rows.to_csv(tmp_path / "weather.csv", index=False)
        assert weather_table.open(tmp_path / "weather.csv").sizes["time"] == 60


DAYS_OF_2020 = pd.date_range("2020-01-01", "2020-12-31")
HOURS = pd.date_range("2020-05-01", periods=24 * 12, freq="h")


def daily(**columns) -> pd.DataFrame:
    angle = 2 * np.pi * (DAYS_OF_2020.day_of_year.values - 15) / 365
    rain = np.where(np.arange(366) % 4, 0.0, 6.0)
    return pd.DataFrame({"date": DAYS_OF_2020, "tair": 10 - 9 * np.cos(angle), "precip": rain}).assign(
        **columns
    )


def hourly(**columns) -> pd.DataFrame:
    sun = np.clip(np.sin((HOURS.hour.values - 6) / 12 * np.pi), 0, None) * 700
    rain = np.where(np.arange(len(HOURS)) % 5, 0.0, 1.0)
    return pd.DataFrame({"time": HOURS, "sw_in": sun, "tair": 15.0, "precip": rain}).assign(**columns)


@pytest.mark.parametrize(
    "stamps",
    [
        {"date": (DAYS_OF_2020 - pd.Timestamp("1899-12-30")).days},
        {"date": DAYS_OF_2020.strftime("%d-%b-%Y")},
        {"Date (UTC)": DAYS_OF_2020.strftime("%Y-%m-%d")},
        {"system:time_start": DAYS_OF_2020.astype("datetime64[ms]").astype("int64")},
        {"system:index": DAYS_OF_2020.strftime("%Y%m%d")},
    ],
)
def test_dates_of_spreadsheets_and_earth_engine_are_the_days(tmp_path, stamps):
    table = daily()
    table.drop(columns="date").assign(**stamps).to_csv(tmp_path / "w.csv", index=False)
    found = weather_table.open(tmp_path / "w.csv")
    np.testing.assert_array_equal(found["time"], DAYS_OF_2020)
    np.testing.assert_allclose(found["tair"], table["tair"], rtol=1e-5)


def test_era5_of_earth_engine_is_read_in_its_units(tmp_path):
    table = daily()
    era5 = pd.DataFrame({
        "date": table["date"], "temperature_2m": table["tair"] + 273.15,
        "total_precipitation_sum": table["precip"] / 1000, "surface_solar_radiation_downwards_sum": 150.0 * 86400,
    })  # fmt: skip
    era5.to_csv(tmp_path / "w.csv", index=False)
    found = weather_table.open(tmp_path / "w.csv")
    np.testing.assert_allclose(found["tair"], table["tair"], atol=1e-3)
    np.testing.assert_allclose(found["precip"], table["precip"], rtol=1e-5)
    np.testing.assert_allclose(found["sw_in"], 150.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("stamps", "whole"),
    [
        ({"date": HOURS.strftime("%Y-%m-%d"), "time": HOURS.strftime("%H:%M")}, 12),
        ({"date": HOURS.strftime("%d.%m.%Y"), "hour": HOURS.hour}, 12),
        ({"date": HOURS.strftime("%Y%m%d"), "hour": HOURS.hour + 1}, 12),
        ({"year": HOURS.year, "month": HOURS.month, "day": HOURS.day, "hour": HOURS.hour + 1}, 12),
        ({"time": (HOURS - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)}, 12),
        ({"time": [one.isoformat() for one in HOURS.tz_localize("Etc/GMT-2")]}, 12),
    ],
)
def test_hours_beside_the_date_and_hours_from_1_to_24_make_the_same_days(tmp_path, stamps, whole):
    hourly().to_csv(tmp_path / "right.csv", index=False)
    hourly().drop(columns="time").assign(**stamps).to_csv(tmp_path / "w.csv", index=False)
    right, found = weather_table.open(tmp_path / "right.csv"), weather_table.open(tmp_path / "w.csv")
    assert found.sizes["time"] == whole
    for name in right:
        np.testing.assert_allclose(found[name], right[name], rtol=1e-5)


def test_hours_in_summer_and_winter_time_with_offsets_are_in_standard_time(tmp_path):
    hours = pd.date_range("2020-10-23", periods=24 * 5, freq="h", tz="Etc/GMT-1")
    local = [one.isoformat() for one in hours.tz_convert("Europe/Berlin")]
    pd.DataFrame({"time": local, "tair": np.arange(120.0) / 10}).to_csv(tmp_path / "w.csv", index=False)
    found = weather_table.open(tmp_path / "w.csv")
    np.testing.assert_allclose(found["tair"], np.arange(120.0).reshape(5, 24).mean(1) / 10, rtol=1e-5)


def test_totals_that_run_on_are_refused(tmp_path):
    table = hourly()
    since_midnight = table["precip"].groupby(table["time"].dt.date).cumsum() / 1000
    for stamps in (table["time"], table["time"] + pd.Timedelta(hours=1)):
        table.drop(columns="precip").assign(time=stamps, tp=since_midnight).to_csv(
            tmp_path / "w.csv", index=False
        )
        with pytest.raises(InputError, match="tp grows from row to row of each day"):
            weather_table.open(tmp_path / "w.csv")
    daily(precip=daily()["precip"].cumsum()).to_csv(tmp_path / "w.csv", index=False)
    with pytest.raises(InputError, match="a running total: take the differences"):
        weather_table.open(tmp_path / "w.csv")


def test_a_variable_without_a_whole_day_does_not_take_the_others_with_it(tmp_path):
    table = hourly()
    table.loc[table["time"].dt.hour == 12, "sw_in"] = np.nan
    table.to_csv(tmp_path / "w.csv", index=False)
    with pytest.warns(DataWarning, match="12 of 12 days of sw_in are incomplete and left out"):
        found = weather_table.open(tmp_path / "w.csv")
    assert set(found) == {"tair", "precip"}
