"""Dates as year and day of the year in one column: the same days in tower, weather, series and GPP tables."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers, year_days
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.readers.series_table import read_series, read_weather
from fluxlens.models.errors import InputError

# Over the end of a leap year, whose day 366 other years lack.
DAYS = pd.date_range("2020-12-20", periods=40)
STARTS = pd.date_range("2020-12-30", periods=4 * 48, freq="30min")
STYLES = ["%Y-%j", "%Y%j", "%Y %j"]
NAMES = ["date", "year_doy", "YYYYDDD"]
AIR = 10 + 5 * np.sin(np.arange(len(DAYS)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", STYLES)
def test_daily_tables_of_every_kind_have_the_days(tmp_path, style, name):
    dates = pd.DataFrame({name: DAYS.strftime(style)})
    values = np.linspace(0.05, 0.2, len(DAYS))
    dates.assign(id="A", B03=values, B04=values, B08=3 * values).to_csv(tmp_path / "plots.csv", index=False)
    series = read_series(tmp_path / "plots.csv").sensors["s2"]
    np.testing.assert_array_equal(series.day.astype("datetime64[D]"), DAYS)
    path = tmp_path / "weather.csv"
    for of_id in ({}, {"id": "A"}):
        dates.assign(tair=AIR, **of_id).to_csv(path, index=False)
        weather = next(iter(read_weather(path).values()))
        np.testing.assert_array_equal(weather["time"], DAYS)
        np.testing.assert_allclose(weather["tair"], AIR, rtol=1e-6)
    dates.assign(GPP_NT_VUT_REF=AIR, NEE_VUT_REF_QC=1).to_csv(
        path := tmp_path / "XX-Abc_own.csv", index=False
    )
    lines = path.read_text().split("\n", 1)
    path.write_text(f"{lines[0]}\n-,gC m-2 d-1,-\n{lines[1]}")
    tower = towers.read(path)
    np.testing.assert_array_equal(tower["time"], DAYS)
    np.testing.assert_allclose(tower["gpp_nt"], AIR)


@pytest.mark.parametrize("style", STYLES)
def test_gpp_tables_and_numbers_of_parquet_have_the_days(tmp_path, style):
    rows = pd.DataFrame({"SITE_ID": "XX-Abc", "date": DAYS.strftime(style), **dict.fromkeys(BANDS, 0.1)})
    np.testing.assert_array_equal(tables.clean(rows)["date"], DAYS)
    stamps = DAYS.strftime("%Y%j").astype("int64")
    flux = pd.DataFrame({"TIMESTAMP": stamps, "GPP_NT_VUT_REF": AIR, "NEE_VUT_REF_QC": 1.0})
    flux.to_parquet(path := tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.parquet")
    np.testing.assert_array_equal(towers.read(path)["time"], DAYS)
    frame = pd.DataFrame({"date": stamps.astype(float), "tair": AIR})
    np.testing.assert_array_equal(weather_table.read_frame(frame, "weather")["time"], DAYS)


@pytest.mark.parametrize("clock", ["T%H:%M", " %H%M", " %H:%M:%S"])
@pytest.mark.parametrize("style", STYLES)
def test_half_hours_with_a_clock_behind_the_day_are_its_parts(tmp_path, style, clock):
    stamps = STARTS.strftime(style + clock)
    air = 10 + np.arange(len(STARTS)) / 50
    days = air.reshape(4, 48).mean(axis=1)
    table = pd.DataFrame({"TIMESTAMP": stamps, "GPP_NT_VUT_REF": air, "NEE_VUT_REF_QC": 0})
    table.to_csv(path := tmp_path / "XX-Abc_HH.csv", index=False)
    tower = towers.read(path)
    np.testing.assert_array_equal(tower["time"], STARTS[::48])
    np.testing.assert_allclose(tower["gpp_nt"], days * 1.0377, rtol=1e-6)
    pd.DataFrame({"time": stamps, "tair": air}).to_csv(path := tmp_path / "weather.csv", index=False)
    np.testing.assert_allclose(weather_table.open(path)["tair"], days, rtol=1e-6)


@pytest.mark.parametrize("wrong", ["2019-366", "2019-000", "2019400"])
def test_days_that_their_year_lacks_are_refused(tmp_path, wrong):
    stamps = ["2019-363", "2019-364", "2019-365", wrong]
    air = pd.DataFrame({"date": stamps, "tair": 10.0})
    with pytest.raises(InputError, match=f"'{wrong}', 1 such rows.*need a date"):
        weather_table.read_frame(air, "weather")
    with pytest.raises(InputError, match=rf"1 rows of .* without a date, the first row 4 \('{wrong}'"):
        read_series(air.assign(id="A", B03=0.1, B04=0.1))
    path = tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.csv"
    pd.DataFrame({"TIMESTAMP": stamps, "GPP_NT_VUT_REF": 5, "NEE_VUT_REF_QC": 1}).to_csv(path, index=False)
    with pytest.raises(InputError, match=f"1 of 4 stamps that are no date, such as '{wrong}'"):
        towers.read(path)


@pytest.mark.parametrize(
    "texts",
    [
        ["2019-152", "2019-06-02"],
        ["20190601", "20190602"],
        ["2019-06", "2019-07"],
        ["201906", "201907"],
        ["2019-6-1", "2019-6-2"],
        ["43617", "43618"],
        ["201915200"],
        ["1559347200", "1559433600"],
        [],
    ],
)
def test_dates_of_other_forms_and_of_several_are_left_alone(texts):
    column = pd.Series(texts, dtype="str")
    assert year_days.to_iso_dates(column).tolist() == texts
