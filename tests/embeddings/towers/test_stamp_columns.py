"""Towers whose stamps stand in several columns, and towers as Parquet: the numbers that plain stamps give."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.embeddings.towers.stamp_columns import find_stamp_columns
from fluxlens.models.errors import DataWarning, InputError

STARTS = pd.date_range("2019-12-30", periods=4 * 48, freq="30min")
GPP = np.round(np.clip(20 * np.sin(np.pi * ((np.arange(len(STARTS)) % 48) - 12) / 24), 0, None), 3)
GPP[96:] *= 0.5
DAYS = pd.date_range("2019-01-01", "2020-12-31")


def stamped(style: str) -> pd.DataFrame:
    """Half-hours over a turn of the year; the stamps of the second group are ends."""
    ends = STARTS + pd.Timedelta("30min")
    hours = {"starts": STARTS, "ends": ends}["ends" if style.endswith("end") else "starts"]
    clock = hours.hour + hours.minute / 60
    columns = {
        "doy hrmin": {"YEAR": hours.year, "DOY": hours.day_of_year, "HRMIN": hours.hour * 100 + hours.minute},
        "doy hour end": {"Year": hours.year, "DoY": hours.day_of_year, "Hour": clock},
        "doy of decimals": {"Year": hours.year, "DOY": np.round(hours.day_of_year + clock / 24, 4)},
        "doy of decimals beside hour": {"year": hours.year, "doy": hours.day_of_year + clock / 24, "hour": clock},
        "parts": {"YEAR": hours.year, "MONTH": hours.month, "DAY": hours.day, "HOUR": hours.hour,
                  "MINUTE": hours.minute},
        # The last half-hour of a day is hour 24 of it, and of a year of day 365.
        "hour 24 end": {"Year": STARTS.year, "DoY": STARTS.day_of_year, "Hour": STARTS.hour + STARTS.minute / 60 + 0.5},
    }[style]  # fmt: skip
    return pd.DataFrame(columns).assign(GPP_uStar_f=GPP, NEE_uStar_fqc=0)


@pytest.mark.parametrize(
    "style",
    ["doy hrmin", "doy hour end", "doy of decimals", "doy of decimals beside hour", "parts", "hour 24 end"],
)
@pytest.mark.parametrize("form", ["commas", "semicolons with decimal commas", "tabs below units"])
def test_a_stamp_in_several_columns_is_the_time_it_says(tmp_path, style, form):
    table, path = stamped(style), tmp_path / "XX-Abc_own.csv"
    if form == "commas":
        table.to_csv(path, index=False)
    elif form == "tabs below units":
        units = dict.fromkeys(table, "-") | {"GPP_uStar_f": "umolm-2s-1"}
        pd.concat([pd.DataFrame([units]), table.astype(object)]).to_csv(path, sep="\t", index=False)
    else:
        table.to_csv(path, index=False, sep=";", decimal=",")
    if style.endswith("end"):
        with pytest.warns(DataWarning, match="taken for the end of each step"):
            tower = towers.read(path)
    else:
        tower = towers.read(path)
    np.testing.assert_array_equal(tower["time"], pd.date_range("2019-12-30", periods=4))
    right = GPP.reshape(4, 48).mean(axis=1) * 1.0377
    np.testing.assert_allclose(tower["gpp_nt"], right, rtol=1e-6)


def test_days_by_year_and_day_of_year_are_days(tmp_path):
    gpp = 6 + 4 * np.sin(np.arange(len(DAYS)) / 20)
    table = pd.DataFrame(
        {"Year": DAYS.year, "DOY": DAYS.day_of_year, "GPP_NT_VUT_REF": gpp, "NEE_VUT_REF_QC": 1.0}
    )
    table.to_csv(tmp_path / "XX-Abc_days.csv", index=False)
    with pytest.warns(DataWarning, match="taken for gC m-2 d-1"):
        tower = towers.read(tmp_path / "XX-Abc_days.csv")
    np.testing.assert_array_equal(tower["time"], DAYS)
    np.testing.assert_allclose(tower["gpp_nt"], gpp)


def test_wind_by_year_and_day_of_year_serves_for_the_footprint(tmp_path):
    table = stamped("doy hrmin")[["YEAR", "DOY", "HRMIN"]].assign(
        WS=3.0, WD=200.0, USTAR=0.4, H=50.0, TA=15.0
    )
    table.to_csv(tmp_path / "XX-Abc_wind.csv", index=False)
    wind = towers.turbulence(tmp_path / "XX-Abc_wind.csv")
    assert list(wind.index) == list(STARTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DOY": 0}, "192 of 192 rows whose YEAR, DOY, HRMIN are no date, such as 2019, 0, 0"),
        ({"YEAR": 19}, "192 of 192 rows .* such as 19, 364, 0, need years of four digits"),
        ({"HRMIN": 75}, "no date, such as 2019, 364, 75"),
        ({"DOY": ""}, "192 of 192 rows .* no date"),
    ],
)
def test_a_stamp_in_several_columns_that_is_no_date_is_refused_with_its_count(tmp_path, change, message):
    stamped("doy hrmin").assign(**change).to_csv(tmp_path / "XX-Abc_own.csv", index=False)
    with pytest.raises(InputError, match=message):
        towers.read(tmp_path / "XX-Abc_own.csv")


def test_half_hours_with_whole_hours_alone_are_refused(tmp_path):
    table = stamped("parts").drop(columns="MINUTE")
    table.to_csv(tmp_path / "XX-Abc_own.csv", index=False)
    with pytest.raises(
        InputError, match="192 rows share 96 stamps by YEAR, MONTH, DAY, HOUR, need the minutes"
    ):
        towers.read(tmp_path / "XX-Abc_own.csv")


def test_half_hours_without_a_whole_day_are_refused_with_the_count_of_days(tmp_path):
    table = stamped("doy hrmin")
    table[table["HRMIN"].between(800, 2000)].to_csv(tmp_path / "XX-Abc_own.csv", index=False)
    with pytest.raises(
        InputError, match="of 4 days, none of which has GPP in all of its parts, need whole days"
    ):
        towers.read(tmp_path / "XX-Abc_own.csv")


def test_columns_that_name_no_day_make_no_stamp():
    assert find_stamp_columns(["YEAR", "MONTH", "GPP"]) == {}
    assert find_stamp_columns(["DOY", "HOUR", "GPP"]) == {}
    assert list(find_stamp_columns(["YEAR", "DOY", "MONTH", "DAY", "MINUTE"])) == ["year", "doy"]


def with_stamps(kind: str, table: pd.DataFrame, times: pd.DatetimeIndex) -> pd.DataFrame:
    if kind == "index":
        return table.set_index(times)
    stamps = {
        "text": times.strftime("%Y%m%d"), "whole numbers": times.strftime("%Y%m%d").astype(int),
        "numbers": times.strftime("%Y%m%d").astype(float), "dates": times, "date objects": times.date,
    }[kind]  # fmt: skip
    return table.assign(TIMESTAMP=stamps)


@pytest.mark.parametrize("kind", ["text", "whole numbers", "numbers", "dates", "date objects", "index"])
def test_parquet_has_the_numbers_of_the_text(tmp_path, kind):
    gpp = 6 + 4 * np.sin(np.arange(len(DAYS)) / 20)
    gpp[10] = -9999
    table = pd.DataFrame({"GPP_NT_VUT_REF": gpp, "NEE_VUT_REF_QC": 1.0, "TA_F": 12})
    name = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2019-2020_1-4.parquet"
    with_stamps(kind, table, DAYS).to_parquet(tmp_path / name)
    assert towers.files(tmp_path) == {"XX-Abc": tmp_path / name}
    for path in (tmp_path / name, tmp_path):
        tower = towers.read(path)
        np.testing.assert_array_equal(tower["time"], DAYS)
        np.testing.assert_allclose(tower["gpp_nt"], np.where(gpp < -9000, np.nan, gpp))
        np.testing.assert_allclose(tower["tair"], 12)


def test_half_hours_as_parquet_are_days_and_wind(tmp_path):
    stamps = STARTS.strftime("%Y%m%d%H%M").astype("int64")
    table = pd.DataFrame({"TIMESTAMP_START": stamps, "GPP_NT_VUT_REF": GPP, "NEE_VUT_REF_QC": 0, "WS_F": 3.0,
                          "WD": 200.0, "USTAR": 0.4, "H_F_MDS": 50.0, "TA_F": 15.0})  # fmt: skip
    table.to_parquet(tmp_path / "XX-Abc_HH.parquet")
    tower = towers.read(tmp_path / "XX-Abc_HH.parquet")
    np.testing.assert_allclose(tower["gpp_nt"], GPP.reshape(4, 48).mean(axis=1) * 1.0377, rtol=1e-6)
    wind = towers.turbulence(tmp_path / "XX-Abc_HH.parquet")
    assert list(wind.index) == list(STARTS)


def test_parquet_that_is_no_tower_or_damaged_is_named(tmp_path):
    table = pd.DataFrame({"id": ["a"], "B4": [0.1]})
    table.to_parquet(tmp_path / "plots.parquet")
    with pytest.raises(InputError, match=r"plots.parquet, a Parquet file of ID, B4, need a tower's table"):
        towers.read(tmp_path / "plots.parquet")
    whole = (tmp_path / "plots.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"cut.parquet, a damaged Parquet file, need a whole one"):
        towers.read(tmp_path / "cut.parquet")
    pd.DataFrame({"TIMESTAMP": ["20190101", "20190102"], "GPP_NT_VUT_REF": ["3,5", "4"]}).to_parquet(
        tmp_path / "words.parquet"
    )
    with pytest.raises(InputError, match="1 cells that are no numbers, such as '3,5' in GPP_NT_VUT_REF"):
        towers.read(tmp_path / "words.parquet")


def test_a_text_of_reddyproc_in_a_folder_is_found_by_its_columns(tmp_path):
    stamped("doy hour end").to_csv(tmp_path / "XX-Abc_2019.txt", sep="\t", index=False)
    (tmp_path / "XX-Abc_DD_notes.txt").write_text("mast moved in May\n")
    assert towers.files(tmp_path) == {"XX-Abc": tmp_path / "XX-Abc_2019.txt"}


def test_failed_formulas_of_a_spreadsheet_are_missing_in_towers(tmp_path):
    gpp = pd.Series(6 + 4 * np.sin(np.arange(len(DAYS)) / 20)).round(3)
    cells = gpp.astype(object)
    cells[3], cells[5], cells[7] = "#DIV/0!", "#N/A", "#NV"
    path = tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.csv"
    table = pd.DataFrame({"TIMESTAMP": DAYS.strftime("%Y%m%d"), "GPP_NT_VUT_REF": cells, "NEE_VUT_REF_QC": 1})
    table.to_csv(path, index=False)
    np.testing.assert_allclose(towers.read(path)["gpp_nt"], gpp.where(~np.isin(gpp.index, [3, 5, 7])))
