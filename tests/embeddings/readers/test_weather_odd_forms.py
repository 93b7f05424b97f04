"""Weather tables of loggers, networks and spreadsheets: the numbers of the plain table, or one sentence."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.readers import series_table, weather_table
from fluxlens.models.errors import DataWarning, InputError

STARTS = pd.date_range("2019-06-01", periods=4 * 48, freq="30min")
ENDS = STARTS + pd.Timedelta("30min")
STEP = np.arange(len(STARTS)) % 48
NOON = np.clip(np.sin(np.pi * (STEP - 12) / 24), 0, None)
HALF_HOURS = pd.DataFrame(
    {"sw_in": 600 * NOON, "tair": 15 + 8 * NOON, "vpd": 4 + 9 * NOON, "precip": np.where(STEP == 10, 4.2, 0)}
).round(3)
DAYS = pd.date_range("2019-06-01", periods=4)
RIGHT = {name: HALF_HOURS[name][:48].mean() for name in ("sw_in", "tair", "vpd")} | {"precip": 4.2}


def table(stamps=None, name="time", **more) -> pd.DataFrame:
    frame = HALF_HOURS.assign(**more)
    frame.insert(0, name, STARTS.strftime("%Y-%m-%d %H:%M") if stamps is None else stamps)
    return frame


def opened(tmp_path, lines: list[str] | pd.DataFrame):
    lines = lines.to_csv(index=False).splitlines() if isinstance(lines, pd.DataFrame) else lines
    (tmp_path / "w.csv").write_text("\n".join(lines) + "\n")
    return weather_table.open(tmp_path / "w.csv")


def assert_right(node) -> None:
    np.testing.assert_array_equal(node["time"], DAYS)
    for name, right in RIGHT.items():
        np.testing.assert_allclose(node[name], right, rtol=1e-3, err_msg=name)


def toa5(frame: pd.DataFrame, units: list[str], kinds: list[str]) -> list[str]:
    heads = [
        ["TOA5", "XX-Abc", "CR1000", "1234", "CR1000.Std.10", "CPU:w.CR1", "999", "Hourly"],
        ["TIMESTAMP", "RECORD", *frame], ["TS", "RN", *units], ["", "", *kinds],
    ]  # fmt: skip
    rows = frame.to_csv(index=False, header=False).splitlines()
    stamps = ENDS.strftime("%Y-%m-%d %H:%M:%S")
    body = [f'"{stamp}",{at},{row}' for at, (stamp, row) in enumerate(zip(stamps, rows, strict=True))]
    return [",".join(f'"{cell}"' for cell in cells) for cells in heads] + body


@pytest.mark.parametrize("names", ["ours", "of the logger"])
def test_a_loggers_table_is_read_by_its_units_from_the_ends_of_steps(tmp_path, names):
    frame = HALF_HOURS.assign(vpd=HALF_HOURS["vpd"] / 10)
    if names == "of the logger":
        frame = frame.set_axis(["SlrW_Avg", "AirTC_Avg", "VPD_Avg", "Rain_mm_Tot"], axis=1)
    node = opened(tmp_path, toa5(frame, ["W/m^2", "Deg C", "kPa", "mm"], ["Avg", "Avg", "Avg", "Tot"]))
    assert_right(node)


def test_ameriflux_base_is_weather_with_the_topmost_sensor_that_has_values(tmp_path):
    frame = table(STARTS.strftime("%Y%m%d%H%M"), "TIMESTAMP_START").assign(TA_1_1_1=-9999)
    frame = frame.rename(columns={"sw_in": "SW_IN_1_1_1", "tair": "TA_1_2_1", "vpd": "VPD_PI", "precip": "P"})
    lines = ["# Site: XX-Abc", "# Version: 3-5", *frame.to_csv(index=False).splitlines()]
    assert_right(opened(tmp_path, lines))


def test_biomet_files_of_eddypro_have_names_and_units_in_two_rows(tmp_path):
    frame = table(STARTS.strftime("%Y-%m-%d %H%M"))
    rows = frame.assign(tair=frame["tair"] + 273.15).to_csv(index=False).splitlines()[1:]
    heads = ["TIMESTAMP_1,SWIN_1_1_1,TA_1_1_1,VPD_1_1_1,P_RAIN_1_1_1", "yyyy-mm-dd HHMM,W+1m-2,K,hPa,mm"]
    assert_right(opened(tmp_path, [*heads, *rows]))


def test_full_output_of_eddypro_has_its_clock_in_a_column_of_its_own(tmp_path):
    frame = pd.DataFrame(
        {
            "filename": "a.ghg", "date": ENDS.strftime("%Y-%m-%d"), "time": ENDS.strftime("%H:%M"),
            "air_temperature": HALF_HOURS["tair"] + 273.15, "VPD": HALF_HOURS["vpd"] * 100,
        }
    )  # fmt: skip
    header, *rows = frame.to_csv(index=False).splitlines()
    with pytest.warns(DataWarning, match="taken for the ends of steps"):
        node = opened(tmp_path, ["file_info,,,met,", header, ",[yyyy-mm-dd],[HH:MM],[K],[Pa]", *rows])
    np.testing.assert_array_equal(node["time"], DAYS)
    np.testing.assert_allclose(node["vpd"], RIGHT["vpd"], rtol=1e-3)


@pytest.mark.parametrize(
    ("variable", "unit", "factor"),
    [
        ("vpd", "mmHg", 1 / 1.33322),
        ("precip", "0.1 mm", 10),
        ("precip", "mm/30min", 1),
        ("sw_in", "kW m-2", 1e-3),
    ],
)
@pytest.mark.parametrize("where", ["name", "row"])
def test_units_stand_in_names_or_in_a_row(tmp_path, where, variable, unit, factor):
    frame = table(**{variable: HALF_HOURS[variable] * factor})
    if where == "name":
        return assert_right(opened(tmp_path, frame.rename(columns={variable: f"{variable} ({unit})"})))
    units = {"sw_in": "W/m2", "tair": "degC", "vpd": "hPa", "precip": "mm", variable: unit}
    header, *rows = frame.to_csv(index=False).splitlines()
    row = ",".join(units.get(column, "-") for column in frame)
    # Files put together have the row once more.
    assert_right(opened(tmp_path, [header, row, *rows[:60], row, *rows[60:]]))


@pytest.mark.parametrize("where", ["name", "row"])
def test_units_of_something_else_are_refused_by_their_name(tmp_path, where):
    frame = table()
    if where == "name":
        with pytest.raises(InputError, match=r"sw_in \(lux\) in 'lux', need W m-2; convert it"):
            opened(tmp_path, frame.rename(columns={"sw_in": "sw_in (lux)"}))
        return
    header, *rows = frame.to_csv(index=False).splitlines()
    with pytest.raises(InputError, match=r"w\.csv with precip in 'l', need mm d-1; convert it"):
        opened(tmp_path, [header, "-,W/m2,degC,hPa,l", *rows])


@pytest.mark.parametrize("word", ["CET", "EST", "GMT", "MEZ", "AEST"])
def test_words_for_zones_leave_the_clock_as_it_is(tmp_path, word):
    assert_right(opened(tmp_path, table(STARTS.strftime(f"%Y-%m-%d %H:%M {word}"))))


@pytest.mark.parametrize("style", ["%Y-%m-%d %H:%M %Z", "%d.%m.%Y %H:%M %Z"])
def test_words_of_summer_time_lead_to_standard_time(tmp_path, style):
    starts = pd.date_range("2019-10-26", periods=len(STARTS), freq="30min", tz="Etc/GMT-1")
    node = opened(tmp_path, table([one.strftime(style) for one in starts.tz_convert("Europe/Berlin")]))
    np.testing.assert_array_equal(node["time"], pd.date_range("2019-10-26", periods=4))
    np.testing.assert_allclose(node["sw_in"], RIGHT["sw_in"], rtol=1e-3)


def test_a_clock_of_summer_time_without_a_word_is_refused_as_such(tmp_path):
    starts = pd.date_range("2019-10-26", periods=len(STARTS), freq="30min", tz="Etc/GMT-1")
    with pytest.raises(
        InputError, match="2019-10-27 02:00 twice, as clocks have it where summer time ends, need standard"
    ):
        opened(tmp_path, table(starts.tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M")))


def test_whole_days_stamped_at_the_end_of_steps_keep_their_first_and_last_day(tmp_path):
    with pytest.warns(DataWarning, match="from 00:30 of the first day to midnight after the last"):
        assert_right(opened(tmp_path, table(ENDS.strftime("%Y-%m-%d %H:%M"))))


def test_rows_that_say_once_more_the_same_are_left_out_and_others_refused(tmp_path):
    lines = table().to_csv(index=False).splitlines()
    with pytest.warns(DataWarning, match="5 rows repeat another one"):
        assert_right(opened(tmp_path, [*lines[:50], *lines[45:]]))
    with pytest.raises(InputError, match=r"twice .* need one row a step; remove them"):
        opened(tmp_path, [*lines, lines[20].replace("0.0", "7.0")])


def test_relative_humidity_may_have_the_sign_of_percent_and_radiation_not(tmp_path):
    plain = table().drop(columns="vpd")
    with pytest.warns(DataWarning, match="vpd is computed from rh"):
        right = opened(tmp_path, plain.assign(rh=60))["vpd"]
    with pytest.warns(DataWarning, match="vpd is computed from rh"):
        np.testing.assert_array_equal(opened(tmp_path, plain.assign(rh="60%"))["vpd"], right)
    with pytest.raises(InputError, match="'50%' in the column sw_in"):
        opened(tmp_path, table(sw_in="50%"))


def test_weather_of_several_series_is_converted_by_its_row_of_units(tmp_path):
    days = pd.date_range("2019-05-01", periods=30).strftime("%Y-%m-%d")
    series = [
        pd.DataFrame({"id": name, "date": days, "sw_in": 17.28, "tair": 285.15, "vpd": 0.6, "precip": 2.0})
        for name in ("a", "b")
    ]
    header, *rows = pd.concat(series).to_csv(index=False).splitlines()
    path = tmp_path / "weather.csv"
    path.write_text("\n".join([header, "-,-,MJ m-2 d-1,K,kPa,mm", *rows]) + "\n")
    weather = series_table.read_weather(path)
    assert sorted(weather) == ["a", "b"]
    for name, right in (("sw_in", 200), ("tair", 12), ("vpd", 6), ("precip", 2)):
        np.testing.assert_allclose(weather["b"][name], right, rtol=1e-4, err_msg=name)
    path.write_text("\n".join([header, "-,-,MJ m-2 d-1,K,psi,mm", *rows]) + "\n")
    with pytest.raises(InputError, match="vpd in 'psi', need hPa; convert it"):
        series_table.read_weather(path)
