"""Baselines beside a prediction at a tower: their numbers by hand, and that none has seen the days it is scored on."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings.evaluation import gpp_at_tower, tower_baselines
from fluxlens.embeddings.evaluation.tower_baselines import BaselineInputs, model_split
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.gpp import baselines, load
from fluxlens.embeddings.gpp.tower_light_use import light_use_of_other_towers

GRID = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, 6, 5)
DAYS = pd.date_range("2018-12-01", "2020-11-30")
"""Two years and a month of a third, whose 31 days are too few to fit a factor to alone."""
ROW, COL = 2, 3
LON, LAT = (float(value) for value in GRID.lonlat(float(GRID.x[COL]), float(GRID.y[ROW])))
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    shots = DAYS[::8] + pd.Timedelta(hours=10, minutes=30)
    season = 0.5 - 0.5 * np.cos(2 * np.pi * (shots.day_of_year.values - 15) / 365.25)
    shape = (len(shots), 3, GRID.ny, GRID.nx)
    base, slope = (np.array(values)[:, None, None] for values in ([0.05, 0.10, 0.15], [0.0, -0.06, 0.30]))
    reflectance = base + slope * season[:, None, None, None] + RNG.normal(0, 0.003, shape)
    clear = RNG.random((len(shots), GRID.ny, GRID.nx)) > 0.3
    reflectance[~clear[:, None].repeat(3, 1)] = 0.6  # a cloud that must not enter
    sun = (130 + 110 * np.sin((DAYS.day_of_year.values - 80) / 365 * 2 * np.pi)) * RNG.uniform(
        0.5, 1.1, len(DAYS)
    )
    air = 9 + 9 * np.sin((DAYS.day_of_year.values - 110) / 365 * 2 * np.pi)
    weather = xr.Dataset(
        {"sw_in": ("time", sun), "tair": ("time", air), "vpd": ("time", 0.4 * air.clip(1))}, {"time": DAYS}
    )
    s2 = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), reflectance),
            "clear": (("time", "y", "x"), clear),
        },
        {"time": shots, "band": ["B02", "B04", "B08"], "y": GRID.y, "x": GRID.x},
    )
    return xr.DataTree.from_dict({"/s2": s2, "/weather": weather})


@pytest.fixture(scope="module")
def inputs(scene) -> BaselineInputs:
    return BaselineInputs.from_scene(scene, GRID, LON, LAT)


@pytest.fixture(scope="module")
def light(scene) -> pd.Series:
    """NIRv x shortwave of the tower's pixel by numpy and pandas alone."""
    s2 = scene["s2"].to_dataset()
    clear = s2["clear"].values[:, ROW, COL]
    red, nir = s2["reflectance"].values[clear][:, 1:, ROW, COL].T
    at = pd.DatetimeIndex(s2["time"].values[clear]).normalize()
    nirv = np.interp((DAYS - DAYS[0]).days, (at - DAYS[0]).days, (nir - red) / (nir + red) * nir)
    return pd.Series(nirv * scene["weather"]["sw_in"].values, DAYS)


def tower_of(gpp: pd.Series, **attrs) -> xr.Dataset:
    return xr.Dataset({"gpp_nt": ("time", gpp.values)}, {"time": gpp.index}, {"site": "XX-New", **attrs})


@pytest.fixture(scope="module")
def measured(light) -> pd.Series:
    """Light-use efficiency that differs from year to year, and noise."""
    k = DAYS.year.map({2018: 0.09, 2019: 0.10, 2020: 0.14})
    return light * k + RNG.normal(0, 0.4, len(DAYS))


def predicted_of(gpp: pd.Series, **attrs) -> xr.Dataset:
    values = gpp.reindex(DAYS, fill_value=5.0).values
    bounds = {"gpp": values, "gpp_lo": values - 1, "gpp_hi": values + 1}
    return xr.Dataset({name: ("time", column) for name, column in bounds.items()}, {"time": DAYS}, attrs)


def slope(light: pd.Series, gpp: pd.Series) -> float:
    return float((light * gpp).sum() / (light**2).sum())


def nse(observed: pd.Series, predicted: pd.Series) -> float:
    return 1 - ((observed - predicted) ** 2).sum() / ((observed - observed.mean()) ** 2).sum()


def test_nirv_x_light_of_a_daily_tower_is_fitted_in_its_other_years(inputs, light, measured):
    result = gpp_at_tower.evaluate_at_tower(predicted_of(measured), tower_of(measured), 0, inputs)
    years = [light.index.year == year for year in (2018, 2019, 2020)]
    by_hand = pd.concat([light[year] * slope(light[~year], measured[~year]) for year in years])
    assert result["nirv.daily.nse"] == pytest.approx(nse(measured, by_hand), abs=1e-9)
    assert result["nirv.daily.n"] == result["model.daily.n"] == len(DAYS)
    low, high = sorted(slope(light[~year], measured[~year]) for year in years)[::2]
    assert result["nirv.split"] == (
        f"leave-year-out: k fitted in the tower's other years, {low:.3f} to {high:.3f} gC m-2 d-1 per W m-2"
    )


def test_the_p_model_is_fitted_to_nothing_and_scored_on_the_same_days(scene, inputs, measured):
    s2, weather = scene["s2"].to_dataset(), scene["weather"].to_dataset()
    clear = s2["clear"].values[:, ROW, COL]
    red, nir = s2["reflectance"].values[clear][:, 1:, ROW, COL].T
    at = pd.DatetimeIndex(s2["time"].values[clear]).normalize()
    ndvi = np.interp((DAYS - DAYS[0]).days, (at - DAYS[0]).days, (nir - red) / (nir + red))
    drivers = (weather[name].values for name in ("sw_in", "tair", "vpd"))
    by_hand = baselines.p_model(np.clip(1.24 * ndvi - 0.168, 0, 1), *drivers)
    result = gpp_at_tower.evaluate_at_tower(predicted_of(measured), tower_of(measured), 0, inputs)
    assert result["p_model.daily.nse"] == pytest.approx(nse(measured, by_hand), abs=1e-9)
    assert result["p_model.split"] == "nothing fitted: published constants"
    report = gpp_at_tower.tower_report(result)
    rows = [line for line in report.splitlines() if line.startswith(("daily", "monthly", " "))]
    for label in ("day of year", "NIRv x light", "P-model"):
        # A row at each scale that the prediction has, and one that says what it was fitted to.
        assert (
            sum(label in row for row in rows)
            == len(["daily", "weekly", "monthly", "seasonal", "anomaly"]) + 1
        )


@pytest.mark.parametrize(("scale", "name"), [("7D", "weekly"), ("MS", "monthly")])
def test_weeks_and_months_are_compared_with_their_mean_light(inputs, light, measured, scale, name):
    # Weeks of 7 days from 1 December 2018 on: some lie across new year, and fit neither year.
    starts = measured.resample(scale).mean().index
    ends = starts + pd.Timedelta(days=6) if name == "weekly" else starts + pd.offsets.MonthEnd(0)
    starts, ends = starts[ends <= DAYS[-1]], ends[ends <= DAYS[-1]]
    gpp, mean_light = (
        pd.Series([one[a:b].mean() for a, b in zip(starts, ends, strict=True)], starts)
        for one in (measured, light)
    )
    result = gpp_at_tower.evaluate_at_tower(predicted_of(measured), tower_of(gpp, resolution=name), 0, inputs)
    k = pd.Series(
        {
            year: slope(mean_light[ok], gpp[ok])
            for year in (2018, 2019, 2020)
            for ok in [(starts.year != year) & (ends.year != year)]
        }
    )
    line = light * DAYS.year.map(k)
    by_hand = pd.Series([line[a:b].mean() for a, b in zip(starts, ends, strict=True)], starts)
    assert result[f"nirv.{name}.nse"] == pytest.approx(nse(gpp, by_hand), abs=1e-9)
    assert result[f"nirv.{name}.n"] == result[f"model.{name}.n"] == len(starts)
    assert f"p_model.{name}.nse" in result


@pytest.mark.parametrize("resolution", ["daily", "weekly"])
def test_no_baseline_has_seen_the_year_it_is_scored_in(inputs, measured, resolution):
    gpp = measured if resolution == "daily" else measured.resample("7D").mean()
    lines = []
    for factor in (1.0, 5.0):
        changed = gpp.where(gpp.index.year != 2019, factor * gpp)
        tower = tower_of(changed, resolution=resolution)
        fitted = tower_baselines.fit(tower["gpp_nt"], tower, DAYS, inputs)
        lines.append({name: line.values.sel(time="2019") for name, line in fitted.lines.items()})
    for name in ("day_of_year", "nirv", "p_model"):
        # A week across new year has days of 2020, whose factor 2019 is fitted into; the others have none.
        whole = slice(None) if resolution == "daily" else slice(None, -1)
        assert np.isfinite(lines[0][name][whole]).all()
        xr.testing.assert_allclose(*(line[name][whole] for line in lines))


def test_weeks_of_a_leap_year_have_the_climatology_of_the_others(inputs, measured):
    # Numbered within each year, as in FLUXNET's weekly files: after February those of 2020 begin a day earlier.
    starts = pd.DatetimeIndex(
        [day for year in (2019, 2020) for day in pd.date_range(f"{year}-01-01", periods=47, freq="7D")]
    )
    gpp = pd.Series([measured[day : day + pd.Timedelta(days=6)].mean() for day in starts], starts)
    tower = tower_of(gpp, resolution="weekly")
    line = tower_baselines.fit(tower["gpp_nt"], tower, DAYS, inputs).lines["day_of_year"].values
    np.testing.assert_allclose(line.values[47:], gpp.values[:47])
    np.testing.assert_allclose(line.values[:47], gpp.values[47:])


def test_a_short_other_year_gives_no_factor_but_other_towers_do(scene, light, measured):
    gpp = measured["2018-12-01":"2019-11-30"]  # 31 days of 2018 would fit the whole of 2019
    tower = tower_of(gpp)
    inputs = BaselineInputs.from_scene(scene, GRID, LON, LAT)
    line = tower_baselines.fit(tower["gpp_nt"], tower, DAYS, inputs).lines["nirv"]
    k = light_use_of_other_towers("XX-New").k
    np.testing.assert_allclose(line.daily.values, k * light.values)
    assert line.split.startswith(
        f"leave-site-out: k = {k:.3f} gC m-2 d-1 per W m-2, fitted at 30 other towers"
    )
    assert "fewer than 90 measured days lie in other years" in line.note


def test_a_disc_has_the_mean_of_its_clear_pixels_where_half_of_it_is_clear(scene):
    s2 = scene["s2"].to_dataset()
    found = BaselineInputs.from_scene(scene, GRID, LON, LAT, 15).mean_clear_reflectance
    rows, cols = slice(ROW - 1, ROW + 2), slice(COL - 1, COL + 2)  # centres within 15 m: 3 x 3 pixels
    clear = s2["clear"].values[:, rows, cols].reshape(len(found), 9)
    nir = s2["reflectance"].values[:, 2, rows, cols].reshape(len(found), 9)
    by_hand = np.where(clear, nir, 0).sum(1) / np.maximum(clear.sum(1), 1)
    by_hand[clear.mean(1) < 0.5] = np.nan
    np.testing.assert_allclose(found.sel(band="B08").values, by_hand)
    assert np.isnan(by_hand).any()


def test_what_is_missing_is_said_and_the_rest_is_scored(scene, measured):
    weather = scene["weather"].to_dataset().drop_vars("vpd")
    for tree, absent in (
        (xr.DataTree.from_dict({"/s2": scene["s2"].to_dataset(), "/weather": weather}), {"p_model"}),
        (xr.DataTree.from_dict({"/weather": weather}), {"nirv", "p_model"}),
        (None, {"nirv", "p_model"}),
    ):
        inputs = BaselineInputs.from_scene(tree, GRID, LON, LAT)
        result = gpp_at_tower.evaluate_at_tower(predicted_of(measured), tower_of(measured), 0, inputs)
        assert {name for name in ("day_of_year", "nirv", "p_model") if f"{name}.missing" in result} == absent
        assert all(result[f"{name}.missing"].startswith("Got ") for name in absent)
        assert "none: Got a scene without" in gpp_at_tower.tower_report(result)


def test_the_split_of_the_model_says_whether_the_head_knows_the_tower():
    head = load()
    taught = next(site for sites in head.card["measured_towers"].values() for site in sites)
    attrs = {"gpp_head_digest": head.digest}

    def split(attrs, site):
        return model_split(attrs, xr.Dataset(attrs={"site": site}))

    assert split(attrs, "XX-New") == "leave-site-out: not trained on this tower"
    assert split(attrs, taught).startswith("not independent: the head was trained on this tower")
    assert split(attrs, "").endswith("if it is none of those that have a site code")
    assert split({}, "XX-New").startswith("not known")
    label = {"gpp_calibration": "XX-New: 5 days, 2020-05-01 to 2020-05-09, GPP; 0123456789abcdef"}
    assert split(attrs | label, "XX-New") == (
        "not independent: calibrated with XX-New: 5 days, 2020-05-01 to 2020-05-09, GPP"
    )
