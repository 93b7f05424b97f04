"""Clocks of a named zone: towers and weather in its standard time, acquisitions in UTC, or one sentence."""

import warnings

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import named_zones, text_cells, towers
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.models.errors import DataWarning, InputError

ZONE = "Europe/Berlin"
# Standard time over both changes of the clock; the civil clock leaves an hour out and has one twice.
STARTS = pd.date_range("2019-03-25", "2019-11-02 23:30", freq="30min")
CLOCK = STARTS.tz_localize("+01:00").tz_convert(ZONE)
# A step in the morning shows in the means of days that are an hour off.
AIR = np.where(STARTS.hour >= 1, 10.0, -20.0) + np.asarray(STARTS.day_of_year) / 20
DAYS = AIR.reshape(-1, 48).mean(axis=1)
MOVED = r"stamps of .* in summer time of Europe/Berlin are moved to its standard time \(UTC\+1 h\)"


def stamped(style: str) -> dict[str, object]:
    text = CLOCK.strftime("%Y-%m-%d %H:%M")
    return {
        "behind": {"time": text + f" {ZONE}"},
        "digits behind": {"time": CLOCK.strftime("%Y%m%d%H%M") + f" {ZONE}"},
        "with seconds": {"time": CLOCK.strftime("%d.%m.%Y %H:%M:%S") + f" {ZONE}"},
        "in brackets": {"time": [f"{time.isoformat()}[{ZONE}]" for time in CLOCK]},
        "timezone": {"time": text, "timezone": ZONE},
        "tz": {"time": CLOCK.strftime("%Y%m%d%H%M"), "TZ": ZONE},
    }[style]


STYLES = ["behind", "digits behind", "with seconds", "in brackets", "timezone", "tz"]


def tower(path, columns: dict, gpp=AIR):
    table = pd.DataFrame(columns | {"GPP_NT_VUT_REF": gpp, "NEE_VUT_REF_QC": 0})
    table.rename(columns={"time": "TIMESTAMP_START"}).to_csv(path, index=False)
    return towers.read(path)


@pytest.mark.parametrize("style", STYLES)
def test_half_hours_of_a_civil_clock_are_days_of_standard_time(tmp_path, style):
    with pytest.warns(DataWarning, match=MOVED):
        found = tower(tmp_path / "XX-Abc_HH.csv", stamped(style))
    np.testing.assert_array_equal(found["time"], STARTS[::48])
    np.testing.assert_allclose(found["gpp_nt"], DAYS * 1.0377, rtol=1e-6)
    pd.DataFrame(stamped(style) | {"tair": AIR}).to_csv(path := tmp_path / "weather.csv", index=False)
    with pytest.warns(DataWarning, match=MOVED):
        weather = weather_table.open(path)
    np.testing.assert_array_equal(weather["time"], STARTS[::48])
    np.testing.assert_allclose(weather["tair"], DAYS, rtol=1e-6)


def test_summer_alone_is_moved_to_the_zones_standard_time():
    times = pd.date_range("2019-06-01 00:30", periods=3, freq="30min")
    for zone, hours in ((ZONE, 1), ("Australia/Sydney", 0), ("Europe/Dublin", 1), ("Asia/Tokyo", 0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if hours else "error")
            found = named_zones.to_standard_time(times, zone, "the table")
        assert list(times - found) == [pd.Timedelta(hours=hours)] * 3


def test_dates_and_midnights_of_a_zone_are_dates(tmp_path):
    days = pd.date_range("2019-06-01", periods=30)
    for texts in (days.strftime("%Y-%m-%d 00:00 ") + ZONE, days.strftime("%Y-%m-%d ") + ZONE):
        weather = weather_table.read_frame(pd.DataFrame({"time": texts, "tair": 12.0}), "weather")
        np.testing.assert_array_equal(weather["time"], days)
        times = text_cells.to_times(pd.Series(texts), "the table")
        np.testing.assert_array_equal(times, days.to_numpy())
    with_column = {"TIMESTAMP": days.strftime("%Y%m%d"), "TZ": ZONE, "GPP_NT_VUT_REF": 5, "NEE_VUT_REF_QC": 1}
    path = tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.csv"
    pd.DataFrame(with_column).to_csv(path, index=False)
    np.testing.assert_array_equal(towers.read(path)["time"], days)


@pytest.mark.parametrize("kind", ["text", "column", "dates beside a column"])
def test_acquisitions_of_a_zone_have_their_day_in_utc(kind):
    times = pd.to_datetime(["2019-06-01 01:30", "2019-06-06 12:50", "2019-12-01 00:30"])
    date = times.strftime("%Y-%m-%d %H:%M:%S")
    rows = {"date": date + f" {ZONE}"} if kind == "text" else {"date": date, "timezone": ZONE}
    rows = rows | {"date": times} if kind.startswith("dates") else rows
    found = read_series(pd.DataFrame(rows | {"id": "A", "B03": 0.1, "B04": 0.1, "B08": 0.3}))
    days = found.sensors["s2"].day.astype("datetime64[D]").astype(str)
    assert list(days) == ["2019-05-31", "2019-06-06", "2019-11-30"]


@pytest.mark.parametrize(
    "date",
    [
        "2019-06-01T01:30:00Z", "2019-06-01T01:30:00+00:00", "1559352600000", "20190601T013000_20190601T013001_T31UES",
        "S2A_20190601", "2019-06-01",
    ],
)  # fmt: skip
def test_a_stamp_that_tells_its_own_offset_is_not_of_the_column(date):
    rows = pd.DataFrame({"id": ["A", "B"], "date": date, "tz": ZONE, "B03": 0.1, "B04": 0.1, "B08": 0.3})
    # Zones may differ beside such stamps.
    for table in (rows, rows.assign(tz=[ZONE, "Asia/Tokyo"])):
        days = read_series(table).sensors["s2"].day.astype("datetime64[D]").astype(str)
        assert list(days) == ["2019-06-01"] * 2


def test_clocks_in_columns_beside_a_zone_are_moved_as_well(tmp_path):
    clock = {"Year": CLOCK.year, "DoY": CLOCK.day_of_year, "Hour": CLOCK.hour + CLOCK.minute / 60, "TZ": ZONE}
    table = pd.DataFrame(clock | {"GPP_NT_VUT_REF": AIR, "NEE_VUT_REF_QC": 0})
    table.to_csv(path := tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(DataWarning, match=MOVED):
        found = towers.read(path)
    np.testing.assert_allclose(found["gpp_nt"], DAYS * 1.0377, rtol=1e-6)


def test_a_clock_that_runs_through_spring_beside_a_zone_is_standard_time(tmp_path):
    columns = {"time": STARTS.strftime("%Y%m%d%H%M"), "timezone": ZONE}
    with pytest.warns(DataWarning, match=r"2 stamps .* 2019-03-31 02:00 .* all are taken for standard time"):
        found = tower(tmp_path / "XX-Abc_HH.csv", columns)
    np.testing.assert_allclose(found["gpp_nt"], DAYS * 1.0377, rtol=1e-6)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["2019-06-01 12:00 Europe/Berlin", "2019-06-01 12:30 Europe/Rome"], r"of 2 zones \(Europe/Berlin, Europe/R"),
        (["2019-06-01 12:00 Europe/Berlin", "2019-06-01 12:30"], "1 of 2 stamps .* without the zone that others"),
        (["2019-06-01 12:00 Europe/Bern", "2019-06-01 12:30 Europe/Bern"], "'Europe/Bern', which is not known"),
        (["2019-10-27 02:00 Europe/Berlin", "2019-10-27 02:30 Europe/Berlin"], "2 stamps .* has twice as summer time"),
        (["2019-03-31 02:30 Europe/Berlin", "2019-03-31 03:00 Europe/Berlin"], "1 stamps .* 02:30, .* leaves out"),
    ],
)  # fmt: skip
def test_zones_that_leave_a_doubt_are_refused(tmp_path, texts, message):
    with pytest.raises(InputError, match=message):
        tower(tmp_path / "XX-Abc_HH.csv", {"time": texts}, gpp=1.0)
    with pytest.raises(InputError, match=message):
        weather_table.read_frame(pd.DataFrame({"time": texts, "tair": 12.0}), "weather")
    with pytest.raises(InputError, match=message):
        text_cells.to_times(pd.Series(texts), "the table")


def test_a_column_of_two_zones_is_refused_and_one_of_other_words_is_left_alone():
    with pytest.raises(InputError, match=r"2 zones \(Europe/Berlin, Europe/Rome\), need one"):
        named_zones.name_of(pd.Series([ZONE, "Europe/Rome"]), "the table")
    for cells in (["UTC", "CET"], ["1", "2"], ["", None], []):
        assert named_zones.name_of(pd.Series(cells, dtype=object), "the table") is None
