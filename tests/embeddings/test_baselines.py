"""Baselines learn from the training days only, and are what their names say."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from embeddings import baselines, metrics
from models.errors import InputError


def series(values, start: str = "2018-01-01") -> xr.DataArray:
    days = pd.date_range(start, periods=len(values)).as_unit("ns")
    return xr.DataArray(np.asarray(values, float), dims="time", coords={"time": days})


@pytest.fixture
def years() -> xr.DataArray:
    """2018-2020 (leap), each year's season shifted by one."""
    days = pd.date_range("2018-01-01", "2020-12-31")
    season = -np.cos(2 * np.pi * baselines.slots(days) / 366)
    return series(5 + 4 * season + (days.year - 2019))


def test_the_usual_year_is_the_mean_of_the_training_years(years):
    usual = baselines.doy_climatology(years, train=[2018, 2019])
    assert usual.sizes == years.sizes
    last = years["time"].dt.year == 2020
    np.testing.assert_allclose((years - usual)[last], 1.5, atol=0.04)  # the window rounds off the season


def test_nothing_is_learnt_from_the_test_year(years):
    usual = baselines.doy_climatology(years, train=[2018, 2019])
    spoilt = years.where(years["time"].dt.year < 2020, 1e6)
    xr.testing.assert_identical(baselines.doy_climatology(spoilt, train=[2018, 2019]), usual)


def test_years_and_their_mask_say_the_same(years):
    mask = years["time"].dt.year < 2020
    xr.testing.assert_identical(
        baselines.doy_climatology(years, mask), baselines.doy_climatology(years, [2018, 2019])
    )


def test_the_window_reaches_fifteen_days_and_around_new_year():
    spike = np.zeros(365)
    spike[2] = 15
    usual = baselines.doy_climatology(series(spike), [2018])
    np.testing.assert_allclose(usual, np.isin(np.arange(365), [*range(10), *range(360, 365)]))


def test_a_gap_shorter_than_the_window_is_bridged(years):
    gappy = years.where(years["time"].dt.dayofyear != 100)
    assert not baselines.doy_climatology(gappy, [2018]).isnull().any()


def test_the_first_of_march_is_one_slot_in_all_years():
    days = pd.DatetimeIndex(["2019-02-28", "2019-03-01", "2020-02-29", "2020-03-01", "2019-12-31"])
    assert baselines.slots(days).tolist() == [58, 60, 59, 60, 365]


def test_without_training_days_there_is_no_climatology(years):
    with pytest.raises(InputError, match="name other training years"):
        baselines.doy_climatology(years, [1999])
    with pytest.raises(InputError, match="one flag a day"):
        baselines.doy_climatology(years, np.ones(3, bool))


def test_nirv_by_hand():
    reflectance = xr.DataArray([0.05, 0.45], dims="band", coords={"band": ["B04", "B8A"]})
    assert float(baselines.nirv(reflectance)) == pytest.approx(0.8 * 0.45)
    assert float(baselines.nirv(reflectance.assign_coords(band=["B04", "B08"]))) == pytest.approx(0.36)
    with pytest.raises(InputError, match="need B04 and B8A or B08"):
        baselines.nirv(reflectance.assign_coords(band=["B04", "B11"]))


def test_days_between_two_images_lie_on_a_line():
    seen = series([0.1, np.nan, 0.3, 0.2]).isel(time=[0, 1, 2, 3])
    days = series(np.zeros(6), "2017-12-31")["time"]
    np.testing.assert_allclose(baselines.every_day(seen, days), [0.1, 0.1, 0.2, 0.3, 0.2, 0.2])


def test_light_use_finds_its_one_parameter_again(years):
    rng = np.random.default_rng(0)
    nirv, sw_in = years / 40, series(rng.uniform(50, 300, years.size))
    gpp = 0.07 * nirv * sw_in
    assert baselines.light_use(nirv, sw_in, gpp, [2018]) == pytest.approx(0.07)
    assert metrics.nse(gpp, baselines.nirv_par(nirv, sw_in, gpp, [2018])) == pytest.approx(1)
    noisy = gpp + rng.normal(0, 1, gpp.size)
    by_hand = np.linalg.lstsq((nirv * sw_in).values[:365, None], noisy.values[:365], rcond=None)[0][0]
    assert baselines.light_use(nirv, sw_in, noisy, [2018]) == pytest.approx(by_hand)


@pytest.mark.real
def test_on_the_public_table_nirv_times_light_scores_what_others_found(real_data):
    """Leave-site-out on 751 site-dates of 30 towers: NSE 0.657, RMSE 2.10 (stated with the data)."""
    table = pd.read_csv(real_data / "flux_hls_table" / "hls_merra2_gpp.csv")
    gpp_column = next(name for name in table if name.upper().startswith("GPP"))
    site_column = next(name for name in table if name.upper() in ("SITEID", "SITE", "SITE_ID"))
    fake_days = pd.date_range("2000-01-01", periods=len(table)).as_unit("ns")

    def column(values) -> xr.DataArray:
        return xr.DataArray(np.asarray(values, float), dims="time", coords={"time": fake_days})

    bands = xr.DataArray(
        table[["b4", "b5"]].values, dims=("time", "band"), coords={"time": fake_days, "band": ["B04", "B8A"]}
    )
    nirv, gpp, sw_in = baselines.nirv(bands), column(table[gpp_column]), column(table["SWLAND"])
    predicted = gpp.copy(data=np.full(len(table), np.nan))
    for site in table[site_column].unique():
        out = (table[site_column] == site).values
        predicted[out] = (baselines.light_use(nirv, sw_in, gpp, ~out) * nirv * sw_in)[out]
    assert metrics.nse(gpp, predicted) == pytest.approx(0.657, abs=0.01)
    assert metrics.rmse(gpp, predicted) == pytest.approx(2.10, abs=0.03)


def test_the_climatology_of_other_years_never_holds_the_own(years):
    found = baselines.other_years(years)
    for year in np.unique(years["time"].dt.year):
        own = years["time"].dt.year == year
        changed = baselines.other_years(years.where(~own, 99.0))
        np.testing.assert_allclose(changed[own], found[own])
    with pytest.raises(InputError, match="one year"):
        baselines.other_years(years.sel(time=own))


def test_the_usual_cycle_of_a_kind_falls_back_on_all_rows():
    train = pd.DataFrame(
        {
            "date": pd.to_datetime(["2018-06-01", "2018-06-03", "2018-06-01", "2018-12-01"]),
            "type": ["GRA", "GRA", "CRO", "CRO"],
            "gpp": [4.0, 6.0, 9.0, 1.0],
        }
    )
    asked = pd.DataFrame(
        {"date": pd.to_datetime(["2019-06-02", "2019-12-01", "2019-03-01"]), "type": ["GRA", "GRA", "GRA"]}
    )
    np.testing.assert_allclose(baselines.usual_cycle(train, asked), [5, 1, 5])
