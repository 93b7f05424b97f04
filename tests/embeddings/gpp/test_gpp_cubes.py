"""GPP of cubes: series and maps agree, weather may be missing, the band widens then, and provenance is carried."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fluxlens.embeddings import gpp
from fluxlens.embeddings.gpp import cubes
from fluxlens.embeddings.gpp import drivers as gpp_drivers
from fluxlens.embeddings.scenes.reflectance_check import ATTR, TOO_HIGH
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.daily_head import Config, DailyHead
from fluxlens.models.gpp.drivers import DRIVERS, PIXEL, PIXEL_DRIVERS

from tests.tiny_cube import random_cube

FEATURES = 4


@pytest.fixture(scope="module")
def head() -> gpp.DailyGppHead:
    torch.manual_seed(3)
    net = DailyHead(Config(FEATURES)).eval().requires_grad_(False)
    return gpp.DailyGppHead(net, "0" * 8, "abc", {})


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return random_cube(ny=6, nx=8)


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    days = pd.date_range("2019-11-01", "2020-02-28", unit="ns")
    n = np.arange(len(days))
    parts = {"sw_in": 60 + n % 30, "tair": 5 + n % 7, "vpd": 2 + n % 3, "precip": (n % 4).astype(float)}
    return xr.Dataset({k: ("time", v.astype(np.float32)) for k, v in parts.items()}, {"time": days})


def test_a_map_has_the_dims_of_its_cube_units_and_provenance(cube, weather, head):
    out = gpp.predict(cube, weather, head)
    assert out["gpp"].dims == ("time", "y", "x")
    assert set(out.data_vars) == {"gpp", "gpp_lo", "gpp_hi", "ood"}
    assert out["gpp"].attrs["units"] == "gC m-2 d-1"
    assert out["ood"].dtype == bool
    assert out.attrs["gpp_head_digest"] == "abc"
    assert out.attrs["simulated"] == 1
    assert ((out.gpp_lo <= out.gpp) & (out.gpp <= out.gpp_hi)).all()
    assert (out.gpp >= 0).all()


def test_a_pixel_a_day_and_the_whole_cube_agree(cube, weather, head):
    whole = gpp.predict(cube, weather, head)
    pixel = gpp.predict(cube.isel(y=2, x=5), weather, head)
    day = gpp.predict(cube.isel(time=[3]), weather, head)
    np.testing.assert_allclose(pixel["gpp"], whole["gpp"][:, 2, 5], rtol=1e-5)
    np.testing.assert_allclose(day["gpp_hi"], whole["gpp_hi"][3:4], rtol=1e-5)
    assert pixel["gpp"].dims == ("time",)


@pytest.mark.parametrize("place", [{}, {"y": 2, "x": 5}])
def test_a_day_selected_by_its_index_is_predicted_without_the_dim_time(cube, weather, head, place):
    one, of_many = (gpp.predict(cube.isel(time=day, **place), weather, head) for day in (3, [3]))
    assert one["gpp"].dims == cube["sigma"].isel(time=3, **place).dims
    assert one["time"] == cube["time"][3]
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], of_many[name][0])


def test_every_pixel_day_of_a_scene_of_wrong_reflectance_is_flagged(cube, weather, head):
    out = gpp.predict(cube.assign_attrs({ATTR: TOO_HIGH}), weather, head)
    assert out["ood"].all()
    assert not gpp.predict(cube, weather, head)["ood"].all()
    assert out.attrs[ATTR] == TOO_HIGH
    # Nothing but the flag: what a map shows stays comparable.
    np.testing.assert_array_equal(out["gpp"], gpp.predict(cube, weather, head)["gpp"])


def test_small_chunks_give_the_same(cube, weather, head, monkeypatch):
    whole = gpp.predict(cube, weather, head)
    monkeypatch.setattr(cubes, "CHUNK", 100)
    chunks = gpp.predict(cube, weather, head)
    np.testing.assert_allclose(chunks["gpp"], whole["gpp"], rtol=1e-5)
    xr.testing.assert_identical(gpp.predict(cube, weather, head, threads=3), chunks)


def test_without_the_flag_the_numbers_are_the_same(cube, weather, head):
    without = gpp.predict(cube, weather, head, with_ood=False)
    xr.testing.assert_identical(without, gpp.predict(cube, weather, head).drop_vars("ood"))


def test_what_fails_in_a_thread_fails_the_prediction(cube, weather, head, monkeypatch):
    monkeypatch.setattr(cubes, "CHUNK", 100)
    monkeypatch.setattr(cubes, "pixel_drivers", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gpp.predict(cube, weather, head, threads=3)


def test_weather_by_other_names_or_of_another_kind_is_refused_and_not_ignored(cube, weather, head):
    node = xr.DataTree.from_dict({"weather": weather})
    as_node = gpp.predict(cube, node["weather"], head)
    np.testing.assert_array_equal(as_node["gpp"], gpp.predict(cube, weather, head)["gpp"])
    # A whole scene, a table, and names of ERA5: each would have counted as no weather at all.
    for wrong in (node, weather.to_dataframe(), weather.rename(sw_in="ssrd", tair="t2m")[["ssrd", "t2m"]]):
        with pytest.raises(InputError, match="need a Dataset with some of sw_in"):
            gpp.predict(cube, wrong, head)


def test_without_weather_day_length_and_clear_sky_stand_in(cube, weather, head):
    for poor in (None, weather[["tair"]], weather.isel(time=slice(0, 5))):
        out = gpp.predict(cube, poor, head)
        assert np.isfinite(out[["gpp", "gpp_lo", "gpp_hi"]].to_array()).all()
    assert "clear-sky" in gpp.predict(cube, None, head).attrs["weather"]


def test_missing_weather_is_a_fact_beside_the_numbers():
    days = pd.date_range("2020-06-01", periods=3)
    sw, drivers = gpp_drivers.daily_drivers(None, days, 50.0)
    assert (sw > 100).all()
    assert (drivers[:, [DRIVERS.index(f"no_{name}") for name in ("tair", "vpd", "rain", "sw")]] == 1).all()


def test_drivers_of_a_pixel_are_found_by_their_names():
    gap, sigma = np.array([[0, -1]], np.int16), np.array([[0.01, np.nan]], np.float32)
    both = gpp_drivers.pixel_drivers(gap, sigma, gap.shape)
    np.testing.assert_allclose(both[..., PIXEL_DRIVERS.index("gap")], [[0, 1]], rtol=1e-6)
    np.testing.assert_allclose(both[..., PIXEL_DRIVERS.index("sigma")], [[0.4, 4]])
    assert not gpp_drivers.pixel_drivers(None, None, (2, 3)).any()
    shared = gpp_drivers.daily_drivers(None, pd.date_range("2020-06-01", periods=2), 50.0)[1]
    assert not shared[:, PIXEL].any()
    assert shared[:, [i for i in range(len(DRIVERS)) if i not in PIXEL]].any(0).sum() >= 6


def test_rain_fills_the_ground_and_plants_empty_it_slower_as_it_dries():
    rain, demand = np.zeros(200), np.full(200, 5.0)
    rain[:20] = 30
    full, sparse = (gpp_drivers.soil_water_balance(rain, demand, cover) for cover in (1.0, 0.3))
    assert full[20] > 0.9
    assert (np.diff(full[20:]) < 0).all()
    assert (np.diff(full[20:], 2)[60:] > 0).all()
    assert (sparse[21:] > full[21:]).all()
    assert ((full >= 0) & (full <= 1)).all()


def test_ground_water_begins_as_the_first_year_leaves_it():
    dry, wet = (
        gpp_drivers.soil_water_balance(np.full(365, rain), np.full(365, 5.0), 1.0) for rain in (0.0, 9.0)
    )
    assert dry[0] < 0.01
    assert wet[0] > 0.95


def test_days_without_rain_or_demand_leave_the_ground_as_it_is_and_are_missing():
    rain = np.full(30, 1.0)
    rain[10:15] = np.nan
    water = gpp_drivers.soil_water_balance(rain, np.full(30, 4.0), 0.5)
    assert np.isnan(water[10:15]).all()
    assert np.isfinite(np.delete(water, range(10, 15))).all()


def test_the_recent_past_counts_even_for_a_single_day(weather):
    day = pd.DatetimeIndex(["2020-02-10"])
    all_year, alone = (gpp_drivers.daily_drivers(w, day, 50.0)[1] for w in (weather, weather.sel(time=day)))
    assert all_year[0, 1] != alone[0, 1]
    assert all_year[0, 0] == alone[0, 0]


def test_embeddings_of_another_model_are_refused(cube, weather, head):
    other = cube.assign_attrs(model_digest="1" * 8)
    with pytest.raises(InputError, match="need those of"):
        gpp.predict(other, weather, head)


def test_a_cube_without_a_place_is_refused(cube, head):
    with pytest.raises(InputError, match="lat"):
        gpp.predict(cube.drop_vars(["x", "y", "spatial_ref"]), None, head)


def test_the_shipped_head_fits_the_shipped_model_and_says_what_it_was_trained_on():
    from fluxlens.models import checkpoints

    head = gpp.load()
    assert head.model_digest == checkpoints.load("default", "cpu").digest
    assert "landscapes" in head.card["taught_by"]


def test_the_head_takes_the_model_it_was_trained_with_and_no_other():
    assert gpp.is_compatible({"model_digest": gpp.load().model_digest})
    assert not gpp.is_compatible({"model_digest": "0123456789abcdef"})
