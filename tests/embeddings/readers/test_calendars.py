"""NetCDF in calendars of climate models: towers and cubes have their dates and are told, or are refused."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings import calendars, towers
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes import schema
from fluxlens.models.errors import DataWarning, InputError
from raster_files import as_variables, truth

LEAP = pd.date_range("2020-01-01", "2020-12-31").drop("2020-02-29")
OTHER = pd.date_range("2019-02-01", "2019-03-31")


def numbered(calendar: str, days: pd.DatetimeIndex) -> tuple[np.ndarray, dict]:
    """Days since 2019 as a file of that calendar counts them."""
    times = xr.date_range("2019-01-01", periods=800, calendar=calendar, use_cftime=True)
    at = {time.strftime("%Y-%m-%d"): number for number, time in enumerate(times)}
    attrs = {"units": "days since 2019-01-01", "calendar": calendar}
    return np.array([at[f"{day:%Y-%m-%d}"] for day in days]), attrs


def write_tower(folder, numbers: np.ndarray, attrs: dict):
    gpp = 6 + 3 * np.sin(np.arange(len(numbers)) / 20)
    data = xr.Dataset({"GPP": ("time", gpp, {"units": "gC m-2 d-1"})}, {"time": ("time", numbers, attrs)})
    data.to_netcdf(path := folder / "XX-Abc_model_Flux.nc")
    return path, gpp


@pytest.mark.parametrize(
    ("calendar", "days"),
    [("noleap", LEAP), ("365_day", LEAP), ("all_leap", LEAP), ("366_day", OTHER), ("standard", LEAP)],
)
def test_a_tower_has_the_dates_of_its_calendar_and_is_told(tmp_path, calendar, days):
    path, gpp = write_tower(tmp_path, *numbered(calendar, days))
    is_told = calendar != "standard"
    of_cftime = {"365_day": "noleap", "366_day": "all_leap"}.get(calendar, calendar)
    message = (
        rf"{path.name} are of the calendar {of_cftime}.*; all {len(days)} are dates of the standard calendar"
    )
    with pytest.warns(DataWarning, match=message) if is_told else contextlib.nullcontext():
        tower = towers.read(path)
    known = tower["gpp_nt"].dropna("time")
    np.testing.assert_array_equal(known["time"], days)
    np.testing.assert_allclose(known, gpp)


def test_dates_that_the_standard_calendar_lacks_are_refused(tmp_path):
    numbers, attrs = numbered("all_leap", OTHER)
    path, _ = write_tower(tmp_path, np.arange(numbers[0], numbers[-1] + 1), attrs)
    with pytest.raises(
        InputError, match=r"1 times of the calendar all_leap .* lacks, such as 2019-02-29, need the"
    ):
        towers.read(path)


@pytest.mark.parametrize("calendar", ["360_day", "julian"])
def test_calendars_of_other_days_are_refused(tmp_path, calendar):
    attrs = {"units": "days since 2019-01-01", "calendar": calendar}
    # Of the first weeks each is a date of both calendars.
    path, _ = write_tower(tmp_path, np.arange(20), attrs)
    with pytest.raises(
        InputError, match=f"times of the calendar {calendar}, whose days are not those of the year"
    ):
        towers.read(path)


def write_cube(folder, calendar: str):
    of = truth()
    days = pd.DatetimeIndex(of.times).normalize()
    numbers, attrs = numbered(calendar, days) if calendar != "360_day" else (np.array([130, 135, 140]), {})
    data = as_variables(of).assign_coords(time=("time", numbers, attrs | {"units": "days since 2019-01-01"}))
    data["time"].attrs["calendar"] = calendar
    data.to_netcdf(path := folder / "cube.nc")
    return path, days


def test_a_cube_has_the_dates_of_its_calendar_and_is_told(tmp_path):
    path, days = write_cube(tmp_path, "noleap")
    with pytest.warns(
        DataWarning, match=r"cube.nc are of the calendar noleap, without any 29 February; all 3 are"
    ):
        scene = open_scene(path)
    np.testing.assert_array_equal(
        schema.utc_days(scene["s2"].to_dataset()), days.values.astype("datetime64[D]")
    )


def test_a_cube_of_360_days_is_refused(tmp_path):
    path, _ = write_cube(tmp_path, "360_day")
    with pytest.raises(InputError, match=r"cube.nc with times of the calendar 360_day, whose days are not"):
        open_scene(path)


def test_times_without_a_calendar_are_left_to_others():
    for values in (LEAP.values, np.array(["2019-05-12"], object), np.array([]), np.array([20190512])):
        assert calendars.calendar_of(values) is None
