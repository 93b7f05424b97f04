"""The day a store opens on: clear, and in the growing season."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.app.data.start_day import clearest_day, growing_weight


def scene(
    latitude: float = 50.0, gpp=None, days_from_s2=None, first: str = "2020-01-01", last: str = "2020-12-31"
):
    days = pd.date_range(first, last)
    at = days[:: max(1, len(days) // 15)]
    sample = xr.Dataset(coords={"time": at})
    if days_from_s2 is not None:
        sample["days_from_s2"] = ("time", [days_from_s2(day) for day in at])
    predicted = None if gpp is None else xr.Dataset({"gpp": ("time", [gpp(day) for day in at])}, {"time": at})
    return SimpleNamespace(days=days, latitude=latitude, sample=sample, sample_prediction=predicted)


def shares(values: dict[str, float]):
    return SimpleNamespace(clear_shares=pd.Series(values.values(), pd.DatetimeIndex(values.keys())))


def test_the_clearest_day_counts_only_in_the_season():
    imagery = shares({"2020-01-10": 1.0, "2020-06-01": 0.93, "2020-07-20": 0.97, "2020-11-30": 1.0})
    assert clearest_day(scene(), imagery) == dt.date(2020, 7, 20)


def test_of_equally_clear_days_the_one_nearest_to_the_peak_is_taken():
    imagery = shares({"2020-05-20": 1.0, "2020-07-10": 0.995, "2020-08-30": 1.0})
    assert clearest_day(scene(), imagery) == dt.date(2020, 7, 10)


def test_the_season_is_that_of_gpp_where_it_is_predicted():
    """A Mediterranean year, green in April: midsummer is dry."""
    early = scene(gpp=lambda day: 8 * np.exp(-(((day.day_of_year - 105) / 40) ** 2)))
    imagery = shares({"2020-04-10": 0.95, "2020-07-15": 1.0})
    assert clearest_day(early, imagery) == dt.date(2020, 4, 10)
    weight = growing_weight(early)
    assert weight.max() == pytest.approx(1, abs=0.05)
    assert abs(int(weight.argmax()) - 105) < 15


@pytest.mark.parametrize(("unknown", "day"), [(0.2, dt.date(2020, 4, 10)), (1.0, dt.date(2020, 7, 15))])
def test_the_season_of_land_that_the_head_does_not_know_is_the_sun_s(unknown, day):
    early = scene(gpp=lambda day: 8 * np.exp(-(((day.day_of_year - 105) / 40) ** 2)))
    predicted = early.sample_prediction
    predicted["ood"] = ("time", np.arange(predicted.sizes["time"]) < unknown * predicted.sizes["time"])
    assert clearest_day(early, shares({"2020-04-10": 0.95, "2020-07-15": 1.0})) == day


def test_the_season_is_in_january_in_the_south_and_all_year_in_the_tropics():
    imagery = shares({"2020-01-20": 0.9, "2020-07-15": 1.0})
    assert clearest_day(scene(latitude=-35), imagery) == dt.date(2020, 1, 20)
    assert clearest_day(scene(latitude=-3), imagery) == dt.date(2020, 7, 15)


def test_without_sentinel_2_the_sampled_day_nearest_to_a_clear_view_is_taken():
    none = SimpleNamespace(clear_shares=None)
    found = clearest_day(scene(days_from_s2=lambda day: abs(day.day_of_year - 200)), none)
    assert abs(found.timetuple().tm_yday - 200) <= 13
    peak = clearest_day(scene(days_from_s2=lambda day: -1), none)  # no view at all
    assert peak == dt.date(2020, 7, 14)


def test_a_store_of_a_winter_opens_inside_its_period():
    imagery = shares({"2019-07-01": 1.0, "2020-02-20": 0.4})
    winter = scene(first="2020-01-01", last="2020-02-28")
    assert clearest_day(winter, imagery) == dt.date(2020, 2, 20)


def test_the_tiny_store_opens_clear_and_green(data):
    assert data.start_day in data.imagery.clear_days
    assert dt.date(2020, 5, 1) < data.start_day < dt.date(2020, 9, 1)
    assert data.imagery.clear_days == sorted(set(data.imagery.clear_days))
