"""Climatologies learn from the training days only, and count days as in a leap year."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings import climatology
from fluxlens.models.errors import InputError


def series(values, start: str = "2018-01-01") -> xr.DataArray:
    days = pd.date_range(start, periods=len(values)).as_unit("ns")
    return xr.DataArray(np.asarray(values, float), dims="time", coords={"time": days})


@pytest.fixture
def years() -> xr.DataArray:
    """2018-2020 (leap), each year's season shifted by one."""
    days = pd.date_range("2018-01-01", "2020-12-31")
    season = -np.cos(2 * np.pi * climatology.leap_doy(days) / 366)
    return series(5 + 4 * season + (days.year - 2019))


def test_the_climatology_is_the_mean_of_the_training_years(years):
    mean = climatology.doy_climatology(years, train=[2018, 2019])
    assert mean.sizes == years.sizes
    last = years["time"].dt.year == 2020
    np.testing.assert_allclose((years - mean)[last], 1.5, atol=0.04)  # the window rounds off the season


def test_nothing_is_learnt_from_the_test_year(years):
    mean = climatology.doy_climatology(years, train=[2018, 2019])
    spoilt = years.where(years["time"].dt.year < 2020, 1e6)
    xr.testing.assert_identical(climatology.doy_climatology(spoilt, train=[2018, 2019]), mean)


def test_years_and_their_mask_say_the_same(years):
    mask = years["time"].dt.year < 2020
    xr.testing.assert_identical(
        climatology.doy_climatology(years, mask), climatology.doy_climatology(years, [2018, 2019])
    )


def test_the_window_reaches_fifteen_days_and_around_new_year():
    spike = np.zeros(365)
    spike[2] = 15
    mean = climatology.doy_climatology(series(spike), [2018])
    np.testing.assert_allclose(mean, np.isin(np.arange(365), [*range(10), *range(360, 365)]))


def test_a_gap_shorter_than_the_window_is_bridged(years):
    gappy = years.where(years["time"].dt.dayofyear != 100)
    assert not climatology.doy_climatology(gappy, [2018]).isnull().any()


def test_the_first_of_march_is_one_day_of_the_year_in_all_years():
    days = pd.DatetimeIndex(["2019-02-28", "2019-03-01", "2020-02-29", "2020-03-01", "2019-12-31"])
    assert climatology.leap_doy(days).tolist() == [58, 60, 59, 60, 365]


def test_without_training_days_there_is_no_climatology(years):
    with pytest.raises(InputError, match="name other training years"):
        climatology.doy_climatology(years, [1999])
    with pytest.raises(InputError, match="one flag a day"):
        climatology.doy_climatology(years, np.ones(3, bool))


def test_days_between_two_images_lie_on_a_line():
    images = series([0.1, np.nan, 0.3, 0.2]).isel(time=[0, 1, 2, 3])
    days = series(np.zeros(6), "2017-12-31")["time"]
    np.testing.assert_allclose(climatology.interpolate_daily(images, days), [0.1, 0.1, 0.2, 0.3, 0.2, 0.2])


def test_the_climatology_of_other_years_never_holds_the_own(years):
    out = climatology.leave_year_out_climatology(years)
    for year in np.unique(years["time"].dt.year):
        own = years["time"].dt.year == year
        changed = climatology.leave_year_out_climatology(years.where(~own, 99.0))
        np.testing.assert_allclose(changed[own], out[own])
    with pytest.raises(InputError, match="one year"):
        climatology.leave_year_out_climatology(years.sel(time=own))


def test_the_climatology_of_a_plant_type_falls_back_on_all_rows():
    train = pd.DataFrame(
        {
            "date": pd.to_datetime(["2018-06-01", "2018-06-03", "2018-06-01", "2018-12-01"]),
            "type": ["GRA", "GRA", "CRO", "CRO"],
            "gpp": [4.0, 6.0, 9.0, 1.0],
        }
    )
    test = pd.DataFrame(
        {"date": pd.to_datetime(["2019-06-02", "2019-12-01", "2019-03-01"]), "type": ["GRA", "GRA", "GRA"]}
    )
    np.testing.assert_allclose(climatology.pft_climatology(train, test), [5, 1, 5])
