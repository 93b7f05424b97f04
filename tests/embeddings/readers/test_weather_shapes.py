"""Weather with one row per variable: the numbers of the table with one column per variable."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.cli import main
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.readers.series_table import read_weather
from fluxlens.models.errors import DataWarning, InputError

DATES = pd.date_range("2019-05-01", periods=40)
WIDE = pd.DataFrame(
    {
        "date": DATES.strftime("%Y-%m-%d"), "tair": 12.0 + np.arange(40) % 5, "sw_in": 200.0 + np.arange(40),
        "vpd": 7.0, "precip": np.arange(40) % 3 * 1.5,
    }
)  # fmt: skip
VARIABLES = ("tair", "sw_in", "vpd", "precip")


def rows(label: str = "variable", value: str = "value", units: dict | None = None, **columns) -> pd.DataFrame:
    long = WIDE.melt("date", var_name=label, value_name=value).assign(**columns)
    # In the order of dates, as databases give them.
    long = long.sort_values(["date", label]).reset_index(drop=True)
    if units:
        long["unit"] = long[label].map(units)
    return long


def check(weather) -> None:
    np.testing.assert_array_equal(weather["time"], DATES)
    for name in VARIABLES:
        np.testing.assert_allclose(weather[name], WIDE[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("label", "value"), [("variable", "value"), ("parameter", "Wert"), ("name", "Value")]
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_rows_of_variables_are_columns_of_variables(tmp_path, label, value, separator):
    path = tmp_path / "weather.csv"
    rows(label, value).to_csv(path, index=False, sep=separator, decimal="," if separator == ";" else ".")
    check(weather_table.open(path))
    check(read_weather(path)[None])


def test_units_in_a_column_are_units_of_their_variables(tmp_path):
    units = {"tair": "K", "sw_in": "MJ m-2 d-1", "vpd": "kPa", "precip": "mm"}
    long = rows(units=units)
    factors = {"sw_in": 0.0864, "vpd": 0.1}
    long["value"] *= long["variable"].map(factors).fillna(1.0)
    long["value"] += np.where(long["variable"] == "tair", 273.15, 0)
    long.to_csv(tmp_path / "weather.csv", index=False)
    check(weather_table.open(tmp_path / "weather.csv"))
    long.loc[7, "unit"] = "degC"
    with pytest.raises(InputError, match=r"with tair in 2 units \(K, degC\), need one|in 2 units"):
        weather_table.read_frame(long, "weather")


def test_each_series_has_its_own(tmp_path):
    both = pd.concat([rows(plot="a"), rows(plot="b").assign(value=lambda table: table["value"] + 1)])
    for table in (both, both.assign(date=pd.to_datetime(both["date"]))):
        table.to_parquet(tmp_path / "weather.parquet")
        weather = read_weather(tmp_path / "weather.parquet")
        check(weather["a"])
        np.testing.assert_allclose(weather["b"]["tair"], WIDE["tair"] + 1)


def test_a_hole_stays_a_hole_and_other_variables_are_named():
    long = pd.concat(
        [rows().drop(index=5), pd.DataFrame({"date": WIDE["date"], "variable": "rh", "value": 70.0})]
    )
    lost = rows().loc[5]
    weather = weather_table.read_frame(long, "weather")
    assert np.isnan(weather[lost["variable"]].sel(time=lost["date"]))
    assert int(weather[lost["variable"]].notnull().sum()) == 39
    no_rain = rows()[lambda table: table["variable"] != "precip"].replace({"variable": {"vpd": "rain_class"}})
    with pytest.warns(DataWarning, match="no column of it is vpd or precip; not read: rain_class"):
        weather_table.read_frame(no_rain, "weather")


def test_two_places_in_one_table_are_refused_with_their_count(tmp_path, capsys):
    two = pd.concat([rows(), rows().assign(value=3.0)])
    message = (
        "160 rows of a date and variable that another row has, the first precip of 2019-05-01, need each once"
    )
    with pytest.raises(InputError, match=message):
        weather_table.read_frame(two, "weather")
    two.to_csv(tmp_path / "weather.csv", index=False)
    plots = pd.DataFrame({"id": "a", "date": WIDE["date"][::5], "B2": 0.04, "B4": 0.05, "B8": 0.3})
    plots.to_csv(tmp_path / "plots.csv", index=False)
    paths = [str(tmp_path / name) for name in ("plots.csv", "weather.csv", "out.csv")]
    assert main(["embed", paths[0], "--weather", paths[1], "--out", paths[2]]) == 2
    assert "160 rows of a date and variable that another row has" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


HOURS = pd.date_range("2020-05-01", periods=10 * 24, freq="h")
AIR = (12 + 6 * np.sin((HOURS.hour - 9) / 24 * 2 * np.pi) + HOURS.day / 10).to_numpy().round(2)
ENDS = HOURS + pd.Timedelta("1h")
STAMPS = {
    "hour 24": [f"{HOURS[at]:%Y-%m-%d} 24:00" if end.hour == 0 else f"{end:%Y-%m-%d %H:%M}"
                for at, end in enumerate(ENDS)],
    "month first, twelve hours": [f"{hour.month}/{hour.day}/{hour.year} {hour:%I:%M %p}" for hour in HOURS],
    "day first, dashes": HOURS.strftime("%d-%m-%Y %H:%M"),
}  # fmt: skip


@pytest.mark.parametrize("style", STAMPS)
def test_hours_of_ten_days_are_those_days(style):
    found = weather_table.read_frame(pd.DataFrame({"time": STAMPS[style], "tair": AIR}), "weather")
    np.testing.assert_array_equal(found["time"], pd.date_range("2020-05-01", periods=10))
    np.testing.assert_allclose(found["tair"], AIR.reshape(10, 24).mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    "names", [("temperature_2m_max (°C)", "temperature_2m_min (°C)"), ("Max_Temp", "Min_Temp")]
)
def test_extremes_under_names_of_providers_give_the_mean(names):
    high, low = names
    frame = pd.DataFrame({"date": DATES, high: 20.0 + np.arange(40) / 10, low: 8.0})
    with pytest.warns(DataWarning, match="tair is the middle of"):
        found = weather_table.read_frame(frame, "weather")
    np.testing.assert_allclose(found["tair"], 14 + np.arange(40) / 20, rtol=1e-6)


@pytest.mark.parametrize(
    ("code", "is_missing"), [(999.9, True), (9999.9, True), (-99.9, True), (21.5, False)]
)
def test_codes_of_stations_beside_small_numbers_are_missing(code, is_missing):
    air = np.where(np.arange(40) == 3, code, 12.5)
    found = weather_table.read_frame(pd.DataFrame({"date": DATES, "tair": air}), "weather")["tair"]
    assert bool(np.isnan(found[3])) == is_missing
    assert int(np.isnan(found).sum()) == is_missing
