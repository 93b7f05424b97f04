"""Tower tables in forms that loggers, spreadsheets and people give them: the plain file's numbers, or one sentence."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError

STARTS = pd.date_range("2019-06-01", periods=3 * 48, freq="30min")
NOON = np.clip(np.sin(np.pi * ((np.arange(len(STARTS)) % 48) - 12) / 24), 0, None)
GPP = np.round(20 * NOON * (1 + np.arange(len(STARTS)) // 48 / 10), 3)
RIGHT = GPP.reshape(3, 48).mean(axis=1) * 1.0377
DAYS = pd.date_range("2019-06-01", periods=3)


def half_hours(**more) -> pd.DataFrame:
    columns = {"TIMESTAMP_START": STARTS.strftime("%Y%m%d%H%M"), "GPP_NT_VUT_REF": GPP, "NEE_VUT_REF_QC": 0}
    return pd.DataFrame(columns | more)


def write(path, lines: list[str]):
    path.write_text("\n".join(lines) + "\n")
    return path


def with_units(table: pd.DataFrame, units: dict[str, str]) -> list[str]:
    header, *rows = table.to_csv(index=False).splitlines()
    return [header, ",".join(units.get(column, "-") for column in table), *rows]


def assert_right(tower, days=DAYS, gpp=RIGHT) -> None:
    np.testing.assert_array_equal(tower["time"], days)
    np.testing.assert_allclose(tower["gpp_nt"], gpp, rtol=1e-4)


def toa5(table: pd.DataFrame, units: list[str]) -> list[str]:
    """As Campbell's loggers write it: four lines of header, rows stamped at their end."""
    rows = table.to_csv(index=False, header=False).splitlines()
    ends = (STARTS + pd.Timedelta("30min")).strftime("%Y-%m-%d %H:%M:%S")
    quoted = [
        ",".join(f'"{cell}"' for cell in cells)
        for cells in (
            ["TOA5", "XX-Abc", "CR6", "1234", "CR6.Std.10", "CPU:flux.CR6", "999", "Flux"],
            ["TIMESTAMP", "RECORD", *table],
            ["TS", "RN", *units],
            ["", "", *["Avg"] * len(units)],
        )
    ]
    return [*quoted, *(f'"{end}",{at},{row}' for at, (end, row) in enumerate(zip(ends, rows, strict=True)))]


def test_a_loggers_table_is_read_by_its_units_from_the_ends_of_steps(tmp_path):
    table = pd.DataFrame({"GPP_PI": GPP, "TA": 12.0})
    # A day is missing in the middle: the first and last stamp alone would tell nothing.
    lines = toa5(table, ["umol m-2 s-1", "Deg C"])
    path = write(tmp_path / "XX-Abc_flux.csv", lines[: 4 + 48] + lines[4 + 96 :])
    with pytest.warns(DataWarning, match="as the site's team partitioned it"):
        tower = towers.read(path)
    np.testing.assert_allclose(tower["gpp_nt"].sel(time=DAYS[[0, 2]]), RIGHT[[0, 2]], rtol=1e-4)


@pytest.mark.parametrize("kind", ["header", "header and units", "comment"])
def test_lines_among_the_rows_that_are_no_rows_are_left_out_and_told(tmp_path, kind):
    lines = with_units(half_hours(), {"GPP_NT_VUT_REF": "umol m-2 s-1"})
    stray = {"header": lines[:1], "header and units": lines[:2], "comment": ["# a new sensor, from here on"]}[
        kind
    ]
    message = "1 comments" if kind == "comment" else f"{len(stray)} lines that repeat the header or its units"
    path = write(tmp_path / "XX-Abc_HH.csv", [*lines[:60], *stray, *lines[60:]])
    with pytest.warns(DataWarning, match=message):
        assert_right(towers.read(path))


def test_decimal_commas_in_quotes_between_commas_are_decimals(tmp_path):
    table = half_hours()
    rows = [
        ",".join('"' + str(cell).replace(".", ",") + '"' for cell in row)
        for row in table.itertuples(index=False)
    ]
    assert_right(towers.read(write(tmp_path / "XX-Abc_HH.csv", [",".join(table), *rows])))


@pytest.mark.parametrize("separator", ["|", " "])
def test_bars_and_blanks_separate_columns(tmp_path, separator):
    half_hours().to_csv(tmp_path / "XX-Abc_HH.csv", index=False, sep=separator)
    assert_right(towers.read(tmp_path / "XX-Abc_HH.csv"))


@pytest.mark.parametrize(
    ("zone", "standard"), [("Europe/Berlin", "Etc/GMT-1"), ("America/New_York", "Etc/GMT+5")]
)
def test_words_of_summer_and_standard_time_give_days_of_standard_time(tmp_path, zone, standard):
    starts = pd.date_range("2019-10-26", periods=3 * 48, freq="30min")
    starts = starts if "Berlin" in zone else starts + pd.Timedelta("7D")
    local = starts.tz_localize(standard).tz_convert(zone)
    # Light around midnight, so that a clock that is an hour off moves GPP to another day.
    gpp = np.where((np.arange(len(starts)) % 48) < 4, 10.0, 0.0) * (1 + np.arange(len(starts)) // 48)
    stamps = [one.strftime("%Y-%m-%d %H:%M %Z") for one in local]
    half_hours(TIMESTAMP_START=stamps, GPP_NT_VUT_REF=gpp).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(DataWarning, match="in summer time are moved to standard time"):
        tower = towers.read(tmp_path / "XX-Abc_HH.csv")
    assert_right(tower, starts[::48], gpp.reshape(3, 48).mean(axis=1) * 1.0377)


def test_repeated_stamps_of_the_night_in_which_summer_time_ends_are_told_as_such(tmp_path):
    local = pd.date_range("2019-10-26", periods=3 * 48, freq="30min", tz="Etc/GMT-1").tz_convert(
        "Europe/Berlin"
    )
    table = half_hours(TIMESTAMP_START=local.strftime("%Y%m%d%H%M"))
    table.to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(
        DataWarning, match="2 rows .* nights in which summer time ends, so that stamps are no standard"
    ):
        towers.read(tmp_path / "XX-Abc_HH.csv")


def test_a_share_in_percent_is_a_share_and_a_flux_in_percent_is_refused(tmp_path):
    days = pd.date_range("2019-01-01", periods=90)
    table = pd.DataFrame(
        {"TIMESTAMP": days.strftime("%Y%m%d"), "GPP_NT_VUT_REF": 5.5, "NEE_VUT_REF_QC": "95%"}
    )
    table.to_csv(tmp_path / "XX-Abc_DD.csv", index=False)
    tower = towers.read(tmp_path / "XX-Abc_DD.csv")
    np.testing.assert_allclose(tower["qc"], 0.95)
    table.assign(GPP_NT_VUT_REF="5%").to_csv(tmp_path / "XX-Abc_DD.csv", index=False)
    with pytest.raises(
        InputError, match=r"90 cells that are no numbers, such as '5%' in GPP_NT_VUT_REF.*without the sign"
    ):
        towers.read(tmp_path / "XX-Abc_DD.csv")


def test_weather_is_read_in_the_units_that_the_file_states(tmp_path):
    table = half_hours(SW_IN_F=0.45 * NOON, TA_F=285.15, VPD_F=0.6, P_F=0.25)
    units = {"SW_IN_F": "MJ m-2 30min-1", "TA_F": "K", "VPD_F": "kPa", "P_F": "mm"}
    tower = towers.read(write(tmp_path / "XX-Abc_HH.csv", with_units(table, units)))
    assert_right(tower)
    for name, right in (("sw_in", 250 * NOON[:48].mean()), ("tair", 12), ("vpd", 6), ("precip", 12)):
        np.testing.assert_allclose(tower[name], right, rtol=1e-4, err_msg=name)


def test_weather_in_units_of_something_else_is_left_out_and_gpp_stays(tmp_path):
    lines = with_units(half_hours(VPD_F=6.0, TA_F=12.0), {"VPD_F": "mmol mol-1"})
    with pytest.warns(
        DataWarning, match="VPD_F of XX-Abc_HH.csv in mmol mol-1 is left out: needs hPa, kPa or Pa"
    ):
        tower = towers.read(write(tmp_path / "XX-Abc_HH.csv", lines))
    assert_right(tower)
    assert "vpd" not in tower
    assert "tair" in tower


def test_units_stand_in_the_name_of_a_column(tmp_path):
    table = half_hours(TA_F=285.15, GPP_NT_VUT_REF=GPP * 1.0377 / 48)
    names = {"TA_F": "TA_F (K)", "GPP_NT_VUT_REF": "GPP_NT_VUT_REF [gC m-2 hh-1]"}
    table.rename(columns=names).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    tower = towers.read(tmp_path / "XX-Abc_HH.csv")
    assert_right(tower)
    np.testing.assert_allclose(tower["tair"], 12)


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_seconds_since_1970_are_times_of_utc_and_told(tmp_path, unit):
    counted = (STARTS - pd.Timestamp(0)) // pd.Timedelta(1, unit)
    half_hours(TIMESTAMP_START=counted).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(DataWarning, match="count from 1970, so in UTC"):
        assert_right(towers.read(tmp_path / "XX-Abc_HH.csv"))


@pytest.mark.parametrize("style", ["%Y%m%d %H%M", "%Y%m%d %H:%M", "%Y-%m-%d %H%M"])
def test_stamps_of_digits_may_have_a_blank_before_the_clock(tmp_path, style):
    half_hours(TIMESTAMP_START=STARTS.strftime(style)).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    assert_right(towers.read(tmp_path / "XX-Abc_HH.csv"))


@pytest.mark.parametrize("code", ["9999", "-99.9", "-", "n.a.", "1e20"])
def test_codes_for_missing_of_loggers_and_people_are_missing(tmp_path, code):
    cells = np.where(np.arange(len(STARTS)) < 48, code, GPP.astype(str))
    half_hours(GPP_NT_VUT_REF=cells).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    tower = towers.read(tmp_path / "XX-Abc_HH.csv")
    np.testing.assert_array_equal(tower["gpp_nt"].dropna("time")["time"], DAYS[1:])


def test_stamps_at_the_end_of_steps_are_known_beside_a_few_holes(tmp_path):
    ends = STARTS + pd.Timedelta("30min")
    table = half_hours().assign(TIMESTAMP=ends.strftime("%Y%m%d%H%M")).drop(columns="TIMESTAMP_START")
    table.drop(index=[10, 70]).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(DataWarning, match="taken for the end of each step"):
        tower = towers.read(tmp_path / "XX-Abc_HH.csv")
    np.testing.assert_array_equal(tower["time"], DAYS)
    np.testing.assert_allclose(tower["gpp_nt"][2], RIGHT[2], rtol=1e-4)


def test_a_row_of_units_may_have_digits_and_stands_once_more_below_a_repeated_header(tmp_path):
    lines = with_units(half_hours(P_F=2.5, GPP_NT_VUT_REF=GPP * 1.0377 / 48), {"P_F": "0.1 mm"})
    lines[1] = "-,gC m-2 30min-1,-,0.1 mm"
    with pytest.warns(DataWarning, match="2 lines that repeat the header or its units"):
        tower = towers.read(write(tmp_path / "XX-Abc_HH.csv", [*lines[:60], *lines[:2], *lines[60:]]))
    assert_right(tower)
    np.testing.assert_allclose(tower["precip"], 12)
