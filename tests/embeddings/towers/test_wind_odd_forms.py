"""Wind and turbulence in units and tables that people have: the numbers of the plain file, or one sentence."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError
from test_tower_odd_forms import STARTS, toa5, with_units, write

DRAW = np.random.default_rng(3)
COUNT = len(STARTS)
WIND = pd.DataFrame(
    {
        "WS": DRAW.uniform(2, 4, COUNT).round(3), "WD": DRAW.uniform(1, 359, COUNT).round(1),
        "USTAR": DRAW.uniform(0.2, 0.5, COUNT).round(4), "H": 60.0, "TA": 15.0, "PA": 98.5,
        "V_SIGMA": DRAW.uniform(0.5, 0.9, COUNT).round(4),
    }
)  # fmt: skip
UNITS = {
    "WS": "m s-1",
    "WD": "deg",
    "USTAR": "m s-1",
    "H": "W m-2",
    "TA": "degC",
    "PA": "kPa",
    "V_SIGMA": "m s-1",
}
KELVIN = 288.15
LENGTH = -1000 * 98.5 / (287.05 * KELVIN) * 1005 * KELVIN * WIND["USTAR"] ** 3 / (0.4 * 9.81 * 60)


def stamped(**more) -> pd.DataFrame:
    table = WIND.assign(**more)
    table.insert(0, "TIMESTAMP_START", STARTS.strftime("%Y%m%d%H%M"))
    return table


def assert_right(wind: pd.DataFrame, columns=("wind", "direction", "ustar", "sigma_v", "obukhov")) -> None:
    right = {"wind": WIND["WS"], "direction": WIND["WD"], "ustar": WIND["USTAR"], "sigma_v": WIND["V_SIGMA"]}
    right["obukhov"] = LENGTH
    assert list(wind.index) == list(STARTS)
    for name in columns:
        np.testing.assert_allclose(wind[name], right[name], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("column", "unit", "values"),
    [
        ("WS", "km/h", WIND["WS"] * 3.6), ("WS", "knots", WIND["WS"] / 0.514444), ("WS", "[m+1s-1]", WIND["WS"]),
        ("USTAR", "cm s-1", WIND["USTAR"] * 100), ("V_SIGMA", "cm/s", WIND["V_SIGMA"] * 100), ("TA", "K", KELVIN),
        ("WD", "rad", np.radians(WIND["WD"])), ("PA", "mmHg", 98.5 * 7.50062), ("PA", "hPa", 985.0),
    ],
)  # fmt: skip
def test_wind_is_read_in_the_units_that_the_file_states(tmp_path, column, unit, values):
    lines = with_units(stamped(**{column: values}), UNITS | {column: unit})
    assert_right(towers.turbulence(write(tmp_path / "XX-Abc_HH.csv", lines)))


def test_wind_in_units_that_are_none_of_it_is_refused(tmp_path):
    lines = with_units(stamped(), UNITS | {"H": "K m s-1"})
    with pytest.raises(InputError, match=r"XX-Abc_HH\.csv with H in 'K m s-1', need W m-2; convert it"):
        towers.turbulence(write(tmp_path / "XX-Abc_HH.csv", lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"USTAR": WIND["USTAR"] * 100}, "u\\* of .* need m s-1; it looks like cm s-1"),
        ({"WD": np.radians(WIND["WD"])}, "wind directions up to 6.*, need degrees; it looks like radians"),
    ],
)
def test_numbers_in_other_units_without_a_word_are_refused(tmp_path, change, message):
    stamped(**change).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.raises(InputError, match=message):
        towers.turbulence(tmp_path / "XX-Abc_HH.csv")


def test_a_wind_in_km_per_hour_without_a_word_is_told(tmp_path):
    stamped(WS=WIND["WS"] * 3.6, USTAR=WIND["USTAR"] / 2).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(DataWarning, match="times its u\\* at the median: it looks like km h-1"):
        towers.turbulence(tmp_path / "XX-Abc_HH.csv")


def test_codes_beyond_what_air_can_do_are_left_out_and_directions_turned(tmp_path):
    ustar = WIND["USTAR"].where(np.arange(COUNT) != 5, 9999.0)
    direction = WIND["WD"].where(WIND["WD"] <= 180, WIND["WD"] - 360)
    stamped(USTAR=ustar, WD=direction).to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(
        DataWarning, match="1 of 144 numbers of ustar of .*, such as 9999, are not 0 to 10 m s-1"
    ):
        wind = towers.turbulence(tmp_path / "XX-Abc_HH.csv")
    assert np.flatnonzero(wind["ustar"].isna()).tolist() == [5]
    np.testing.assert_allclose(wind["direction"], WIND["WD"], atol=1e-6)


def test_a_loggers_table_serves_for_the_footprint(tmp_path):
    names = {"WD": "wnd_dir_compass", "WS": "wnd_spd", "USTAR": "u_star"}
    lines = toa5(
        WIND.rename(columns=names), ["m/s", "decimal degrees", "m/s", "W/m^2", "deg_C", "kPa", "m/s"]
    )
    assert_right(towers.turbulence(write(tmp_path / "XX-Abc_Flux_CSFormat.csv", lines)))


@pytest.mark.parametrize("blank", ["", " "])
def test_the_input_of_the_footprint_model_online_is_read(tmp_path, blank):
    columns = {
        "yyyy": STARTS.year, "mm": STARTS.month, "day": STARTS.day, "HH_UTC": STARTS.hour, "MM": STARTS.minute,
        "zm": 3.0, "d": 0.2, "z0": 0.03, "u_mean": WIND["WS"], "L": LENGTH.round(4), "sigma_v": WIND["V_SIGMA"],
        "u_star": WIND["USTAR"], "wind_dir": WIND["WD"],
    }  # fmt: skip
    lines = pd.DataFrame(columns).to_csv(index=False).replace(",", f",{blank}").splitlines()
    assert_right(towers.turbulence(write(tmp_path / "XX-Abc_ffp.csv", lines)))


def test_wind_with_dates_of_a_spreadsheet_and_without_gpp_is_read(tmp_path):
    table = stamped().rename(columns={"TIMESTAMP_START": "DateTime", "V_SIGMA": "SIGMA_V"})
    table["DateTime"] = STARTS.strftime("%Y-%m-%d %H:%M:%S")
    table.to_csv(tmp_path / "XX-Abc_wind.csv", index=False)
    assert_right(towers.turbulence(tmp_path / "XX-Abc_wind.csv"))


def full_output(ends: pd.DatetimeIndex) -> list[str]:
    """EddyPro's full output: groups, names, units; stamped at the end of each half-hour, in K and Pa."""
    columns = {
        "filename": "a.ghg", "date": ends.strftime("%Y-%m-%d"), "time": ends.strftime("%H:%M"), "H": 60.0,
        "air_temperature": KELVIN, "air_pressure": 98500.0, "wind_speed": WIND["WS"], "wind_dir": WIND["WD"],
        "u*": WIND["USTAR"], "v_var": WIND["V_SIGMA"] ** 2,
    }  # fmt: skip
    units = ",[yyyy-mm-dd],[HH:MM],[W+1m-2],[K],[Pa],[m+1s-1],[deg_from_north],[m+1s-1],[m+2s-2]"
    header, *rows = pd.DataFrame(columns).to_csv(index=False).splitlines()
    return ["file_info,,,corrected_fluxes,,,rotated_wind,,,", header, units, *rows]


def test_full_outputs_put_together_repeat_three_lines(tmp_path):
    lines = full_output(STARTS + pd.Timedelta("30min"))
    path = write(tmp_path / "eddypro_full_output.csv", [*lines[:63], *lines[:3], *lines[63:]])
    with pytest.warns(DataWarning, match="3 lines that repeat the header or its units"):
        assert_right(towers.turbulence(path))


def test_wind_and_gpp_of_one_file_are_of_the_same_half_hours(tmp_path):
    table = stamped(GPP_NT_VUT_REF=5.0).rename(columns={"TIMESTAMP_START": "TIMESTAMP"})
    table["TIMESTAMP"] = (STARTS + pd.Timedelta("30min")).strftime("%Y%m%d%H%M")
    table.to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    with pytest.warns(DataWarning, match="taken for the end of each step"):
        assert towers.read(tmp_path / "XX-Abc_HH.csv").sizes["time"] == 3
    with pytest.warns(DataWarning, match="taken for the end of each step"):
        assert_right(towers.turbulence(tmp_path / "XX-Abc_HH.csv"))
