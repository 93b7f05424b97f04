"""Columns for the parts of a date, and codes for missing values: one rule for series, weather, GPP and tower tables."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import date_columns, text_cells, towers
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.meteorology import extraterrestrial_radiation
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.readers.series_table import read_series, read_weather
from fluxlens.models.errors import InputError

DAYS = pd.date_range("2019-02-26", periods=40)
YEAR, MONTH, DAY, DOY = DAYS.year, DAYS.month, DAYS.day, DAYS.day_of_year
PARTS = {
    "English": {"Year": YEAR, "Month": MONTH, "Day": DAY},
    "short": {"YYYY": YEAR, "MM": MONTH, "DD": DAY},
    "NASA": {"YEAR": YEAR, "MO": MONTH, "DY": DAY},
    "German": {"Jahr": YEAR, "Monat": MONTH, "Tag": DAY},
    "French": {"Année": YEAR, "Mois": MONTH, "Jour": DAY},
    "Spanish": {"Año": YEAR, "Mes": MONTH, "Día": DAY},
    "Polish": {"rok": YEAR, "miesiąc": MONTH, "dzień": DAY},
    "month in words": {"year": YEAR, "month": DAYS.strftime("%b"), "day": DAY},
    "day of year": {"year": YEAR, "DOY": DOY},
    "day of year, R": {"year": YEAR, "yday": DOY},
    "day of year, in words": {"Year": YEAR, "Day of year": DOY},
    "Julian day": {"Yr": YEAR, "Julian_Day": DOY},
}


@pytest.mark.parametrize("style", PARTS)
def test_parts_of_dates_have_one_set_of_names(tmp_path, style):
    parts = pd.DataFrame(PARTS[style])
    values = np.linspace(0.05, 0.2, len(DAYS))
    series = read_series(parts.assign(id="A", B03=values, B04=values, B08=3 * values)).sensors["s2"]
    np.testing.assert_array_equal(series.day.astype("datetime64[D]"), DAYS)
    air = 10 + 5 * np.sin(np.arange(len(DAYS)))
    weather = weather_table.read_frame(parts.assign(tair=air), "weather")
    np.testing.assert_array_equal(weather["time"], DAYS)
    rows = tables.clean(parts.assign(SITE_ID="XX-Abc", **dict.fromkeys(BANDS, values)))
    np.testing.assert_array_equal(rows["date"], DAYS)
    if "words" not in style or "of year" in style:
        path = tmp_path / "XX-Abc_own.csv"
        parts.assign(GPP_DT_U50=5 + air, NEE_U50_fqc=0).to_csv(path, index=False)
        text = path.read_text().split("\n", 1)
        path.write_text(
            f"{text[0]}\n{','.join('-' for _ in parts)},gC m-2 d-1,-\n{text[1]}", encoding="utf-8"
        )
        tower = towers.read(path)
        np.testing.assert_array_equal(tower["time"], DAYS)
        np.testing.assert_allclose(tower["gpp_dt"], 5 + air)


@pytest.mark.parametrize(
    "clock",
    [
        {"Hour": "hour"}, {"HRMIN": "hrmin"}, {"hour": "hour", "minute": "minute"}, {"time": "clock"},
    ],
)  # fmt: skip
def test_hours_of_weather_in_a_column_of_their_own_are_hours(clock):
    hours = pd.date_range("2019-02-26", periods=3 * 24, freq="h")
    kinds = {
        "hour": hours.hour, "hrmin": hours.hour * 100, "minute": hours.minute, "clock": hours.strftime("%H:%M"),
    }  # fmt: skip
    of_clock = {name: kinds[kind] for name, kind in clock.items()}
    air = 10 + np.arange(len(hours)) / 10
    for day in ({"doy": hours.day_of_year}, {"month": hours.month, "day": hours.day}):
        table = pd.DataFrame({"year": hours.year, **day, **of_clock, "tair": air})
        found = weather_table.read_frame(table, "weather")
        np.testing.assert_array_equal(found["time"], DAYS[:3])
        np.testing.assert_allclose(found["tair"], air.reshape(3, 24).mean(axis=1), rtol=1e-6)


def test_days_that_no_year_has_are_refused():
    table = pd.DataFrame({"year": 2019, "doy": [0, 1, 2], "tair": 10.0})
    with pytest.raises(InputError, match=r"no date, need daily rows; mend it .day of the year 0"):
        weather_table.read_frame(table, "weather")
    with pytest.raises(InputError, match=r"1 rows of .* without a date"):
        read_series(table.assign(id="A", B03=0.1, B04=0.1))


def test_parts_without_a_whole_date_are_none():
    assert set(date_columns.find_parts(["Year", "GPP"])) == {"year"}
    assert weather_table.find_time_columns(pd.DataFrame({"year": [2019], "month": [5], "tair": [1.0]})) == []


@pytest.mark.parametrize("code", [-9999, -9999.99, -99999, -999, -999.9, -6999, -9000.5])
def test_codes_for_missing_are_missing_in_every_reader(tmp_path, code):
    days, at = DAYS[:8], 3
    values = np.full(8, 0.1)
    coded = np.where(np.arange(8) == at, code, values)
    series = read_series(pd.DataFrame({"id": "A", "date": days, "B03": coded, "B04": values, "B08": 0.3}))
    bands = series.sensors["s2"].values
    assert np.isnan(bands[at, 1])
    np.testing.assert_allclose(np.delete(bands[:, 1], at), 0.1, rtol=1e-6)
    air = pd.DataFrame({"date": days, "tair": np.where(np.arange(8) == at, code, 12.0)})
    for table in (air, air.assign(id="A")):
        path = tmp_path / "weather.csv"
        table.to_csv(path, index=False)
        found = next(iter(read_weather(path).values()))["tair"]
        assert np.flatnonzero(np.isnan(found)).tolist() == [at]
    rows = pd.DataFrame({"SITE_ID": "A", "date": days, **dict.fromkeys(BANDS, values)}).assign(
        T2MEAN=np.where(np.arange(8) == at, code, 285.0)
    )
    assert np.flatnonzero(tables.clean(rows)["T2MEAN"].isna()).tolist() == [at]
    flux = pd.DataFrame(
        {"TIMESTAMP": days.strftime("%Y%m%d"), "GPP_NT_VUT_REF": np.where(np.arange(8) == at, code, 7)}
    )
    flux.assign(NEE_VUT_REF_QC=1).to_csv(tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.csv", index=False)
    tower = towers.read(tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.csv")
    assert np.flatnonzero(np.isnan(tower["gpp_nt"])).tolist() == [at]
    assert text_cells.is_missing(np.array([code])).all()


@pytest.mark.parametrize("place", [{}, {"lat": 50.7}, {"lat": -35.0}])
def test_radiation_of_a_gpp_table_that_cannot_be_watts_is_refused(place):
    days = pd.date_range("2019-03-01", periods=25, freq="8D")
    above = extraterrestrial_radiation(place.get("lat", 45.0), days.day_of_year.to_numpy()).radiation_w_m2
    light = above * (0.45 + 0.25 * np.sin(np.arange(25)))
    rows = pd.DataFrame({"SITE_ID": "A", "date": days, "SWLAND": light, **dict.fromkeys(BANDS, 0.1), **place})
    np.testing.assert_allclose(tables.clean(rows)["SWLAND"], light)
    with pytest.raises(InputError, match=r"need W m-2; it looks like MJ m-2 d-1, multiply by 11\.574"):
        tables.clean(rows.assign(SWLAND=light * 0.0864))
    with pytest.raises(
        InputError, match=r"times the radiation above the atmosphere, need W m-2 over 24 hours"
    ):
        tables.clean(rows.assign(SWLAND=light * 10))
    # A few dark days tell nothing.
    tables.clean(rows.assign(SWLAND=8.0).head(5))
